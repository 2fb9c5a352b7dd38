//! The journal in memory: which writes wait, in which order, and what a reader of an object sees
//! meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::num::NonZeroUsize;

use bytes::Bytes;
use lru::LruCache;

use super::super::backend::{Condition, Version};
use super::super::name::ObjectName;
use super::file::{Entry, Wanted};
use super::together::Gathered;

/// For how many finished writes the version that the bucket gave is remembered.
const SETTLED_MAX: NonZeroUsize = NonZeroUsize::new(1 << 16).expect("not zero");
/// How many writes are sent at once.
pub(super) const SENT_AT_ONCE: usize = 8;

/// What stands for an object while it has writes in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latest {
    pub(super) seq: u64,
}

/// A write that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) seq: u64,
    pub(super) entry: Entry,
}

#[derive(Default)]
struct Chain {
    /// The writes to one object, the oldest first.
    seqs: VecDeque<u64>,
}

/// Writes that wait.
pub(super) struct Queue {
    next_seq: u64,
    /// Every write; with its parts until it is on the disk.
    entries: BTreeMap<u64, (Entry, Option<Vec<Bytes>>)>,
    chains: HashMap<ObjectName, Chain>,
    /// Writes that the bucket refused because somebody else wrote first, until they are merged.
    lifted: HashMap<ObjectName, VecDeque<Vec<u64>>>,
    settled: LruCache<u64, Version>,
    /// Writes that the bucket may have: they were sent, or an earlier process may have sent them.
    tried: BTreeSet<u64>,
    /// Writes that wait for others, to go to the disk with them.
    pub(super) gathered: Option<Gathered>,
}

impl Queue {
    pub(super) fn new(entries: Vec<(u64, Entry)>) -> Self {
        let next_seq = entries.last().map_or(1, |(seq, _)| seq + 1);
        let mut queue = Self {
            next_seq,
            entries: BTreeMap::new(),
            chains: HashMap::new(),
            lifted: HashMap::new(),
            settled: LruCache::new(SETTLED_MAX),
            tried: entries.iter().map(|(seq, _)| *seq).collect(),
            gathered: None,
        };
        for (seq, entry) in entries {
            queue.chains.entry(entry.name.clone()).or_default().seqs.push_back(seq);
            queue.entries.insert(seq, (entry, None));
        }
        queue
    }

    /// Returns the number for the next write.
    pub(super) fn take_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// Returns the newest write to an object.
    pub(super) fn latest(&self, name: &ObjectName) -> Option<Latest> {
        let seq = *self.chains.get(name)?.seqs.back()?;
        Some(Latest { seq })
    }

    pub(super) fn entry(&self, seq: u64) -> Option<&Entry> {
        self.entries.get(&seq).map(|(entry, _)| entry)
    }

    /// Returns the bucket's version for what was a write in the journal.
    pub(super) fn settled(&mut self, seq: u64) -> Option<Version> {
        self.settled.get(&seq).cloned()
    }

    /// Decides whether a write may be accepted, and under which condition; `None` when not.
    pub(super) fn wanted(&mut self, name: &ObjectName, condition: &Condition) -> Option<Wanted> {
        let latest = self.latest(name);
        match (condition, latest) {
            (Condition::Always, _) => Some(Wanted::Always),
            (Condition::Absent, None) => Some(Wanted::Absent),
            (Condition::Matches(v), Some(latest)) if v.pending == Some(latest.seq) => {
                Some(Wanted::Follows)
            }
            (Condition::Absent | Condition::Matches(_), Some(_)) => None,
            (Condition::Matches(v), None) => match v.pending {
                None => Some(Wanted::Matches(v.clone())),
                Some(seq) => self.settled(seq).map(Wanted::Matches),
            },
        }
    }

    /// Adds a write that is not on the disk yet.
    pub(super) fn add(&mut self, seq: u64, entry: Entry, parts: Vec<Bytes>) {
        self.chains.entry(entry.name.clone()).or_default().seqs.push_back(seq);
        self.entries.insert(seq, (entry, Some(parts)));
    }

    /// Says whether a write waits for others to go to the disk with it.
    pub(super) fn is_gathered(&self, seq: u64) -> bool {
        self.gathered.as_ref().is_some_and(|gathered| gathered.has(seq))
    }

    /// Returns the parts of a write that is not on the disk yet.
    pub(super) fn parts(&self, seq: u64) -> Option<Vec<Bytes>> {
        self.entries.get(&seq)?.1.clone()
    }

    /// Notes that a write is on the disk.
    pub(super) fn is_durable(&mut self, seq: u64) {
        if let Some((_, parts)) = self.entries.get_mut(&seq) {
            *parts = None;
        }
    }

    /// Takes writes out that are over, or were never accepted.
    pub(super) fn remove(&mut self, seqs: &[u64]) {
        for seq in seqs {
            let Some((entry, _)) = self.entries.remove(seq) else { continue };
            self.tried.remove(seq);
            if let Some(chain) = self.chains.get_mut(&entry.name) {
                chain.seqs.retain(|s| s != seq);
                if chain.seqs.is_empty() {
                    self.chains.remove(&entry.name);
                }
            }
        }
    }

