//! Just enough HTTP for a server in the test process.
#![allow(dead_code, reason = "every test binary uses another part")]

use std::collections::BTreeMap;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

pub(crate) struct Request {
    pub(crate) method: String,
    /// What stands between the host and the question mark.
    pub(crate) path: String,
    /// The path without the name of the bucket `bucket`.
    pub(crate) key: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) with_body: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, headers: Vec<String>, body: Vec<u8>) -> Self {
        Self { status, headers, body, with_body: true }
    }

    /// Replaces the entity tag of the answer, if it has one.
    pub(crate) fn with_tag(mut self, tag: &str) -> Self {
        for header in self.headers.iter_mut().filter(|h| h.starts_with("ETag: ")) {
            *header = format!("ETag: {tag}");
        }
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        for header in &self.headers {
            head.extend([header.as_str(), "\r\n"]);
        }
        if !matches!(self.status, 204 | 304) {
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

pub(crate) fn xml(text: &str) -> Reply {
    Reply::new(200, vec!["Content-Type: application/xml".to_owned()], text.as_bytes().to_vec())
}

pub(crate) fn error(status: u16, code: &str) -> Reply {
    let body = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    Reply::new(status, Vec::new(), body.into_bytes())
}

pub(crate) fn query_value<'a>(query: &'a str, name: &str) -> &'a str {
    query.split('&').find_map(|q| q.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
}

pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<Request> {
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
    Some(Request { method, path: path.to_owned(), key, query: query.to_owned(), headers, body })
}
