//! A small S3 server in the test process that can be told to fail: it keeps objects in memory,
//! honours conditions (or not), and takes one line of a script for each request.
#![allow(dead_code, reason = "every test binary uses another part")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chartfs::store::{Bucket, Location, StoreOptions};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

pub(crate) mod http;

use http::{Reply, Request, error, query_value, read_request, xml};

/// What happens to one request instead of a proper answer.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// A proper answer after all.
    None,
    /// Not applied; this status with this error code.
    Status(u16, &'static str),
    /// Not applied; this raw answer.
    Raw(Vec<u8>),
    /// Not applied; the connection is closed without an answer.
    Reset,
    /// Applied; the connection is closed without an answer.
    ApplyThenReset,
    /// Applied; answered with this status.
    ApplyThenStatus(u16),
    /// Applied, and overwritten by somebody else with these bytes; closed without an answer.
    ApplyThenOvertakenThenReset(&'static [u8]),
    /// Closed without an answer; applied just before the next PUT.
    ApplyLate,
    /// Never answered.
    Hang,
    /// Applied, and never answered.
    ApplyThenHang,
    /// Answered with half of the body.
    HalfBody,
    /// Applied; the answer says that its body is shorter than it is.
    ShortBody,
    /// A read is answered with what stood there before.
    Stale,
    /// Applied twice; the second answer is given.
    Twice,
    /// Applied and answered; applied again some time later.
    TwiceLate(Duration),
    /// Never answered; applied some time later.
    Late(Duration),
    /// Applied; the answer names another version.
    WrongTag,
    /// Not applied; to be tried again after these seconds.
    Throttle(u16, u64),
}

/// Decides what happens to each request while there is no script.
pub(crate) type Chooser = Box<dyn FnMut(&Request) -> Fault + Send>;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    pub(crate) script: VecDeque<Fault>,
    pub(crate) ignore_if_none_match: bool,
    pub(crate) ignore_if_match: bool,
    pub(crate) list_page_len: usize,
    late: Option<(String, Vec<u8>)>,
    pub(crate) chooser: Option<Chooser>,
    /// What every object was before it was replaced; `None` when there was none.
    older: BTreeMap<String, Option<Vec<u8>>>,
    /// How many requests are still to be applied some time later.
    underway: usize,
    /// Requests that are kept waiting, by method and key, and how many wait.
    held: BTreeSet<(String, String)>,
    waiting: usize,
    /// Requests that are answered with 403, by method and key.
    refused: BTreeSet<(String, String)>,
    /// Parts by the number of the upload.
    uploads: BTreeMap<String, BTreeMap<usize, Vec<u8>>>,
    uploads_begun: usize,
    /// Whether no request is answered at all.
    pub(crate) is_away: bool,
}

#[derive(Clone)]
pub(crate) struct FakeS3 {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) address: SocketAddr,
    changed: Arc<tokio::sync::Notify>,
}

pub(crate) fn etag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

pub(crate) const SECRET: &str = "the-secret-that-nobody-sees";

