//! One user's credential: an identity, a device key, and what authorities granted. One file works
//! at every authority of the realm, because all of them issue to the same GID.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::attribute::{Attribute, AuthorityId, Epoch, EpochAttribute, Gid};
use super::certificate::{CERTIFICATE_LEN_MAX_BYTES, UncheckedCertificate, name};
use super::dabe::{ATTRIBUTE_KEY_LEN, AUTHORITY_PUBLIC_LEN, AttributeKey, AuthorityPublic};
use super::secret::Secret;
use super::sign::{DeviceKey, DevicePublicKey, PublicKey, Signature, SigningKey, seal_to};
use crate::error::{Error, Kind, Result};
use crate::wire::{Reader, Writer};

const REQUEST_PREFIX: &str = "chartfs-request-1:";
const GRANT_PREFIX: &str = "chartfs-grant-1:";
const REQUEST_DOMAIN: &str = "chartfs1 request";
const GRANT_CONTEXT: &[u8] = b"chartfs1 grant";
/// The longest user name, in bytes.
pub const USER_NAME_LEN_MAX_BYTES: usize = 255;
/// The most authorities in one credential.
pub const GRANTS_MAX: usize = 1024;
/// The most attribute keys of one authority.
pub const GRANT_KEYS_MAX: usize = 4096;

/// What a user shows to an authority: public, and signed by the identity that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How the user wants to be called in lists; not a secret, not proven.
    pub user_name: String,
    /// The hash of the realm's genesis that the credential is pinned to.
    pub realm_genesis: [u8; 32],
    /// The identity key.
    pub identity: PublicKey,
    /// Where keys are to be delivered.
    pub device: DevicePublicKey,
}

impl Request {
    /// Returns the identifier that every authority issues to.
    pub fn gid(&self) -> Gid {
        Gid::of(&self.identity.0)
    }

    fn to_writer(&self) -> Writer {
        let mut w = Writer::new();
        w.bytes(&self.realm_genesis).bytes(&self.identity.0).bytes(&self.device.0);
        w.short(self.user_name.as_bytes());
        w
    }

    /// Reads the one line of text that [`Credential::request`] makes, and checks its signature.
    ///
    /// # Errors
    /// `Usage` when it is not a request, or not signed by the identity in it.
    pub fn parse(line: &str) -> Result<Self> {
        let bad = || {
            Error::new(Kind::Usage, "this is not a request of a user")
                .because("it is damaged, or another kind of file")
                .hint("the user makes one by: chartfs user show")
        };
        let bytes =
            unhex(line.trim().strip_prefix(REQUEST_PREFIX).ok_or_else(bad)?).ok_or_else(bad)?;
        let mut r = Reader::new(&bytes, "a request");
        let mut read = || -> Result<(Self, Signature)> {
            let realm_genesis = r.array()?;
            let (identity, device) = (PublicKey(r.array()?), DevicePublicKey(r.array()?));
            let user_name = r.text(USER_NAME_LEN_MAX_BYTES)?.to_owned();
            let signature = Signature(r.array()?);
            Ok((Self { user_name, realm_genesis, identity, device }, signature))
        };
        let (request, signature) = read().map_err(|_| bad())?;
        r.finish().map_err(|_| bad())?;
        let signed = request.to_writer();
        request
            .identity
            .verify(REQUEST_DOMAIN, signed.as_bytes(), &signature)
            .map_err(|_| bad())?;
        Ok(request)
    }
}

/// What one authority gave to one user.
pub struct Grant {
    /// The hash of the realm's genesis.
    pub realm_genesis: [u8; 32],
    /// The authority.
    pub authority: AuthorityId,
    /// Its public key, checked against the realm before the grant is stored.
    pub public: AuthorityPublic,
    /// The certificate, as stored in the bucket.
    pub certificate: Vec<u8>,
    /// One key per attribute and epoch.
    pub keys: Vec<(EpochAttribute, AttributeKey)>,
}

impl Grant {
    /// Seals the grant to a user's device, as one line of text.
    ///
    /// # Errors
    /// `Usage` when the device key is not one.
    pub fn seal(&self, device: &DevicePublicKey) -> Result<String> {
        let bytes = Zeroizing::new(self.to_bytes());
        Ok(format!("{GRANT_PREFIX}{}\n", hex(&seal_to(device, GRANT_CONTEXT, &bytes)?)))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.realm_genesis).short(self.authority.as_str().as_bytes());
        w.bytes(&self.public.to_bytes()).short(&self.certificate);
        w.u16(u16::try_from(self.keys.len()).expect("at most 4,096 keys"));
        for (what, key) in &self.keys {
            w.short(what.attribute.name.as_str().as_bytes()).u32(what.epoch.0);
            w.bytes(key.to_secret().expose());
        }
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let realm_genesis = r.array()?;
        let authority: AuthorityId = name(r)?;
        let public = AuthorityPublic::from_bytes(r.bytes(AUTHORITY_PUBLIC_LEN)?)?;
        let certificate = r.short(CERTIFICATE_LEN_MAX_BYTES)?.to_vec();
        let count = usize::from(r.u16()?);
        if count > GRANT_KEYS_MAX {
            return Err(r.bad("its count of keys is over the limit"));
        }
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            let attribute = Attribute { name: name(r)?, authority: authority.clone() };
            let what = EpochAttribute { attribute, epoch: Epoch(r.u32()?) };
            let key = Zeroizing::new(r.array::<ATTRIBUTE_KEY_LEN>()?);
            keys.push((what, AttributeKey::from_bytes(&key)?));
        }
        Ok(Self { realm_genesis, authority, public, certificate, keys })
    }

    /// Checks that every key is one that the authority's public key gives to this user: three
    /// pairings each.
    ///
    /// # Errors
    /// `Integrity` when one is not; none of the grant may be stored then.
    pub fn verify(&self, identity: &PublicKey) -> Result<()> {
        let gid = Gid::of(&identity.0);
        let claims = UncheckedCertificate::parse(&self.certificate)?;
        if claims.claims().subject != *identity || claims.claims().authority != self.authority {
            return Err(Error::damaged("a grant carries a certificate of somebody else"));
        }
        match self.keys.iter().find(|(what, key)| !key.verify(&self.public, &gid, what)) {
            None => Ok(()),
            Some((what, _)) => Err(Error::damaged(format!("the key for {what} is not valid"))
                .because("it was not made by the authority's key for this user")
                .hint("ask the authority to issue it again")),
        }
    }
}

