//! Distributed attribute-based encryption: Rouselakis and Waters 2015 in its type-3 form on
//! BLS12-381, as a key encapsulation for one clause (a conjunction of attributes).
//!
//! There is no set-up and no master: an authority is two scalars. A user's keys from several
//! authorities combine because all are issued for one global identifier, and the keys of two
//! users never combine. The ciphertext holds no element of the target group, is bound to its rows
//! and to the associated data, and is checked by encrypting again (Fujisaki and Okamoto).
//!
//! Names of one letter in this folder are those of the paper: `E` and `Y` are the public key of
//! an authority, `K` and `K'` an attribute key, `C2`, `C3`, `C4` the ciphertext, `H` and `F` the
//! hashes of identifiers and attributes.

#![allow(non_snake_case)]

mod group;
mod parallel;
mod authority;
mod capsule;

#[cfg(test)]
mod group_tests;

pub use authority::{
    ATTRIBUTE_KEY_LEN, AUTHORITY_PUBLIC_LEN, AUTHORITY_SECRET_LEN, AttributeKey, AuthorityPublic,
    AuthoritySecret,
};
pub use capsule::{
    CLAUSE_ATTRIBUTES_MAX, Row, ciphertext_len, decapsulate, encapsulate, encapsulate_with_seed,
};
