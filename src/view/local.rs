//! Names of files that no record is meant by: locks, swap files, backups, half-written copies.
//! They stay on this workstation and never reach the bucket.

/// Says whether a file of this name stays on the workstation.
pub(super) fn is_local_name(name: &[u8]) -> bool {
    let ends = |tail: &[u8]| name.len() > tail.len() && name.ends_with(tail);
    let starts = |head: &[u8]| name.len() > head.len() && name.starts_with(head);
    let is_swap = || {
        // Vim counts down from .swp when that is taken.
        let tail = name.len().checked_sub(4).map(|at| &name[at..]);
        name.len() > 4
            && starts(b".")
            && tail.is_some_and(|t| t.starts_with(b".sw") && t[3].is_ascii_lowercase())
    };
    name == b"4913"
        || ends(b"~")
        || ends(b".bak")
        || ends(b".tmp")
        || (starts(b".~lock.") && ends(b"#"))
        || starts(b".#")
        || (starts(b"#") && ends(b"#"))
        || starts(b".goutputstream-")
        || starts(b".nfs")
        || starts(b".fuse_hidden")
        || is_swap()
        // Vim makes one to see whether such a name can be made.
        || (starts(b".") && ends(b".swpx"))
}

#[cfg(test)]
mod tests {
    use super::is_local_name;

    #[test]
    fn locks_swap_files_and_backups_stay_here() {
        let names = [
            ".~lock.record.json#",
            ".record.json.swp",
            ".record.json.swo",
            ".record.json.swpx",
            "4913",
            "record.json~",
            "record.json.bak",
            "record.json.tmp",
            ".goutputstream-A1B2C3",
            ".nfs0000001",
            ".fuse_hidden00001",
            ".#record.json",
            "#record.json#",
        ];
        for name in names {
            assert!(is_local_name(name.as_bytes()), "{name}");
        }
        for name in ["record.json", "tmp", ".swp", "~", "4914", "notes.md", ".hidden", "a.swp"] {
            assert!(!is_local_name(name.as_bytes()), "{name}");
        }
    }
}
