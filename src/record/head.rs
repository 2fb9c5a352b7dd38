//! A record object's bytes: prelude, head, the committer's statement, and the region of packed
//! inline bodies. The tables stand in `docs/FORMAT.md`.
//!
//! Pure, and worth no trust: [`UncheckedRecord`] is what the bucket said; `proof` makes a
//! [`super::Record`] of it.

use bytes::Bytes;

use super::marks::{Mark, SectionMark};
use super::statement::Statement;
use super::twin::is_derived;
use super::{PolicyRef, RecordId};
use crate::error::{Error, Kind, Result};
use crate::key::capsule::SUITE;
use crate::key::hash;
use crate::key::wrap::{WRAP_LEN, Wrap};
use crate::wire::{Reader, Writer};

const MAGIC: &[u8; 8] = b"CHARTFSR";
const FORMAT: u16 = 1;
/// Bytes of the prelude: magic 8 | format u16 | suite u16 | head length u32.
pub const PRELUDE_LEN: usize = 16;
/// The largest head, in bytes.
pub const HEAD_LEN_MAX_BYTES: usize = 1 << 20;
/// The largest region of inline bodies, in bytes.
pub const REGION_LEN_MAX_BYTES: usize = 16 << 20;
/// The largest record object, in bytes.
pub const RECORD_LEN_MAX_BYTES: u64 =
    (PRELUDE_LEN + 2 * HEAD_LEN_MAX_BYTES + REGION_LEN_MAX_BYTES) as u64;
/// The most slots of a record.
pub const SLOTS_MAX: usize = 256;
/// The most parts of a slot.
pub const PARTS_MAX: usize = 64;
/// The most clauses that a data key is wrapped under.
pub const WRAPS_MAX: usize = 64;
/// The most policies that the parts of one record were wrapped under.
pub const POLICIES_MAX: usize = 64;
/// Bytes of sealed metadata: nonce 12 | ciphertext 56 | tag 16.
pub const META_LEN: usize = 84;
/// Bytes of a sealed extent: nonce 12 | ciphertext 32 | tag 16.
pub const EXTENT_LEN: usize = 60;
/// Names the statement at the end of the head instead of one that is carried along.
pub const THIS_COMMIT: u16 = u16::MAX;
/// Content flag: the body is an object of its own.
pub const FLAG_EXTERNAL: u16 = 1;

/// What the author of a section version signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Counts the writes of this part; 0 means never written.
    pub version: u64,
    /// [`FLAG_EXTERNAL`] or 0.
    pub flags: u16,
    /// Commitment to the data key.
    pub commitment: [u8; 32],
    /// Root over the body's chunk hashes: blinded when inline, the object's name when external.
    pub body: [u8; 32],
    /// Sealed metadata.
    pub meta: [u8; META_LEN],
    /// SHA-256 of the content before; zero for the first. Of a twin, that of the content that it was
    /// made of.
    pub previous: [u8; 32],
}

impl Content {
    fn write(&self, w: &mut Writer) {
        w.u64(self.version).u16(self.flags).bytes(&self.commitment).bytes(&self.body);
        w.bytes(&self.meta).bytes(&self.previous);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let content = Self {
            version: r.u64()?,
            flags: r.u16()?,
            commitment: r.array()?,
            body: r.array()?,
            meta: r.array()?,
            previous: r.array()?,
        };
        if content.flags & !FLAG_EXTERNAL != 0 {
            return Err(r.bad("a flag in it is unknown"));
        }
        Ok(content)
    }

    /// Returns SHA-256("chartfs1 content" | realm | record | slot | part | bytes).
    pub fn hash(&self, realm: &[u8; 16], record: RecordId, slot: u16, part: u16) -> [u8; 32] {
        let mut w = Writer::new();
        w.bytes(realm).bytes(&record.0).u16(slot).u16(part);
        self.write(&mut w);
        hash::sha256(&[b"chartfs1 content", w.as_bytes()])
    }

    /// Says whether the body is an object of its own.
    pub fn is_external(&self) -> bool {
        self.flags & FLAG_EXTERNAL != 0
    }
}

/// One part of a slot: its content, who vouches for it, where its body lies, and its key wrapped
/// once per clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Distinguishes the parts of a slot.
    pub number: u16,
    /// What the author signed.
    pub content: Content,
    /// Which carried statement vouches for it, or [`THIS_COMMIT`].
    pub statement: u16,
    /// Which of the head's policies the key is wrapped under.
    pub policy: u8,
    /// Sealed: where the inline body lies in the region.
    pub extent: [u8; EXTENT_LEN],
    /// One wrap per clause of the read policy, in the clauses' canonical order.
    pub wraps: Vec<Wrap>,
}

