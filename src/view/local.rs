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

/// Says whether a file of this name looks like the new text of `other`, written beside it to be
/// renamed over it: `.record.json.Ab12Cd` of rsync, `record.json.new`, `.tmp-record.json`.
pub(super) fn stands_in_for(name: &[u8], other: &[u8]) -> bool {
    let is_mark = |b: &u8| !b.is_ascii_alphanumeric();
    let plain = name.strip_prefix(b".").or(name.strip_prefix(b"_")).unwrap_or(name);
    let behind = plain.strip_prefix(other).is_some_and(|rest| match rest.first() {
        Some(first) => is_mark(first),
        None => plain.len() < name.len(),
    });
    let before = name
        .strip_suffix(other)
        .and_then(|head| head.strip_prefix(b".").or(head.strip_prefix(b"tmp")))
        .is_some_and(|head| head.last().is_some_and(is_mark));
    !other.is_empty() && (behind || before)
}

/// Says whether a file of this name looks like a new text to be renamed over whatever file:
/// `sedAb12Cd` of sed, `tmp`, `tmp.Ab12Cd` of mktemp, `x.new`.
pub(super) fn is_stand_in_name(name: &[u8]) -> bool {
    // What sed, perl, emacs, python and miller begin names with that they draw.
    let drawn: [(&[u8], _); 4] =
        [(b"sed", 6..=6), (b"XX", 6..=6), (b"tmp", 6..=8), (b"mlr-in-place-", 1..=20)];
    let is_drawn = drawn.into_iter().any(|(head, len)| {
        let tail = name.strip_prefix(head).unwrap_or_default();
        len.contains(&tail.len()) && tail.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
    });
    let ends = |tail: &[u8]| name.len() > tail.len() && name.ends_with(tail);
    is_drawn
        || matches!(name, b"tmp" | b"temp" | b"new")
        || name.starts_with(b"tmp.")
        || ends(b".new")
        || ends(b".temp")
        || ends(b".part")
}

#[cfg(test)]
mod tests {
    use super::{is_local_name, is_stand_in_name, stands_in_for};

    #[test]
    fn new_texts_of_files_are_known_by_their_names() {
        let drawn =
            ["sedAb12Cd", "XX80Z8my", "tmp0GrHVy", "tmpab1_3cd9", "mlr-in-place-3067621373"];
        for name in ["tmp", "tmp.Ab12Cd34Ef", "x.new", "x.part"].into_iter().chain(drawn) {
            assert!(is_stand_in_name(name.as_bytes()), "{name}");
        }
        for name in [
            "sedation",
            "sedAb12Cd3",
            "sedAb12.d",
            "template",
            "tmpfs",
            "news",
            "record.json",
            ".new",
        ] {
            assert!(!is_stand_in_name(name.as_bytes()), "{name}");
        }
        for name in [
            ".record.json.Ab12Cd",
            "record.json.1",
            "record.json-x",
            "_record.json",
            ".tmp-record.json",
            "tmp_record.json",
        ] {
            assert!(stands_in_for(name.as_bytes(), b"record.json"), "{name}");
        }
        for name in
            ["record.json", "record.jsonl", "other.json", "old-record.json", "x.record.json.y"]
        {
            assert!(!stands_in_for(name.as_bytes(), b"record.json"), "{name}");
        }
        assert!(!stands_in_for(b"results.db", b"result"));
        assert!(!stands_in_for(b"report.txt", b"e"));
    }

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
