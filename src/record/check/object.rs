//! One object: what it is by its name, and whether it is that.

use crate::error::{Error, Kind, Result};
use crate::key::attribute::AuthorityId;
use crate::key::credential::{hex, unhex};
use crate::realm::{object_name, seq_name};
use crate::record::external::{ExternalChecker, PIECE_CHUNKS};
use crate::record::head::{RECORD_LEN_MAX_BYTES, UncheckedRecord};
use crate::record::{Located, RecordId};
use crate::section::chunk::SEALED_CHUNK_BYTES;
use crate::store::{Listed, ObjectName};

use super::{Check, ObjectKind};

/// What a check of one object says.
pub(super) struct Seen {
    pub(super) kind: ObjectKind,
    /// The hash in the object's name, when it is named by one.
    pub(super) hash: Option<[u8; 32]>,
    /// Which state of which authority it is.
    pub(super) authority: Option<(AuthorityId, u64)>,
    /// The bodies and capsules that it names.
    pub(super) names: Vec<(ObjectKind, [u8; 32])>,
    pub(super) notes: Vec<Error>,
    pub(super) wrong: Option<Error>,
}

impl Seen {
    pub(super) fn of(kind: ObjectKind) -> Self {
        let (names, notes) = (Vec::new(), Vec::new());
        Self { kind, hash: None, authority: None, names, notes, wrong: None }
    }

    /// Adds every body and capsule that a head names.
    pub(super) fn add_names(&mut self, record: &UncheckedRecord) {
        for part in record.head.slots.iter().flat_map(|s| &s.parts) {
            if part.content.is_external() {
                self.names.push((ObjectKind::ExternalBody, part.content.body));
            }
            self.names.extend(part.wraps.iter().map(|w| (ObjectKind::Capsule, *w.capsule())));
        }
    }
}

/// The parts of an object's name, when it is one of ours in its one spelling.
enum Name {
    RealmState(u64),
    AuthorityState(AuthorityId, u64),
    Hashed(ObjectKind, [u8; 32]),
    Record(Located),
    History(RecordId, u64),
}

fn parse(name: &ObjectName) -> Option<Name> {
    let segments: Vec<&str> = name.as_str().split('/').collect();
    let parsed = match segments[..] {
        ["realm", seq] => Name::RealmState(seq.parse().ok()?),
        ["auth", id, seq] => Name::AuthorityState(id.parse().ok()?, seq.parse().ok()?),
        ["p", hash] => Name::Hashed(ObjectKind::Policy, bytes(hash)?),
        ["c", hash] => Name::Hashed(ObjectKind::Certificate, bytes(hash)?),
        ["k", hash] => Name::Hashed(ObjectKind::Capsule, bytes(hash)?),
        ["b", hash] => Name::Hashed(ObjectKind::ExternalBody, bytes(hash)?),
        ["r", birth, record] => {
            let (birth, record) = (RecordId(bytes(birth)?), RecordId(bytes(record)?));
            Name::Record(Located { birth, record })
        }
        ["h", record, version] => Name::History(RecordId(bytes(record)?), version.parse().ok()?),
        _ => return None,
    };
    (parsed.spelled() == *name).then_some(parsed)
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    unhex(text)?.try_into().ok()
}

impl Name {
    fn spelled(&self) -> ObjectName {
        match self {
            Self::RealmState(seq) => seq_name("realm", *seq),
            Self::AuthorityState(id, seq) => seq_name(&format!("auth/{id}"), *seq),
            Self::Hashed(kind, hash) => object_name(kind.folder(), &hex(hash)),
            Self::Record(located) => located.object(),
            Self::History(record, version) => {
                Located { birth: *record, record: *record }.history(*version)
            }
        }
    }
}

/// Keeps damage as a finding; what only says that the bucket cannot be read stays an error.
fn finding(checked: Result<()>) -> Result<Option<Error>> {
    match checked {
        Ok(()) => Ok(None),
        Err(e) if matches!(e.kind(), Kind::Unavailable | Kind::Internal | Kind::Denied) => Err(e),
        Err(e) => Ok(Some(e)),
    }
}