impl FakeS3 {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { list_page_len: 2, ..State::default() }));
        let fake = Self { state, address, changed: Arc::default() };
        let server = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        fake
    }

    pub(crate) fn script(&self, faults: &[Fault]) {
        self.state.lock().unwrap().script = faults.iter().cloned().collect();
    }

    /// Opens the bucket of this server, with short waits.
    pub(crate) async fn bucket(&self) -> Bucket {
        open(&format!("http://{}", self.address), Duration::from_secs(30)).await
    }

    /// The same for a script with [`Fault::Hang`]: requests are given up soon.
    pub(crate) async fn impatient_bucket(&self) -> Bucket {
        open(&format!("http://{}", self.address), Duration::from_millis(500)).await
    }

    /// Takes the server away, or brings it back.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.state.lock().unwrap().is_away = is_away;
    }

    /// Keeps requests for an object waiting until [`Self::release`].
    pub(crate) fn hold(&self, method: &str, key: &str) {
        self.state.lock().unwrap().held.insert((method.to_owned(), key.to_owned()));
    }

    /// Keeps the answers to requests for an object waiting, which say what was true when it came.
    pub(crate) fn hold_answers(&self, method: &str, key: &str) {
        self.hold(&format!("answer to {method}"), key);
    }

    /// Refuses requests for an object.
    pub(crate) fn refuse(&self, method: &str, key: &str) {
        self.state.lock().unwrap().refused.insert((method.to_owned(), key.to_owned()));
    }

    /// Lets every request go on that is kept waiting.
    pub(crate) fn release(&self) {
        self.state.lock().unwrap().held.clear();
        self.changed.notify_waiters();
    }

    /// Waits until as many requests are kept waiting.
    pub(crate) async fn wait_held(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.state.lock().unwrap().waiting >= count {
                return;
            }
            changed.await;
        }
    }

    /// Keeps a request waiting while it is to be.
    async fn gate(&self, at: &(String, String)) {
        let mut is_counted = false;
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state.lock().unwrap();
                if !state.held.contains(at) {
                    state.waiting -= usize::from(is_counted);
                    return;
                }
                state.waiting += usize::from(!is_counted);
            }
            if !is_counted {
                is_counted = true;
                self.changed.notify_waiters();
                continue;
            }
            changed.await;
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let request = read_request(&mut stream).await?;
            let at = (request.method.clone(), request.key.clone());
            self.gate(&at).await;
            if self.state.lock().unwrap().is_away {
                return None;
            }
            if self.state.lock().unwrap().refused.contains(&at) {
                stream.write_all(&error(403, "AccessDenied").bytes()).await.ok()?;
                continue;
            }
            let fault = self.choose(&request);
            let reply = match fault {
                Fault::None => self.apply(&request),
                Fault::Status(status, code) => error(status, code),
                Fault::Raw(bytes) => {
                    stream.write_all(&bytes).await.ok()?;
                    continue;
                }
                Fault::Reset => return None,
                Fault::Hang => std::future::pending().await,
                Fault::ApplyThenReset => {
                    self.apply(&request);
                    return None;
                }
                Fault::ApplyThenStatus(status) => {
                    self.apply(&request);
                    error(status, "InternalError")
                }
                Fault::ApplyThenOvertakenThenReset(bytes) => {
                    self.apply(&request);
                    self.state.lock().unwrap().objects.insert(request.key, bytes.to_vec());
                    return None;
                }
                Fault::ApplyLate => {
                    self.state.lock().unwrap().late = Some((request.key, request.body));
                    return None;
                }
                Fault::ApplyThenHang => {
                    self.apply(&request);
                    std::future::pending().await
                }
                Fault::HalfBody => {
                    let mut bytes = self.apply(&request).bytes();
                    bytes.truncate(bytes.len() - 1);
                    stream.write_all(&bytes).await.ok()?;
                    return None;
                }
                Fault::ShortBody => {
                    let mut reply = self.apply(&request);
                    reply.body.truncate(reply.body.len() / 2);
                    reply
                }
                Fault::Stale => self.state.lock().unwrap().get_older(&request),
                Fault::Twice => {
                    self.apply(&request);
                    self.apply(&request)
                }
                Fault::TwiceLate(after) => {
                    let reply = self.apply(&request);
                    self.apply_later(request, after);
                    reply
                }
                Fault::Late(after) => {
                    self.apply_later(request, after);
                    std::future::pending().await
                }
                Fault::WrongTag => self.apply(&request).with_tag("\"0123456789abcdef\""),
                Fault::Throttle(status, seconds) => {
                    let mut reply = error(status, "SlowDown");
                    reply.headers.push(format!("Retry-After: {seconds}"));
                    reply
                }
            };
            self.gate(&(format!("answer to {}", at.0), at.1)).await;
            stream.write_all(&reply.bytes()).await.ok()?;
        }
    }

    fn choose(&self, request: &Request) -> Fault {
        let mut state = self.state.lock().unwrap();
        let chooser = &mut state.chooser;
        let chosen = chooser.as_mut().map_or(Fault::None, |choose| choose(request));
        state.script.pop_front().unwrap_or(chosen)
    }

    /// Applies a request some time later, whatever its client does meanwhile.
    fn apply_later(&self, request: Request, after: Duration) {
        self.state.lock().unwrap().underway += 1;
        let server = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            server.apply(&request);
            server.state.lock().unwrap().underway -= 1;
            server.changed.notify_waiters();
        });
    }

    /// Waits until nothing is to be applied any more.
    pub(crate) async fn wait_applied(&self) {
        loop {
            let changed = self.changed.notified();
            if self.state.lock().unwrap().underway == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Starts a server that holds these objects.
    pub(crate) async fn start_with(objects: BTreeMap<String, Vec<u8>>) -> Self {
        let fake = Self::start().await;
        fake.state.lock().unwrap().objects = objects;
        fake
    }

    fn apply(&self, r: &Request) -> Reply {
        let mut state = self.state.lock().unwrap();
        match r.method.as_str() {
            "PUT" if r.query.contains("partNumber=") => {
                let number = query_value(&r.query, "partNumber").parse().unwrap();
                let Some(parts) = state.uploads.get_mut(query_value(&r.query, "uploadId")) else {
                    return error(404, "NoSuchUpload");
                };
                parts.insert(number, r.body.clone());
                Reply::new(200, vec![format!("ETag: {}", etag(&r.body))], Vec::new())
            }
            "PUT" => state.put(r),
            "POST" if r.query.contains("uploads") => {
                state.uploads_begun += 1;
                let id = format!("u{}", state.uploads_begun);
                state.uploads.insert(id.clone(), BTreeMap::new());
                xml(&format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                ))
            }
            "POST" => state.complete(r),
            "GET" if r.query.contains("list-type=2") => state.list(&r.query),
            "GET" | "HEAD" => state.get(r),
            "DELETE" if r.query.contains("uploadId=") => {
                state.uploads.remove(query_value(&r.query, "uploadId"));
                Reply::new(204, Vec::new(), Vec::new())
            }
            "DELETE" => {
                state.objects.remove(&r.key);
                Reply::new(204, Vec::new(), Vec::new())
            }
            _ => error(405, "MethodNotAllowed"),
        }
    }
}

