//! An authority as stored: introduced once by an administrator, then describing itself in a chain
//! of states: which attributes it issues, in which epoch, and which certificates it took back.
//!
//! Object `auth/<authority>/<seq>`, bytes: magic "CHARTFSA" 8 | format u16 = 1 | realm 16 |
//! authority (short) | kind u8 | identity 32 | public key 672 | administrator 32 | introduction
//! signature 64 | seq u64 | hash of the state before 32 | time_unix_s i64 | attributes u16 ×
//! (name (short) | epoch u32) | revoked u32 × (serial 16 | cut_unix_s i64) | signature 64.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};
use crate::key::attribute::{Attribute, AttributeName, AuthorityId, Epoch, EpochAttribute};
use crate::key::certificate::name;
use crate::key::dabe::{AUTHORITY_PUBLIC_LEN, AuthorityPublic, AuthoritySecret};
use crate::key::hash;
use crate::key::secret::Secret;
use crate::key::sign::{PublicKey, Signature, SigningKey};
use crate::wire::{Reader, Writer};

const MAGIC: &[u8; 8] = b"CHARTFSA";
const FORMAT: u16 = 1;
const DOMAIN: &str = "chartfs1 authority state";
const INTRODUCTION: &str = "chartfs1 introduction";
/// The most attributes of one authority.
pub const ATTRIBUTES_MAX: usize = 4096;
/// The most revoked certificates of one authority.
pub const REVOKED_MAX: usize = 1 << 16;
/// The largest authority state, in bytes.
pub const AUTHORITY_LEN_MAX_BYTES: u64 = 4 << 20;

/// What kind of institution, or person, an authority is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AuthorityKind {
    /// Treats patients.
    Hospital = 1,
    /// Registers pharmacists.
    Pharmacy = 2,
    /// Approves research.
    Research = 3,
    /// Is the patient: owns the folder's policy.
    Patient = 4,
    /// Issues break-glass attributes.
    Emergency = 5,
    /// Pays.
    Insurance = 6,
}

impl AuthorityKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Hospital,
        Self::Pharmacy,
        Self::Research,
        Self::Patient,
        Self::Emergency,
        Self::Insurance,
    ];
}

impl fmt::Display for AuthorityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hospital => "hospital",
            Self::Pharmacy => "pharmacy",
            Self::Research => "research",
            Self::Patient => "patient",
            Self::Emergency => "emergency",
            Self::Insurance => "insurance",
        })
    }
}

impl FromStr for AuthorityKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|k| k.to_string() == text).ok_or_else(|| {
            Error::new(Kind::Usage, format!("{text:?} is not a kind of authority"))
                .hint("hospital, pharmacy, research, patient, emergency or insurance")
        })
    }
}

/// The secret half of an authority: its signing key and its scheme key.
pub struct AuthorityKeys {
    /// Its name in the realm.
    pub id: AuthorityId,
    /// The hash of the realm's genesis.
    pub realm_genesis: [u8; 32],
    /// Signs states and certificates.
    pub identity: SigningKey,
    /// Issues attribute keys.
    pub scheme: AuthoritySecret,
}

impl AuthorityKeys {
    /// Makes the keys of a new authority.
    pub fn generate(id: AuthorityId, realm_genesis: [u8; 32]) -> Self {
        let (identity, scheme) = (SigningKey::generate(), AuthoritySecret::generate());
        Self { id, realm_genesis, identity, scheme }
    }

    /// Returns the bytes to be sealed into the authority file.
    pub fn to_bytes(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.short(self.id.as_str().as_bytes()).bytes(&self.realm_genesis);
        w.bytes(self.identity.seed().expose()).bytes(self.scheme.to_secret().expose());
        zeroize::Zeroizing::new(w.into_bytes())
    }

    /// Reads what [`AuthorityKeys::to_bytes`] made.
    ///
    /// # Errors
    /// `Integrity` when it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "an authority file");
        let (id, realm_genesis) = (name(&mut r)?, r.array()?);
        let identity = SigningKey::from_seed(Secret::new(r.array()?));
        let scheme = AuthoritySecret::from_bytes(&zeroize::Zeroizing::new(r.array()?))?;
        r.finish()?;
        Ok(Self { id, realm_genesis, identity, scheme })
    }
}

/// One state of an authority, proven to be its own and to be introduced by an administrator.
#[derive(Clone)]
pub struct AuthorityState {
    /// The realm, 16 bytes.
    pub realm: [u8; 16],
    /// Its name.
    pub id: AuthorityId,
    /// What it is.
    pub kind: AuthorityKind,
    /// Whose signature its states and certificates bear.
    pub identity: PublicKey,
    /// The public key of the scheme.
    pub public: AuthorityPublic,
    /// Which administrator introduced it.
    pub administrator: PublicKey,
    introduction: Signature,
    /// Counts the states from 0.
    pub seq: u64,
    /// SHA-256 of the state before; zero for the first.
    pub previous: [u8; 32],
    /// When it was signed.
    pub time_unix_s: i64,
    /// The attributes that it issues, each with the epoch in force.
    pub attributes: BTreeMap<AttributeName, Epoch>,
    /// The serials of certificates taken back, each with the second from which on nothing signed
    /// with it is believed.
    pub revoked: BTreeMap<[u8; 16], i64>,
}

