//! A bucket that is throttled, away, full, or of another time for longer than the tries last: what
//! a program is told, and what becomes of its text.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chartfs::error::{Error, Kind};
use chartfs::store::Bucket;
use chartfs::view::{Access, Handle, Ino, View};

use crate::cells::kind_of;
use crate::fake_s3::http::Request;
use crate::fake_s3::{FakeS3, Fault};
use crate::template::{TRIES, Template, long_text, open, patiently, record_text};

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

struct Bench {
    server: FakeS3,
    bucket: Bucket,
    view: Arc<View>,
    template: Template,
    requests: Arc<AtomicU64>,
}

impl Bench {
    /// A drive whose requests and operations take so long at most.
    async fn with(request: Duration, operation: Duration) -> Self {
        let template = Template::found().await;
        let server = FakeS3::start_with(template.objects.clone()).await;
        let bucket = open(&server, request, operation).await;
        let view = template.at_work(bucket.clone()).await;
        Self { server, bucket, view, template, requests: Arc::default() }
    }

    /// From now on `choose` says what happens.
    fn fail(&self, mut choose: impl FnMut(&Request) -> Fault + Send + 'static) {
        let requests = self.requests.clone();
        requests.store(0, Ordering::Relaxed);
        self.server.state.lock().unwrap().chooser = Some(Box::new(move |request| {
            requests.fetch_add(1, Ordering::Relaxed);
            choose(request)
        }));
    }

    fn recover(&self) {
        self.server.state.lock().unwrap().chooser = None;
    }

    /// Opens a record and writes a text into it, which is not committed yet.
    async fn write(&self, name: &str, text: &str) -> Handle {
        let attr = patiently(async || self.view.lookup(Ino::ROOT, name.as_bytes()).await).await;
        let access = Access { write: true, truncate: true, ..Access::default() };
        let opened = patiently(async || self.view.open(attr.ino, access).await).await;
        let write = async || self.view.write(opened.handle, 0, text.to_owned().into()).await;
        patiently(write).await;
        opened.handle
    }

