//! Google Cloud Storage's XML protocol in the test process, as far as a bucket needs it: no server
//! that can be installed from a package registry keeps the conditions of this protocol. Strict:
//! what Google would not understand is refused, so that a condition cannot get lost on the way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::base64;
use crate::http::{Reply, Request, error, query_value, read_request, xml};

/// The longest page of a listing.
const PAGE_LEN_MAX: usize = 1000;

/// The least length of a part that is not the last, in bytes.
const PART_LEN_MIN_BYTES: usize = 5 << 20;

struct Object {
    bytes: Vec<u8>,
    generation: u64,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    /// Parts by name and number of the upload.
    uploads: BTreeMap<(String, String), BTreeMap<usize, Vec<u8>>>,
    written: u64,
}

#[derive(Clone)]
pub(crate) struct FakeGcs {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    key: Arc<KeyPair>,
}

impl FakeGcs {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let key = Arc::new(KeyPair::generate(KeySize::Rsa2048).unwrap());
        let fake = Self { state: Arc::default(), address: listener.local_addr().unwrap(), key };
        let server = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file of the service account that may use this server.
    pub(crate) fn service_account(&self) -> String {
        account_of(&self.key)
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let request = read_request(&mut stream).await?;
            let reply = if self.is_signed(&request) {
                self.state.lock().unwrap().answer(&request)
            } else {
                error(401, "AuthenticationRequired")
            };
            stream.write_all(&reply.bytes()).await.ok()?;
        }
    }

    /// Returns whether the bearer token was signed by the service account.
    fn is_signed(&self, r: &Request) -> bool {
        let check = || {
            let token = r.headers.get("authorization")?.strip_prefix("Bearer ")?;
            let (message, signature) = token.rsplit_once('.')?;
            let key = UnparsedPublicKey::new(
                &RSA_PKCS1_2048_8192_SHA256,
                self.key.public_key().as_ref().to_vec(),
            );
            key.verify(message.as_bytes(), &base64::decode_url(signature)?).ok()
        };
        check().is_some()
    }
}

/// A service account that no server knows.
pub(crate) fn unknown_account() -> String {
    account_of(&KeyPair::generate(KeySize::Rsa2048).unwrap())
}

fn account_of(key: &KeyPair) -> String {
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        base64::encode(der.as_ref())
    );
    serde_json::json!({
        "type": "service_account",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "chartfs@test.invalid",
    })
    .to_string()
}

impl State {
    fn answer(&mut self, r: &Request) -> Reply {
        let path = percent_decoded(r.path.trim_start_matches('/'));
        let (bucket, name) = path.split_once('/').unwrap_or((path.as_str(), ""));
        if bucket != "bucket" {
            return error(404, "NoSuchBucket");
        }
        // Google takes no entity tags on writes: a client that sends one would write unconditionally.
        let is_write = r.method != "GET" && r.method != "HEAD";
        if is_write && r.headers.keys().any(|h| h == "if-match" || h == "if-none-match") {
            return error(400, "InvalidArgument");
        }
        match (r.method.as_str(), name) {
            ("GET", "") if r.query.contains("list-type=2") => self.list(&r.query),
            (_, "") => error(405, "MethodNotAllowed"),
            ("GET" | "HEAD", name) => self.get(name, r),
            ("PUT", name) if r.query.contains("uploadId=") => self.put_part(name, r),
            ("PUT", name) => self.put(name, r),
            ("POST", name) if r.query.contains("uploadId=") => self.complete(name, r),
            ("POST", name) if r.query.split('&').any(|q| q == "uploads" || q == "uploads=") => {
                self.begin_upload(name)
            }
            ("DELETE", name) if r.query.contains("uploadId=") => {
                let upload = (name.to_owned(), query_value(&r.query, "uploadId").to_owned());
                let status = if self.uploads.remove(&upload).is_some() { 204 } else { 404 };
                Reply::new(status, Vec::new(), Vec::new())
            }
            ("DELETE", name) if self.objects.remove(name).is_some() => {
                Reply::new(204, Vec::new(), Vec::new())
            }
            ("DELETE", _) => error(404, "NoSuchKey"),
            _ => error(405, "MethodNotAllowed"),
        }
    }

    fn put(&mut self, name: &str, r: &Request) -> Reply {
        if let Some(wanted) = r.headers.get("x-goog-if-generation-match") {
            let Ok(wanted) = wanted.parse::<u64>() else { return error(400, "InvalidArgument") };
            // Generation 0 means that there is no object.
            if self.objects.get(name).map_or(0, |o| o.generation) != wanted {
                return error(412, "PreconditionFailed");
            }
        }
        let headers = self.store(name, r.body.clone());
        Reply::new(200, headers, Vec::new())
    }

