//! The programs that people edit and copy with.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::drive::{Mounted, has, shell};

#[test]
fn the_shell_redirects_and_appends() {
    let Some(m) = Mounted::new() else { return };
    shell(&m, r#"echo one > "$M/f"; echo two >> "$M/f"; echo three > "$M/g"; mv "$M/g" "$M/h""#);
    assert_eq!(fs::read(m.path("f")).unwrap(), b"one\ntwo\n");
    assert_eq!(fs::read(m.path("h")).unwrap(), b"three\n");
}

#[test]
fn sed_edits_in_place() {
    let Some(m) = Mounted::new() else { return };
    shell(&m, r#"echo aspirin > "$M/f"; sed -i s/aspirin/ibuprofen/ "$M/f""#);
    assert_eq!(fs::read(m.path("f")).unwrap(), b"ibuprofen\n");
    assert_eq!(fs::read_dir(m.point()).unwrap().count(), 1);
}

#[test]
fn jq_edits_and_moves() {
    let Some(m) = Mounted::new() else { return };
    if !has("jq") {
        return;
    }
    shell(&m, r#"echo '{"a":1}' > "$M/f"; jq -c .a=2 "$M/f" > "$M/f.new"; mv "$M/f.new" "$M/f""#);
    assert_eq!(fs::read(m.path("f")).unwrap(), b"{\"a\":2}\n");
}

#[test]
fn cp_keeps_what_it_promises() {
    let Some(m) = Mounted::new() else { return };
    let from = tempfile::tempdir().unwrap();
    let source = from.path().join("f");
    fs::write(&source, "text").unwrap();
    let script = format!(
        r#"chmod 640 {0}; touch -d @1234567890.5 {0}; cp -p {0} "$M/f"; cp -a "$M/f" "$M/g"
           cp -a "$M/g" {0}.back; cmp {0} {0}.back"#,
        source.display()
    );
    shell(&m, &script);
    for name in ["f", "g"] {
        let copy = fs::metadata(m.path(name)).unwrap();
        assert_eq!((copy.mtime(), copy.mtime_nsec()), (1_234_567_890, 500_000_000));
        assert_eq!(copy.mode() & 0o777, 0o640);
    }
}

#[test]
fn rsync_copies_and_then_has_nothing_to_do() {
    let Some(m) = Mounted::new() else { return };
    if !has("rsync") {
        return;
    }
    let from = tempfile::tempdir().unwrap();
    fs::create_dir(from.path().join("d")).unwrap();
    for i in 0..50 {
        fs::write(from.path().join(format!("d/f{i}")), format!("text {i}")).unwrap();
    }
    let script = format!(r#"rsync -a {}/ "$M/""#, from.path().display());
    shell(&m, &script);
    assert_eq!(fs::read(m.path("d/f49")).unwrap(), b"text 49");
    let again = format!(r#"rsync -ai {}/ "$M/""#, from.path().display());
    assert_eq!(shell(&m, &again), "");
    fs::write(from.path().join("d/f7"), "changed").unwrap();
    shell(&m, &script);
    assert_eq!(fs::read(m.path("d/f7")).unwrap(), b"changed");
}

#[test]
fn vim_saves() {
    let Some(m) = Mounted::new() else { return };
    if !has("vim") {
        return;
    }
    shell(&m, r#"echo aspirin > "$M/f""#);
    for options in ["", "set backupcopy=yes", "set backupcopy=no backup"] {
        let script = format!(
            r#"vim -Nu NONE -es -c '{options}' -c '%s/$/ x/' -c wq "$M/f" </dev/null >/dev/null 2>&1"#
        );
        shell(&m, &script);
    }
    assert_eq!(fs::read(m.path("f")).unwrap(), b"aspirin x x x\n");
    let left: Vec<String> = fs::read_dir(m.point())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "f" && name != "f~")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn tar_and_rm_work_on_a_tree() {
    let Some(m) = Mounted::new() else { return };
    shell(
        &m,
        r#"mkdir -p "$M/a/b/c"; for i in $(seq 200); do echo $i > "$M/a/b/f$i"; done
           tar -C "$M" -cf "$M/a.tar" a; mkdir "$M/x"; tar -C "$M/x" --no-same-owner -xf "$M/a.tar"
           diff -r "$M/a" "$M/x/a"; rm -rf "$M/a" "$M/x" "$M/a.tar""#,
    );
    assert_eq!(fs::read_dir(m.point()).unwrap().count(), 0);
}

#[test]
fn mapped_memory_is_written_back() {
    let Some(m) = Mounted::new() else { return };
    if !has("python3") {
        return;
    }
    fs::write(m.path("f"), vec![b'a'; 10_000]).unwrap();
    let script = r#"python3 -c 'import mmap,sys
f = open(sys.argv[1], "r+b")
m = mmap.mmap(f.fileno(), 0)
f.close()
m[5000:5004] = b"text"
m.close()' "$M/f""#;
    shell(&m, script);
    assert_eq!(&fs::read(m.path("f")).unwrap()[4999..5005], b"atexta");
}
