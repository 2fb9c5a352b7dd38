//! What a store object may be called.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// The longest object name, in bytes.
pub const OBJECT_NAME_LEN_MAX_BYTES: usize = 512;

/// The longest segment of an object name between two `/`, in bytes: what a directory on disk takes.
pub const SEGMENT_LEN_MAX_BYTES: usize = 255;

/// The name of a store object: 1 to 512 bytes of `a-z 0-9 - _ . /`.
///
/// Segments are not empty and do not begin with a dot, so a name is a plain relative path in every
/// back end, and the files that a local directory keeps for itself (`.chartfs`) are never objects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Box<str>);

impl ObjectName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the text is not an object name.
    pub fn new(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            let shown: String = text.chars().take(64).collect();
            Err(Error::new(Kind::Usage, format!("{shown:?} is not an object name"))
                .because(why.to_owned()))
        };
        if text.is_empty() || text.len() > OBJECT_NAME_LEN_MAX_BYTES {
            return refuse("an object name has 1 to 512 bytes");
        }
        for segment in text.split('/') {
            if segment.is_empty() || segment.len() > SEGMENT_LEN_MAX_BYTES {
                return refuse("between two '/' stand 1 to 255 bytes");
            }
            if segment.starts_with('.') {
                return refuse("no segment begins with a dot");
            }
            if !segment.bytes().all(is_name_byte) {
                return refuse("an object name is made of a to z, 0 to 9, '-', '_', '.' and '/'");
            }
        }
        Ok(Self(text.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.')
}

impl FromStr for ObjectName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_names_of_the_design_are_names() {
        for good in ["realm/0", "auth/st-mary/12", "r/00ff/ab_cd", "b/x.y", "a", &"x".repeat(255)] {
            assert_eq!(ObjectName::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_could_leave_the_bucket_or_fold_is_refused() {
        let long = format!("{}/{}/{}", "x".repeat(255), "x".repeat(255), "xx");
        let wide = "x".repeat(256);
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            ".chartfs/tmp/x",
            "A",
            "a b",
            "a\0",
            "ä",
            "a\\b",
            "a%2e",
            "a\n",
            &long,
            &wide,
        ] {
            assert!(ObjectName::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_accepted_name_is_a_plain_relative_path(text in "[a-z./A_ -]{0,20}") {
            if let Ok(name) = ObjectName::new(&text) {
                let path = std::path::Path::new(name.as_str());
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
                prop_assert_eq!(path.components().count(), text.split('/').count());
            }
        }
    }
}