impl State {
    fn put(&mut self, r: &Request) -> Reply {
        if let Some((key, body)) = self.late.take() {
            self.objects.insert(key, body);
        }
        let current = self.objects.get(&r.key).map(|b| etag(b));
        if r.headers.contains_key("if-none-match")
            && !self.ignore_if_none_match
            && current.is_some()
        {
            return error(412, "PreconditionFailed");
        }
        if let (Some(wanted), false) = (r.headers.get("if-match"), self.ignore_if_match) {
            match &current {
                None => return error(404, "NoSuchKey"),
                Some(current) if current != wanted => return error(412, "PreconditionFailed"),
                Some(_) => {}
            }
        }
        let older = self.objects.insert(r.key.clone(), r.body.clone());
        self.older.insert(r.key.clone(), older);
        Reply::new(200, vec![format!("ETag: {}", etag(&r.body))], Vec::new())
    }

    /// Answers a read as it would have been answered before the last write.
    fn get_older(&mut self, r: &Request) -> Reply {
        let Some(older) = self.older.get(&r.key).cloned() else { return self.get(r) };
        let now = self.objects.remove(&r.key);
        self.objects.extend(older.map(|bytes| (r.key.clone(), bytes)));
        let reply = self.get(r);
        self.objects.remove(&r.key);
        self.objects.extend(now.map(|bytes| (r.key.clone(), bytes)));
        reply
    }

    fn get(&self, r: &Request) -> Reply {
        let Some(bytes) = self.objects.get(&r.key) else { return error(404, "NoSuchKey") };
        let tag = etag(bytes);
        if r.headers.get("if-none-match") == Some(&tag) {
            return Reply::new(304, vec![format!("ETag: {tag}")], Vec::new());
        }
        let mut headers = vec![format!("ETag: {tag}")];
        let mut body = bytes.clone();
        let mut status = 200;
        if let Some(range) = r.headers.get("range") {
            let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            if from >= bytes.len() {
                return error(416, "InvalidRange");
            }
            let to = to.min(bytes.len() - 1);
            headers.push(format!("Content-Range: bytes {from}-{to}/{}", bytes.len()));
            body = bytes[from..=to].to_vec();
            status = 206;
        }
        Reply { with_body: r.method == "GET", ..Reply::new(status, headers, body) }
    }

    fn list(&self, query: &str) -> Reply {
        let prefix = query_value(query, "prefix").replace("%2F", "/");
        let after = query_value(query, "continuation-token").replace("%2F", "/");
        let mut found = self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && key.as_str() > after.as_str());
        let page: Vec<_> = found.by_ref().take(self.list_page_len).collect();
        let more = found.next().is_some();
        let lines: Vec<_> = page
            .iter()
            .map(|(key, bytes)| {
                format!(
                    "<Contents><Key>{key}</Key><Size>{}</Size><ETag>{}</ETag>\
                     <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>",
                    bytes.len(),
                    etag(bytes).replace('"', "&quot;")
                )
            })
            .collect();
        let next = match page.last() {
            Some((key, _)) if more => {
                format!("<NextContinuationToken>{key}</NextContinuationToken>")
            }
            _ => String::new(),
        };
        xml(&format!(
            "<ListBucketResult><IsTruncated>{more}</IsTruncated>{next}{}</ListBucketResult>",
            lines.concat()
        ))
    }

    fn complete(&mut self, r: &Request) -> Reply {
        let Some(parts) = self.uploads.remove(query_value(&r.query, "uploadId")) else {
            return error(404, "NoSuchUpload");
        };
        let bytes: Vec<u8> = parts.into_values().flatten().collect();
        let tag = etag(&bytes);
        self.objects.insert(r.key.clone(), bytes);
        xml(&format!(
            "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        ))
    }
}

/// Opens the bucket `bucket` at `endpoint`, with short waits.
pub(crate) async fn open(endpoint: &str, request_timeout: Duration) -> Bucket {
    let vars = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let vars = vars.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter();
    let mut options = StoreOptions::from_vars(vars);
    options.endpoint = Some(endpoint.to_owned());
    options.request_timeout = request_timeout;
    options.retry_wait = Duration::from_millis(2);
    options.tries = 4;
    let location: Location = "s3://bucket".parse().unwrap();
    Bucket::open(&location, &options).await.unwrap()
}
