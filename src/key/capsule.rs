//! A capsule: the secret of one clause, encapsulated by one author to the clause's attributes in
//! their epochs. Immutable, named by its hash, reused by its author for every section under the
//! clause until an epoch changes.
//!
//! Bytes: magic "CHARTFSK" 8 | format u16 = 1 | suite u16 = 1 | realm 16 | author 32 | rows u8 |
//! rows × (authority (short) | attribute (short) | epoch u32 | authority public id 32) |
//! ciphertext (144 × rows + 160).

use super::attribute::{Attribute, Epoch, EpochAttribute, Gid};
use super::certificate::name;
use super::dabe::{self, AttributeKey, AuthorityPublic, CLAUSE_ATTRIBUTES_MAX, Row};
use super::hash;
use super::secret::ClauseSecret;
use super::sign::PublicKey;
use crate::error::{Error, Kind, Result};
use crate::wire::{Reader, Writer};

const MAGIC: &[u8; 8] = b"CHARTFSK";
const FORMAT: u16 = 1;
/// The only suite of this build: no outer key.
pub const SUITE: u16 = 1;
/// The largest capsule object, in bytes.
pub const CAPSULE_LEN_MAX_BYTES: u64 = 16 << 10;

/// One row of a capsule: an attribute in its epoch, and which public key of its authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapsuleRow {
    /// The attribute and epoch.
    pub what: EpochAttribute,
    /// SHA-256 of the authority's public key.
    pub authority_public_id: [u8; 32],
}

/// A capsule, parsed but worth no trust: opening it proves it.
#[derive(Clone, Debug)]
pub struct Capsule {
    realm: [u8; 16],
    author: PublicKey,
    rows: Vec<CapsuleRow>,
    ciphertext: Vec<u8>,
    hash: [u8; 32],
}

impl Capsule {
    /// Encapsulates a new secret to all `rows`; returns it with the capsule and its stored bytes.
    ///
    /// # Errors
    /// `Usage` when the rows are not canonical or too many.
    pub fn make(
        realm: [u8; 16],
        author: PublicKey,
        rows: &[Row<'_>],
    ) -> Result<(Self, Vec<u8>, ClauseSecret)> {
        let named: Vec<CapsuleRow> = rows
            .iter()
            .map(|r| CapsuleRow { what: r.what.clone(), authority_public_id: r.authority.id() })
            .collect();
        let mut w = prefix(&realm, &author, &named);
        let (secret, ciphertext) = dabe::encapsulate(rows, w.as_bytes())?;
        w.bytes(&ciphertext);
        let bytes = w.into_bytes();
        let hash = hash::sha256(&[&bytes]);
        Ok((Self { realm, author, rows: named, ciphertext, hash }, bytes, secret))
    }

    /// Reads a stored capsule and checks that it is the one named.
    ///
    /// # Errors
    /// `Integrity` when the bytes are not the ones named, or not a capsule of this realm;
    /// `Unsupported` for another suite.
    pub fn parse(bytes: &[u8], named: &[u8; 32], realm: &[u8; 16]) -> Result<Self> {
        let hash = hash::sha256(&[bytes]);
        if hash != *named {
            return Err(Error::damaged("a capsule is not the one that its name says"));
        }
        let mut r = Reader::new(bytes, "a capsule");
        if r.array::<8>()? != *MAGIC || r.u16()? != FORMAT {
            return Err(r.bad("it does not begin as one"));
        }
        let suite = r.u16()?;
        if suite != SUITE {
            return Err(Error::new(Kind::Unsupported, format!("capsule suite {suite} is unknown"))
                .hint("use a newer chartfs"));
        }
        if r.array::<16>()? != *realm {
            return Err(r.bad("it belongs to another realm"));
        }
        let author = PublicKey(r.array()?);
        let count = usize::from(r.u8()?);
        if count == 0 || count > CLAUSE_ATTRIBUTES_MAX {
            return Err(r.bad("its count of rows is over the limit"));
        }
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            let authority = name(&mut r)?;
            let attribute = Attribute { authority, name: name(&mut r)? };
            let what = EpochAttribute { attribute, epoch: Epoch(r.u32()?) };
            rows.push(CapsuleRow { what, authority_public_id: r.array()? });
        }
        let ciphertext = r.bytes(dabe::ciphertext_len(count))?.to_vec();
        r.finish()?;
        Ok(Self { realm: *realm, author, rows, ciphertext, hash })
    }

    /// Returns what the capsule is encapsulated to.
    pub fn rows(&self) -> &[CapsuleRow] {
        &self.rows
    }

    /// Returns SHA-256 of the stored bytes: the object's name.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Opens the capsule with one key per row.
    ///
    /// # Errors
    /// `Integrity` when the authorities' public keys are not the ones named, or the ciphertext is
    /// not the one that its secret gives.
    pub fn open(
        &self,
        gid: &Gid,
        keys: &[&AttributeKey],
        authorities: &[&AuthorityPublic],
    ) -> Result<ClauseSecret> {
        let agree = self.rows.len() == authorities.len()
            && self.rows.iter().zip(authorities).all(|(r, a)| r.authority_public_id == a.id());
        if !agree {
            return Err(Error::damaged("a capsule names another public key of an authority"));
        }
        let rows: Vec<Row<'_>> = self
            .rows
            .iter()
            .zip(authorities)
            .map(|(r, authority)| Row { what: &r.what, authority })
            .collect();
        let associated = prefix(&self.realm, &self.author, &self.rows);
        dabe::decapsulate(&rows, keys, gid, associated.as_bytes(), &self.ciphertext)
    }
}

/// What stands before the ciphertext, and what the ciphertext is bound to.
fn prefix(realm: &[u8; 16], author: &PublicKey, rows: &[CapsuleRow]) -> Writer {
    let mut w = Writer::new();
    w.bytes(MAGIC).u16(FORMAT).u16(SUITE).bytes(realm).bytes(&author.0);
    w.u8(u8::try_from(rows.len()).expect("at most 32 rows"));
    for row in rows {
        w.short(row.what.attribute.authority.as_str().as_bytes());
        w.short(row.what.attribute.name.as_str().as_bytes());
        w.u32(row.what.epoch.0).bytes(&row.authority_public_id);
    }
    w
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::dabe::AuthoritySecret;

    fn physician() -> EpochAttribute {
        EpochAttribute { attribute: "physician@st-mary".parse().unwrap(), epoch: Epoch(1) }
    }

    #[test]
    fn a_capsule_opens_with_its_keys_and_no_bit_of_it_can_change() {
        let (authority, gid) = (AuthoritySecret::generate(), Gid([5; 32]));
        let public = authority.public();
        let what = physician();
        let rows = [Row { what: &what, authority: &public }];
        let (made, bytes, secret) = Capsule::make([1; 16], PublicKey([2; 32]), &rows).unwrap();
        let read = Capsule::parse(&bytes, &made.hash(), &[1; 16]).unwrap();
        let key = authority.issue(&gid, &what);
        let opened = read.open(&gid, &[&key], &[&public]).unwrap();
        assert_eq!(opened.expose(), secret.expose());
        assert!(Capsule::parse(&bytes, &made.hash(), &[2; 16]).is_err());
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let hash = hash::sha256(&[&bad]);
            let opened = Capsule::parse(&bad, &hash, &[1; 16])
                .and_then(|c| c.open(&gid, &[&key], &[&public]));
            assert!(opened.is_err(), "byte {at}");
            assert!(Capsule::parse(&bad, &made.hash(), &[1; 16]).is_err());
        }
    }
}
