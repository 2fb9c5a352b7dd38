//! Secret files: a credential, an authority's keys, an administrator's key, each sealed under a
//! passphrase by Argon2id (RFC 9106) or, where the caller asks for it, under none.
//!
//! Bytes: magic "CHARTKEY" 8 | format u16 = 1 | kind u8 | lock u8 (0 none, 1 Argon2id) |
//! memory_kib u32 | passes u32 | lanes u32 | salt 16 | nonce 12 | ciphertext | tag 16.
//! The first 40 bytes are the associated data.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::aead;
use super::hash;
use super::secret::Secret;
use crate::error::{Error, Kind, Result};
use crate::wire::{Reader, Writer};

const MAGIC: &[u8; 8] = b"CHARTKEY";
const FORMAT: u16 = 1;
const HEADER_LEN: usize = 40;
/// The largest secret file, in bytes.
pub const KEYFILE_LEN_MAX_BYTES: usize = 16 << 20;
/// RFC 9106, second recommended option: 64 MiB, 3 passes, 4 lanes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// A file may not ask for more: a hostile one could otherwise take the machine's memory.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

/// What a secret file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FileKind {
    /// A user's credential.
    Credential = 1,
    /// The keys of an authority.
    Authority = 2,
    /// The key of an administrator.
    Administrator = 3,
}

impl FileKind {
    fn noun(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Authority => "authority file",
            Self::Administrator => "administrator file",
        }
    }

    fn from_u8(v: u8) -> Option<Self> {
        [Self::Credential, Self::Authority, Self::Administrator].into_iter().find(|k| *k as u8 == v)
    }
}

/// Says whether the file asks for a passphrase.
///
/// # Errors
/// `Usage` when it is not a secret file of chartfs.
pub fn needs_passphrase(file: &[u8]) -> Result<bool> {
    Ok(Header::parse(file)?.locked)
}

/// Seals `secret` for a file; without a passphrase only the file's mode protects it.
pub fn seal(kind: FileKind, secret: &[u8], passphrase: Option<&[u8]>) -> Vec<u8> {
    let header = Header {
        kind,
        locked: passphrase.is_some(),
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        lanes: LANES,
        salt: hash::random(),
    };
    let key = header.key(passphrase.unwrap_or_default()).expect("the built-in cost is valid");
    let mut out = header.to_bytes();
    let aad = out.clone();
    aead::seal_into(&key, &aad, secret, &mut out);
    out
}

/// Opens a secret file of the kind expected.
///
/// # Errors
/// `Usage` when it is another kind of file; `Denied` when the passphrase is wrong or missing.
pub fn open(kind: FileKind, file: &[u8], passphrase: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>> {
    let header = Header::parse(file)?;
    if header.kind != kind {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "this is {} {}, not {} {}",
                article(header.kind),
                header.kind.noun(),
                article(kind),
                kind.noun()
            ),
        ));
    }
    if header.locked && passphrase.is_none() {
        return Err(Error::new(Kind::Denied, format!("the {} is locked", kind.noun()))
            .because("it asks for a passphrase and none was given")
            .hint("give one at the prompt, or by --passphrase-file"));
    }
    let key = header.key(passphrase.filter(|_| header.locked).unwrap_or_default())?;
    aead::open(&key, &file[..HEADER_LEN], &file[HEADER_LEN..]).map(Zeroizing::new).map_err(|_| {
        Error::new(Kind::Denied, format!("the {} does not open", kind.noun())).because(
            if header.locked {
                "the passphrase is wrong, or the file is damaged"
            } else {
                "the file is damaged"
            },
        )
    })
}

fn article(kind: FileKind) -> &'static str {
    if kind == FileKind::Credential { "a" } else { "an" }
}

struct Header {
    kind: FileKind,
    locked: bool,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; 16],
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(MAGIC).u16(FORMAT).u8(self.kind as u8).u8(u8::from(self.locked));
        w.u32(self.memory_kib).u32(self.passes).u32(self.lanes).bytes(&self.salt);
        w.into_bytes()
    }

    fn parse(file: &[u8]) -> Result<Self> {
        let not_ours = || {
            Error::new(Kind::Usage, "this is not a key file of chartfs")
                .because("it does not begin as one, or is cut short")
        };
        if file.len() < HEADER_LEN || file.len() > KEYFILE_LEN_MAX_BYTES || &file[..8] != MAGIC {
            return Err(not_ours());
        }
        let mut r = Reader::new(&file[8..HEADER_LEN], "a key file");
        let format = r.u16()?;
        if format != FORMAT {
            return Err(Error::new(
                Kind::Unsupported,
                format!("key file format {format} is unknown"),
            )
            .hint("use a newer chartfs"));
        }
        let kind = FileKind::from_u8(r.u8()?).ok_or_else(not_ours)?;
        let locked = match r.u8()? {
            0 => false,
            1 => true,
            _ => return Err(not_ours()),
        };
        let (memory_kib, passes, lanes) = (r.u32()?, r.u32()?, r.u32()?);
        if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
            return Err(not_ours());
        }
        Ok(Self { kind, locked, memory_kib, passes, lanes, salt: r.array()? })
    }

    fn key(&self, passphrase: &[u8]) -> Result<Secret<32>> {
        if !self.locked {
            return Ok(hash::hkdf(&self.salt, b"no passphrase", &[b"chartfs1 keyfile"]));
        }
        let bad = |_| Error::new(Kind::Usage, "the key file asks for an impossible Argon2 cost");
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(bad)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &self.salt, &mut key[..])
            .map_err(bad)?;
        Ok(Secret::new(*key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_opens_with_its_passphrase_only() {
        let file = seal(FileKind::Credential, b"secret", Some(b"correct horse"));
        assert!(needs_passphrase(&file).unwrap());
        let opened = open(FileKind::Credential, &file, Some(b"correct horse")).unwrap();
        assert_eq!(&opened[..], b"secret");
        for wrong in [Some(&b"wrong"[..]), None] {
            let e = open(FileKind::Credential, &file, wrong).unwrap_err();
            assert_eq!(e.kind(), Kind::Denied);
        }
        assert_eq!(open(FileKind::Authority, &file, None).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn every_flipped_bit_of_an_unlocked_file_is_refused() {
        let file = seal(FileKind::Administrator, b"k", None);
        assert_eq!(&open(FileKind::Administrator, &file, None).unwrap()[..], b"k");
        for bit in 0..file.len() * 8 {
            let mut bad = file.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(FileKind::Administrator, &bad, None).is_err(), "bit {bit}");
        }
        for len in 0..file.len() {
            assert!(open(FileKind::Administrator, &file[..len], None).is_err());
        }
    }
}
