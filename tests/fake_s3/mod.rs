//! A small S3 server in the test process that can be told to fail: it keeps objects in memory,
//! honours conditions (or not), and takes one line of a script for each request.
#![allow(dead_code, reason = "every test binary uses another part")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chartfs::store::{Bucket, Location, StoreOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
    /// Answered with half of the body.
    HalfBody,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    pub(crate) script: VecDeque<Fault>,
    pub(crate) ignore_if_none_match: bool,
    pub(crate) ignore_if_match: bool,
    pub(crate) list_page_len: usize,
    late: Option<(String, Vec<u8>)>,
    /// Requests that are kept waiting, by method and key, and how many wait.
    held: BTreeSet<(String, String)>,
    waiting: usize,
    /// Requests that are answered with 403, by method and key.
    refused: BTreeSet<(String, String)>,
    uploads: BTreeMap<usize, Vec<u8>>,
}

#[derive(Clone)]
pub(crate) struct FakeS3 {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) address: SocketAddr,
    changed: Arc<tokio::sync::Notify>,
}

struct Request {
    method: String,
    key: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Reply {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    with_body: bool,
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
            if self.state.lock().unwrap().refused.contains(&at) {
                stream.write_all(&error(403, "AccessDenied").bytes()).await.ok()?;
                continue;
            }
            let fault = {
                let mut state = self.state.lock().unwrap();
                state.script.pop_front().unwrap_or(Fault::None)
            };
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
                Fault::HalfBody => {
                    let mut bytes = self.apply(&request).bytes();
                    bytes.truncate(bytes.len() - 1);
                    stream.write_all(&bytes).await.ok()?;
                    return None;
                }
            };
            self.gate(&(format!("answer to {}", at.0), at.1)).await;
            stream.write_all(&reply.bytes()).await.ok()?;
        }
    }

    fn apply(&self, r: &Request) -> Reply {
        let mut state = self.state.lock().unwrap();
        match r.method.as_str() {
            "PUT" if r.query.contains("partNumber=") => {
                let number = query_value(&r.query, "partNumber").parse().unwrap();
                state.uploads.insert(number, r.body.clone());
                Reply::new(200, vec![format!("ETag: {}", etag(&r.body))], Vec::new())
            }
            "PUT" => state.put(r),
            "POST" if r.query.contains("uploads") => xml(
                "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
            ),
            "POST" => state.complete(r),
            "GET" if r.query.contains("list-type=2") => state.list(&r.query),
            "GET" | "HEAD" => state.get(r),
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
        self.objects.insert(r.key.clone(), r.body.clone());
        Reply::new(200, vec![format!("ETag: {}", etag(&r.body))], Vec::new())
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
        if self.uploads.is_empty() {
            return error(404, "NoSuchUpload");
        }
        let bytes: Vec<u8> = std::mem::take(&mut self.uploads).into_values().flatten().collect();
        let tag = etag(&bytes);
        self.objects.insert(r.key.clone(), bytes);
        xml(&format!(
            "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        ))
    }
}

impl Reply {
    fn new(status: u16, headers: Vec<String>, body: Vec<u8>) -> Self {
        Self { status, headers, body, with_body: true }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        for header in &self.headers {
            head.extend([header.as_str(), "\r\n"]);
        }
        if self.status != 304 {
            let length = format!("Content-Length: {}\r\n", self.body.len());
            head.push_str(&length);
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if self.with_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

fn xml(text: &str) -> Reply {
    Reply::new(200, vec!["Content-Type: application/xml".to_owned()], text.as_bytes().to_vec())
}

fn error(status: u16, code: &str) -> Reply {
    let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    Reply::new(status, Vec::new(), body.into_bytes())
}

fn query_value<'a>(query: &'a str, name: &str) -> &'a str {
    query.split('&').find_map(|q| q.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(at) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(read[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: BTreeMap<_, _> = lines
        .filter_map(|l| l.split_once(": "))
        .map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |l| l.parse().unwrap());
    let mut body = read[end + 4..].to_vec();
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let key = path.trim_start_matches("/bucket").trim_start_matches('/').to_owned();
    Some(Request { method, key, query: query.to_owned(), headers, body })
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
