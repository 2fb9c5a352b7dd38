//! Do these credentials open it? Attributes, policies, and the keys that they give.
//!
//! Pure: no files, no network, no clock. Only [`dabe`] names the pairing crate.

pub mod attribute;
pub mod secret;
pub mod hash;
pub mod dabe;
pub mod policy;
