//! Ed25519 signatures (RFC 8032) and sealing to a device by X25519 (RFC 7748) and AES-256-GCM.

use aws_lc_rs::agreement::{self, X25519};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::hash;
use super::secret::Secret;
use crate::error::{Error, Kind, Result};

/// An Ed25519 public key, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// An Ed25519 signature, 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl PublicKey {
    /// Checks a signature over the concatenation of a domain string and a message.
    ///
    /// # Errors
    /// `Integrity` when it does not verify.
    pub fn verify(&self, domain: &str, message: &[u8], signature: &Signature) -> Result<()> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&[domain.as_bytes(), message].concat(), &signature.0)
            .map_err(|_| Error::damaged(format!("a signature over a {domain} does not verify")))
    }
}

/// An Ed25519 key pair: who signs.
pub struct SigningKey {
    seed: Secret<32>,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// Makes a new key pair.
    pub fn generate() -> Self {
        Self::from_seed(Secret::random())
    }

    /// Restores the key pair of a 32-byte seed.
    pub fn from_seed(seed: Secret<32>) -> Self {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed.expose()).expect("any 32 bytes are a seed");
        Self { seed, pair }
    }

    /// Returns the seed, to be stored.
    pub fn seed(&self) -> &Secret<32> {
        &self.seed
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.pair.public_key().as_ref().try_into().expect("Ed25519 keys have 32 bytes"))
    }

    /// Signs the concatenation of a domain string and a message.
    pub fn sign(&self, domain: &str, message: &[u8]) -> Signature {
        let signed = self.pair.sign(&[domain.as_bytes(), message].concat());
        Signature(signed.as_ref().try_into().expect("Ed25519 signatures have 64 bytes"))
    }
}

/// The X25519 public key of a device, 32 bytes: what keys are delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePublicKey(pub [u8; 32]);

/// The X25519 key of a device.
pub struct DeviceKey(Secret<32>);

impl DeviceKey {
    /// Makes a new key.
    pub fn generate() -> Self {
        Self(Secret::random())
    }

    /// Restores a stored key.
    pub fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// Returns the secret, to be stored.
    pub fn secret(&self) -> &Secret<32> {
        &self.0
    }

    fn private(&self) -> agreement::PrivateKey {
        agreement::PrivateKey::from_private_key(&X25519, self.0.expose())
            .expect("any 32 bytes are an X25519 key")
    }

    /// Returns the public key.
    ///
    /// # Panics
    /// Never: every X25519 key has a public key.
    pub fn public(&self) -> DevicePublicKey {
        let public = self.private().compute_public_key().expect("every key has a public key");
        DevicePublicKey(public.as_ref().try_into().expect("X25519 keys have 32 bytes"))
    }

    /// Opens what [`seal_to`] made for this device.
    ///
    /// # Errors
    /// `Denied` when it was made for another device; `Integrity` when it is damaged.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let not_mine = || {
            Error::new(Kind::Denied, "the sealed keys do not open with this credential")
                .because("they were made for another device, or are damaged")
        };
        let (their, rest) = sealed.split_first_chunk::<32>().ok_or_else(not_mine)?;
        let key = shared(&self.private(), their, their, &self.public().0, context)
            .ok_or_else(not_mine)?;
        super::aead::open(&key, context, rest).map_err(|_| not_mine())
    }
}

/// Seals `plaintext` to a device: ephemeral X25519 public key 32 | nonce 12 | ciphertext | tag 16.
///
/// # Errors
/// `Usage` when the public key is not one (a point of small order).
pub fn seal_to(to: &DevicePublicKey, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
    let ephemeral = DeviceKey::generate();
    let mine = ephemeral.public().0;
    let key = shared(&ephemeral.private(), &to.0, &mine, &to.0, context)
        .ok_or_else(|| Error::new(Kind::Usage, "the device key of the request is not a key"))?;
    let mut out = mine.to_vec();
    out.extend_from_slice(&super::aead::seal(&key, context, plaintext));
    Ok(out)
}

/// Derives the key that both ends of one sealing share; `peer` is the other end's public key.
fn shared(
    private: &agreement::PrivateKey,
    peer: &[u8; 32],
    ephemeral: &[u8; 32],
    device: &[u8; 32],
    context: &[u8],
) -> Option<Secret<32>> {
    let peer = agreement::UnparsedPublicKey::new(&X25519, peer);
    agreement::agree(private, peer, (), |z| {
        Ok(hash::hkdf::<32>(b"chartfs1 device", z, &[ephemeral, device, context]))
    })
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_its_domain_and_its_message_only() {
        let key = SigningKey::generate();
        let s = key.sign("statement", b"text");
        key.public().verify("statement", b"text", &s).unwrap();
        assert!(key.public().verify("policy", b"text", &s).is_err());
        assert!(key.public().verify("statement", b"texT", &s).is_err());
        assert!(SigningKey::generate().public().verify("statement", b"text", &s).is_err());
    }

    #[test]
    fn sealed_keys_open_only_on_their_device_and_in_their_context() {
        let device = DeviceKey::generate();
        let mut sealed = seal_to(&device.public(), b"grant", b"keys").unwrap();
        assert_eq!(device.open(b"grant", &sealed).unwrap(), b"keys");
        assert!(device.open(b"other", &sealed).is_err());
        assert!(DeviceKey::generate().open(b"grant", &sealed).is_err());
        sealed[40] ^= 1;
        assert!(device.open(b"grant", &sealed).is_err());
        assert!(device.open(b"grant", &sealed[..31]).is_err());
        assert!(seal_to(&DevicePublicKey([0; 32]), b"grant", b"keys").is_err());
    }
}
