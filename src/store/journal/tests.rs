//! A workstation that loses the bucket, dies, and comes back.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use std::ops::Range;

use super::super::backend::{
    Attempt, Backend, Fault, Outcome, PART_LEN_BYTES, Pages, Put, RequestCounts, Upload,
};
use super::super::memory::Memory;
use super::super::{Policy, StoreOptions};
use super::*;

const LIMIT: Duration = Duration::from_secs(60);

/// A bucket whose cable can be pulled.
#[derive(Default)]
struct Plugged {
    inner: Memory,
    is_away: AtomicBool,
}

impl Plugged {
    fn check(&self) -> Attempt<()> {
        if !self.is_away.load(Ordering::Relaxed) {
            return Ok(());
        }
        let error = Error::new(Kind::Unavailable, "the cable is pulled");
        Err(Fault { error, outcome: Outcome::NotApplied, wait: None })
    }
}

#[async_trait]
impl Backend for Plugged {
    async fn get(&self, n: &ObjectName, unless: Option<&Version>, max: u64) -> Attempt<Fetched> {
        self.check()?;
        self.inner.get(n, unless, max).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Attempt<Bytes> {
        self.check()?;
        self.inner.get_range(name, range).await
    }

    async fn put(&self, name: &ObjectName, bytes: Bytes, condition: &Condition) -> Attempt<Put> {
        self.check()?;
        self.inner.put(name, bytes, condition).await
    }

    async fn upload(&self, name: &ObjectName) -> Attempt<Box<dyn Upload>> {
        self.check()?;
        self.inner.upload(name).await
    }

    fn list(&self, prefix: &str) -> Box<dyn Pages> {
        self.inner.list(prefix)
    }

    async fn delete(&self, name: &ObjectName) -> Attempt<()> {
        self.check()?;
        self.inner.delete(name).await
    }

    async fn sync(&self) -> Attempt<()> {
        Ok(())
    }

    fn requests(&self) -> RequestCounts {
        self.inner.requests()
    }
}

struct Site {
    dir: tempfile::TempDir,
    cable: Arc<Plugged>,
    /// The bucket without a journal, as another workstation has it.
    other: Bucket,
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

impl Site {
    fn new() -> Self {
        let cable = Arc::new(Plugged::default());
        let options = StoreOptions { tries: 1, ..StoreOptions::default() };
        let other = Bucket::over(cable.clone(), Policy::of(&options));
        Self { dir: tempfile::tempdir().unwrap(), cable, other }
    }

    /// Takes the bucket away, or brings it back.
    fn unplug(&self, is_away: bool) {
        self.cable.is_away.store(is_away, Ordering::Relaxed);
    }

