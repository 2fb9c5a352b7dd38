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

/// Writes an error as people read it: three lines, of which the reason may go on below itself
/// where it points at a place in a text.
pub(super) fn three_lines(e: &Error) -> String {
    let mut out = format!("chartfs: error: {}\n", one_line(e.what()));
    if let Some(why) = e.why() {
        let lines: Vec<String> = why.lines().map(printable).collect();
        writeln!(out, "  because: {}", lines.join("\n           ")).expect("writing to a string");
    }
    if let Some(hint) = e.try_this() {
        writeln!(out, "  try: {}", one_line(hint)).expect("writing to a string");
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
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
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
            usage = Some(text.to_owned());
        } else if let Some(text) = p.strip_prefix("tip: ") {
            tip = Some(text.to_owned());
        }
    }
    let usage = usage.unwrap_or_else(|| "chartfs".to_owned());
    let is_word = |w: &&str| w.bytes().all(|b| b.is_ascii_lowercase());
    let command: Vec<&str> = usage.split(' ').take_while(is_word).collect();
    let help = format!("{} --help", command.join(" "));
    Error::new(Kind::Usage, what).because(format!("the usage is {usage}")).hint(tip.unwrap_or(help))
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
            "chartfs: error: cannot read\n  because: line 1\n             line 2\\u{1b}[2J\n  try: x\n"
        );
    }
}