    /// Notes that the bucket has a write, and returns the one to the same object that follows it,
    /// with the condition that it has now.
    pub(super) fn settle(&mut self, seqs: &[u64], version: &Version) -> Option<(u64, Entry)> {
        let name = self.entries.get(seqs.last()?)?.0.name.clone();
        for seq in seqs {
            self.settled.put(*seq, version.clone());
        }
        self.remove(seqs);
        let next = *self.chains.get(&name)?.seqs.front()?;
        let (entry, _) = self.entries.get_mut(&next)?;
        if entry.wanted == Wanted::Follows {
            entry.wanted = Wanted::Matches(version.clone());
        }
        Some((next, entry.clone()))
    }

    /// Returns a write that need not be made, with the one that takes its place: the next in the
    /// whole journal is to the same object, so that nobody can miss what stood in between. One that
    /// the bucket may have is made all the same: else it would be taken for somebody else's.
    pub(super) fn skip(&mut self) -> Option<(u64, u64, Entry)> {
        let mut waiting = self.entries.iter();
        let (first, (one, one_parts)) = waiting.next()?;
        let (second, (two, two_parts)) = waiting.next()?;
        let is_next = one.name == two.name && two.wanted == Wanted::Follows;
        let is_durable = one_parts.is_none() && two_parts.is_none();
        if !(is_next && is_durable) || self.is_lifted(*first) || self.tried.contains(first) {
            return None;
        }
        let (first, second, wanted) = (*first, *second, one.wanted.clone());
        self.remove(&[first]);
        let (entry, _) = self.entries.get_mut(&second)?;
        entry.wanted = wanted;
        Some((first, second, entry.clone()))
    }

    fn is_lifted(&self, seq: u64) -> bool {
        self.lifted.values().flatten().any(|seqs| seqs.contains(&seq))
    }

