//! What an authority vouches for: `physician@st-mary`, and its epoch.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// The longest authority or attribute name, in bytes.
pub const NAME_LEN_MAX_BYTES: usize = 63;

fn check_name(text: &str, what: &str) -> Result<()> {
    let fine =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > NAME_LEN_MAX_BYTES {
        return Err(Error::new(Kind::Usage, format!("{what} {text:?} is not a name"))
            .because(format!("a name has 1 to {NAME_LEN_MAX_BYTES} characters")));
    }
    if !text.bytes().all(fine) || !text.as_bytes()[0].is_ascii_alphanumeric() {
        return Err(Error::new(Kind::Usage, format!("{what} {text:?} is not a name")).because(
            "a name is made of a to z, 0 to 9, '-', '_' and '.', and begins with a letter or digit",
        ));
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Returns the name: 1 to 63 bytes of `a-z 0-9 - _ .`.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                check_name(text, $what)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// The name of an authority within its realm: `st-mary`.
    AuthorityId,
    "the authority"
);
name_type!(
    /// The name of an attribute within its authority: `physician`.
    AttributeName,
    "the attribute"
);

/// One attribute of one authority: `physician@st-mary`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attribute {
    /// What is vouched for.
    pub name: AttributeName,
    /// Who vouches.
    pub authority: AuthorityId,
}

impl FromStr for Attribute {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, authority) = text.split_once('@').ok_or_else(|| {
            Error::new(Kind::Usage, format!("{text:?} is not an attribute"))
                .because("an attribute is written name@authority")
        })?;
        Ok(Self { name: name.parse()?, authority: authority.parse()? })
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.authority)
    }
}

/// Counts how often an authority renewed an attribute; starts at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

/// An attribute in one epoch: what a key is for. Its scheme label is `physician#7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochAttribute {
    /// The attribute.
    pub attribute: Attribute,
    /// Which issue of it.
    pub epoch: Epoch,
}

impl EpochAttribute {
    /// Returns the label under the authority: the name, `#`, the epoch in decimal.
    pub fn label(&self) -> String {
        format!("{}#{}", self.attribute.name, self.epoch.0)
    }
}

impl fmt::Display for EpochAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}@{}", self.attribute.name, self.epoch.0, self.attribute.authority)
    }
}

/// The global identifier of a user, the same at every authority:
/// SHA-256("gid" ‖ Ed25519 public key), 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gid(pub [u8; 32]);

impl Gid {
    /// Derives the identifier from the user's 32-byte Ed25519 public key.
    pub fn of(public_key: &[u8; 32]) -> Self {
        Self(crate::key::hash::sha256(&[b"gid", public_key]))
    }
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_and_written() {
        let a: Attribute = "physician@st-mary".parse().unwrap();
        assert_eq!(a.to_string(), "physician@st-mary");
        let e = EpochAttribute { attribute: a, epoch: Epoch(7) };
        assert_eq!(
            (e.label().as_str(), e.to_string().as_str()),
            ("physician#7", "physician#7@st-mary")
        );
    }

    #[test]
    fn names_that_could_be_misread_are_refused() {
        for bad in ["", "a", "@b", "a@", "a@b@c", "A@b", "a#1@b", "a b@c", "-a@b", "ä@b"] {
            assert!(bad.parse::<Attribute>().is_err(), "{bad}");
        }
        assert!("x".repeat(64).parse::<AuthorityId>().is_err());
    }
}
