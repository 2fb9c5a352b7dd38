//! How answers look to the kernel: attributes, times and error numbers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, FopenFlags, INodeNo, TimeOrNow};

use crate::error::{Error, Kind};
use crate::view::{Attr, Ino, NodeKind, Opened, Time};

/// Inode numbers are never used twice within a mount, so there is one generation.
pub(super) const GENERATION: fuser::Generation = fuser::Generation(0);

/// What `stat` reports as preferred size of a transfer.
const BLOCK_BYTES: u32 = 4096;

/// Who owns every file of the mount: the process that mounted.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Owner {
    /// Returns the user and group of this process.
    pub(super) fn current() -> Self {
        Self { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() }
    }
}

/// Encodes attributes.
pub(super) fn attributes(attr: &Attr, owner: Owner) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size_bytes,
        blocks: attr.size_bytes.div_ceil(512),
        atime: system_time(attr.atime),
        mtime: system_time(attr.mtime),
        ctime: system_time(attr.ctime),
        crtime: UNIX_EPOCH,
        kind: file_type(attr.kind),
        perm: attr.mode & 0o777,
        nlink: attr.nlink,
        uid: owner.uid,
        gid: owner.gid,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

/// Makes the answer "no such name", which unlike an error the kernel may remember.
pub(super) fn absent(owner: Owner) -> FileAttr {
    let epoch = Time { unix_s: 0, ns: 0 };
    let attr = Attr {
        ino: Ino(0),
        kind: NodeKind::File,
        size_bytes: 0,
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
        mode: 0,
        nlink: 0,
    };
    attributes(&attr, owner)
}

/// Encodes a kind of node.
pub(super) fn file_type(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::Directory => FileType::Directory,
        NodeKind::File => FileType::RegularFile,
    }
}

/// Encodes how the kernel shall treat an open file. Only a handle that cannot write goes without
/// FLUSH: on the others FLUSH carries the commit's error to `close`.
pub(super) fn open_flags(opened: &Opened) -> FopenFlags {
    let mut flags = FopenFlags::empty();
    flags.set(FopenFlags::FOPEN_KEEP_CACHE, opened.keep_cache);
    flags.set(FopenFlags::FOPEN_NOFLUSH, opened.read_only);
    flags
}

/// Encodes a time; one outside of what the system can say becomes the epoch.
fn system_time(time: Time) -> SystemTime {
    let seconds = Duration::from_secs(time.unix_s.unsigned_abs());
    let whole = if time.unix_s < 0 {
        UNIX_EPOCH.checked_sub(seconds)
    } else {
        UNIX_EPOCH.checked_add(seconds)
    };
    whole.and_then(|t| t.checked_add(Duration::from_nanos(time.ns.into()))).unwrap_or(UNIX_EPOCH)
}

/// Decodes a time that a program sets.
pub(super) fn set_time(time: TimeOrNow) -> Time {
    match time {
        TimeOrNow::SpecificTime(time) => decode_time(time),
        TimeOrNow::Now => Time::from_unix_ns(crate::clock::now_unix_ns()),
    }
}

/// Decodes a time as fuser 0.18 hands it over: before 1970 it subtracts the nanoseconds where it
/// must add them, so `-2 s + 0.8 s` arrives as `-2.8 s`. Taking it apart in the same way restores
/// what the program said.
fn decode_time(time: SystemTime) -> Time {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Time { unix_s: saturated(after.as_secs()), ns: after.subsec_nanos() },
        Err(e) => {
            let before = e.duration();
            Time { unix_s: -saturated(before.as_secs()), ns: before.subsec_nanos() }
        }
    }
}

fn saturated(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// Returns the error number and puts into the log what an operator must see: damage is an alarm,
/// a failure of ours or of the bucket a warning, an answer of a policy nothing.
pub(super) fn errno(operation: &'static str, error: &Error) -> Errno {
    match error.kind() {
        Kind::Integrity => tracing::error!(operation, %error, "ALERT: stored bytes fail a check"),
        Kind::Internal | Kind::Unavailable | Kind::NoSpace => {
            tracing::warn!(operation, %error, "request failed");
        }
        _ => tracing::debug!(operation, %error, "request refused"),
    }
    Errno::from_i32(error.kind().errno())
}

/// Returns the error number of a request about a number that the kernel knows. When there is no
/// such file any more it is told that what it believes is old: then it looks the name up again,
/// where it would otherwise tell the program that there is none.
pub(super) fn of_inode(errno: Errno) -> Errno {
    if errno == Errno::ENOENT { Errno::ESTALE } else { errno }
}

/// Returns the error number of a request that was not done at its deadline.
pub(super) fn late(operation: &'static str) -> Errno {
    tracing::warn!(operation, "no answer within the deadline");
    Errno::ETIMEDOUT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_both_ways_except_before_1970_where_fuser_turns_the_fraction() {
        for (unix_s, ns) in [(0, 0), (1_700_000_000, 999_999_999), (-5, 0), (i64::MAX, 0)] {
            let time = Time { unix_s, ns };
            assert_eq!(decode_time(system_time(time)), time);
        }
        // A program sets -2 s + 0.8 s; fuser hands over 1970 minus 2.8 s.
        let handed_over = UNIX_EPOCH - Duration::new(2, 800_000_000);
        assert_eq!(decode_time(handed_over), Time { unix_s: -2, ns: 800_000_000 });
        assert_eq!(
            system_time(Time { unix_s: -2, ns: 800_000_000 }),
            UNIX_EPOCH - Duration::new(1, 200_000_000)
        );
    }

    #[test]
    fn a_time_that_the_system_cannot_say_is_not_a_panic() {
        assert!(system_time(Time { unix_s: i64::MIN, ns: 0 }) <= UNIX_EPOCH);
        assert!(system_time(Time { unix_s: i64::MAX, ns: u32::MAX }) >= UNIX_EPOCH);
    }

    #[test]
    fn only_plain_permission_bits_reach_the_kernel() {
        let epoch = Time { unix_s: 0, ns: 0 };
        let attr = Attr {
            ino: Ino(7),
            kind: NodeKind::File,
            size_bytes: 513,
            atime: epoch,
            mtime: epoch,
            ctime: epoch,
            mode: 0o4755,
            nlink: 1,
        };
        let encoded = attributes(&attr, Owner { uid: 1, gid: 2 });
        assert_eq!((encoded.perm, encoded.blocks, encoded.uid, encoded.gid), (0o755, 2, 1, 2));
    }

    #[test]
    fn a_handle_that_may_write_is_always_flushed() {
        let handle = crate::view::Handle(1);
        let opened = Opened { handle, keep_cache: true, is_outdated: false, read_only: false };
        assert_eq!(open_flags(&opened), FopenFlags::FOPEN_KEEP_CACHE);
        let opened = Opened { handle, keep_cache: false, is_outdated: true, read_only: true };
        assert_eq!(open_flags(&opened), FopenFlags::FOPEN_NOFLUSH);
    }

    #[test]
    fn every_kind_of_error_has_the_number_of_the_table() {
        for kind in Kind::ALL {
            assert_eq!(errno("test", &Error::new(kind, "x")).code(), kind.errno());
        }
    }
}
