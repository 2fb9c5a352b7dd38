//! What the failure of a request to a cloud means: its kind, its text, and whether to try again.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use super::backend::{Fault, Outcome};
use crate::error::{Error, Kind};

/// Who was asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) host: String,
    /// Whether the request was for credentials, not for the bucket.
    pub(super) for_credentials: bool,
}

impl Asked {
    /// Returns whether the service was asked that a machine in a cloud has, and others do not.
    fn is_machine(&self) -> bool {
        self.for_credentials
            && (self.host.starts_with("169.254.") || self.host.starts_with("metadata."))
    }
}

/// An answer of a server that says no.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) asked: Asked,
    pub(super) status: u16,
    /// The error code of the store's protocol, as in `NoSuchBucket`.
    pub(super) code: Option<String>,
    /// The region in which the bucket is, when the store says so.
    pub(super) region: Option<String>,
    /// How long the store asks to wait.
    pub(super) wait: Option<Duration>,
    /// What the store's clock says.
    pub(super) date: Option<String>,
}

impl Refusal {
    fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// Returns whether the answer is about one object (absent, exists), which is not a failure.
    pub(super) fn is_about_the_object(&self) -> bool {
        match self.status {
            404 => !self.is(&["NoSuchBucket", "ContainerNotFound", "NoSuchUpload"]),
            409 => self.is(&["BlobAlreadyExists"]),
            _ => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {}", self.asked.host, self.status)?;
        if let Some(code) = &self.code { write!(f, " {code}") } else { Ok(()) }
    }
}

impl StdError for Refusal {}

/// A request that got no answer.
#[derive(Debug)]
pub(super) struct Unreached {
    asked: Asked,
    kind: HttpErrorKind,
    cause: String,
}

impl Unreached {
    pub(super) fn new(asked: Asked, error: &HttpError) -> Self {
        Self { asked, kind: error.kind(), cause: innermost(error) }
    }
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.asked.host, self.cause)
    }
}

impl StdError for Unreached {}

/// Returns the text at the end of the chain: the cause itself, without URLs and without what a
/// request carried.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What `object_store` says when the exchange of a token for keys fails beside the network.
const TOKEN_FAULTS: [&str; 2] = ["token file", "AssumeRoleWithWebIdentity"];

/// Says what `error` means for the bucket shown as `site`.
pub(super) fn classify(error: &object_store::Error, site: &str) -> Fault {
    if let Some(refusal) = find::<Refusal>(error) {
        return refused(refusal, site);
    }
    if let Some(unreached) = find::<Unreached>(error) {
        return not_reached(unreached, site);
    }
    if let Some(http) = find::<HttpError>(error) {
        let told = Error::new(Kind::Unavailable, format!("the answer of {site} broke off"));
        let told = told.because(innermost(http));
        return Fault { error: told, outcome: Outcome::Unknown, wait: None };
    }
    let cause = innermost(error);
    if TOKEN_FAULTS.iter().any(|text| cause.contains(text)) {
        return no_credentials(&cause, site);
    }
    let told =
        Error::new(Kind::Unsupported, format!("{site} answers in a way that is not understood"));
    told.because(cause).into()
}

/// The fault of a request that got no answer in time.
pub(super) fn timed_out(site: &str, after: Duration) -> Fault {
    let error = Error::new(Kind::Unavailable, format!("{site} did not answer"))
        .because(format!("no answer within {:.1} s", after.as_secs_f64()));
    Fault { error, outcome: Outcome::Unknown, wait: None }
}

fn not_reached(unreached: &Unreached, site: &str) -> Fault {
    // A machine without a metadata service does not answer there; any other issuer of keys should.
    if unreached.asked.is_machine() {
        return no_credentials(unreached, site);
    }
    if unreached.cause.contains("certificate") {
        let who = if unreached.asked.for_credentials { "what issues its keys" } else { site };
        return Error::new(Kind::Unavailable, format!("the certificate of {who} is not trusted"))
            .because(unreached)
            .hint("set AWS_CA_BUNDLE to the certificates of the authority that signed it")
            .into();
    }
    let outcome = match unreached.kind {
        _ if unreached.asked.for_credentials => Outcome::NotApplied,
        HttpErrorKind::Connect => Outcome::NotApplied,
        _ => Outcome::Unknown,
    };
    let error = Error::new(Kind::Unavailable, format!("cannot reach {site}"))
        .because(unreached)
        .hint(format!("check the network and the endpoint ({})", said_by(site).endpoint));
    Fault { error, outcome, wait: None }
}

