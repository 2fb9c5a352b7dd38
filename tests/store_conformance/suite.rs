//! What every back end of the store must do: the one suite.

use bytes::Bytes;
use chartfs::error::Kind;
use chartfs::store::{Bucket, Condition, Fetched, ObjectName, Put, Version};
use futures::{StreamExt, TryStreamExt};

pub(crate) fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

pub(crate) async fn put(
    bucket: &Bucket,
    at: &str,
    text: &str,
    condition: Condition,
) -> Option<Version> {
    match bucket.put(&name(at), Bytes::from(text.to_owned()), condition).await.unwrap() {
        Put::Stored(version) => Some(version),
        Put::Refused => None,
    }
}

pub(crate) async fn text(bucket: &Bucket, at: &str) -> Option<String> {
    let object = bucket.get(&name(at), 1 << 20).await.unwrap()?;
    Some(String::from_utf8(object.bytes.to_vec()).unwrap())
}

pub(crate) async fn names(bucket: &Bucket, prefix: &str) -> Vec<String> {
    let mut names: Vec<_> =
        bucket.list(prefix).map_ok(|l| l.name.to_string()).try_collect().await.unwrap();
    names.sort();
    names
}

async fn reads_what_was_written(b: &Bucket) {
    assert_eq!(text(b, "rw/a").await, None);
    let v = put(b, "rw/a", "one", Condition::Absent).await.unwrap();
    let object = b.get(&name("rw/a"), 3).await.unwrap().unwrap();
    assert_eq!((&object.bytes[..], &object.version), (&b"one"[..], &v));
    put(b, "rw/a", "", Condition::Always).await.unwrap();
    assert_eq!(text(b, "rw/a").await.as_deref(), Some(""));
    b.delete(&name("rw/a")).await.unwrap();
    b.delete(&name("rw/a")).await.unwrap();
    assert_eq!(text(b, "rw/a").await, None);
    assert_eq!(text(b, "rw").await, None);
}

async fn lengths_are_checked_before_reading(b: &Bucket) {
    put(b, "len/a", "12345", Condition::Absent).await.unwrap();
    assert_eq!(b.get(&name("len/a"), 4).await.unwrap_err().kind(), Kind::Integrity);
    assert!(b.get(&name("len/a"), 5).await.unwrap().is_some());
    assert_eq!(&b.get_range(&name("len/a"), 1..4).await.unwrap()[..], b"234");
    assert_eq!(&b.get_range(&name("len/a"), 0..5).await.unwrap()[..], b"12345");
    assert!(b.get_range(&name("len/a"), 3..3).await.unwrap().is_empty());
    for range in [0..6, 4..6, 5..6, 9..10, 0..u64::MAX, u64::MAX - 1..u64::MAX] {
        let e = b.get_range(&name("len/a"), range.clone()).await.unwrap_err();
        assert_eq!(e.kind(), Kind::Integrity, "{range:?}: {e}");
    }
    assert_eq!(b.get_range(&name("len/none"), 0..1).await.unwrap_err().kind(), Kind::NotFound);
}

async fn conditions_count(b: &Bucket) {
    let v1 = put(b, "cas/a", "1", Condition::Absent).await.unwrap();
    assert_eq!(put(b, "cas/a", "x", Condition::Absent).await, None);
    let v2 = put(b, "cas/a", "2", Condition::Matches(v1.clone())).await.unwrap();
    assert_ne!(v1, v2);
    assert_eq!(put(b, "cas/a", "x", Condition::Matches(v1)).await, None);
    assert_eq!(text(b, "cas/a").await.as_deref(), Some("2"));
    b.delete(&name("cas/a")).await.unwrap();
    assert_eq!(put(b, "cas/a", "x", Condition::Matches(v2)).await, None);
    assert_eq!(text(b, "cas/a").await, None);
    assert!(put(b, "cas/a", "3", Condition::Absent).await.is_some());
}

async fn unchanged_objects_are_not_read_again(b: &Bucket) {
    let v1 = put(b, "cond/a", "1", Condition::Absent).await.unwrap();
    let again =
        |v: Version| async move { b.get_if_changed(&name("cond/a"), &v, 10).await.unwrap() };
    assert_eq!(again(v1.clone()).await, Fetched::Unchanged);
    let v2 = put(b, "cond/a", "2", Condition::Matches(v1.clone())).await.unwrap();
    let Fetched::Changed(object) = again(v1).await else { panic!("it has changed") };
    assert_eq!((&object.bytes[..], &object.version), (&b"2"[..], &v2));
    b.delete(&name("cond/a")).await.unwrap();
    assert_eq!(again(v2).await, Fetched::Absent);
}

async fn listings_are_complete_and_bounded_by_segments(b: &Bucket) {
    let all = ["list/a-b/c", "list/a/x.y", "list/b/1", "list/b/10", "list/b/2", "listing"];
    for n in all.iter().rev() {
        put(b, n, n, Condition::Absent).await.unwrap();
    }
    assert_eq!(names(b, "list").await, all[..5]);
    assert_eq!(names(b, "list/b").await, all[2..5]);
    assert_eq!(names(b, "list/b/").await, all[2..5]);
    assert_eq!(names(b, "list/none").await, Vec::<String>::new());
    assert!(names(b, "").await.iter().any(|n| n == "listing"));
    for listed in b.list("list").try_collect::<Vec<_>>().await.unwrap() {
        let object = b.get(&listed.name, 100).await.unwrap().unwrap();
        assert_eq!(listed.size_bytes, object.bytes.len() as u64);
        assert_eq!(listed.version, object.version, "{}", listed.name);
    }
}