impl Check<'_> {
    pub(super) async fn object(&self, listed: &Listed) -> Result<Seen> {
        if listed.name.as_str().starts_with("probe/") {
            let mut seen = Seen::of(ObjectKind::Probe);
            seen.notes.push(Error::new(Kind::NotFound, "an interrupted test of the store left it"));
            return Ok(seen);
        }
        let Some(name) = parse(&listed.name) else {
            let mut seen = Seen::of(ObjectKind::Unknown);
            seen.wrong = Some(Error::damaged("an object has a name that chartfs does not give"));
            return Ok(seen);
        };
        match name {
            Name::RealmState(seq) => Ok(self.realm_state(seq)),
            Name::AuthorityState(id, seq) => {
                // The states of an authority are checked in order, after the listing.
                let mut seen = Seen::of(ObjectKind::AuthorityState);
                seen.authority = Some((id, seq));
                Ok(seen)
            }
            Name::Hashed(kind, hash) => {
                let mut seen = Seen::of(kind);
                seen.hash = Some(hash);
                seen.wrong = finding(self.hashed(kind, &hash, listed).await)?;
                Ok(seen)
            }
            Name::Record(located) => self.record(located).await,
            Name::History(record, version) => self.history(record, version).await,
        }
    }

    /// Opening the realm proved every state up to the newest.
    fn realm_state(&self, seq: u64) -> Seen {
        let mut seen = Seen::of(ObjectKind::RealmState);
        if seq > self.realm.state().seq {
            seen.wrong = Some(Error::damaged("a realm state stands behind a gap"));
        }
        seen
    }

    async fn hashed(&self, kind: ObjectKind, hash: &[u8; 32], listed: &Listed) -> Result<()> {
        match kind {
            ObjectKind::Policy => {
                let policy = self.realm.policy_statement(hash).await?;
                policy.bind(*hash, policy.patient.as_ref()).map(|_| ())
            }
            ObjectKind::Certificate => self.realm.certificate(hash).await.map(|_| ()),
            ObjectKind::Capsule => self.capsule(hash).await,
            _ => self.external_body(hash, listed).await,
        }
    }

    async fn capsule(&self, hash: &[u8; 32]) -> Result<()> {
        let capsule = self.realm.capsule(hash).await?;
        for row in capsule.rows() {
            let authority = self.realm.named_authority(&row.what.attribute.authority).await?;
            if row.authority_public_id != authority.public.id() {
                return Err(Error::damaged("a capsule names another public key of an authority"));
            }
        }
        Ok(())
    }

    /// Reads a long body piece by piece; the listing says how long it is, and its end is probed.
    async fn external_body(&self, root: &[u8; 32], listed: &Listed) -> Result<()> {
        let bucket = self.realm.bucket();
        let mut checker = ExternalChecker::new(listed.size_bytes)?;
        let sealed_len = checker.sealed_len();
        let mut at = 0;
        while at < sealed_len {
            let end = (at + PIECE_CHUNKS * SEALED_CHUNK_BYTES).min(sealed_len);
            checker.add(&bucket.get_range(&listed.name, at..end).await?);
            at = end;
        }
        let hashes = bucket.get_range(&listed.name, sealed_len..listed.size_bytes).await?;
        checker.finish(&hashes, root)?;
        match bucket.get_range(&listed.name, listed.size_bytes..listed.size_bytes + 1).await {
            Err(e) if e.kind() == Kind::Integrity => Ok(()),
            Err(e) => Err(e),
            Ok(_) => Err(Error::damaged("bytes follow the end of a long section")),
        }
    }

    /// Proves a record, and every policy that its keys are wrapped under.
    async fn prove(&self, located: Located, record: &UncheckedRecord) -> Result<()> {
        self.prover.prove(self.realm, located, record).await?;
        for policy in &record.head.policies {
            self.realm.policy(&policy.hash, policy.patient.as_ref()).await?;
        }
        Ok(())
    }

    async fn record(&self, located: Located) -> Result<Seen> {
        let mut seen = Seen::of(ObjectKind::Record);
        let object = self.realm.bucket().get(&located.object(), RECORD_LEN_MAX_BYTES).await;
        let checked = match object {
            // Removed since it was listed.
            Ok(None) => return Ok(seen),
            Ok(Some(object)) => UncheckedRecord::parse(&object.bytes),
            Err(e) => Err(e),
        };
        let checked = match checked {
            Ok(record) => {
                seen.add_names(&record);
                self.prove(located, &record).await
            }
            Err(e) => Err(e),
        };
        seen.wrong = finding(checked)?;
        Ok(seen)
    }
}
