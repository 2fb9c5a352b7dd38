//! Small text files that a command reads: requests, grants, policies.

use std::io::Read;
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// Reads a text file of at most `limit_bytes`; - is the standard input.
pub(super) fn read_text(path: &Path, limit_bytes: u64, what: &str) -> Result<String> {
    let cannot = |e: std::io::Error| {
        let kind = match e.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            std::io::ErrorKind::PermissionDenied => Kind::Denied,
            _ => Kind::Usage,
        };
        Error::new(kind, format!("cannot read {what}")).because(format!("{}: {e}", path.display()))
    };
    let from: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(cannot)?)
    };
    let mut text = String::new();
    from.take(limit_bytes + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > limit_bytes {
        return Err(Error::new(Kind::Usage, format!("cannot read {what}"))
            .because(format!("it is longer than {limit_bytes} bytes")));
    }
    Ok(text)
}
