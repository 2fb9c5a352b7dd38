//! What an authority says of a user in public: this signing key holds these attributes until then.
//! Readers check a writer's certificates against the write policy.
//!
//! Bytes: magic "CHARTFSC" 8 | format u16 = 1 | realm 16 | authority (short) | serial 16 |
//! subject 32 | count u8 | count × (attribute name (short) | epoch u32) | not_before_unix_s i64 |
//! not_after_unix_s i64 | authority seq u64 | signature 64.

use super::attribute::{
    Attribute, AttributeName, AuthorityId, Epoch, EpochAttribute, Gid, NAME_LEN_MAX_BYTES,
};
use super::hash;
use super::sign::{PublicKey, Signature, SigningKey};
use crate::error::{Error, Kind, Result};
use crate::wire::{Reader, Writer};

const MAGIC: &[u8; 8] = b"CHARTFSC";
const FORMAT: u16 = 1;
const DOMAIN: &str = "chartfs1 certificate";
/// The most attributes in one certificate.
pub const ATTRIBUTES_MAX: usize = 64;
/// The largest certificate, in bytes.
pub const CERTIFICATE_LEN_MAX_BYTES: usize = 8 << 10;
/// The longest validity: 90 days.
pub const VALIDITY_MAX_S: i64 = 90 * 86_400;

/// What is certified, before or after its signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The realm, 16 bytes.
    pub realm: [u8; 16],
    /// Who certifies.
    pub authority: AuthorityId,
    /// Names this certificate in a revocation list.
    pub serial: [u8; 16],
    /// Whose attributes they are.
    pub subject: PublicKey,
    /// The attributes, in the epochs in force when it was issued.
    pub attributes: Vec<(AttributeName, Epoch)>,
    /// First second of validity.
    pub not_before_unix_s: i64,
    /// Last second of validity.
    pub not_after_unix_s: i64,
    /// The newest state of the authority when it was issued.
    pub authority_seq: u64,
}

/// A certificate as stored: not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncheckedCertificate {
    claims: Claims,
    signature: Signature,
    bytes: Vec<u8>,
}

/// A certificate whose authority's signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    claims: Claims,
    hash: [u8; 32],
}

impl Claims {
    /// Signs the claims with the authority's identity key; returns the stored bytes.
    ///
    /// # Errors
    /// `Usage` when there are no or too many attributes, or the validity is over 90 days.
    pub fn sign(&self, authority_key: &SigningKey) -> Result<Vec<u8>> {
        if self.attributes.is_empty() || self.attributes.len() > ATTRIBUTES_MAX {
            return Err(Error::new(Kind::Usage, "the certificate cannot be issued")
                .because(format!("it must name 1 to {ATTRIBUTES_MAX} attributes")));
        }
        let validity_s = self.not_after_unix_s.saturating_sub(self.not_before_unix_s);
        if !(1..=VALIDITY_MAX_S).contains(&validity_s) {
            return Err(Error::new(Kind::Usage, "the certificate cannot be issued")
                .because("it must be valid for at most 90 days")
                .hint("issue it again before it ends"));
        }
        let mut w = self.to_writer();
        let signature = authority_key.sign(DOMAIN, w.as_bytes());
        w.bytes(&signature.0);
        Ok(w.into_bytes())
    }

    fn to_writer(&self) -> Writer {
        let mut w = Writer::new();
        w.bytes(MAGIC).u16(FORMAT).bytes(&self.realm).short(self.authority.as_str().as_bytes());
        w.bytes(&self.serial).bytes(&self.subject.0);
        w.u8(u8::try_from(self.attributes.len()).expect("limited in sign and parse"));
        for (name, epoch) in &self.attributes {
            w.short(name.as_str().as_bytes()).u32(epoch.0);
        }
        w.i64(self.not_before_unix_s).i64(self.not_after_unix_s).u64(self.authority_seq);
        w
    }
}