fn no_credentials(why: &dyn fmt::Display, site: &str) -> Fault {
    let error = Error::new(Kind::Denied, format!("there are no credentials for {site}"))
        .because(format!("none are set, and none are to be had: {why}"));
    error.hint(format!("set {}", said_by(site).credentials)).into()
}

/// What a person sets to reach a cloud.
struct SaidBy {
    credentials: &'static str,
    endpoint: &'static str,
    checked: &'static str,
}

/// Returns what is set for the cloud of the bucket shown as `site`.
fn said_by(site: &str) -> SaidBy {
    match site.split_once("://") {
        Some(("az", _)) => SaidBy {
            credentials: "AZURE_STORAGE_ACCOUNT_KEY, or the AZURE_ variables of a client secret",
            endpoint: "AZURE_STORAGE_ENDPOINT",
            checked: "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        },
        Some(("gs", _)) => SaidBy {
            credentials: "GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
            endpoint: "GOOGLE_BASE_URL",
            checked: "the service account in GOOGLE_APPLICATION_CREDENTIALS",
        },
        _ => SaidBy {
            credentials: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
            endpoint: "AWS_ENDPOINT_URL",
            checked: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile",
        },
    }
}

fn refused(refusal: &Refusal, site: &str) -> Fault {
    if refusal.asked.for_credentials && !matches!(refusal.status, 408 | 429 | 500..=599) {
        return no_credentials(refusal, site);
    }
    if refusal.asked.for_credentials {
        let error = Error::new(Kind::Unavailable, format!("no credentials for {site} for now"));
        let (error, wait) = (error.because(refusal), refusal.wait);
        return Fault { error, outcome: Outcome::NotApplied, wait };
    }
    let outcome = match refusal.status {
        429 => Outcome::NotApplied,
        409 if refusal.is(&["ConditionalRequestConflict", "OperationAborted"]) => {
            Outcome::NotApplied
        }
        400 if refusal.is(&["RequestTimeout"]) => Outcome::Unknown,
        501 | 507 => Outcome::Final,
        408 | 500..=599 => Outcome::Unknown,
        _ => Outcome::Final,
    };
    Fault { error: refusal_text(refusal, site), outcome, wait: refusal.wait }
}

fn refusal_text(refusal: &Refusal, site: &str) -> Error {
    let r = refusal;
    let told = |kind, what: String| Error::new(kind, what).because(refusal);
    if r.status == 507 || r.is(&["QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"]) {
        return told(Kind::NoSpace, format!("{site} is full"));
    }
    if r.is(&["NoSuchBucket", "ContainerNotFound"]) {
        return told(Kind::NotFound, format!("{site} does not exist"))
            .hint("check the name and the endpoint; chartfs does not create buckets");
    }
    if r.status == 301
        || r.is(&[
            "AuthorizationHeaderMalformed",
            "PermanentRedirect",
            "IllegalLocationConstraintException",
        ])
    {
        let hint = match &r.region {
            Some(region) => format!("the bucket is in {region}: set AWS_REGION={region}"),
            None => "set AWS_REGION to the region in which the bucket was created".to_owned(),
        };
        return told(Kind::Usage, format!("{site} is in another region")).hint(hint);
    }
    if r.is(&["RequestTimeTooSkewed"]) {
        // Nothing is denied to anybody: what is to be saved waits for the clock.
        let date = r.date.as_deref().unwrap_or("another time");
        return told(Kind::Unavailable, format!("the clock of this machine is not that of {site}"))
            .because(format!("{refusal}; its clock says {date}"))
            .hint("set the clock of this machine");
    }
    if r.is(&["ExpiredToken", "TokenRefreshRequired", "ExpiredTokenException"]) {
        return told(Kind::Denied, format!("the credentials for {site} are past their time"))
            .hint("get new temporary credentials and export them again");
    }
    if r.is(&[
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "InvalidToken",
        "AuthenticationFailed",
        "InvalidClientTokenId",
        "AuthorizationFailure",
    ]) || r.status == 401
    {
        return told(Kind::Denied, format!("{site} does not accept the credentials"))
            .hint(format!("check {}", said_by(site).checked));
    }
    if r.status == 403 {
        return told(Kind::Denied, format!("{site} denies access")).hint(
            "check the keys, and that they may get, put, list and delete objects in this bucket",
        );
    }
    if r.is(&["NoSuchUpload"]) {
        return told(Kind::Unavailable, format!("{site} gave up what was being sent"));
    }
    match r.status {
        408 | 429 | 500..=599 if r.status != 501 => {
            told(Kind::Unavailable, format!("{site} refuses for now"))
        }
        416 => told(Kind::Integrity, "the object is shorter than the record says".to_owned()),
        _ => told(Kind::Unsupported, format!("{site} refused the request")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str) -> Refusal {
        let code = (!code.is_empty()).then(|| code.to_owned());
        let asked = Asked { host: "h".into(), for_credentials: false };
        Refusal { asked, status, code, region: None, wait: None, date: None }
    }

    fn fault(status: u16, code: &str) -> (Kind, Outcome) {
        let f = refused(&refusal(status, code), "s3://b");
        (f.error.kind(), f.outcome)
    }

    #[test]
    fn refusals_have_the_kind_that_a_person_can_act_on() {
        assert_eq!(fault(403, "SignatureDoesNotMatch"), (Kind::Denied, Outcome::Final));
        assert_eq!(fault(403, ""), (Kind::Denied, Outcome::Final));
        assert_eq!(fault(401, ""), (Kind::Denied, Outcome::Final));
        assert_eq!(fault(404, "NoSuchBucket"), (Kind::NotFound, Outcome::Final));
        assert_eq!(fault(301, "PermanentRedirect"), (Kind::Usage, Outcome::Final));
        assert_eq!(fault(400, "AuthorizationHeaderMalformed"), (Kind::Usage, Outcome::Final));
        assert_eq!(fault(507, ""), (Kind::NoSpace, Outcome::Final));
        assert_eq!(fault(416, ""), (Kind::Integrity, Outcome::Final));
        assert_eq!(fault(501, "NotImplemented"), (Kind::Unsupported, Outcome::Final));
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_lost_answers_are_told_apart() {
        assert_eq!(fault(429, "SlowDown"), (Kind::Unavailable, Outcome::NotApplied));
        assert_eq!(fault(503, "SlowDown"), (Kind::Unavailable, Outcome::Unknown));
        assert_eq!(fault(500, ""), (Kind::Unavailable, Outcome::Unknown));
        assert_eq!(fault(409, "ConditionalRequestConflict").1, Outcome::NotApplied);
    }

    #[test]
    fn answers_about_one_object_are_not_failures() {
        assert!(refusal(404, "NoSuchKey").is_about_the_object());
        assert!(refusal(404, "").is_about_the_object());
        assert!(!refusal(404, "NoSuchBucket").is_about_the_object());
        assert!(refusal(409, "BlobAlreadyExists").is_about_the_object());
        assert!(!refusal(409, "ConditionalRequestConflict").is_about_the_object());
        assert!(!refusal(403, "").is_about_the_object());
    }

    #[test]
    fn the_region_that_the_store_names_is_the_hint() {
        let r = Refusal { region: Some("eu-west-3".into()), ..refusal(301, "PermanentRedirect") };
        assert_eq!(
            refusal_text(&r, "s3://b").try_this(),
            Some("the bucket is in eu-west-3: set AWS_REGION=eu-west-3")
        );
    }
}