/// One user's credential, opened.
pub struct Credential {
    /// How the user is called in lists.
    pub user_name: String,
    /// The hash of the realm's genesis: nothing of another realm is believed.
    pub realm_genesis: [u8; 32],
    /// Who signs.
    pub identity: SigningKey,
    /// Where keys are delivered.
    pub device: DeviceKey,
    /// What authorities granted.
    pub grants: BTreeMap<AuthorityId, Grant>,
}

impl Credential {
    /// Makes a new credential without grants, pinned to a realm.
    pub fn new(user_name: &str, realm_genesis: [u8; 32]) -> Self {
        Self {
            user_name: user_name.to_owned(),
            realm_genesis,
            identity: SigningKey::generate(),
            device: DeviceKey::generate(),
            grants: BTreeMap::new(),
        }
    }

    /// Returns the identifier that every authority issues to.
    pub fn gid(&self) -> Gid {
        Gid::of(&self.identity.public().0)
    }

    /// Returns the line of text to show to an authority.
    pub fn request(&self) -> String {
        let request = Request {
            user_name: self.user_name.clone(),
            realm_genesis: self.realm_genesis,
            identity: self.identity.public(),
            device: self.device.public(),
        };
        let mut w = request.to_writer();
        let signature = self.identity.sign(REQUEST_DOMAIN, w.as_bytes());
        w.bytes(&signature.0);
        format!("{REQUEST_PREFIX}{}\n", hex(w.as_bytes()))
    }

    /// Opens a grant made for this user and verifies every key in it; the caller still has to
    /// check the authority against the realm.
    ///
    /// # Errors
    /// `Usage` when the line is no grant; `Denied` when it is for another device or realm;
    /// `Integrity` when a key in it is not valid.
    pub fn open_grant(&self, line: &str) -> Result<Grant> {
        let bad = || {
            Error::new(Kind::Usage, "this is not a grant of an authority")
                .because("it is damaged, or another kind of file")
        };
        let sealed =
            unhex(line.trim().strip_prefix(GRANT_PREFIX).ok_or_else(bad)?).ok_or_else(bad)?;
        let bytes = Zeroizing::new(self.device.open(GRANT_CONTEXT, &sealed)?);
        let mut r = Reader::new(&bytes, "a grant");
        let grant = Grant::read(&mut r)?;
        r.finish()?;
        if grant.realm_genesis != self.realm_genesis {
            return Err(Error::new(Kind::Denied, "the grant is of another realm")
                .because("the credential is pinned to the realm that it was made for"));
        }
        grant.verify(&self.identity.public())?;
        Ok(grant)
    }

    /// Stores a grant; keys of epochs that the new grant does not repeat are kept.
    pub fn add_grant(&mut self, mut grant: Grant) {
        if let Some(old) = self.grants.remove(&grant.authority) {
            for (what, key) in old.keys {
                if !grant.keys.iter().any(|(w, _)| *w == what) {
                    grant.keys.push((what, key));
                }
            }
        }
        self.grants.insert(grant.authority.clone(), grant);
    }

    /// Returns the bytes to be sealed into the credential file.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::new();
        w.short(self.user_name.as_bytes()).bytes(&self.realm_genesis);
        w.bytes(self.identity.seed().expose()).bytes(self.device.secret().expose());
        w.u16(u16::try_from(self.grants.len()).expect("at most 1,024 grants"));
        for grant in self.grants.values() {
            w.bytes(&Zeroizing::new(grant.to_bytes()));
        }
        Zeroizing::new(w.into_bytes())
    }

    /// Reads what [`Credential::to_bytes`] made.
    ///
    /// # Errors
    /// `Integrity` when it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes, "a credential");
        let user_name = r.text(USER_NAME_LEN_MAX_BYTES)?.to_owned();
        let realm_genesis = r.array()?;
        let identity = SigningKey::from_seed(Secret::new(r.array()?));
        let device = DeviceKey::from_secret(Secret::new(r.array()?));
        let count = usize::from(r.u16()?);
        if count > GRANTS_MAX {
            return Err(r.bad("its count of grants is over the limit"));
        }
        let mut grants = BTreeMap::new();
        for _ in 0..count {
            let grant = Grant::read(&mut r)?;
            grants.insert(grant.authority.clone(), grant);
        }
        r.finish()?;
        Ok(Self { user_name, realm_genesis, identity, device, grants })
    }
}

/// Writes bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        write!(out, "{b:02x}").expect("writing to a string cannot fail");
        out
    })
}

/// Reads lower- or upper-case hexadecimal.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect())
}
