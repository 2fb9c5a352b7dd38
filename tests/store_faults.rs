//! What the store does when the cloud fails, lies, or is not there: against a server in the test.

#![allow(clippy::unwrap_used)]

mod fake_s3;

use bytes::Bytes;
use chartfs::error::{Error, Kind};
use chartfs::store::{Bucket, Condition, Fetched, ObjectName, Put, RequestCounts, StoreOptions};
use fake_s3::{FakeS3, Fault, SECRET, etag, open};
use futures::TryStreamExt;

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn bucket_for(fake: &FakeS3, faults: &[Fault]) -> Bucket {
    if faults.iter().any(|f| matches!(f, Fault::Hang)) {
        fake.impatient_bucket().await
    } else {
        fake.bucket().await
    }
}

/// Puts "mine" under `condition` while the server follows the script; returns whether it was
/// stored, and what the server holds in the end.
async fn put_mine(before: Option<&str>, faults: &[Fault]) -> (bool, String, RequestCounts) {
    let fake = FakeS3::start().await;
    let bucket = bucket_for(&fake, faults).await;
    let condition = match before {
        None => Condition::Absent,
        Some(text) => {
            let all = Bytes::from(text.to_owned());
            match bucket.put(&name("a"), all, Condition::Absent).await.unwrap() {
                Put::Stored(version) => Condition::Matches(version),
                Put::Refused => panic!("the bucket was empty"),
            }
        }
    };
    let base = bucket.requests();
    fake.script(faults);
    let put = bucket.put(&name("a"), bytes("mine"), condition).await.unwrap();
    let now = bucket.requests();
    let counts = RequestCounts {
        put: now.put - base.put,
        get: now.get - base.get,
        ..RequestCounts::default()
    };
    let held = String::from_utf8(fake.state.lock().unwrap().objects["a"].clone()).unwrap();
    if let Put::Stored(version) = &put {
        let read = bucket.get(&name("a"), 100).await.unwrap().unwrap();
        assert_eq!(&read.version, version);
    }
    (matches!(put, Put::Stored(_)), held, counts)
}

