//! Where a bucket is: `s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix`,
//! `file:///dir`, `memory://`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// The place of a bucket, without any credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// S3 and everything that speaks its protocol.
    S3(Place),
    /// Azure Blob Storage; the account comes from [`StoreOptions`](super::StoreOptions).
    Azure(Place),
    /// Google Cloud Storage.
    Gcs(Place),
    /// A directory of this machine.
    Directory(PathBuf),
    /// The memory of this process.
    Memory,
}

/// A bucket (or container) of a cloud, and the prefix under which the objects live.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The name of the bucket.
    pub bucket: String,
    /// The prefix: segments between `/`, or empty.
    pub prefix: String,
}

impl Place {
    fn parse(rest: &str, whole: &str) -> Result<Self> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if bucket.is_empty() || bucket.len() > 255 || !bucket.bytes().all(is_place_byte) {
            return Err(refused(
                whole,
                "the name of the bucket stands between '://' and the next '/'",
            ));
        }
        let fine = |s: &str| !s.is_empty() && !s.starts_with('.') && s.bytes().all(is_place_byte);
        if prefix.len() > 255 || !(prefix.is_empty() || prefix.split('/').all(fine)) {
            return Err(refused(
                whole,
                "a prefix is made of letters, digits, '-', '_' and '.', in segments between '/' \
                 that do not begin with a dot",
            ));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

fn is_place_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}

fn refused(whole: &str, why: &'static str) -> Error {
    Error::new(Kind::Usage, format!("{whole:?} is not the place of a bucket"))
        .because(why)
        .hint("write s3://bucket/prefix, az://container/prefix, gs://bucket/prefix or file:///dir")
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(refused(text, "it has no scheme such as s3:// or file://"));
        };
        match scheme {
            "s3" => Ok(Self::S3(Place::parse(rest, text)?)),
            "az" => Ok(Self::Azure(Place::parse(rest, text)?)),
            "gs" => Ok(Self::Gcs(Place::parse(rest, text)?)),
            // The path is taken as it is written: a shell user means the bytes of the file name.
            "file" if Path::new(rest).is_absolute() => Ok(Self::Directory(rest.into())),
            "file" => {
                Err(refused(text, "file:// takes an absolute path, as in file:///srv/records"))
            }
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(refused(text, "memory:// takes no name")),
            _ => Err(refused(text, "the scheme is not one of s3, az, gs, file, memory")),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, place) = match self {
            Self::S3(p) => ("s3", p),
            Self::Azure(p) => ("az", p),
            Self::Gcs(p) => ("gs", p),
            Self::Directory(path) => return write!(f, "file://{}", path.display()),
            Self::Memory => return f.write_str("memory://"),
        };
        write!(f, "{scheme}://{}", place.bucket)?;
        if place.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", place.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        for text in [
            "s3://b",
            "s3://b/p",
            "s3://b.c/P/q_1",
            "az://c/x",
            "gs://b",
            "file:///srv/a b",
            "memory://",
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        assert_eq!("s3://b/p/".parse::<Location>().unwrap(), "s3://b/p".parse().unwrap());
    }

    #[test]
    fn what_is_no_place_is_refused_with_a_hint() {
        for bad in [
            "",
            "b",
            "s3://",
            "s3:///p",
            "s3://b//p",
            "s3://b/../c",
            "s3://b/p?x=1",
            "s3://k:s@b/p",
            "file://srv",
            "file://",
            "http://x",
            "memory://x",
            "s3://b/p%20q",
        ] {
            let e = bad.parse::<Location>().unwrap_err();
            assert_eq!(e.kind(), Kind::Usage, "{bad}");
            assert!(e.try_this().is_some(), "{bad}");
        }
    }
}
