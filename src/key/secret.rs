//! Bytes that must not be seen: no `Debug`, no `Clone`, no serialisation, wiped on drop.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes over the bytes; the caller wipes its own copy, if it keeps one.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(Box::new(bytes))
    }

    /// Makes random bytes from the crypto module's generator.
    pub fn random() -> Self {
        let mut s = Self(Box::new([0; N]));
        crate::key::hash::fill_random(&mut s.0[..]);
        s
    }

    /// Shows the bytes to a cipher.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Makes a second copy; named so that a reader of the code sees every one.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The key of one section version: AES-256, fresh each time.
pub type DataKey = Secret<32>;

/// What a capsule encapsulates: the secret of one clause.
pub type ClauseSecret = Secret<32>;
