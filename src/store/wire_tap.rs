//! Looks at every HTTP exchange of `object_store`: counts requests, and turns answers that say no
//! into typed errors before they become text. Bodies of refusals and listings are bounded here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};

use super::backend::Counters;
use super::fault::{Asked, Refusal, Unreached};

/// The longest body of an error answer that is read, in bytes.
const REFUSAL_LEN_MAX_BYTES: usize = 16 << 10;

/// The longest page of a listing, in bytes: 1,000 keys of 1 KiB, with room for escapes.
const LIST_PAGE_LEN_MAX_BYTES: usize = 16 << 20;

/// Makes clients that are looked at.
#[derive(Debug)]
pub(super) struct TapConnector {
    pub(super) counters: Arc<Counters>,
    /// Hosts, beside the well-known ones, that are asked for credentials.
    pub(super) credential_hosts: Arc<[String]>,
}

impl HttpConnector for TapConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Tap {
            inner,
            counters: self.counters.clone(),
            credential_hosts: self.credential_hosts.clone(),
        }))
    }
}

#[derive(Debug)]
struct Tap {
    inner: HttpClient,
    counters: Arc<Counters>,
    credential_hosts: Arc<[String]>,
}

/// A page of a listing that is longer than any store sends.
#[derive(Debug)]
struct PageTooLong;

impl fmt::Display for PageTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the page of the listing is too long")
    }
}

impl std::error::Error for PageTooLong {}

#[async_trait]
impl HttpService for Tap {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let (is_list, is_batch) = (is_list(&request), is_batch(&request));
        let for_credentials = is_credential_host(&host)
            || self.credential_hosts.contains(&host)
            || is_exchange(&request);
        if !for_credentials {
            self.count(&request, is_list);
        }
        let asked = Asked { host, for_credentials };
        let response = match self.inner.execute(request).await {
            Ok(response) => response,
            Err(e) => return Err(HttpError::new(e.kind(), Unreached::new(asked, &e))),
        };
        let status = response.status().as_u16();
        match status {
            200..=299 if is_list => bounded_page(response).await,
            200..=299 if is_batch => batch_answer(asked, response).await,
            200..=299 | 304 | 412 => Ok(response),
            _ => refused(asked, status, response).await,
        }
    }
}

impl Tap {
    fn count(&self, request: &HttpRequest, is_list: bool) {
        let c = &self.counters;
        Counters::count(match request.method().as_str() {
            "GET" if is_list => &c.list,
            "GET" if request.headers().contains_key("range") => &c.get_range,
            "GET" => &c.get,
            "HEAD" => &c.head,
            "DELETE" => &c.delete,
            "POST" if is_batch(request) => &c.delete,
            _ => &c.put,
        });
    }
}

fn is_list(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method().as_str() == "GET"
        && query.split('&').any(|q| q == "list-type=2" || q == "comp=list")
}

/// Returns whether this is Azure's way to remove objects: a request that carries requests. Here it
/// carries one.
fn is_batch(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method().as_str() == "POST" && query.split('&').any(|q| q == "comp=batch")
}

/// Returns whether requests to `host` are for credentials, not for the bucket.
fn is_credential_host(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or_default();
    name.starts_with("169.254.")
        || name.starts_with("sts.")
        || name == "metadata.google.internal"
        || name == "oauth2.googleapis.com"
        || name.starts_with("login.microsoftonline.")
}

/// Returns whether this exchanges a token for keys: many servers do that where the bucket is.
fn is_exchange(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method().as_str() == "POST" && query.starts_with("Action=AssumeRole")
}

/// Reads at most `limit` bytes; the flag says whether that was all.
async fn read_some(body: HttpResponseBody, limit: usize) -> Result<(Bytes, bool), HttpError> {
    let mut chunks = body.bytes_stream();
    let mut read = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if read.len() + chunk.len() > limit {
            let room = limit - read.len();
            read.extend_from_slice(&chunk[..room]);
            return Ok((read.freeze(), false));
        }
        read.extend_from_slice(&chunk);
    }
    Ok((read.freeze(), true))
}

async fn bounded_page(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (parts, body) = response.into_parts();
    match read_some(body, LIST_PAGE_LEN_MAX_BYTES).await? {
        (page, true) => Ok(HttpResponse::from_parts(parts, page.into())),
        (_, false) => Err(HttpError::new(HttpErrorKind::Decode, PageTooLong)),
    }
}