    fn store(&mut self, name: &str, bytes: Vec<u8>) -> Vec<String> {
        self.written += 1;
        // As long as Google's, which count microseconds.
        let object = Object { bytes, generation: 1_790_000_000_000_000 + self.written };
        let headers = object.headers();
        self.objects.insert(name.to_owned(), object);
        headers
    }

    fn get(&self, name: &str, r: &Request) -> Reply {
        let Some(object) = self.objects.get(name) else { return error(404, "NoSuchKey") };
        let mut headers = object.headers();
        headers.push("Last-Modified: Mon, 23 Nov 2026 06:00:00 GMT".to_owned());
        if r.headers.get("if-none-match") == Some(&object.etag()) {
            return Reply::new(304, headers, Vec::new());
        }
        let (mut body, mut status) = (object.bytes.clone(), 200);
        if let Some(range) = r.headers.get("range") {
            let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
            let length = object.bytes.len() as u64;
            if from >= length {
                return error(416, "InvalidRange");
            }
            let to = to.min(length - 1);
            headers.push(format!("Content-Range: bytes {from}-{to}/{length}"));
            let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
            body = object.bytes[from..=to].to_vec();
            status = 206;
        }
        Reply { with_body: r.method == "GET", ..Reply::new(status, headers, body) }
    }

    fn list(&self, query: &str) -> Reply {
        let prefix = percent_decoded(query_value(query, "prefix"));
        let after = percent_decoded(query_value(query, "continuation-token"));
        let mut found = self
            .objects
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix) && name.as_str() > after.as_str());
        let page: Vec<_> = found.by_ref().take(PAGE_LEN_MAX).collect();
        let more = found.next().is_some();
        let line = |(name, object): &(&String, &Object)| {
            format!(
                "<Contents><Key>{name}</Key><Generation>{}</Generation><Size>{}</Size>\
                 <ETag>{}</ETag><LastModified>2026-11-23T06:00:00.000Z</LastModified></Contents>",
                object.generation,
                object.bytes.len(),
                object.etag().replace('"', "&quot;")
            )
        };
        let lines: String = page.iter().map(line).collect();
        let next = match page.last() {
            Some((name, _)) if more => {
                format!("<NextContinuationToken>{name}</NextContinuationToken>")
            }
            _ => String::new(),
        };
        xml(&format!(
            "<ListBucketResult><IsTruncated>{more}</IsTruncated>{next}{lines}</ListBucketResult>"
        ))
    }

    fn begin_upload(&mut self, name: &str) -> Reply {
        self.written += 1;
        let id = format!("upload{}", self.written);
        self.uploads.insert((name.to_owned(), id.clone()), BTreeMap::new());
        xml(&format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        ))
    }

    fn put_part(&mut self, name: &str, r: &Request) -> Reply {
        let upload = (name.to_owned(), query_value(&r.query, "uploadId").to_owned());
        let Some(parts) = self.uploads.get_mut(&upload) else {
            return error(404, "NoSuchUpload");
        };
        let number: usize = query_value(&r.query, "partNumber").parse().unwrap();
        let headers = vec![format!("ETag: {}", etag(&r.body))];
        parts.insert(number, r.body.clone());
        Reply::new(200, headers, Vec::new())
    }

    fn complete(&mut self, name: &str, r: &Request) -> Reply {
        let upload = (name.to_owned(), query_value(&r.query, "uploadId").to_owned());
        let Some(parts) = self.uploads.remove(&upload) else { return error(404, "NoSuchUpload") };
        let listed = String::from_utf8(r.body.clone()).unwrap();
        let tags: Vec<_> = listed
            .split("<ETag>")
            .skip(1)
            .map(|t| t.split("</").next().unwrap().replace("&quot;", "\""))
            .collect();
        if tags != parts.values().map(|p| etag(p)).collect::<Vec<_>>() {
            return error(400, "InvalidPart");
        }
        let last = parts.keys().next_back().copied();
        if parts.iter().any(|(n, p)| Some(*n) != last && p.len() < PART_LEN_MIN_BYTES) {
            return error(400, "EntityTooSmall");
        }
        let headers = self.store(name, parts.into_values().flatten().collect());
        let tag = self.objects[name].etag();
        let mut reply = xml(&format!(
            "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        ));
        reply.headers.extend(headers);
        reply
    }
}

impl Object {
    /// Like Google's, a tag of the bytes: the same bytes have the same tag in every generation.
    fn etag(&self) -> String {
        etag(&self.bytes)
    }

    fn headers(&self) -> Vec<String> {
        vec![
            format!("ETag: {}", self.etag()),
            format!("x-goog-generation: {}", self.generation),
            "x-goog-metageneration: 1".to_owned(),
        ]
    }
}

fn etag(bytes: &[u8]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if let (b'%', [high, low, after @ ..]) = (first, after) {
            let digits = [*high, *low];
            let hex = std::str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}
