//! Where a passphrase comes from. Never from an argument: the process list shows those.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::{Zeroize, Zeroizing};

use super::{secret_file, shown};
use crate::error::{Error, Kind, Result};

/// The longest passphrase, in bytes.
const PASSPHRASE_LEN_MAX_BYTES: u64 = 4096;

/// A passphrase; wiped on drop.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes what was read; one line feed at the end is not part of it.
    ///
    /// # Errors
    /// `Usage` when nothing is left, or it is too long.
    pub fn new(mut text: Vec<u8>) -> Result<Self> {
        let refuse = |why: &'static str| {
            Err(Error::new(Kind::Usage, "the passphrase cannot be used").because(why))
        };
        if text.last() == Some(&b'\n') {
            text.pop();
        }
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() as u64 > PASSPHRASE_LEN_MAX_BYTES {
            text.zeroize();
            return refuse("it is longer than 4096 bytes");
        }
        Ok(Self(Zeroizing::new(text)))
    }

    /// Shows the bytes to the key derivation.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Where a passphrase comes from when nobody types it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassphraseSource {
    /// A file that only its owner can read, or a pipe.
    File(PathBuf),
    /// The standard input.
    Stdin,
    /// The output of a shell command.
    Command(String),
    /// A file that the service manager guards.
    Service(PathBuf),
}

impl PassphraseSource {
    /// Understands the argument of `--passphrase-file`: a path, or `-`.
    pub fn from_file_argument(text: &str) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(text.into()) }
    }

    /// Reads the passphrase.
    ///
    /// # Errors
    /// `Denied` when others could read the file; `Usage` when there is no passphrase in it, or
    /// the command fails.
    pub fn read(&self) -> Result<Passphrase> {
        match self {
            Self::File(path) => Passphrase::new(secret_file::read_passphrase_file(path)?),
            Self::Stdin => read_limited(std::io::stdin().lock(), "the standard input"),
            Self::Command(command) => run(command),
            Self::Service(path) => read_limited(open(path)?, &shown(path)),
        }
    }
}

fn open(path: &Path) -> Result<std::fs::File> {
    std::fs::File::open(path).map_err(|e| {
        Error::new(Kind::Usage, format!("cannot read the passphrase in {}", shown(path))).because(e)
    })
}

fn read_limited(from: impl Read, what: &str) -> Result<Passphrase> {
    let mut text = Vec::with_capacity(256);
    let read = from.take(PASSPHRASE_LEN_MAX_BYTES + 3).read_to_end(&mut text);
    read.map_err(|e| {
        Error::new(Kind::Usage, format!("cannot read the passphrase from {what}")).because(e)
    })?;
    Passphrase::new(text)
}

/// Runs the command by the shell, which may ask the user on the terminal.
fn run(command: &str) -> Result<Passphrase> {
    let failed = |why: &dyn std::fmt::Display| {
        Error::new(Kind::Usage, "the passphrase command failed").because(why)
    };
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(&e))?;
    let out = child.stdout.take().expect("asked for above");
    let passphrase = read_limited(out, "the passphrase command");
    let status = child.wait().map_err(|e| failed(&e))?;
    if !status.success() {
        return Err(failed(&status));
    }
    passphrase
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_feed_at_the_end_is_not_part_of_it() {
        let read = |text: &[u8]| Passphrase::new(text.to_vec()).map(|p| p.expose().to_vec());
        assert_eq!(read(b"correct horse\n").unwrap(), b"correct horse");
        assert_eq!(read(b"correct horse\r\n").unwrap(), b"correct horse");
        assert_eq!(read(b" spaces \n\n").unwrap(), b" spaces \n");
        assert!(read(b"\n").is_err() && read(b"").is_err());
        assert!(read(&[b'x'; 4097]).is_err());
    }

    #[test]
    fn a_command_gives_it_or_fails_clearly() {
        let read = |command: &str| PassphraseSource::Command(command.to_owned()).read();
        assert_eq!(read("echo secret").unwrap().expose(), b"secret");
        let e = read("echo secret; exit 3").err().unwrap();
        assert!(e.why().unwrap().contains('3'), "{e}");
        assert!(read("true").is_err());
    }
}
