//! How a command ends: done, with a verdict, or with an error on three lines.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use crate::error::{Error, Kind};

/// Why a command did not get to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// What went wrong.
    Error(Error),
    /// Whoever read our output has seen enough: not an error.
    BrokenPipe,
}

/// The result of a command: its exit status.
pub(super) type Outcome = std::result::Result<Exit, Failure>;

/// The exit status of a command that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit(pub(super) u8);

impl Exit {
    /// All is well.
    pub(super) const DONE: Self = Self(0);

    /// The command did its work and what it found is bad.
    pub(super) fn bad(kind: Kind) -> Self {
        Self(kind.exit_status())
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Error(e)
    }
}

/// Tells the user how it ended and returns the exit status.
pub(super) fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(Exit(status)) => ExitCode::from(status),
        Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(Failure::Error(e)) => {
            // Nobody is left to tell when the standard error is closed.
            let _ = std::io::stderr().write_all(three_lines(&e).as_bytes());
            ExitCode::from(e.kind().exit_status())
        }
    }
}

/// Writes an error as people read it; each part stays on one line.
pub(super) fn three_lines(e: &Error) -> String {
    let mut out = format!("chartfs: error: {}\n", one_line(e.what()));
    for (label, text) in [("because", e.why()), ("try", e.try_this())] {
        if let Some(text) = text {
            writeln!(out, "  {label}: {}", one_line(text)).expect("writing to a string");
        }
    }
    out
}

/// Joins lines, and makes control characters visible: a name from a bucket may hold anything.
pub(super) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    printable(&lines.join(" "))
}

/// Escapes what would steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

/// Turns what clap says into our three lines.
pub(super) fn usage_error(e: &clap::Error) -> Error {
    let text = e.render().to_string();
    let mut paragraphs = text.split("\n\n").map(one_line);
    let first = paragraphs.next().unwrap_or_default();
    let what = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
    let (mut usage, mut tip) = (None, None);
    for p in paragraphs {
        if let Some(text) = p.strip_prefix("Usage: ") {
            usage = Some(format!("it is used so: {text}"));
        } else if let Some(text) = p.strip_prefix("tip: ") {
            tip = Some(text.to_owned());
        }
    }
    let mut error = Error::new(Kind::Usage, what);
    if let Some(usage) = usage {
        error = error.because(usage);
    }
    error.hint(tip.unwrap_or_else(|| "chartfs help COMMAND".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_three_lines_whatever_is_in_it() {
        let e =
            Error::new(Kind::Usage, "cannot\nread").because("line 1\n  line 2\x1b[2J\n").hint("x");
        let text = three_lines(&e);
        assert_eq!(
            text,
            "chartfs: error: cannot read\n  because: line 1 line 2\\u{1b}[2J\n  try: x\n"
        );
    }
}
