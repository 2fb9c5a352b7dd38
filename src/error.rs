//! What went wrong, why, and what to do: one error type, and the two tables that give it a
//! number for the kernel (errno) and for the shell (exit status).
//!
//! Being denied is an answer of a policy and has its own kind; damage ([`Kind::Integrity`]) is an
//! alarm. An error never carries a patient's name, a key or a passphrase: it may reach a log.

use std::borrow::Cow;
use std::fmt;

/// What class of failure it is: decides errno and exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The request itself is wrong: an argument, a policy text, a file of the wrong type.
    Usage,
    /// The thing named does not exist, or the caller may not know that it does.
    NotFound,
    /// The thing to be made exists already.
    Exists,
    /// The policy says no.
    Denied,
    /// The credential, or the certificate behind a write, is past its date.
    CredentialExpired,
    /// The attribute was taken away.
    CredentialRevoked,
    /// Stored bytes fail a signature, a hash, a length or a rollback check.
    Integrity,
    /// A store, a format version or an operation that this build does not serve.
    Unsupported,
    /// Somebody else changed the same thing first.
    Conflict,
    /// The bucket did not answer in time, or refused for now.
    Unavailable,
    /// The mount point cannot be used.
    MountPoint,
    /// A directory was expected and something else is there.
    NotDirectory,
    /// Something else was expected and a directory is there.
    IsDirectory,
    /// The directory still has entries.
    NotEmpty,
    /// A name that cannot be stored: too long, or not text.
    BadName,
    /// The disk, or a limit of this program, is full.
    NoSpace,
    /// A file cannot be moved between two folders, but copied.
    OtherPolicy,
    /// A failure of the local machine or of this program.
    Internal,
}

impl Kind {
    /// Every kind, for the tables in tests and in the manual.
    pub const ALL: [Self; 18] = [
        Self::Usage,
        Self::NotFound,
        Self::Exists,
        Self::Denied,
        Self::CredentialExpired,
        Self::CredentialRevoked,
        Self::Integrity,
        Self::Unsupported,
        Self::Conflict,
        Self::Unavailable,
        Self::MountPoint,
        Self::NotDirectory,
        Self::IsDirectory,
        Self::NotEmpty,
        Self::BadName,
        Self::NoSpace,
        Self::OtherPolicy,
        Self::Internal,
    ];

    /// Returns the errno that the kernel gets.
    ///
    /// Denied is `EACCES` because that is what programs know as access denied; damage is
    /// `EBADMSG`, the kernel's own number for a bad checksum (`EFSBADCRC`).
    pub fn errno(self) -> i32 {
        match self {
            Self::Usage | Self::MountPoint => libc::EINVAL,
            Self::NotFound => libc::ENOENT,
            Self::Exists => libc::EEXIST,
            Self::Denied => libc::EACCES,
            Self::CredentialExpired => libc::EKEYEXPIRED,
            Self::CredentialRevoked => libc::EKEYREVOKED,
            Self::Integrity => libc::EBADMSG,
            Self::Unsupported => libc::EOPNOTSUPP,
            Self::Conflict => libc::ESTALE,
            Self::Unavailable => libc::ETIMEDOUT,
            Self::NotDirectory => libc::ENOTDIR,
            Self::IsDirectory => libc::EISDIR,
            Self::NotEmpty => libc::ENOTEMPTY,
            Self::BadName => libc::ENAMETOOLONG,
            Self::NoSpace => libc::ENOSPC,
            Self::OtherPolicy => libc::EXDEV,
            Self::Internal => libc::EIO,
        }
    }

    /// Returns the exit status of the program. Numbers are never reused.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::NotFound => 10,
            Self::Exists => 11,
            Self::Denied => 12,
            Self::CredentialExpired => 13,
            Self::CredentialRevoked => 14,
            Self::Integrity => 15,
            Self::Unsupported => 16,
            Self::Conflict => 17,
            Self::Unavailable => 18,
            Self::MountPoint => 19,
            Self::NotDirectory => 20,
            Self::IsDirectory => 21,
            Self::NotEmpty => 22,
            Self::BadName => 23,
            Self::NoSpace => 24,
            Self::OtherPolicy => 25,
        }
    }
}

/// What happened, why, and what to try; printed on three lines by the command line.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: Cow<'static, str>,
    because: Option<Cow<'static, str>>,
    hint: Option<Cow<'static, str>>,
}

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error that says what happened: lower case, no full stop.
    pub fn new(kind: Kind, what: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, what: what.into(), because: None, hint: None }
    }

    /// Adds why it happened.
    #[must_use]
    pub fn because(mut self, why: impl fmt::Display) -> Self {
        self.because = Some(Cow::Owned(why.to_string()));
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Makes the alarm for stored bytes that fail a check; `what` names the object, not a patient.
    pub fn damaged(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Integrity, what)
    }

    /// Returns the same error again, for another caller that shared the failed work.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            kind: self.kind,
            what: self.what.clone(),
            because: self.because.clone(),
            hint: self.hint.clone(),
        }
    }

    /// Returns the class of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns what happened.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns why it happened, when known.
    pub fn why(&self) -> Option<&str> {
        self.because.as_deref()
    }

    /// Returns what to try, when there is something.
    pub fn try_this(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(why) = &self.because {
            write!(f, ": {why}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        let kind = match e.kind() {
            std::io::ErrorKind::NotFound => Kind::NotFound,
            std::io::ErrorKind::AlreadyExists => Kind::Exists,
            std::io::ErrorKind::PermissionDenied => Kind::Denied,
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Kind::NoSpace,
            _ => Kind::Internal,
        };
        Self::new(kind, "a system call failed").because(e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_kind_has_its_own_exit_status_and_an_errno() {
        let exits: HashSet<u8> = Kind::ALL.iter().map(|k| k.exit_status()).collect();
        assert_eq!(exits.len(), Kind::ALL.len());
        assert!(!exits.contains(&0));
        assert!(Kind::ALL.iter().all(|k| k.errno() > 0));
    }

    #[test]
    fn denied_and_damaged_are_told_apart() {
        assert_eq!(Kind::Denied.errno(), libc::EACCES);
        assert_eq!(Kind::Integrity.errno(), libc::EBADMSG);
        assert_ne!(Kind::Denied.exit_status(), Kind::Integrity.exit_status());
    }
}
