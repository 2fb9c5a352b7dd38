//! What a command says: results on the standard output, talk on the standard error.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::report::{Failure, printable};
use crate::config::Color;
use crate::error::{Error, Kind};

/// The standard output, on which results are printed, in colour or not.
pub(super) struct Out {
    to: std::io::StdoutLock<'static>,
    is_colored: bool,
}

/// What a text means, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Bad,
}

impl Out {
    /// Takes the standard output.
    pub(super) fn new(color: Color) -> Self {
        let to = std::io::stdout().lock();
        let is_colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => to.is_terminal(),
        };
        Self { to, is_colored }
    }

    /// Prints one line.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.to, "{text}").map_err(failed)
    }

    /// Prints bytes as they are, at once: they need not end a line.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.to.write_all(bytes).and_then(|()| self.to.flush()).map_err(failed)
    }

    /// Prints one JSON document.
    pub(super) fn json(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document).map_err(|e| {
            Failure::Error(Error::new(Kind::Internal, "the result is not JSON").because(e))
        })?;
        self.line(text)
    }

    /// Prints rows below a header; nothing when there are none.
    pub(super) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.to_vec());
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        table.lines().try_for_each(|line| self.line(line.trim_end()))
    }

    /// Colours a text when colours are wanted.
    pub(super) fn tone(&self, tone: Tone, text: &str) -> String {
        if !self.is_colored {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => 32,
            Tone::Warning => 33,
            Tone::Bad => 31,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn failed(e: std::io::Error) -> Failure {
    if e.kind() == std::io::ErrorKind::BrokenPipe {
        return Failure::BrokenPipe;
    }
    Failure::Error(Error::from(e))
}

/// Talks to the user on the standard error: never a result. A closed one is no failure.
pub(super) fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