    /// Opens the bucket as this workstation has it. One that was just dropped lets its files
    /// go when its task has ended.
    async fn bucket(&self) -> Bucket {
        let at = |name: &str| self.dir.path().join(name);
        loop {
            let cached = self.other.clone().with_cache(&at("cache"), 1 << 20);
            match cached.and_then(|b| b.with_journal(&at("journal"), 1 << 30, true)) {
                Err(e) if e.kind() == Kind::Conflict => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    }
}

async fn text(bucket: &Bucket, object: &str) -> Option<String> {
    let object = bucket.get(&name(object), 1 << 20).await.unwrap()?;
    Some(String::from_utf8(object.bytes.to_vec()).unwrap())
}

async fn put(bucket: &Bucket, object: &str, text: &str, condition: Condition) -> Option<Version> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    match bucket.put(&name(object), bytes, condition).await.unwrap() {
        Put::Stored(version) => Some(version),
        Put::Refused => None,
    }
}

#[tokio::test]
async fn a_write_is_seen_here_at_once_and_in_the_bucket_after_a_drain() {
    let site = Site::new();
    let bucket = site.bucket().await;
    let one = put(&bucket, "r/a", "one", Condition::Absent).await.unwrap();
    let two = put(&bucket, "r/a", "two", Condition::Matches(one.clone())).await.unwrap();
    assert_eq!(put(&bucket, "r/a", "three", Condition::Matches(one)).await, None);
    assert_eq!(text(&bucket, "r/a").await.as_deref(), Some("two"));
    assert_eq!(bucket.drain_journal(LIMIT).await, 0);
    assert_eq!(text(&site.other, "r/a").await.as_deref(), Some("two"));
    // A version of the journal is good for the next write.
    assert!(put(&bucket, "r/a", "three", Condition::Matches(two)).await.is_some());
    assert_eq!(bucket.drain_journal(LIMIT).await, 0);
    assert_eq!(text(&site.other, "r/a").await.as_deref(), Some("three"));
}

#[tokio::test]
async fn what_was_acknowledged_off_line_survives_the_process_and_reaches_the_bucket() {
    let site = Site::new();
    let (read, written) = ("r/read", "r/written");
    {
        let bucket = site.bucket().await;
        put(&bucket, read, "known", Condition::Absent).await.unwrap();
        assert_eq!(bucket.drain_journal(LIMIT).await, 0);
        assert_eq!(text(&bucket, read).await.as_deref(), Some("known"));
        site.unplug(true);
        put(&bucket, written, "off-line", Condition::Absent).await.unwrap();
        assert_eq!(text(&bucket, read).await.as_deref(), Some("known"), "from the cache");
        assert_eq!(text(&bucket, written).await.as_deref(), Some("off-line"));
        let large = vec![3; 2 * PART_LEN_BYTES + 5];
        let body = futures::stream::iter([Ok(Bytes::from(large))]);
        bucket.put_large(&name("b/large"), body).await.unwrap();
        bucket.write_cache(true).unwrap();
    }
    tokio::task::yield_now().await;
    assert_eq!(Bucket::count_journal(&site.dir.path().join("journal")).unwrap(), 2);
    let bucket = site.bucket().await;
    assert_eq!(text(&bucket, written).await.as_deref(), Some("off-line"));
    let at = PART_LEN_BYTES as u64;
    let range = bucket.get_range(&name("b/large"), at - 1..at + 1).await.unwrap();
    assert_eq!(&range[..], [3, 3]);
    site.unplug(false);
    assert_eq!(bucket.drain_journal(LIMIT).await, 0);
    assert_eq!(text(&site.other, written).await.as_deref(), Some("off-line"));
    let end = 2 * at + 5;
    let range = site.other.get_range(&name("b/large"), end - 1..end).await.unwrap();
    assert_eq!(&range[..], [3]);
}

#[tokio::test]
async fn what_somebody_else_wrote_first_is_taken_aside_and_stops_nothing() {
    let site = Site::new();
    let bucket = site.bucket().await;
    put(&site.other, "r/a", "base", Condition::Absent).await.unwrap();
    let base = bucket.get(&name("r/a"), 100).await.unwrap().unwrap().version;
    let mut conflicts = bucket.take_conflicts().unwrap();
    put(&site.other, "r/a", "theirs", Condition::Matches(base.clone())).await.unwrap();
    let mine = put(&bucket, "r/a", "mine", Condition::Matches(base)).await.unwrap();
    let _ = put(&bucket, "r/a", "mine too", Condition::Matches(mine)).await;
    put(&bucket, "r/b", "b", Condition::Absent).await.unwrap();
    assert_eq!(conflicts.recv().await, Some(name("r/a")));
    assert_eq!(text(&bucket, "r/a").await.as_deref(), Some("theirs"));
    let lifted = bucket.lifted(&name("r/a")).unwrap().unwrap();
    assert_eq!(lifted.base.as_deref(), Some(&b"base"[..]));
    assert!(lifted.mine.starts_with(b"mine"));
    bucket.drop_lifted(&name("r/a"), lifted).await.unwrap();
    while let Some(lifted) = bucket.lifted(&name("r/a")).unwrap() {
        bucket.drop_lifted(&name("r/a"), lifted).await.unwrap();
    }
    bucket.drain_journal(LIMIT).await;
    assert_eq!(text(&site.other, "r/b").await.as_deref(), Some("b"));
}

#[tokio::test]
async fn a_write_that_the_bucket_has_from_before_a_crash_is_not_made_twice() {
    let site = Site::new();
    put(&site.other, "r/a", "base", Condition::Absent).await.unwrap();
    let journal = site.dir.path().join("journal");
    let saved = site.dir.path().join("saved");
    {
        let bucket = site.bucket().await;
        let base = bucket.get(&name("r/a"), 100).await.unwrap().unwrap().version;
        site.unplug(true);
        let one = put(&bucket, "r/a", "one", Condition::Matches(base)).await.unwrap();
        put(&bucket, "r/a", "two", Condition::Matches(one)).await.unwrap();
        put(&bucket, "r/new", "new", Condition::Absent).await.unwrap();
    }
    while Bucket::count_journal(&journal).is_err() {
        tokio::task::yield_now().await;
    }
    std::fs::copy(&journal, &saved).unwrap();
    site.unplug(false);
    assert_eq!(site.bucket().await.drain_journal(LIMIT).await, 0);
    while Bucket::count_journal(&journal).is_err() {
        tokio::task::yield_now().await;
    }
    // The journal as it was before anything was sent: a power cut took its last commits.
    std::fs::copy(&saved, &journal).unwrap();
    let bucket = site.bucket().await;
    assert_eq!(bucket.drain_journal(LIMIT).await, 0);
    assert_eq!(text(&site.other, "r/a").await.as_deref(), Some("two"));
    assert_eq!(text(&site.other, "r/new").await.as_deref(), Some("new"));
}

/// Returns how many writes would be found if the process died now.
fn found_after_a_death(site: &Site) -> usize {
    let copy = site.dir.path().join("copy");
    std::fs::copy(site.dir.path().join("journal"), &copy).unwrap();
    Bucket::count_journal(&copy).unwrap()
}

#[tokio::test]
async fn of_what_is_written_together_a_death_leaves_all_or_nothing() {
    let site = Site::new();
    for object in ["r/a", "r/b"] {
        put(&site.other, object, "base", Condition::Absent).await.unwrap();
    }
    let bucket = site.bucket().await;
    let base = async |object: &str| {
        let object = bucket.get(&name(object), 100).await.unwrap().unwrap();
        Condition::Matches(object.version)
    };
    let (a, b) = (base("r/a").await, base("r/b").await);
    site.unplug(true);
    let done = bucket.together(async {
        put(&bucket, "r/a", "two", a).await.unwrap();
        assert_eq!(found_after_a_death(&site), 0);
        assert_eq!(text(&bucket, "r/a").await.as_deref(), Some("two"), "it is seen here");
        put(&bucket, "r/b", "two", b).await.unwrap();
        assert_eq!(found_after_a_death(&site), 0);
        Ok(())
    });
    done.await.unwrap();
    assert_eq!(found_after_a_death(&site), 2);
    site.unplug(false);
    while bucket.drain_journal(LIMIT).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(text(&site.other, "r/a").await.as_deref(), Some("two"));
    assert_eq!(text(&site.other, "r/b").await.as_deref(), Some("two"));
}

#[tokio::test]
async fn what_is_written_on_top_of_what_is_gathered_is_acknowledged_with_it() {
    let site = Site::new();
    put(&site.other, "r/a", "base", Condition::Absent).await.unwrap();
    let bucket = site.bucket().await;
    let base = bucket.get(&name("r/a"), 100).await.unwrap().unwrap().version;
    site.unplug(true);
    let (told, tell) = tokio::sync::oneshot::channel();
    let on_top = async {
        let version: Version = tell.await.unwrap();
        put(&bucket, "r/a", "on top", Condition::Matches(version)).await.unwrap();
        assert_eq!(found_after_a_death(&site), 3, "not before the one that it follows");
    };
    let gathering = bucket.together(async {
        let one = put(&bucket, "r/a", "one", Condition::Matches(base)).await.unwrap();
        // What nobody knows of yet does not wait.
        put(&bucket, "r/new", "new", Condition::Absent).await.unwrap();
        assert_eq!(found_after_a_death(&site), 1);
        told.send(one).unwrap();
        while text(&bucket, "r/a").await.as_deref() != Some("on top") {
            tokio::task::yield_now().await;
        }
        assert_eq!(found_after_a_death(&site), 1);
        Ok(())
    });
    let (gathered, ()) = tokio::join!(gathering, on_top);
    gathered.unwrap();
    assert_eq!(found_after_a_death(&site), 3);
}

// Then what it follows is the bucket's, which the file has to say.
#[tokio::test]
async fn what_is_gathered_while_the_one_before_it_is_sent_is_no_conflict_after_a_death() {
    let site = Site::new();
    put(&site.other, "r/a", "base", Condition::Absent).await.unwrap();
    let bucket = site.bucket().await;
    let base = bucket.get(&name("r/a"), 100).await.unwrap().unwrap().version;
    let gathering = bucket.together(async {
        site.unplug(true);
        // As somebody else does, who gathers nothing.
        let (journal, own) = (bucket.clone(), Condition::Matches(base));
        let one = tokio::spawn(async move { put(&journal, "r/a", "one", own).await.unwrap() });
        let one = one.await.unwrap();
        put(&bucket, "r/a", "two", Condition::Matches(one)).await.unwrap();
        site.unplug(false);
        while bucket.pending().writes > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        site.unplug(true);
        Ok(())
    });
    gathering.await.unwrap();
    assert_eq!(found_after_a_death(&site), 1);
    drop(bucket);
    site.unplug(false);
    let bucket = site.bucket().await;
    let mut conflicts = bucket.take_conflicts().unwrap();
    while bucket.drain_journal(LIMIT).await > 0 {
        assert!(conflicts.try_recv().is_err(), "nobody else wrote");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(text(&site.other, "r/a").await.as_deref(), Some("two"));
}

#[tokio::test]
async fn what_a_task_gathered_that_is_given_up_goes_to_the_disk() {
    let site = Site::new();
    put(&site.other, "r/a", "base", Condition::Absent).await.unwrap();
    let bucket = site.bucket().await;
    let base = bucket.get(&name("r/a"), 100).await.unwrap().unwrap().version;
    site.unplug(true);
    let mut gathering = Box::pin(bucket.together(async {
        put(&bucket, "r/a", "one", Condition::Matches(base)).await.unwrap();
        std::future::pending::<Result<()>>().await
    }));
    while text(&bucket, "r/a").await.as_deref() != Some("one") {
        let _ = futures::poll!(&mut gathering);
        tokio::task::yield_now().await;
    }
    drop(gathering);
    put(&bucket, "r/b", "b", Condition::Absent).await.unwrap();
    assert_eq!(found_after_a_death(&site), 2);
}

// The process dies, or the cable is pulled, after the bucket has a write and before this
// workstation knows; then the next save follows.
#[tokio::test]
async fn what_follows_a_write_of_unknown_outcome_is_no_conflict() {
    for dies in [true, false] {
        let site = Site::new();
        put(&site.other, "r/a", "base", Condition::Absent).await.unwrap();
        let mut bucket = site.bucket().await;
        let base = bucket.get(&name("r/a"), 100).await.unwrap().unwrap().version;
        site.unplug(true);
        let one = put(&bucket, "r/a", "one", Condition::Matches(base.clone())).await.unwrap();
        while bucket.pending().offline.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        put(&bucket, "r/a", "two", Condition::Matches(one)).await.unwrap();
        // It was on its way.
        let late = Bytes::from_static(b"one");
        site.cable.inner.put(&name("r/a"), late, &Condition::Matches(base)).await.ok().unwrap();
        if dies {
            drop(bucket);
            bucket = site.bucket().await;
        }
        let mut conflicts = bucket.take_conflicts().unwrap();
        site.unplug(false);
        while bucket.drain_journal(LIMIT).await > 0 {
            assert_eq!(text(&bucket, "r/a").await.as_deref(), Some("two"), "{dies}");
            assert!(conflicts.try_recv().is_err(), "nobody else wrote");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(conflicts.try_recv().is_err(), "nobody else wrote");
        assert_eq!(text(&site.other, "r/a").await.as_deref(), Some("two"), "{dies}");
    }
}

#[tokio::test]
async fn a_full_journal_takes_nothing_and_a_damaged_one_is_not_taken_for_an_empty_one() {
    let site = Site::new();
    let bucket = site.other.clone().with_journal(&site.dir.path().join("small"), 10, true);
    let bytes = Bytes::from_static(b"longer than ten bytes");
    let full = bucket.unwrap().put(&name("r/a"), bytes, Condition::Absent).await;
    assert!(full.is_err_and(|e| e.kind() == Kind::NoSpace));
    let path = site.dir.path().join("damaged");
    std::fs::write(&path, b"not a database, and longer than nothing").unwrap();
    let opened = site.other.clone().with_journal(&path, 10, true);
    assert!(opened.is_err_and(|e| e.kind() == Kind::Integrity));
}
