//! The table: kinds of requests, and what may befall them.

use std::time::Duration;

use crate::fake_s3::Fault;
use crate::fake_s3::http::Request;
use crate::matrix::Numbers;

/// How long a request may take while it may go unanswered.
pub(crate) const PATIENCE: Duration = Duration::from_millis(400);

pub(crate) const KINDS: [&str; 11] = [
    "get",
    "get if changed",
    "get range",
    "create",
    "update",
    "put",
    "begin parts",
    "put part",
    "join parts",
    "list",
    "delete",
];

pub(crate) const FAULTS: [&str; 19] = [
    "time-out before",
    "time-out after",
    "500",
    "500 after",
    "503",
    "429",
    "409",
    "412",
    "reset before",
    "reset after",
    "reset mid-body",
    "short body",
    "stale read",
    "wrong tag",
    "duplicate",
    "late duplicate",
    "delayed",
    "skewed clock",
    "full bucket",
];

/// Says which kind a request is of.
pub(crate) fn kind_of(r: &Request) -> &'static str {
    let has = |header: &str| r.headers.contains_key(header);
    match r.method.as_str() {
        "GET" if r.query.contains("list-type=2") => "list",
        "GET" if has("range") => "get range",
        "GET" if has("if-none-match") => "get if changed",
        "GET" => "get",
        "PUT" if r.query.contains("partNumber=") => "put part",
        "PUT" if has("if-none-match") => "create",
        "PUT" if has("if-match") => "update",
        "PUT" => "put",
        "POST" if r.query.contains("uploadId=") => "join parts",
        "POST" => "begin parts",
        "DELETE" if r.query.contains("uploadId=") => "drop parts",
        "DELETE" => "delete",
        _ => "head",
    }
}

/// Says whether a fault can befall a kind of request.
pub(crate) fn applies(kind: &str, fault: &str) -> bool {
    let is_read = kind.starts_with("get");
    match fault {
        "stale read" => is_read,
        "wrong tag" => !matches!(kind, "list" | "delete" | "begin parts" | "get range"),
        "short body" => is_read || matches!(kind, "list" | "begin parts" | "join parts"),
        "full bucket" => !is_read && !matches!(kind, "list" | "delete"),
        _ => true,
    }
}

/// Says whether requests go unanswered.
pub(crate) fn takes_patience(fault: &str) -> bool {
    matches!(fault, "time-out before" | "time-out after" | "delayed")
}

/// Makes a fault of the name.
pub(crate) fn make(fault: &str, n: &mut Numbers) -> Fault {
    let some_time = PATIENCE / 8 * u32::try_from(n.below(20)).unwrap();
    match fault {
        "time-out before" => Fault::Hang,
        "time-out after" => Fault::ApplyThenHang,
        "500" => Fault::Status(500, "InternalError"),
        "500 after" => Fault::ApplyThenStatus(500),
        "503" => Fault::Throttle(503, 0),
        "429" => Fault::Throttle(429, 0),
        "409" => Fault::Status(409, "ConditionalRequestConflict"),
        "412" => Fault::Status(412, "PreconditionFailed"),
        "reset before" => Fault::Reset,
        "reset after" => Fault::ApplyThenReset,
        "reset mid-body" => Fault::HalfBody,
        "short body" => Fault::ShortBody,
        "stale read" => Fault::Stale,
        "wrong tag" => Fault::WrongTag,
        "duplicate" => Fault::Twice,
        "late duplicate" => Fault::TwiceLate(some_time),
        "delayed" => Fault::Late(some_time),
        "skewed clock" => Fault::Status(403, "RequestTimeTooSkewed"),
        "full bucket" => Fault::Status(507, "InsufficientStorage"),
        other => panic!("no fault is called {other}"),
    }
}

/// Says whether a cell is left to the long run: long texts take their time.
pub(crate) fn is_left_out(kind: &str, fault: &str) -> bool {
    let few = ["time-out after", "500", "412", "reset mid-body"];
    kind.contains("part") && !few.contains(&fault)
}