impl AuthorityState {
    /// Introduces a new authority to the realm, as an administrator.
    pub fn introduce(
        realm: [u8; 16],
        keys: &AuthorityKeys,
        kind: AuthorityKind,
        administrator: &SigningKey,
        time_unix_s: i64,
    ) -> Self {
        let (identity, public) = (keys.identity.public(), keys.scheme.public());
        let text = introduction_text(&realm, &keys.id, kind, &identity, &public);
        Self {
            realm,
            id: keys.id.clone(),
            kind,
            identity,
            public,
            administrator: administrator.public(),
            introduction: administrator.sign(INTRODUCTION, text.as_bytes()),
            seq: 0,
            previous: [0; 32],
            time_unix_s,
            attributes: BTreeMap::new(),
            revoked: BTreeMap::new(),
        }
    }

    /// Returns the attribute in its epoch in force, if the authority issues it.
    pub fn current(&self, attribute: &Attribute) -> Option<EpochAttribute> {
        let epoch = *self.attributes.get(&attribute.name)?;
        Some(EpochAttribute { attribute: attribute.clone(), epoch })
    }

    /// Returns a hash over who the authority is: the same in all of its states.
    pub fn introduction_hash(&self) -> [u8; 32] {
        let text =
            introduction_text(&self.realm, &self.id, self.kind, &self.identity, &self.public);
        hash::sha256(&[text.as_bytes(), &self.administrator.0, &self.introduction.0])
    }

    /// Signs the state; returns the stored bytes.
    ///
    /// # Errors
    /// `Denied` when the key is not the authority's; `Usage` over a limit.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>> {
        if key.public() != self.identity {
            return Err(Error::new(Kind::Denied, format!("{} cannot be changed", self.id))
                .because("the key is not this authority's"));
        }
        if self.attributes.len() > ATTRIBUTES_MAX || self.revoked.len() > REVOKED_MAX {
            return Err(Error::new(Kind::Usage, format!("{} cannot grow further", self.id))
                .because(format!(
                    "at most {ATTRIBUTES_MAX} attributes and {REVOKED_MAX} revocations"
                )));
        }
        let mut w = self.to_writer();
        let signature = key.sign(DOMAIN, w.as_bytes());
        w.bytes(&signature.0);
        Ok(w.into_bytes())
    }

    fn to_writer(&self) -> Writer {
        let mut w = Writer::new();
        w.bytes(MAGIC).u16(FORMAT);
        let text =
            introduction_text(&self.realm, &self.id, self.kind, &self.identity, &self.public);
        w.bytes(text.as_bytes()).bytes(&self.administrator.0).bytes(&self.introduction.0);
        w.u64(self.seq).bytes(&self.previous).i64(self.time_unix_s);
        w.u16(u16::try_from(self.attributes.len()).expect("checked in sign"));
        for (name, epoch) in &self.attributes {
            w.short(name.as_str().as_bytes()).u32(epoch.0);
        }
        w.u32(u32::try_from(self.revoked.len()).expect("checked in sign"));
        for (serial, cut) in &self.revoked {
            w.bytes(serial).i64(*cut);
        }
        w
    }

    /// Reads a stored state and proves it: signed by the identity in it, which one of
    /// `administrators` introduced to `realm` under the name `id`.
    ///
    /// # Errors
    /// `Integrity` when any of that does not hold.
    pub fn verify(
        bytes: &[u8],
        realm: &[u8; 16],
        id: &AuthorityId,
        administrators: &[PublicKey],
    ) -> Result<Self> {
        let mut r = Reader::new(bytes, "an authority state");
        let state = Self::read(&mut r)?;
        let signed_len = r.position();
        let signature = Signature(r.array()?);
        r.finish()?;
        if state.realm != *realm || state.id != *id {
            return Err(Error::damaged("an authority state is of another realm or authority"));
        }
        if !administrators.contains(&state.administrator) {
            return Err(Error::damaged(format!("{id} was not introduced by an administrator")));
        }
        let text =
            introduction_text(&state.realm, &state.id, state.kind, &state.identity, &state.public);
        state.administrator.verify(INTRODUCTION, text.as_bytes(), &state.introduction)?;
        state.identity.verify(DOMAIN, &bytes[..signed_len], &signature)?;
        Ok(state)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        if r.array::<8>()? != *MAGIC || r.u16()? != FORMAT {
            return Err(r.bad("it does not begin as one"));
        }
        let (realm, id) = (r.array()?, name(r)?);
        let kind = r.u8()?;
        let kind = AuthorityKind::ALL
            .into_iter()
            .find(|k| *k as u8 == kind)
            .ok_or_else(|| r.bad("its kind is unknown"))?;
        let identity = PublicKey(r.array()?);
        let public = AuthorityPublic::from_bytes(r.bytes(AUTHORITY_PUBLIC_LEN)?)?;
        let (administrator, introduction) = (PublicKey(r.array()?), Signature(r.array()?));
        let (seq, previous, time_unix_s) = (r.u64()?, r.array()?, r.i64()?);
        let attributes = read_attributes(r)?;
        let revoked = read_revoked(r)?;
        Ok(Self {
            realm,
            id,
            kind,
            identity,
            public,
            administrator,
            introduction,
            seq,
            previous,
            time_unix_s,
            attributes,
            revoked,
        })
    }
}