    /// What another workstation reads.
    async fn stored(&self, name: &str) -> String {
        let bucket = open(&self.server, LONG, LONG).await;
        let view = self.template.elsewhere(bucket, &self.template.doctor).await.unwrap();
        let mut text = Vec::new();
        let take = |piece: bytes::Bytes| {
            text.extend_from_slice(&piece);
            Ok(())
        };
        view.read_path(name, take).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    async fn assert_no_copies(&self) {
        let listed = self.view.list_path("/").await.unwrap();
        let names: Vec<_> = listed.iter().map(|e| String::from_utf8_lossy(&e.name)).collect();
        assert!(!names.iter().any(|n| n.contains("(conflict")), "{names:?}");
    }

    /// A save fails with an error, then the bucket is well again and the same save succeeds.
    async fn save_that_fails_first(
        &self,
        choose: impl FnMut(&Request) -> Fault + Send + 'static,
    ) -> Error {
        let old = self.stored("a.json").await;
        let new = record_text("new", "");
        let handle = self.write("a.json", &new).await;
        self.fail(choose);
        let error = self.view.flush(handle).await.unwrap_err();
        self.recover();
        assert_eq!(self.stored("a.json").await, old, "the old text stays");
        patiently(async || self.view.flush(handle).await).await;
        assert_eq!(self.stored("a.json").await, new);
        self.view.release(handle).await;
        error
    }
}

fn is_write(request: &Request) -> bool {
    request.method != "GET"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_that_ends_is_not_noticed_and_lasting_throttling_is_told() {
    let bench = Bench::with(LONG, LONG).await;
    for status in [429, 503] {
        let mut left = 3;
        bench.fail(move |_| {
            left -= i32::from(left > 0);
            if left > 0 { Fault::Throttle(status, 0) } else { Fault::None }
        });
        let text = record_text(&format!("through {status}"), "");
        bench.view.write_path(Ino::ROOT, b"b.json", text.as_bytes()).await.unwrap();
        assert_eq!(bench.stored("b.json").await, text);

        let error = bench.save_that_fails_first(move |_| Fault::Throttle(status, 0)).await;
        assert_eq!(error.kind().errno(), libc::ETIMEDOUT, "{error}");
        assert!(error.why().unwrap().contains(&format!("{TRIES} tries")), "{error}");
        let requests = bench.requests.load(Ordering::Relaxed);
        assert!(requests <= 2 * u64::from(TRIES), "{requests} requests for one save");
        // The next round begins where this one did.
        let first = &bench.template.texts[0].1;
        bench.view.write_path(Ino::ROOT, b"a.json", &first[..]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_never_answers_holds_nobody_for_ever() {
    let bench = Bench::with(SOON, 4 * SOON).await;
    let error = bench.save_that_fails_first(|_| Fault::Hang).await;
    assert_eq!(error.kind().errno(), libc::ETIMEDOUT, "{error}");
    let requests = bench.requests.load(Ordering::Relaxed);
    assert!(requests <= u64::from(TRIES), "{requests} requests within 4 deadlines");

    // Everything else ends too, at once for what is in memory.
    bench.fail(|_| Fault::Hang);
    assert_eq!(bench.bucket.probe().await.unwrap_err().kind(), Kind::Unavailable);
    let listed = bench.view.list_path("/").await;
    assert_eq!(listed.unwrap_err().kind(), Kind::Unavailable);
    bench.recover();
    assert!(!patiently(async || bench.view.list_path("/").await).await.is_empty());
}

/// Writes are answered by nobody, reads at once: reading back must not make the wait longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_back_is_within_the_deadline_of_the_write() {
    let bench = Bench::with(SOON, 4 * SOON).await;
    let error = bench
        .save_that_fails_first(|request| {
            if is_write(request) { Fault::Hang } else { Fault::Throttle(503, 5) }
        })
        .await;
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    let requests = bench.requests.load(Ordering::Relaxed);
    assert!(requests <= u64::from(TRIES), "{requests} requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_nobody_takes_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = FakeS3::start().await;
    server.address = listener.local_addr().unwrap();
    let bucket = open(&server, SOON, 4 * SOON).await;
    let error = bucket.probe().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(bucket.requests().total() <= 2 * u64::from(TRIES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_is_named() {
    let bench = Bench::with(LONG, LONG).await;
    let skewed = |_: &Request| {
        let body = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
        let date = "Date: Mon, 23 Nov 2026 05:00:00 GMT";
        let length = body.len();
        Fault::Raw(
            format!("HTTP/1.1 403 X\r\n{date}\r\nContent-Length: {length}\r\n\r\n{body}").into(),
        )
    };
    let error = bench.save_that_fails_first(skewed).await;
    // No policy says no here: the text is not put aside as refused.
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.what().contains("clock"), "{error}");
    assert!(error.why().unwrap().contains("05:00:00"), "{error}");
    assert!(error.try_this().unwrap().contains("set the clock"), "{error:?}");
    assert_eq!(bench.requests.load(Ordering::Relaxed), 1, "another try cannot help");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_bucket_is_enospc_and_loses_nothing() {
    for (status, code) in [(507, "InsufficientStorage"), (403, "QuotaExceeded")] {
        let bench = Bench::with(LONG, LONG).await;
        let full = move |request: &Request| {
            if is_write(request) { Fault::Status(status, code) } else { Fault::None }
        };
        let error = bench.save_that_fails_first(full).await;
        assert_eq!(error.kind().errno(), libc::ENOSPC, "{error}");
        assert!(error.what().contains("full"), "{error}");
        bench.fail(full);
        let made = bench.view.write_path(Ino::ROOT, b"new.json", &b"{}"[..]).await;
        assert_eq!(made.unwrap_err().kind(), Kind::NoSpace);
    }
}

/// `close` failed and the program is gone: the text is still the drive's to commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_whose_close_failed_is_committed_when_the_drive_is_left() {
    let bench = Bench::with(LONG, LONG).await;
    let new = record_text("kept", "");
    let handle = bench.write("a.json", &new).await;
    bench.fail(|_| Fault::Status(503, "SlowDown"));
    bench.view.flush(handle).await.unwrap_err();
    bench.view.release(handle).await;
    assert!(bench.view.drain().await.is_err(), "it cannot be left yet");
    bench.recover();
    bench.view.drain().await.unwrap();
    assert_eq!(bench.stored("a.json").await, new);
}

/// An answer was lost for good, and the program saves again: it is in no conflict with itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_after_one_of_unknown_outcome_makes_no_conflict_copy() {
    for name in ["a.json", "new.json", "long.bin"] {
        let bench = Bench::with(LONG, LONG).await;
        // The record's commit, or the folder's, is applied; from then on nothing answers.
        let mut is_applied = false;
        let wanted = if name == "new.json" { 2 } else { 1 };
        let mut commits = 0;
        bench.fail(move |request| {
            commits += u32::from(
                matches!(kind_of(request), "update")
                    || kind_of(request) == "create" && request.key.starts_with("r/"),
            );
            match commits == wanted {
                true if !is_applied => {
                    is_applied = true;
                    Fault::ApplyThenReset
                }
                _ if is_applied => Fault::Status(503, "SlowDown"),
                _ => Fault::None,
            }
        });
        let first = text_for(name, "first try");
        bench.view.write_path(Ino::ROOT, name.as_bytes(), first.as_bytes()).await.unwrap_err();
        bench.recover();
        assert!(
            bench.stored(name).await == first,
            "its outcome is not known here, but it happened"
        );
        let second = text_for(name, "second try");
        bench.view.write_path(Ino::ROOT, name.as_bytes(), second.as_bytes()).await.unwrap();
        assert!(bench.stored(name).await == second);
        bench.assert_no_copies().await;
    }
}

/// A text is committed, and then the bucket does not say whether its name is still there: `close`
/// fails, and the save that is made again is in no conflict with itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_whose_folder_could_not_be_looked_at_makes_no_conflict_copy() {
    for name in ["a.json", "long.bin"] {
        for goes_on in [false, true] {
            let bench = Bench::with(LONG, LONG).await;
            let mut text = text_for(name, "committed");
            let handle = bench.write(name, &text).await;
            let mut is_committed = false;
            bench.fail(move |request| {
                let refused = is_committed && request.method == "GET";
                is_committed |= kind_of(request) == "update";
                if refused { Fault::Status(503, "SlowDown") } else { Fault::None }
            });
            bench.view.flush(handle).await.unwrap_err();
            bench.recover();
            assert!(bench.stored(name).await == text, "it was committed all the same");
            if goes_on {
                text = text_for(name, "continued");
                patiently(async || bench.view.write(handle, 0, text.clone().into()).await).await;
            }
            patiently(async || bench.view.flush(handle).await).await;
            bench.view.release(handle).await;
            assert!(bench.stored(name).await == text);
            bench.assert_no_copies().await;
        }
    }
}

/// A text for a file of this name; those of words of one length are of one length.
fn text_for(name: &str, what: &str) -> String {
    match name {
        "long.bin" => String::from_utf8(long_text(what, 300_000)).unwrap(),
        _ => record_text(what, ""),
    }
}
