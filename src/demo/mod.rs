//! A small realm with invented people, to look at: what `chartfs demo` shows, and what tests and
//! benchmarks mount.

pub mod patients;
pub mod realm;