#[tokio::test]
async fn a_lost_answer_to_a_write_that_happened_is_settled_by_reading_back() {
    for fault in [Fault::ApplyThenReset, Fault::ApplyThenStatus(500), Fault::ApplyThenStatus(503)] {
        for before in [None, Some("old")] {
            let (stored, held, counts) = put_mine(before, std::slice::from_ref(&fault)).await;
            assert!(stored, "{fault:?} {before:?}");
            assert_eq!(held, "mine");
            assert_eq!((counts.put, counts.get), (1, 1), "{fault:?} {before:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_did_not_happen_is_tried_again_while_its_condition_holds() {
    for fault in [Fault::Reset, Fault::Status(500, "InternalError"), Fault::Hang] {
        for before in [None, Some("old")] {
            let (stored, held, counts) = put_mine(before, std::slice::from_ref(&fault)).await;
            assert!(stored, "{fault:?} {before:?}");
            assert_eq!(held, "mine");
            assert_eq!((counts.put, counts.get), (2, 1), "{fault:?} {before:?}");
        }
    }
}

#[tokio::test]
async fn what_was_certainly_not_applied_needs_no_reading_back() {
    for fault in [Fault::Status(429, "SlowDown"), Fault::Status(409, "ConditionalRequestConflict")]
    {
        for before in [None, Some("old")] {
            let (stored, held, counts) = put_mine(before, std::slice::from_ref(&fault)).await;
            assert!(stored, "{fault:?} {before:?}");
            assert_eq!(held, "mine");
            assert_eq!((counts.put, counts.get), (2, 0), "{fault:?} {before:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_lands_late_is_not_taken_for_somebody_elses() {
    // The read-back sees the old state, then the first write lands, then the second is refused.
    for before in [None, Some("old")] {
        let (stored, held, counts) = put_mine(before, &[Fault::ApplyLate]).await;
        assert!(stored, "{before:?}");
        assert_eq!(held, "mine");
        assert_eq!((counts.put, counts.get), (2, 2), "{before:?}");
    }
}

#[tokio::test]
async fn a_write_that_was_overtaken_is_refused_and_not_repeated() {
    for before in [None, Some("old")] {
        for other in [&b"else"[..], b"much longer than mine"] {
            let fault = Fault::ApplyThenOvertakenThenReset(other);
            let (stored, held, counts) = put_mine(before, &[fault]).await;
            assert!(!stored, "{before:?}");
            assert_eq!(held.as_bytes(), other);
            assert_eq!((counts.put, counts.get), (1, 1), "{before:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_a_repeat_on_the_way_is_not_taken_for_a_lost_race() {
    for before in [None, Some("old")] {
        let (stored, held, counts) = put_mine(before, &[Fault::Twice]).await;
        assert!(stored, "{before:?}");
        assert_eq!(held, "mine");
        assert_eq!((counts.put, counts.get), (1, 1), "{before:?}");
    }
}

#[tokio::test]
async fn a_refusal_though_the_condition_holds_is_tried_again_and_not_for_ever() {
    let refusal = Fault::Status(412, "PreconditionFailed");
    for before in [None, Some("old")] {
        let (stored, held, counts) = put_mine(before, std::slice::from_ref(&refusal)).await;
        assert!(stored, "{before:?}");
        assert_eq!(held, "mine");
        assert_eq!((counts.put, counts.get), (2, 1), "{before:?}");
    }
    let fake = FakeS3::start().await;
    let bucket = fake.bucket().await;
    fake.state.lock().unwrap().chooser = Some(Box::new(move |request| match &*request.method {
        "PUT" => refusal.clone(),
        _ => Fault::None,
    }));
    let e = bucket.put(&name("a"), bytes("x"), Condition::Absent).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Unavailable, "{e}");
    assert_eq!((bucket.requests().put, bucket.requests().get), (4, 4));
}

#[tokio::test]
async fn an_outcome_that_cannot_be_settled_is_told_as_unknown() {
    let fake = FakeS3::start().await;
    let bucket = fake.bucket().await;
    fake.script(&vec![Fault::Status(503, "SlowDown"); 40]);
    let e = bucket.put(&name("a"), bytes("x"), Condition::Absent).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Unavailable);
    assert!(e.what().contains("not known"), "{e}");
}

#[tokio::test]
async fn reads_are_tried_again_until_the_tries_are_used_up() {
    let fake = FakeS3::start().await;
    fake.state.lock().unwrap().objects.insert("a".into(), b"12345".to_vec());
    let passing = [
        Fault::Status(500, "InternalError"),
        Fault::Status(503, "SlowDown"),
        Fault::Status(429, "TooManyRequests"),
        Fault::Status(408, "RequestTimeout"),
        Fault::Reset,
        Fault::HalfBody,
        Fault::Hang,
    ];
    for fault in passing {
        let bucket = bucket_for(&fake, std::slice::from_ref(&fault)).await;
        fake.script(std::slice::from_ref(&fault));
        let object = bucket.get(&name("a"), 5).await.unwrap().unwrap();
        assert_eq!(&object.bytes[..], b"12345", "{fault:?}");
        fake.script(&[fault.clone(), fault.clone()]);
        assert_eq!(&bucket.get_range(&name("a"), 1..3).await.unwrap()[..], b"23", "{fault:?}");
    }
    for fault in [Fault::Status(503, "SlowDown"), Fault::Hang, Fault::Reset] {
        let bucket = bucket_for(&fake, std::slice::from_ref(&fault)).await;
        fake.script(&vec![fault.clone(); 40]);
        let before = bucket.requests();
        let e = bucket.get(&name("a"), 5).await.unwrap_err();
        assert_eq!(e.kind(), Kind::Unavailable, "{fault:?}");
        assert_eq!(bucket.requests().get - before.get, 4, "{fault:?}");
        assert!(e.why().unwrap().contains("4 tries"), "{e}");
    }
}

#[tokio::test]
async fn a_listing_goes_on_at_the_page_that_failed() {
    let fake = FakeS3::start().await;
    let bucket = fake.bucket().await;
    for i in 0..7 {
        fake.state.lock().unwrap().objects.insert(format!("l/{i}"), b"x".to_vec());
    }
    fake.script(&[Fault::None, Fault::Status(503, "SlowDown"), Fault::Reset, Fault::None]);
    let listed: Vec<_> = bucket.list("l").try_collect().await.unwrap();
    let names: Vec<_> = listed.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["l/0", "l/1", "l/2", "l/3", "l/4", "l/5", "l/6"]);
    assert_eq!(bucket.requests().list, 4 + 2);
    fake.script(&vec![Fault::Status(503, "SlowDown"); 40]);
    let e = bucket.list("l").try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(e.kind(), Kind::Unavailable);
}

fn twenty_mib() -> impl futures::Stream<Item = chartfs::error::Result<Bytes>> {
    futures::stream::iter((0..20).map(|i| Ok(Bytes::from(vec![i; 1 << 20]))))
}

#[tokio::test]
async fn an_upload_survives_faults_of_every_step() {
    let fake = FakeS3::start().await;
    let bucket = fake.bucket().await;
    let whole: Vec<u8> = (0..20).flat_map(|i| vec![i; 1 << 20]).collect();
    let fault = Fault::Status(500, "InternalError");
    // Create, three parts (in any order), complete: each step meets a fault in turn.
    for step in 0..5 {
        let mut script = vec![Fault::None; step];
        script.push(fault.clone());
        fake.script(&script);
        let up = bucket.put_large(&name("b/x"), twenty_mib()).await.unwrap();
        assert_eq!(up.size_bytes, 20 << 20);
        assert!(fake.state.lock().unwrap().objects.remove("b/x").unwrap() == whole, "step {step}");
    }
    let lost = [Fault::None, Fault::None, Fault::None, Fault::None, Fault::ApplyThenReset];
    fake.script(&lost);
    let up = bucket.put_large(&name("b/x"), twenty_mib()).await.unwrap();
    let read = bucket.get(&name("b/x"), 20 << 20).await.unwrap().unwrap();
    assert!(read.bytes[..] == whole[..]);
    assert_eq!(read.version, up.version);
    // The answer is lost, the upload is gone, and looking for the object fails once too.
    let more = [&lost[..], &[Fault::None, fault.clone()]].concat();
    fake.script(&more);
    let up = bucket.put_large(&name("b/y"), twenty_mib()).await.unwrap();
    let read = bucket.get(&name("b/y"), 20 << 20).await.unwrap().unwrap();
    assert_eq!(read.version, up.version);
    // The bucket gave the upload up: not a refusal of what was to be stored.
    let mut gone = vec![Fault::None; 4];
    gone.push(Fault::Status(404, "NoSuchUpload"));
    fake.script(&gone);
    let e = bucket.put_large(&name("b/z"), twenty_mib()).await.unwrap_err();
    assert_eq!(e.kind(), Kind::Unavailable, "{e}");
}

async fn probe_error(set: impl FnOnce(&FakeS3)) -> Error {
    let fake = FakeS3::start().await;
    set(&fake);
    let e = fake.bucket().await.probe().await.unwrap_err();
    assert!(fake.state.lock().unwrap().objects.is_empty(), "the probe leaves nothing behind");
    e
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused_by_name() {
    let e = probe_error(|f| f.state.lock().unwrap().ignore_if_none_match = true).await;
    assert_eq!(e.kind(), Kind::Unsupported);
    assert_eq!(e.what(), "this store accepts conditional writes and ignores them");
    assert!(e.why().unwrap().starts_with("If-None-Match: *"), "{e}");
    let e = probe_error(|f| f.state.lock().unwrap().ignore_if_match = true).await;
    assert_eq!(e.what(), "this store accepts conditional writes and ignores them");
    assert!(e.why().unwrap().starts_with("If-Match"), "{e}");
    assert!(e.try_this().is_some());
    let fake = FakeS3::start().await;
    fake.bucket().await.probe().await.unwrap();
}

#[tokio::test]
async fn refusals_say_what_is_wrong_and_what_to_try() {
    let fake = FakeS3::start().await;
    let bucket = fake.bucket().await;
    let region = b"HTTP/1.1 301 X\r\nx-amz-bucket-region: eu-west-3\r\nContent-Length: 0\r\n\r\n";
    let malformed =
        "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-south-2</Region></Error>";
    let malformed =
        format!("HTTP/1.1 400 X\r\nContent-Length: {}\r\n\r\n{malformed}", malformed.len());
    let cases = [
        (Fault::Status(403, "SignatureDoesNotMatch"), Kind::Denied, "AWS_SECRET_ACCESS_KEY"),
        (Fault::Status(403, "InvalidAccessKeyId"), Kind::Denied, "AWS_ACCESS_KEY_ID"),
        (Fault::Status(403, "AccessDenied"), Kind::Denied, "get, put, list and delete"),
        (Fault::Status(403, "RequestTimeTooSkewed"), Kind::Unavailable, "clock"),
        (Fault::Status(400, "ExpiredToken"), Kind::Denied, "temporary"),
        (Fault::Status(404, "NoSuchBucket"), Kind::NotFound, "name and the endpoint"),
        (Fault::Raw(region.to_vec()), Kind::Usage, "AWS_REGION=eu-west-3"),
        (Fault::Raw(malformed.into_bytes()), Kind::Usage, "AWS_REGION=eu-south-2"),
    ];
    for (fault, kind, hint) in cases {
        fake.script(std::slice::from_ref(&fault));
        let before = bucket.requests().total();
        let e = bucket.get(&name("a"), 10).await.unwrap_err();
        assert_eq!(e.kind(), kind, "{fault:?}: {e}");
        assert!(e.try_this().unwrap().contains(hint), "{fault:?}: {:?}", e.try_this());
        assert!(e.what().contains("s3://bucket"), "{e}");
        assert!(!format!("{e:?}").contains(SECRET), "{e:?}");
        assert_eq!(bucket.requests().total() - before, 1, "{fault:?} is not tried again");
        fake.script(std::slice::from_ref(&fault));
        let put = bucket.put(&name("a"), bytes("x"), Condition::Absent).await;
        assert_eq!(put.unwrap_err().kind(), kind, "{fault:?}");
    }
}

#[tokio::test]
async fn without_keys_the_machine_is_asked_and_its_no_is_told() {
    let (bucket, machine) = (FakeS3::start().await, FakeS3::start().await);
    let refusing = vec![Fault::Status(403, "Forbidden"); 9];
    machine.script(&refusing);
    let vars = [("AWS_METADATA_ENDPOINT", format!("http://{}", machine.address))];
    let mut options = StoreOptions::from_vars(vars.map(|(k, v)| (k.to_owned(), v)).into_iter());
    options.endpoint = Some(format!("http://{}", bucket.address));
    let opened = Bucket::open(&"s3://bucket".parse().unwrap(), &options).await.unwrap();
    let e = opened.probe().await.unwrap_err();
    assert_eq!(e.kind(), Kind::Denied);
    assert_eq!(e.what(), "there are no credentials for s3://bucket");
    assert!(e.try_this().unwrap().contains("AWS_ACCESS_KEY_ID"));
    assert_eq!(opened.requests().total(), 0, "requests for credentials are not the bucket's");
    assert!(machine.state.lock().unwrap().script.len() < refusing.len());
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let bucket = open(&endpoint, std::time::Duration::from_secs(30)).await;
    let e = bucket.probe().await.unwrap_err();
    assert_eq!(e.kind(), Kind::Unavailable);
    assert!(e.what().contains("cannot reach s3://bucket"), "{e}");
    assert!(e.why().unwrap().contains("refused"), "{e}");
    assert!(!format!("{e:?}").contains(SECRET));
}

#[tokio::test]
async fn impossible_answers_are_damage_and_allocate_nothing() {
    let fake = FakeS3::start().await;
    let bucket = fake.bucket().await;
    let answer = |headers: &str, body: &str| {
        let tag = etag(body.as_bytes());
        Fault::Raw(format!("HTTP/1.1 {headers}\r\nETag: {tag}\r\n\r\n{body}").into_bytes())
    };
    for length in ["9223372036854775808", "18446744073709551615", "11"] {
        fake.script(&vec![answer(&format!("200 OK\r\nContent-Length: {length}"), "x"); 8]);
        let e = bucket.get(&name("a"), 10).await.unwrap_err();
        // A length that is no length of HTTP is an answer that breaks off.
        let wanted = if length.len() == 20 { Kind::Unavailable } else { Kind::Integrity };
        assert_eq!(e.kind(), wanted, "{length}: {e}");
    }
    let ranges = [
        "206 P\r\nContent-Length: 2\r\nContent-Range: bytes 5-6/9",
        "206 P\r\nContent-Length: 2\r\nContent-Range: bytes 0-1/9223372036854775808\r\nX: y",
        "206 P\r\nContent-Length: 2\r\nContent-Range: bytes x",
        "206 P\r\nContent-Length: 2",
        "200 OK\r\nContent-Length: 2",
    ];
    for headers in ranges {
        fake.script(&vec![answer(headers, "xy"); 4]);
        let e = bucket.get_range(&name("a"), 3..5).await.unwrap_err();
        assert_eq!(e.kind(), Kind::Integrity, "{headers}: {e}");
    }
    fake.script(&[]);
}

#[tokio::test]
async fn a_page_without_end_is_given_up() {
    let fake = FakeS3::start().await;
    let bucket = fake.bucket().await;
    let mut endless =
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n<ListBucketResult>".to_vec();
    endless.resize(17 << 20, b' ');
    fake.script(&vec![Fault::Raw(endless); 4]);
    assert!(bucket.list("").try_collect::<Vec<_>>().await.is_err());
}

#[tokio::test]
async fn a_store_that_knows_no_conditional_reads_is_understood() {
    let fake = FakeS3::start().await;
    let bucket = fake.bucket().await;
    let Put::Stored(version) = bucket.put(&name("a"), bytes("x"), Condition::Absent).await.unwrap()
    else {
        panic!("refused");
    };
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nETag: {}\r\n\r\nx", etag(b"x"));
    fake.script(&[Fault::Raw(whole.into_bytes())]);
    assert_eq!(bucket.get_if_changed(&name("a"), &version, 9).await.unwrap(), Fetched::Unchanged);
    let bare = b"HTTP/1.1 304 X\r\n\r\n".to_vec();
    fake.script(&[Fault::Raw(bare)]);
    assert_eq!(bucket.get(&name("a"), 9).await.unwrap_err().kind(), Kind::Unsupported);
}