    /// Returns what may be sent now, and counts it as sent. What replaces an object waits for everything before it: a
    /// folder names records that have to be there first.
    pub(super) fn sendable(&mut self) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        for (seq, (entry, parts)) in &self.entries {
            if self.is_lifted(*seq) {
                continue;
            }
            let replaces = matches!(entry.wanted, Wanted::Matches(_) | Wanted::Follows);
            let is_first = jobs.is_empty();
            if parts.is_some() || (replaces && !is_first) || jobs.len() == SENT_AT_ONCE {
                break;
            }
            jobs.push(Job { seq: *seq, entry: entry.clone() });
            if replaces {
                break;
            }
        }
        self.tried.extend(jobs.iter().map(|job| job.seq));
        jobs
    }

    /// Returns the objects of which a write that waits replaces what was there before, and whether
    /// the bucket has none of them yet.
    pub(super) fn edited(&self) -> Vec<(ObjectName, bool)> {
        let wanted = |seq: &u64| self.entry(*seq).map(|entry| &entry.wanted);
        let replaces =
            |seq: &u64| matches!(wanted(seq), Some(Wanted::Matches(_) | Wanted::Follows));
        let edited = self.chains.iter().filter(|(_, chain)| chain.seqs.iter().any(replaces));
        let is_new = |chain: &Chain| chain.seqs.front().and_then(wanted) == Some(&Wanted::Absent);
        edited.map(|(name, chain)| (name.clone(), is_new(chain))).collect()
    }

    /// Returns the writes to an object, the oldest first.
    pub(super) fn chain(&self, name: &ObjectName) -> Vec<u64> {
        self.chains.get(name).map(|c| c.seqs.iter().copied().collect()).unwrap_or_default()
    }

    /// Takes the first write to an object aside, with those made on top of it: readers see the
    /// bucket's again, or what was written on top of that.
    pub(super) fn lift(&mut self, name: &ObjectName) {
        let Some(chain) = self.chains.get_mut(name) else { return };
        let mut group: Vec<u64> = chain.seqs.pop_front().into_iter().collect();
        while let Some(seq) = chain.seqs.front()
            && self.entries.get(seq).is_some_and(|(entry, _)| entry.wanted == Wanted::Follows)
        {
            group.push(*seq);
            chain.seqs.pop_front();
        }
        if chain.seqs.is_empty() {
            self.chains.remove(name);
        }
        self.lifted.entry(name.clone()).or_default().push_back(group);
    }

    /// Returns how many objects have writes that were taken aside.
    pub(super) fn lifted_count(&self) -> usize {
        self.lifted.len()
    }

    /// Returns the writes to an object that were taken aside first.
    pub(super) fn lifted_writes(&self, name: &ObjectName) -> Vec<u64> {
        self.lifted.get(name).and_then(|groups| groups.front()).cloned().unwrap_or_default()
    }

    /// Forgets writes that were merged.
    pub(super) fn forget_lifted(&mut self, name: &ObjectName, seqs: &[u64]) {
        if let Some(groups) = self.lifted.get_mut(name) {
            groups.retain(|group| group != seqs);
            if groups.is_empty() {
                self.lifted.remove(name);
            }
        }
        for seq in seqs {
            self.entries.remove(seq);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.entries.values().map(|(entry, _)| entry.size_bytes).sum()
    }

    pub(super) fn oldest_unix_s(&self) -> Option<i64> {
        self.entries.values().next().map(|(entry, _)| entry.time_unix_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, wanted: Wanted) -> Entry {
        let name = ObjectName::new(name).unwrap();
        Entry { name, wanted, size_bytes: 1, parts: 1, time_unix_s: 0 }
    }

    fn queue(entries: &[(&str, Wanted)]) -> Queue {
        let numbered = (1..).zip(entries);
        Queue::new(numbered.map(|(seq, (n, w))| (seq, entry(n, w.clone()))).collect())
    }

    fn sent(queue: &mut Queue) -> Vec<u64> {
        queue.sendable().iter().map(|j| j.seq).collect()
    }

    fn at(tag: &str) -> Wanted {
        Wanted::Matches(Version::new(tag))
    }

    #[test]
    fn a_folder_waits_for_the_records_that_it_names() {
        let mut q = queue(&[
            ("r/a", Wanted::Absent),
            ("r/b", Wanted::Absent),
            ("r/dir", at("1")),
            ("r/c", Wanted::Absent),
        ]);
        assert_eq!(sent(&mut q), [1, 2]);
        q.settle(&[2], &Version::new("x"));
        assert_eq!(sent(&mut q), [1], "the folder waits for the slower one too");
        q.settle(&[1], &Version::new("x"));
        assert_eq!(sent(&mut q), [3]);
        q.settle(&[3], &Version::new("2"));
        assert_eq!(sent(&mut q), [4]);
    }

    #[test]
    fn what_is_not_on_the_disk_is_not_sent_nor_what_comes_after_it() {
        let mut q = queue(&[("r/a", Wanted::Absent)]);
        let seq = q.take_seq();
        q.add(seq, entry("r/b", Wanted::Absent), Vec::new());
        q.add(seq + 1, entry("r/c", Wanted::Absent), Vec::new());
        q.is_durable(seq + 1);
        assert_eq!(sent(&mut q), [1]);
        q.is_durable(seq);
        assert_eq!(sent(&mut q), [1, 2, 3]);
    }

    #[test]
    fn a_version_of_the_journal_is_one_of_the_bucket_once_it_was_sent() {
        let mut q = queue(&[("r/a", at("1")), ("r/a", Wanted::Follows)]);
        let name = ObjectName::new("r/a").unwrap();
        assert_eq!(q.latest(&name).unwrap().seq, 2);
        let on = |seq| Condition::Matches(Version::in_journal(seq));
        assert_eq!(q.wanted(&name, &on(1)), None, "the newest counts");
        assert_eq!(q.wanted(&name, &on(2)), Some(Wanted::Follows));
        assert_eq!(q.wanted(&name, &Condition::Absent), None);
        let (next, follows) = q.settle(&[1], &Version::new("E")).unwrap();
        assert_eq!((next, follows.wanted), (2, at("E")));
        q.settle(&[2], &Version::new("F"));
        assert_eq!(q.latest(&name), None);
        assert_eq!(q.wanted(&name, &on(2)), Some(at("F")));
    }

    #[test]
    fn a_write_that_the_next_one_replaces_is_left_out_unless_the_bucket_may_have_it() {
        let written = [
            ("r/dir", at("1")),
            ("r/dir", Wanted::Follows),
            ("r/dir", Wanted::Follows),
            ("r/x", Wanted::Absent),
            ("r/dir", Wanted::Follows),
        ];
        assert!(queue(&written).skip().is_none(), "an earlier process may have sent it");
        let mut q = queue(&[]);
        for (seq, (name, wanted)) in (1..).zip(written) {
            q.add(seq, entry(name, wanted), Vec::new());
            q.is_durable(seq);
        }
        let (first, second, left) = q.skip().unwrap();
        assert_eq!((first, second, left.wanted), (1, 2, at("1")));
        assert_eq!(sent(&mut q), [2]);
        assert!(q.skip().is_none(), "it was sent");
        q.settle(&[2], &Version::new("2"));
        assert!(q.skip().is_none(), "a record stands in between");
    }

    #[test]
    fn what_was_taken_aside_stops_nobody_else() {
        let mut q = queue(&[("r/a", at("1")), ("r/a", Wanted::Follows), ("r/b", at("1"))]);
        let name = ObjectName::new("r/a").unwrap();
        q.lift(&name);
        assert_eq!((q.latest(&name), sent(&mut q)), (None, vec![3]));
        q.add(4, entry("r/a", at("2")), Vec::new());
        q.lift(&name);
        assert_eq!(q.lifted_writes(&name), [1, 2], "each group was made on top of another state");
        q.forget_lifted(&name, &[1, 2]);
        assert_eq!((q.lifted_writes(&name), q.len()), (vec![4], 2));
    }
}
