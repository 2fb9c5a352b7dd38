//! What a committer signs: the sections changed, by the hashes of their contents, and the head
//! that they stand in. One signature per commit; later heads carry the statements of sections that
//! are still alive.
//!
//! Bytes: commit 16 | record version u64 | time_unix_ns i64 | policy 32 | patient (short) | head
//! hash 32 | author 32 | certificates u8 × 32 | entries u16 × (slot u16 | part u16 | content hash
//! 32) | signature 64. The signature is over "chartfs1 statement" | realm 16 | record 16 | all
//! bytes before it.

use super::{PolicyRef, RecordId};
use crate::error::Result;
use crate::key::hash;
use crate::key::sign::{PublicKey, Signature};
use crate::realm::policy::CERTIFICATES_MAX;
use crate::wire::{Reader, Writer};

pub(super) const DOMAIN: &str = "chartfs1 statement";
/// The most sections that one commit can change.
pub const ENTRIES_MAX: usize = 256;

/// One section that a commit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementEntry {
    /// Which slot.
    pub slot: u16,
    /// Which part of it.
    pub part: u16,
    /// SHA-256 of its content as signed.
    pub content: [u8; 32],
}

/// A statement as stored; its signature is not checked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Random; tells the committer's own commit from another's.
    pub commit: [u8; 16],
    /// The version of the record that the commit made.
    pub version: u64,
    /// When it was signed.
    pub time_unix_ns: i64,
    /// The policy that the author's rights are judged by.
    pub policy: PolicyRef,
    /// SHA-256 of the head without this statement.
    pub head: [u8; 32],
    /// Who signed.
    pub author: PublicKey,
    /// Which certificates make the author entitled.
    pub certificates: Vec<[u8; 32]>,
    /// The sections changed.
    pub entries: Vec<StatementEntry>,
    /// The author's signature.
    pub signature: Signature,
}

impl Statement {
    /// Appends the bytes that are signed after realm and record.
    fn write_signed(&self, w: &mut Writer) {
        w.bytes(&self.commit).u64(self.version).i64(self.time_unix_ns);
        self.policy.write(w);
        w.bytes(&self.head).bytes(&self.author.0);
        w.u8(u8::try_from(self.certificates.len()).expect("at most 16 certificates"));
        for c in &self.certificates {
            w.bytes(c);
        }
        w.u16(u16::try_from(self.entries.len()).expect("at most 256 entries"));
        for e in &self.entries {
            w.u16(e.slot).u16(e.part).bytes(&e.content);
        }
    }

    /// Returns the message that the author signs.
    pub fn message(&self, realm: &[u8; 16], record: RecordId) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(realm).bytes(&record.0);
        self.write_signed(&mut w);
        w.into_bytes()
    }

    /// Appends the stored bytes.
    pub fn write(&self, w: &mut Writer) {
        self.write_signed(w);
        w.bytes(&self.signature.0);
    }

    /// Takes the stored bytes.
    ///
    /// # Errors
    /// `Integrity` when they are no statement.
    pub fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (commit, version, time_unix_ns) = (r.array()?, r.u64()?, r.i64()?);
        let policy = PolicyRef::read(r)?;
        let (head, author) = (r.array()?, PublicKey(r.array()?));
        let count = usize::from(r.u8()?);
        if count > CERTIFICATES_MAX {
            return Err(r.bad("a statement has too many certificates"));
        }
        let certificates = (0..count).map(|_| r.array()).collect::<Result<_>>()?;
        let count = usize::from(r.u16()?);
        if count > ENTRIES_MAX {
            return Err(r.bad("a statement has too many entries"));
        }
        let entry = |_| Ok(StatementEntry { slot: r.u16()?, part: r.u16()?, content: r.array()? });
        let entries = (0..count).map(entry).collect::<Result<_>>()?;
        let signature = Signature(r.array()?);
        Ok(Self {
            commit,
            version,
            time_unix_ns,
            policy,
            head,
            author,
            certificates,
            entries,
            signature,
        })
    }

    /// Returns what a proof of this statement can be remembered by.
    pub fn hash(&self, realm: &[u8; 16], record: RecordId) -> [u8; 32] {
        hash::sha256(&[&self.message(realm, record), &self.signature.0])
    }

    /// Says whether the statement vouches for this content.
    pub fn names(&self, slot: u16, part: u16, content: &[u8; 32]) -> bool {
        self.entries.iter().any(|e| e.slot == slot && e.part == part && e.content == *content)
    }
}
