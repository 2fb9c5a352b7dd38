//! Every bit of every stored object, one at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chartfs::realm::Realm;
use chartfs::store::{Bucket, ObjectName};

use super::small::{Reader, Small, Snapshot, bucket_of, put, read_all};

/// Whether every bit is flipped, or a sample of them.
fn exhaustive() -> bool {
    std::env::var_os("CHARTFS_LONG").is_some_and(|v| v == "1")
}

/// One way to spoil an object.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    Flip(usize),
    Cut(usize),
    Grow(usize),
}

impl Spoil {
    fn apply(self, bytes: &Bytes) -> Bytes {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Flip(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
            Self::Cut(len) => bytes.truncate(len),
            Self::Grow(by) => bytes.extend(std::iter::repeat_n(0, by)),
        }
        bytes.into()
    }
}

/// Which spoils an object gets: all of them, or a sample at places that move from bit to bit. What
/// costs pairings or is long gets fewer.
fn spoils(name: &ObjectName, len: usize) -> Vec<Spoil> {
    let (flip_step, cut_step) = match (exhaustive(), folder(name)) {
        (true, "b") => (8 * 7 + 1, 211),
        (true, _) => (1, 1),
        // This reader does not look at old versions.
        (false, "h") => (9973, 4999),
        (false, "b") => (8 * 331 + 1, 4999),
        (false, "auth" | "k") => (97, 131),
        (false, "r") => (53, 101),
        (false, _) => (17, 23),
    };
    let flips = (0..len * 8).step_by(flip_step).map(Spoil::Flip);
    let cuts = (0..len).step_by(cut_step).map(Spoil::Cut);
    // Nobody reads what follows a long body; `check` reports it.
    let grows = match (exhaustive(), folder(name)) {
        (_, "b") => 0,
        (true, _) => 16,
        (false, _) => 2,
    };
    flips.chain(cuts).chain((1..=grows).map(Spoil::Grow)).collect()
}

/// What a reader said to the spoils of one object.
#[derive(Default)]
struct Tally {
    tried: usize,
    same: usize,
}

/// Spoils the objects given, one after the other, in a copy of the bucket.
async fn spoil_all(
    reader: Reader,
    snapshot: Arc<Snapshot>,
    mine: Vec<(ObjectName, Spoil)>,
    small: Arc<Small>,
) -> BTreeMap<ObjectName, Tally> {
    let bucket = bucket_of(&snapshot).await;
    let expected = reader.read(&bucket).await.unwrap();
    let realm = Arc::new(Realm::open(bucket.clone(), Some(&small.realm.genesis)).await.unwrap());
    read_all(&reader.open_in(realm.clone())).await.unwrap();
    let mut tallies: BTreeMap<ObjectName, Tally> = BTreeMap::new();
    for (name, spoil) in mine {
        put(&bucket, &name, spoil.apply(&snapshot[&name])).await;
        // What else was proven before stays proven, where the object is a record's; the realm's
        // objects are all read again.
        let is_record = name.as_str().starts_with("r/") || name.as_str().starts_with("b/");
        // An opened capsule is not read again, so a reader of capsules starts without opened ones.
        let reader = match folder(&name) {
            "k" | "auth" => small.reader("ana"),
            _ => reader.clone(),
        };
        let read = if is_record {
            read_all(&reader.open_in(realm.clone())).await
        } else {
            reader.read(&bucket).await
        };
        let tally = tallies.entry(name.clone()).or_default();
        tally.tried += 1;
        if let Ok(text) = read {
            assert!(text == expected, "{name} {spoil:?} says something else");
            tally.same += 1;
        }
        put(&bucket, &name, snapshot[&name].clone()).await;
    }
    tallies
}

/// Which objects this reader needs: without one of them it fails.
async fn used(small: &Small) -> Vec<ObjectName> {
    let snapshot = &small.now;
    let bucket: Bucket = bucket_of(snapshot).await;
    let expected = small.reader("ana").read(&bucket).await.unwrap();
    let mut used = Vec::new();
    for (name, bytes) in snapshot {
        bucket.delete(name).await.unwrap();
        match small.reader("ana").read(&bucket).await {
            Ok(text) => assert!(text == expected, "without {name}"),
            Err(_) => used.push(name.clone()),
        }
        put(&bucket, name, bytes.clone()).await;
    }
    used
}

fn folder(name: &ObjectName) -> &str {
    name.as_str().split('/').next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spoiled_bit_of_any_object_says_other_text() {
    let begin = Instant::now();
    let small = Arc::new(Small::new().await);
    let snapshot = Arc::new(small.now.clone());
    let mut work: Vec<Vec<(ObjectName, Spoil)>> = vec![Vec::new(), Vec::new()];
    for (name, bytes) in snapshot.iter() {
        for (i, spoil) in spoils(name, bytes.len()).into_iter().enumerate() {
            work[i % 2].push((name.clone(), spoil));
        }
    }
    let mut running = Vec::new();
    for mine in work {
        let reader = small.reader("ana");
        running.push(tokio::spawn(spoil_all(reader, snapshot.clone(), mine, small.clone())));
    }
    let mut tallies: BTreeMap<ObjectName, Tally> = BTreeMap::new();
    for done in running {
        for (name, tally) in done.await.unwrap() {
            let sum = tallies.entry(name).or_default();
            (sum.tried, sum.same) = (sum.tried + tally.tried, sum.same + tally.same);
        }
    }
    let used = used(&small).await;
    for (name, tally) in &tallies {
        if used.contains(name) {
            assert_eq!(tally.same, 0, "{name}: a spoiled object that is read was accepted");
        }
    }
    let of = |kind: &str| used.iter().filter(|n| folder(n) == kind).count();
    assert_eq!((of("realm"), of("p"), of("r"), of("b")), (2, 1, 4, 1), "{used:?}");
    // Three authors, of whom the doctor has several credentials; without an authority's newest
    // state a reader that never saw it takes the one before.
    assert!(of("c") >= 3 && of("k") >= 3 && of("auth") >= 4, "{used:?}");
    let tried: usize = tallies.values().map(|t| t.tried).sum();
    let bits: usize = snapshot.values().map(|b| b.len() * 8).sum();
    eprintln!(
        "spoiled {tried} times: {} objects of which {} are read, {bits} bits in all, {} in {:?}",
        tallies.len(),
        used.len(),
        if exhaustive() {
            "every bit but the long body's"
        } else {
            "a sample; CHARTFS_LONG=1 for all"
        },
        begin.elapsed()
    );
}