/// One slot; every slot of the profile is there, written or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotEntry {
    /// The slot.
    pub slot: u16,
    /// Its parts, at least one, ascending by number.
    pub parts: Vec<Part>,
}

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The realm, 16 bytes.
    pub realm: [u8; 16],
    /// The record.
    pub record: RecordId,
    /// The directory that it was made in: part of its object name for ever.
    pub birth: RecordId,
    /// How the plain file is cut: a format, or 255 for a directory.
    pub profile: u8,
    /// Counts the commits from 1.
    pub version: u64,
    /// SHA-256 of the object before; zero for the first.
    pub previous: [u8; 32],
    /// The realm state that the committer knew.
    pub realm_seq: u64,
    /// The policies that parts are wrapped under; the first is the one in force at this commit.
    pub policies: Vec<PolicyRef>,
    /// All slots of the profile, ascending.
    pub slots: Vec<SlotEntry>,
    /// Statements of earlier commits whose sections are alive.
    pub statements: Vec<Statement>,
    /// Bytes of the region.
    pub region_len: u64,
    /// SHA-256 of the region.
    pub region_hash: [u8; 32],
}

impl Head {
    /// Returns what to remember of this version, which stands in the object of that hash.
    pub(super) fn mark(&self, object_hash: [u8; 32]) -> Mark {
        let parts = self.slots.iter().flat_map(|s| s.parts.iter().map(|p| (s.slot, p)));
        // What follows from another section cannot go back without it.
        let parts = parts.filter(|(slot, p)| p.content.version > 0 && !is_derived(*slot));
        let sections = parts.map(|(slot, p)| SectionMark {
            slot,
            part: p.number,
            version: p.content.version,
            content: first_8(&p.content.hash(&self.realm, self.record, slot, p.number)),
        });
        let sections = sections.collect();
        let (version, profile, policy) = (self.version, self.profile, self.policies[0].hash);
        Mark { version, object_hash, profile, policy, sections }
    }

    /// Returns the bytes of the head without the committer's statement.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.realm).bytes(&self.record.0).bytes(&self.birth.0).u8(self.profile).u8(0);
        w.u32(0).u64(self.version).bytes(&self.previous).u64(self.realm_seq);
        w.u8(count8(self.policies.len()));
        self.policies.iter().for_each(|p| p.write(&mut w));
        w.u16(count16(self.slots.len()));
        for slot in &self.slots {
            w.u16(slot.slot).u8(count8(slot.parts.len()));
            slot.parts.iter().for_each(|p| p.write(&mut w));
        }
        w.u16(count16(self.statements.len()));
        self.statements.iter().for_each(|s| s.write(&mut w));
        w.u64(self.region_len).bytes(&self.region_hash);
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (realm, record, birth) = (r.array()?, RecordId(r.array()?), RecordId(r.array()?));
        let (profile, zero, outer_epoch) = (r.u8()?, r.u8()?, r.u32()?);
        if zero != 0 || outer_epoch != 0 {
            return Err(r.bad("a reserved field is not zero"));
        }
        let (version, previous, realm_seq) = (r.u64()?, r.array()?, r.u64()?);
        let count = limited(r, 1, POLICIES_MAX)?;
        let policies = (0..count).map(|_| PolicyRef::read(r)).collect::<Result<Vec<_>>>()?;
        let count = usize::from(r.u16()?);
        if count == 0 || count > SLOTS_MAX {
            return Err(r.bad("its count of slots is over the limit"));
        }
        let mut slots: Vec<SlotEntry> = Vec::with_capacity(count);
        for _ in 0..count {
            let slot = SlotEntry::read(r, policies.len())?;
            if slots.last().is_some_and(|last| last.slot >= slot.slot) {
                return Err(r.bad("its slots are not in order"));
            }
            slots.push(slot);
        }
        let count = usize::from(r.u16()?);
        if count > SLOTS_MAX * PARTS_MAX {
            return Err(r.bad("its count of statements is over the limit"));
        }
        let statements = (0..count).map(|_| Statement::read(r)).collect::<Result<Vec<_>>>()?;
        let (region_len, region_hash) = (r.u64()?, r.array()?);
        Ok(Self {
            realm,
            record,
            birth,
            profile,
            version,
            previous,
            realm_seq,
            policies,
            slots,
            statements,
            region_len,
            region_hash,
        })
    }
}

impl SlotEntry {
    fn read(r: &mut Reader<'_>, policies: usize) -> Result<Self> {
        let slot = r.u16()?;
        let count = limited(r, 1, PARTS_MAX)?;
        let mut parts: Vec<Part> = Vec::with_capacity(count);
        for _ in 0..count {
            let part = Part::read(r)?;
            if usize::from(part.policy) >= policies {
                return Err(r.bad("a part names a policy that is not there"));
            }
            if parts.last().is_some_and(|last| last.number >= part.number) {
                return Err(r.bad("its parts are not in order"));
            }
            parts.push(part);
        }
        Ok(Self { slot, parts })
    }
}

