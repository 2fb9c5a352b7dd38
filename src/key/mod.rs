//! Do these credentials open it? Attributes, policies, and the keys that they give.
//!
//! Pure: no files, no network, no clock. Only [`dabe`] names the pairing crate.

pub mod keyring;
pub mod credential;
pub mod certificate;
pub mod policy;
pub mod attribute;
pub mod capsule;
pub mod wrap;
pub mod dabe;
pub mod keyfile;
pub mod sign;
pub mod aead;
pub mod secret;
pub mod hash;
