//! Do these credentials open it? Attributes, policies, and the keys that they give.
//!
//! Pure: no files, no network, no clock. Only [`dabe`] names the pairing crate.

pub mod attribute;
pub mod certificate;
pub mod sign;
pub mod keyfile;
pub mod aead;
pub mod hash;
pub mod secret;