impl UncheckedCertificate {
    /// Reads a stored certificate.
    ///
    /// # Errors
    /// `Integrity` when the bytes are not one.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a certificate");
        if bytes.len() > CERTIFICATE_LEN_MAX_BYTES {
            return Err(r.bad("it is over its limit"));
        }
        if r.array::<8>()? != *MAGIC || r.u16()? != FORMAT {
            return Err(r.bad("it does not begin as one"));
        }
        let realm = r.array()?;
        let authority = name(&mut r)?;
        let (serial, subject) = (r.array()?, PublicKey(r.array()?));
        let count = usize::from(r.u8()?);
        if count == 0 || count > ATTRIBUTES_MAX {
            return Err(r.bad("its count of attributes is over the limit"));
        }
        let mut attributes = Vec::with_capacity(count);
        for _ in 0..count {
            attributes.push((name(&mut r)?, Epoch(r.u32()?)));
        }
        let claims = Claims {
            realm,
            authority,
            serial,
            subject,
            attributes,
            not_before_unix_s: r.i64()?,
            not_after_unix_s: r.i64()?,
            authority_seq: r.u64()?,
        };
        let signature = Signature(r.array()?);
        r.finish()?;
        Ok(Self { claims, signature, bytes: bytes.to_vec() })
    }

    /// Returns what it claims, not proven.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Checks the signature against the authority's identity key.
    ///
    /// # Errors
    /// `Integrity` when it does not verify, or the validity is longer than allowed.
    pub fn verify(self, authority_key: &PublicKey) -> Result<Certificate> {
        let signed = &self.bytes[..self.bytes.len() - 64];
        authority_key.verify(DOMAIN, signed, &self.signature)?;
        let validity_s = self.claims.not_after_unix_s.saturating_sub(self.claims.not_before_unix_s);
        if !(1..=VALIDITY_MAX_S).contains(&validity_s) {
            return Err(Error::damaged("a certificate is valid for longer than 90 days"));
        }
        Ok(Certificate { claims: self.claims, hash: hash::sha256(&[&self.bytes]) })
    }
}

/// Reads a name, refusing what [`AttributeName`] or [`AuthorityId`] would refuse.
pub(crate) fn name<T: std::str::FromStr>(r: &mut Reader<'_>) -> Result<T> {
    r.text(NAME_LEN_MAX_BYTES)?.parse().map_err(|_| r.bad("a name in it is not one"))
}

impl Certificate {
    /// Returns the proven claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns SHA-256 over the stored bytes: the certificate's object name.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Returns whose it is.
    pub fn gid(&self) -> Gid {
        Gid::of(&self.claims.subject.0)
    }

    /// Says whether it was valid at that second.
    pub fn valid_at(&self, unix_s: i64) -> bool {
        (self.claims.not_before_unix_s..=self.claims.not_after_unix_s).contains(&unix_s)
    }

    /// Returns the attributes that it vouches for.
    pub fn attributes(&self) -> impl Iterator<Item = EpochAttribute> + '_ {
        self.claims.attributes.iter().map(|(name, epoch)| EpochAttribute {
            attribute: Attribute { name: name.clone(), authority: self.claims.authority.clone() },
            epoch: *epoch,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            realm: [1; 16],
            authority: "st-mary".parse().unwrap(),
            serial: [2; 16],
            subject: SigningKey::generate().public(),
            attributes: vec![("physician".parse().unwrap(), Epoch(3))],
            not_before_unix_s: 100,
            not_after_unix_s: 200,
            authority_seq: 1,
        }
    }

    #[test]
    fn a_certificate_says_what_its_authority_signed() {
        let key = SigningKey::generate();
        let bytes = claims().sign(&key).unwrap();
        let unchecked = UncheckedCertificate::parse(&bytes).unwrap();
        assert!(unchecked.clone().verify(&SigningKey::generate().public()).is_err());
        let certificate = unchecked.verify(&key.public()).unwrap();
        assert!(certificate.valid_at(100) && certificate.valid_at(200));
        assert!(!certificate.valid_at(99) && !certificate.valid_at(201));
        assert_eq!(certificate.attributes().next().unwrap().to_string(), "physician#3@st-mary");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let key = SigningKey::generate();
        let bytes = claims().sign(&key).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let read = UncheckedCertificate::parse(&bad).and_then(|c| c.verify(&key.public()));
            assert!(read.is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(UncheckedCertificate::parse(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn no_certificate_is_longer_than_ninety_days() {
        let key = SigningKey::generate();
        let long = Claims { not_after_unix_s: 101 + VALIDITY_MAX_S, ..claims() };
        assert!(long.sign(&key).is_err());
    }
}
