//! What the demonstration needs: synthetic patients.

pub mod patients;
