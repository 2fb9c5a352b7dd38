//! Old versions: each is a record in its own right, and the next version names it.

use super::object::Seen;
use super::{Check, ObjectKind};
use crate::error::{Error, Kind, Result};
use crate::record::head::{RECORD_LEN_MAX_BYTES, UncheckedRecord};
use crate::record::proof::prove_follows;
use crate::record::{Located, RecordId};
use crate::store::ObjectName;

impl Check<'_> {
    pub(super) async fn history(&self, record: RecordId, version: u64) -> Result<Seen> {
        let mut seen = Seen::of(ObjectKind::History);
        let name = Located { birth: record, record }.history(version);
        let old = match self.parsed(&name).await {
            Ok(None) => return Ok(seen),
            Ok(Some(old)) => old,
            Err(e) => return with_finding(seen, e),
        };
        seen.add_names(&old);
        if old.head.version != version {
            seen.wrong = Some(Error::damaged("an old version stands under the number of another"));
            return Ok(seen);
        }
        let located = Located { birth: old.head.birth, record };
        if let Err(e) = self.prover.prove(self.realm, located, &old).await {
            return with_finding(seen, e);
        }
        match self.next_version(located, &old).await {
            Ok(None) => Ok(seen),
            Ok(Some(note)) => {
                seen.notes.push(note);
                Ok(seen)
            }
            Err(e) => with_finding(seen, e),
        }
    }

    async fn parsed(&self, name: &ObjectName) -> Result<Option<UncheckedRecord>> {
        let object = self.realm.bucket().get(name, RECORD_LEN_MAX_BYTES).await?;
        object.map(|o| UncheckedRecord::parse(&o.bytes)).transpose()
    }

    /// Checks that the version after `old` names it and takes no section back; `Some` is a note.
    async fn next_version(&self, located: Located, old: &UncheckedRecord) -> Result<Option<Error>> {
        let note = |what: &'static str| Ok(Some(Error::new(Kind::NotFound, what)));
        let Some(number) = old.head.version.checked_add(1) else { return Ok(None) };
        let next = match self.parsed(&located.history(number)).await {
            // It is a finding of its own.
            Err(e) if e.kind() == Kind::Integrity => return Ok(None),
            Ok(None) => self.parsed(&located.object()).await,
            other => other,
        };
        let next = match next {
            Err(e) if e.kind() == Kind::Integrity => return Ok(None),
            Err(e) => return Err(e),
            Ok(None) => return note("its record is not in the bucket any more"),
            Ok(Some(next)) => next,
        };
        if next.object_hash == old.object_hash {
            // An old version is kept before the next one takes its place.
            return note("it is the newest: a write of the version after it broke off");
        }
        if next.head.version < number {
            return Err(Error::damaged("the record is older than a version in its history"));
        }
        if next.head.version > number {
            return note("the version after it was not kept, as those that change a time only");
        }
        if next.head.previous != old.object_hash {
            return Err(Error::damaged("the next version follows another than this one"));
        }
        // What the next version is not proven by is its own finding.
        match self.prover.prove(self.realm, located, &next).await {
            Ok(proof) => prove_follows(&old.mark(), &next.mark(), &proof).map(|()| None),
            Err(_) => Ok(None),
        }
    }
}

fn with_finding(mut seen: Seen, e: Error) -> Result<Seen> {
    if matches!(e.kind(), Kind::Unavailable | Kind::Internal | Kind::Denied) {
        return Err(e);
    }
    seen.wrong = Some(e);
    Ok(seen)
}