fn introduction_text(
    realm: &[u8; 16],
    id: &AuthorityId,
    kind: AuthorityKind,
    identity: &PublicKey,
    public: &AuthorityPublic,
) -> Writer {
    let mut w = Writer::new();
    w.bytes(realm).short(id.as_str().as_bytes()).u8(kind as u8);
    w.bytes(&identity.0).bytes(&public.to_bytes());
    w
}

fn read_attributes(r: &mut Reader<'_>) -> Result<BTreeMap<AttributeName, Epoch>> {
    let count = usize::from(r.u16()?);
    if count > ATTRIBUTES_MAX {
        return Err(r.bad("its count of attributes is over the limit"));
    }
    let mut attributes = BTreeMap::new();
    for _ in 0..count {
        let (name, epoch): (AttributeName, _) = (name(r)?, Epoch(r.u32()?));
        if attributes.last_key_value().is_some_and(|(last, _)| *last >= name) {
            return Err(r.bad("its attributes are not in order"));
        }
        attributes.insert(name, epoch);
    }
    Ok(attributes)
}

fn read_revoked(r: &mut Reader<'_>) -> Result<BTreeMap<[u8; 16], i64>> {
    let count = r.u32()? as usize;
    if count > REVOKED_MAX {
        return Err(r.bad("its count of revocations is over the limit"));
    }
    let mut revoked = BTreeMap::new();
    for _ in 0..count {
        let (serial, cut): ([u8; 16], _) = (r.array()?, r.i64()?);
        if revoked.last_key_value().is_some_and(|(last, _)| *last >= serial) {
            return Err(r.bad("its revocations are not in order"));
        }
        revoked.insert(serial, cut);
    }
    Ok(revoked)
}

/// Returns SHA-256 of a stored state, which the next state names.
pub fn state_hash(bytes: &[u8]) -> [u8; 32] {
    hash::sha256(&[bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_needs_an_administrator_and_speaks_only_for_itself() {
        let (admin, id): (_, AuthorityId) = (SigningKey::generate(), "st-mary".parse().unwrap());
        let keys = AuthorityKeys::generate(id.clone(), [7; 32]);
        let mut state =
            AuthorityState::introduce([1; 16], &keys, AuthorityKind::Hospital, &admin, 5);
        state.attributes.insert("physician".parse().unwrap(), Epoch(1));
        state.revoked.insert([4; 16], 9);
        let bytes = state.sign(&keys.identity).unwrap();
        let admins = [admin.public()];
        let read = AuthorityState::verify(&bytes, &[1; 16], &id, &admins).unwrap();
        let physician = read.current(&"physician@st-mary".parse().unwrap()).unwrap();
        assert_eq!(physician.to_string(), "physician#1@st-mary");

        assert!(AuthorityState::verify(&bytes, &[2; 16], &id, &admins).is_err());
        let other = "st-john".parse().unwrap();
        assert!(AuthorityState::verify(&bytes, &[1; 16], &other, &admins).is_err());
        let stranger = [SigningKey::generate().public()];
        assert!(AuthorityState::verify(&bytes, &[1; 16], &id, &stranger).is_err());
        assert!(state.sign(&admin).is_err());
        for at in (0..bytes.len()).step_by(7) {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            assert!(AuthorityState::verify(&bad, &[1; 16], &id, &admins).is_err(), "byte {at}");
        }
    }

    #[test]
    fn keys_come_back_from_their_file() {
        let keys = AuthorityKeys::generate("st-mary".parse().unwrap(), [7; 32]);
        let read = AuthorityKeys::from_bytes(&keys.to_bytes()).unwrap();
        assert_eq!(read.identity.public(), keys.identity.public());
        assert_eq!(read.scheme.public().id(), keys.scheme.public().id());
    }
}
