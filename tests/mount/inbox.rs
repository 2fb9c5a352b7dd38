//! An inbox on a mounted drive: what programs put there is filed.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chartfs::store::Bucket;
use chartfs::view::ViewOptions;

use crate::drive::support::TestRealm;
use crate::drive::view::{self, RUNTIME};
use crate::drive::{HUNG, Mounted, has, options, shell};

const POLICY: &str = r#"
[[inbox]]
folder = "/inbox"
patients = "/patients"
new = "{id}"
"#;

fn mounted() -> Option<Mounted> {
    let policy = [view::POLICY, POLICY].concat();
    let realm = Arc::new(RUNTIME.block_on(TestRealm::found_with(Bucket::memory(), &policy)));
    let quick = ViewOptions { inbox_settle: Duration::ZERO, ..ViewOptions::default() };
    let m = Mounted::with(view::of_user(&realm, "doctor", quick), options())?;
    fs::create_dir(m.path("inbox")).unwrap();
    Some(m)
}

fn message(control: &str, number: &str) -> String {
    format!(
        "MSH|^~\\&|HIS|GOOD|X|Y|20240501123000||ORU^R01|{control}|P|2.5\n\
         PID|1||{number}^^^HOSP^MR||Lorimarsh^Avelin||19700203|F\nOBX|1|ST|x||{control}\n"
    )
}

fn names(m: &Mounted, folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(m.path(folder)) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Waits until nothing is left to be filed.
fn wait_filed(m: &Mounted) {
    let begun = Instant::now();
    while names(m, "inbox").iter().any(|name| !name.starts_with('.')) {
        assert!(begun.elapsed() < HUNG, "left: {:?}", names(m, "inbox"));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_programs_put_into_the_inbox_appears_in_the_patients_folder() {
    let Some(m) = mounted() else { return };
    fs::write(m.path("inbox/a.hl7"), message("1", "4711")).unwrap();
    fs::write(m.path("inbox/photo.jpg"), "no record").unwrap();
    wait_filed(&m);
    let filed = names(&m, "patients/4711");
    assert!(filed.len() == 1 && filed[0].starts_with("ORU-R01-1-"), "{filed:?}");
    let text = fs::read_to_string(m.path("patients/4711").join(&filed[0])).unwrap();
    assert_eq!(text, message("1", "4711"));
    assert_eq!(names(&m, "inbox/.failed"), ["photo.jpg", "photo.jpg.reason.txt"]);
    assert_eq!(fs::read_to_string(m.path("inbox/.failed/photo.jpg")).unwrap(), "no record");
    // Repaired and moved back, it is tried again.
    fs::write(m.path("inbox/.failed/photo.jpg"), message("2", "4711")).unwrap();
    fs::rename(m.path("inbox/.failed/photo.jpg"), m.path("inbox/b.hl7")).unwrap();
    wait_filed(&m);
    assert_eq!(names(&m, "patients/4711").len(), 2);
}

#[test]
fn writers_of_all_kinds_deliver_whole_texts() {
    let Some(m) = mounted() else { return };
    let ways = [
        ("cp", "cp", r#"cp -p "$W" "$M/inbox/$N.hl7""#),
        (
            "a shell in two steps",
            "sh",
            r#"{ head -n 1 "$W"; tail -n +2 "$W"; } > "$M/inbox/$N.hl7""#,
        ),
        ("mv from elsewhere", "mv", r#"cp "$W" "$W.2"; mv "$W.2" "$M/inbox/$N.hl7""#),
        ("rsync", "rsync", r#"rsync "$W" "$M/inbox/$N.hl7""#),
        (
            "an interface engine: a temporary name, the old one deleted, renamed",
            "sh",
            r#"cat "$W" > "$M/inbox/$N.hl7.tmp"; rm -f "$M/inbox/$N.hl7"; mv "$M/inbox/$N.hl7.tmp" "$M/inbox/$N.hl7""#,
        ),
        (
            "a part that is renamed",
            "sh",
            r#"cat "$W" > "$M/inbox/$N.part"; mv "$M/inbox/$N.part" "$M/inbox/$N.hl7""#,
        ),
        ("install", "install", r#"install "$W" "$M/inbox/$N.hl7""#),
        (
            "tar",
            "tar",
            r#"cp "$W" "$W.dir/$N.hl7"; tar -C "$W.dir" -cf - "$N.hl7" | tar -C "$M/inbox" -xf -"#,
        ),
    ];
    let work = tempfile::tempdir().unwrap();
    let (mut count, from) = (0, work.path().join("text"));
    fs::create_dir(work.path().join("text.dir")).unwrap();
    for (i, (how, program, script)) in ways.into_iter().enumerate() {
        if !has(program) {
            continue;
        }
        count += 1;
        let text = message(&format!("way-{i}"), "4711");
        fs::write(&from, &text).unwrap();
        shell(&m, &format!("W={} N={i}\n{script}", from.display()));
        wait_filed(&m);
        let filed = names(&m, "patients/4711");
        assert_eq!(filed.len(), count, "{how}: {filed:?} {:?}", names(&m, "inbox/.failed"));
        let own = filed.iter().find(|name| name.contains(&format!("way-{i}-"))).expect(how);
        let stored = fs::read_to_string(m.path("patients/4711").join(own)).unwrap();
        assert_eq!(stored, text, "{how}");
    }
    assert_eq!(names(&m, "inbox/.failed"), Vec::<String>::new());
}