/// Takes the answer out of the answer: the one request that a batch carried may be refused.
async fn batch_answer(asked: Asked, response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (parts, body) = response.into_parts();
    let (text, _) = read_some(body, REFUSAL_LEN_MAX_BYTES).await?;
    if let Some((status, code)) = carried(&String::from_utf8_lossy(&text)) {
        let refusal = Refusal { asked, status, code, region: None, wait: None, date: None };
        if !refusal.is_about_the_object() {
            return Err(HttpError::new(HttpErrorKind::Unknown, refusal));
        }
    }
    Ok(HttpResponse::from_parts(parts, text.into()))
}

/// Returns status and error code of the answer that a batch carries, when it says no.
fn carried(text: &str) -> Option<(u16, Option<String>)> {
    let answer = text.split_once("\nHTTP/1.1 ")?.1;
    let status = answer.get(..3)?.parse().ok().filter(|status| *status >= 400)?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-ms-error-code").then(|| value.trim().to_owned())
    };
    let code = answer.lines().skip(1).take_while(|line| !line.is_empty()).find_map(header);
    Some((status, code.filter(|code| is_word(code))))
}

async fn refused(
    asked: Asked,
    status: u16,
    response: HttpResponse,
) -> Result<HttpResponse, HttpError> {
    let header =
        |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let region = header("x-amz-bucket-region");
    let wait = header("retry-after").and_then(|s| s.parse().ok()).map(Duration::from_secs);
    let header_code = header("x-ms-error-code");
    let date = header("date").filter(|date| is_date(date));
    let (parts, body) = response.into_parts();
    // The status decides; a body that breaks off only takes the code away.
    let text =
        read_some(body, REFUSAL_LEN_MAX_BYTES).await.map(|(text, _)| text).unwrap_or_default();
    let shown = String::from_utf8_lossy(&text);
    let code = element(&shown, "Code").or(header_code);
    let region = region.or_else(|| element(&shown, "Region"));
    let refusal = Refusal { asked, status, code, region, wait, date };
    if refusal.is_about_the_object() {
        return Ok(HttpResponse::from_parts(parts, text.into()));
    }
    Err(HttpError::new(HttpErrorKind::Unknown, refusal))
}

/// Returns the text of `<name>…</name>` when it is a plain word.
fn element(xml: &str, name: &str) -> Option<String> {
    let from = xml.split_once(&format!("<{name}>"))?.1;
    let text = from.split_once("</")?.0.trim();
    is_word(text).then(|| text.to_owned())
}

/// Returns whether `text` may be shown: letters, digits and a few signs, not many.
fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// Returns whether `text` is like `Mon, 23 Nov 2026 06:00:00 GMT`.
fn is_date(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b',' | b':' | b'-');
    text.len() <= 40 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_or_nothing() {
        let xml =
            "<?xml?><Error><Code>NoSuchKey</Code><Region>eu-west-1</Region><X>a b</X></Error>";
        assert_eq!(element(xml, "Code").as_deref(), Some("NoSuchKey"));
        assert_eq!(element(xml, "Region").as_deref(), Some("eu-west-1"));
        assert_eq!(element(xml, "X"), None);
        assert_eq!(element("<Code>", "Code"), None);
        assert_eq!(element("<Code></Code>", "Code"), None);
        assert_eq!(element(&format!("<Code>{}</Code>", "x".repeat(65)), "Code"), None);
    }

    #[test]
    fn a_batch_is_refused_as_the_request_that_it_carries() {
        let answer = |status: &str, header: &str| {
            format!(
                "--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\n\
                 HTTP/1.1 {status}\r\n{header}\r\nServer: x\r\n\r\nbody\r\n--b--\r\n"
            )
        };
        assert_eq!(carried(&answer("202 Accepted", "x-ms-version: 1")), None);
        let busy = Some((503, Some("ServerBusy".to_owned())));
        assert_eq!(carried(&answer("503 Busy", "X-Ms-Error-Code: ServerBusy")), busy);
        assert_eq!(carried(&answer("403 No", "x-ms-error-code: <b>")), Some((403, None)));
        assert_eq!(carried(&answer("404 Gone", "a: b")), Some((404, None)));
        for no_answer in
            ["", "HTTP/1.1 503", "\nHTTP/1.1 ", "\nHTTP/1.1 5", "\nHTTP/1.1 \u{e4}\u{e4}"]
        {
            assert_eq!(carried(no_answer), None, "{no_answer}");
        }
    }

    #[test]
    fn credential_hosts_are_not_the_bucket() {
        assert!(is_credential_host("169.254.169.254"));
        assert!(is_credential_host("sts.eu-west-1.amazonaws.com"));
        assert!(!is_credential_host("127.0.0.1:8333"));
        assert!(!is_credential_host("b.s3.eu-west-1.amazonaws.com"));
    }
}