impl Part {
    fn write(&self, w: &mut Writer) {
        w.u16(self.number);
        self.content.write(w);
        w.u16(self.statement).u8(self.policy).bytes(&self.extent);
        w.u8(count8(self.wraps.len()));
        self.wraps.iter().for_each(|wrap| wrap.write(w));
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (number, content) = (r.u16()?, Content::read(r)?);
        let (statement, policy, extent) = (r.u16()?, r.u8()?, r.array()?);
        let count = usize::from(r.u8()?);
        if count > WRAPS_MAX || count * WRAP_LEN > r.remaining() {
            return Err(r.bad("its count of wraps is over the limit"));
        }
        let wraps = (0..count).map(|_| Wrap::read(r)).collect::<Result<_>>()?;
        Ok(Self { number, content, statement, policy, extent, wraps })
    }
}

/// A record object as the bucket gave it: its parts stand where they should, and nothing more is
/// known.
#[derive(Debug)]
pub struct UncheckedRecord {
    /// The head.
    pub head: Head,
    /// The statement of the commit that made it.
    pub statement: Statement,
    /// The region of packed bodies.
    pub region: Bytes,
    /// SHA-256 over prelude and head, which the statement names.
    pub head_hash: [u8; 32],
    /// SHA-256 over the whole object, which the next version names.
    pub object_hash: [u8; 32],
}

impl UncheckedRecord {
    /// Returns what to remember of this version.
    pub(super) fn mark(&self) -> Mark {
        self.head.mark(self.object_hash)
    }

    /// Reads a record object.
    ///
    /// # Errors
    /// `Integrity` when lengths or counts do not fit; `Unsupported` for another format or suite.
    pub fn parse(object: &Bytes) -> Result<Self> {
        let mut r = Reader::new(object, "a record");
        if r.array::<8>()? != *MAGIC {
            return Err(r.bad("it does not begin as one"));
        }
        let (format, suite) = (r.u16()?, r.u16()?);
        if format != FORMAT || suite != SUITE {
            return Err(Error::new(
                Kind::Unsupported,
                format!("record format {format} with suite {suite} is unknown"),
            )
            .hint("use a newer chartfs"));
        }
        let head_len = r.u32()? as usize;
        if head_len > HEAD_LEN_MAX_BYTES {
            return Err(r.bad("its head is over the limit"));
        }
        let head_bytes = r.bytes(head_len)?;
        let head_hash = head_hash(&object[..PRELUDE_LEN + head_len]);
        let mut head_reader = Reader::new(head_bytes, "the head of a record");
        let head = Head::read(&mut head_reader)?;
        head_reader.finish()?;
        let statement = Statement::read(&mut r)?;
        let region_len = usize::try_from(head.region_len)
            .ok()
            .filter(|n| *n <= REGION_LEN_MAX_BYTES)
            .ok_or_else(|| r.bad("its region is over the limit"))?;
        let start = r.position();
        r.bytes(region_len)?;
        r.finish()?;
        let region = object.slice(start..);
        let object_hash = hash::sha256(&[object]);
        Ok(Self { head, statement, region, head_hash, object_hash })
    }
}

/// Returns the prelude and the head's bytes, and the hash that the committer's statement names.
///
/// # Errors
/// `NoSpace` when the head is over its limit.
pub fn seal_head(head: &Head) -> Result<(Vec<u8>, [u8; 32])> {
    let body = head.to_bytes();
    if body.len() > HEAD_LEN_MAX_BYTES {
        return Err(Error::new(Kind::NoSpace, "the record's head is over its limit")
            .because(format!("{} of at most {HEAD_LEN_MAX_BYTES} bytes", body.len()))
            .hint("use fewer clauses in the policy"));
    }
    let mut w = Writer::new();
    w.bytes(MAGIC).u16(FORMAT).u16(SUITE);
    w.u32(u32::try_from(body.len()).expect("checked against the limit")).bytes(&body);
    let bytes = w.into_bytes();
    let hash = head_hash(&bytes);
    Ok((bytes, hash))
}

fn head_hash(prelude_and_head: &[u8]) -> [u8; 32] {
    hash::sha256(&[b"chartfs1 head", prelude_and_head])
}

fn first_8(hash: &[u8; 32]) -> [u8; 8] {
    *hash.first_chunk().expect("8 of 32 bytes")
}

fn count8(n: usize) -> u8 {
    u8::try_from(n).expect("limited where the list is made")
}

fn count16(n: usize) -> u16 {
    u16::try_from(n).expect("limited where the list is made")
}

fn limited(r: &mut Reader<'_>, least: usize, most: usize) -> Result<usize> {
    let count = usize::from(r.u8()?);
    if (least..=most).contains(&count) { Ok(count) } else { Err(r.bad("a count is out of bounds")) }
}