async fn listings_go_over_many_pages(b: &Bucket) {
    let wanted: Vec<_> = (0..2300).map(|i| format!("many/{i:05}")).collect();
    let writes = wanted.iter().map(|n| put(b, n, "x", Condition::Absent));
    let done: Vec<_> = futures::stream::iter(writes).buffer_unordered(16).collect().await;
    assert!(done.iter().all(Option::is_some));
    assert_eq!(names(b, "many").await, wanted);
    // A listing that is not read to its end stops.
    assert!(b.list("many").next().await.unwrap().is_ok());
}

async fn large_objects_go_in_parts(b: &Bucket) {
    let chunk = |i: usize| Bytes::from(vec![u8::try_from(i % 251).unwrap(); 300_001]);
    for (at, chunks) in [("large/none", 0), ("large/one", 1), ("large/many", 60)] {
        let whole: Vec<u8> = (0..chunks).flat_map(chunk).collect();
        let body = futures::stream::iter((0..chunks).map(|i| Ok(chunk(i))));
        let up = b.put_large(&name(at), body).await.unwrap();
        assert_eq!(up.size_bytes, whole.len() as u64);
        let object = b.get(&name(at), 1 << 30).await.unwrap().unwrap();
        assert!(object.bytes[..] == whole[..], "{at}");
        assert_eq!(object.version, up.version, "{at}");
        if chunks == 60 {
            let range = (8 << 20) - 5..(8 << 20) + 5;
            let read = b.get_range(&name(at), range.start as u64..range.end as u64).await.unwrap();
            assert_eq!(read[..], whole[range]);
        }
    }
}

async fn a_stream_that_fails_leaves_no_object(b: &Bucket) {
    let bad = || Err(chartfs::error::Error::new(Kind::Internal, "the source failed"));
    let chunks = (0..10).map(|_| Ok(Bytes::from(vec![1; 1 << 20]))).chain([bad()]);
    let e = b.put_large(&name("large/bad"), futures::stream::iter(chunks)).await.unwrap_err();
    assert_eq!(e.what(), "the source failed");
    assert!(b.get(&name("large/bad"), 1 << 30).await.unwrap().is_none());
}

async fn one_of_many_creators_wins(b: &Bucket) {
    let creators = (0..16).map(|i| async move {
        put(b, "race/a", &format!("creator {i}"), Condition::Absent).await.map(|_| i)
    });
    let won: Vec<_> = futures::future::join_all(creators).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(text(b, "race/a").await.unwrap(), format!("creator {}", won[0]));
}

/// Adds 1 to the number in an object `times` times, by compare-and-swap.
pub(crate) async fn count_up(b: &Bucket, at: &str, who: &str, times: u32) {
    for i in 0..times {
        loop {
            let now = b.get(&name(at), 100).await.unwrap().unwrap();
            let number: u32 = std::str::from_utf8(&now.bytes)
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            // The rest makes the bytes unique, as the commit id of a head does.
            let next = format!("{} {who}-{i}", number + 1);
            if put(b, at, &next, Condition::Matches(now.version)).await.is_some() {
                break;
            }
        }
    }
}

async fn no_update_is_lost_between_tasks(b: &Bucket) {
    put(b, "count/a", "0 -", Condition::Absent).await.unwrap();
    let whos: Vec<_> = (0..8).map(|i| i.to_string()).collect();
    futures::future::join_all(whos.iter().map(|who| count_up(b, "count/a", who, 10))).await;
    assert!(text(b, "count/a").await.unwrap().starts_with("80 "));
}

async fn the_probe_accepts_it_and_cleans_up(b: &Bucket) {
    b.probe().await.unwrap();
    assert_eq!(names(b, "probe").await, Vec::<String>::new());
}

async fn requests_are_counted(b: &Bucket) {
    let before = b.requests();
    put(b, "counts/a", "12", Condition::Absent).await;
    text(b, "counts/a").await;
    b.get_range(&name("counts/a"), 0..1).await.unwrap();
    names(b, "counts").await;
    b.delete(&name("counts/a")).await.unwrap();
    let after = b.requests();
    let each = [
        after.put - before.put,
        after.get - before.get,
        after.get_range - before.get_range,
        after.list - before.list,
        after.delete - before.delete,
    ];
    assert_eq!((each, after.head - before.head), ([1; 5], 0));
    assert_eq!(after.total() - before.total(), 5);
}

pub(crate) async fn conforms(b: &Bucket) {
    reads_what_was_written(b).await;
    lengths_are_checked_before_reading(b).await;
    conditions_count(b).await;
    unchanged_objects_are_not_read_again(b).await;
    listings_are_complete_and_bounded_by_segments(b).await;
    listings_go_over_many_pages(b).await;
    large_objects_go_in_parts(b).await;
    a_stream_that_fails_leaves_no_object(b).await;
    one_of_many_creators_wins(b).await;
    no_update_is_lost_between_tasks(b).await;
    the_probe_accepts_it_and_cleans_up(b).await;
    requests_are_counted(b).await;
}
