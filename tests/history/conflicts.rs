//! What two workstations do at once.

use chartfs::error::Kind;
use chartfs::store::Bucket;

use super::support::{POLICY, TestRealm};
use super::{ROOT, begin_edit, drive, eager, end_edit, names, read, save};

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_copy_says_of_whom_where_when_and_what() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let one = eager(&realm, "doctor").await;
    save(&one, "/r.json", r#"{"labs": ["a"]}"#).await.unwrap();
    save(&one, "/r.json", r#"{"labs": ["b"]}"#).await.unwrap();
    let two = eager(&realm, "doctor").await;
    let first = begin_edit(&one, "/r.json", r#"{"labs": ["1"]}"#).await;
    let second = begin_edit(&two, "/r.json", r#"{"labs": ["2"]}"#).await;
    end_edit(&one, first).await;
    end_edit(&two, second).await;
    let three = eager(&realm, "doctor").await;
    let all = names(&three, "/").await;
    assert_eq!(all.len(), 2, "{all:?}");
    let copy = all.iter().find(|n| *n != "r.json").unwrap();
    let mark = copy.strip_prefix("r (conflict doctor ").unwrap().strip_suffix(").json").unwrap();
    let (device, time) = mark.rsplit_once(' ').unwrap();
    assert!(!device.is_empty() && !device.contains(['/', ' ', '.']), "{device:?}");
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00-00-00Z");
    let texts = [read(&three, "/r.json").await, read(&three, &format!("/{copy}")).await];
    assert_eq!(texts, [r#"{"labs": ["1"]}"#, r#"{"labs": ["2"]}"#]);

    let conflict = async |path: &str| {
        let ino = three.resolve(path).await.unwrap().ino;
        let names = three.xattr_names(ino).await.unwrap();
        let value = three.xattr(ino, b"user.chartfs.conflict").await.unwrap();
        assert_eq!(names.iter().any(|n| n == b"user.chartfs.conflict"), value.is_some());
        value.map(|v| String::from_utf8(v).unwrap())
    };
    assert_eq!(conflict("/r.json").await, None);
    let said = conflict(&format!("/{copy}")).await.unwrap();
    assert_eq!(said, "r.json version 2", "what the text was made of");
    // It goes with the copy.
    let replace = chartfs::view::RenameMode::Replace;
    three.rename(ROOT, copy.as_bytes(), ROOT, b"copy.json", replace).await.unwrap();
    assert_eq!(conflict("/copy.json").await.unwrap(), "r.json version 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_fill_the_same_empty_field_both_keep_their_text() {
    // Only who sees every section can fill a field whose text decides where it belongs.
    let policy =
        POLICY.replace("psychiatrist@north", "physician@st-mary").replace("staff", "physician");
    let policy = policy.replace("physician@north", "physician@st-mary");
    let message = |phone: &str| format!("MSH|^~\\&|A\rPID|1||7||Q|||||||{phone}||x\rDG1|1||J45\r");
    for (name, empty, first, second) in [
        ("r.md", "# Labs\nx\n", "one\n\n# Labs\nx\n", "two\n\n# Labs\nx\n"),
        ("r.md", "# Labs\nx\n", "one\n\n# Labs\nx\n", "HIV\n\n# Labs\nx\n"),
        ("r.toml", "[labs]\nx = 1\n", "[labs]\nx = 1\n# one\n", "[labs]\nx = 1\n# two\n"),
        ("r.hl7", &message(""), &message("1"), &message("2")),
    ] {
        let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
        let one = eager(&realm, "doctor").await;
        let path = format!("/{name}");
        save(&one, &path, empty).await.unwrap();
        let two = eager(&realm, "doctor").await;
        let edits = [begin_edit(&one, &path, first).await, begin_edit(&two, &path, second).await];
        end_edit(&one, edits[0]).await;
        end_edit(&two, edits[1]).await;
        let three = eager(&realm, "doctor").await;
        let all = names(&three, "/").await;
        assert_eq!(all.len(), 2, "{name}: {all:?}");
        let copy = all.iter().find(|n| *n != name).unwrap();
        assert_eq!(read(&three, &path).await, first);
        assert_eq!(read(&three, &format!("/{copy}")).await, second);
        save(&three, &path, second).await.unwrap();
        assert_eq!(read(&three, &path).await, second);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_make_the_same_name_both_keep_their_text() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let (one, two) = (drive(&realm, "doctor").await, drive(&realm, "doctor").await);
    let (_, first) = one.create(ROOT, b"n.txt", false, 0o600).await.unwrap();
    let (_, second) = two.create(ROOT, b"n.txt", false, 0o600).await.unwrap();
    one.write(first.handle, 0, "one".into()).await.unwrap();
    two.write(second.handle, 0, "two".into()).await.unwrap();
    end_edit(&one, first.handle).await;
    end_edit(&two, second.handle).await;
    let three = eager(&realm, "doctor").await;
    let all = names(&three, "/").await;
    assert_eq!(all.len(), 2, "{all:?}");
    let copy = all.iter().find(|n| *n != "n.txt").unwrap();
    assert_eq!(read(&three, "/n.txt").await, "one");
    assert_eq!(read(&three, &format!("/{copy}")).await, "two");
    let ino = three.resolve(copy).await.unwrap().ino;
    let said = three.xattr(ino, b"user.chartfs.conflict").await.unwrap().unwrap();
    assert_eq!(said, b"n.txt version 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_while_it_was_edited_comes_back() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let editor = drive(&realm, "doctor").await;
    save(&editor, "/r.json", r#"{"labs": [1]}"#).await.unwrap();
    let handle = begin_edit(&editor, "/r.json", r#"{"labs": [2]}"#).await;
    let other = eager(&realm, "doctor").await;
    other.unlink(ROOT, b"r.json").await.unwrap();
    assert!(names(&other, "/").await.is_empty());
    end_edit(&editor, handle).await;
    assert_eq!(names(&other, "/").await, ["r.json"]);
    assert_eq!(read(&other, "/r.json").await, r#"{"labs": [2]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_and_made_anew_while_it_was_edited_is_beside_the_new_one() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let editor = drive(&realm, "doctor").await;
    save(&editor, "/r.txt", "old").await.unwrap();
    let handle = begin_edit(&editor, "/r.txt", "edited").await;
    let other = eager(&realm, "doctor").await;
    other.unlink(ROOT, b"r.txt").await.unwrap();
    save(&other, "/r.txt", "new").await.unwrap();
    end_edit(&editor, handle).await;
    let all = names(&other, "/").await;
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(read(&other, "/r.txt").await, "new");
    let copy = all.iter().find(|n| *n != "r.txt").unwrap();
    assert_eq!(read(&other, copy).await, "edited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_is_renamed_over_a_name_goes_where_the_name_points_now() {
    use super::read as text_of;
    let replace = chartfs::view::RenameMode::Replace;
    for new in ["new.tmp", "new.txt"] {
        for is_made_anew in [false, true] {
            let realm = TestRealm::found(Bucket::memory()).await;
            let saver = drive(&realm, "doctor").await;
            save(&saver, "/r.txt", "old").await.unwrap();
            save(&saver, &format!("/{new}"), "saved").await.unwrap();
            let other = eager(&realm, "doctor").await;
            other.unlink(ROOT, b"r.txt").await.unwrap();
            if is_made_anew {
                save(&other, "/r.txt", "anew").await.unwrap();
            }
            saver.rename(ROOT, new.as_bytes(), ROOT, b"r.txt", replace).await.unwrap();
            assert_eq!(names(&other, "/").await, ["r.txt"], "{new} {is_made_anew}");
            assert_eq!(text_of(&other, "/r.txt").await, "saved", "{new} {is_made_anew}");
            assert_eq!(text_of(&saver, "/r.txt").await, "saved", "{new} {is_made_anew}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_comes_back_here_and_was_taken_elsewhere_leaves_both() {
    let policy = super::support::POLICY.replace(
        "remove = \"physician@st-mary\"",
        "remove = \"physician@st-mary or pharmacist@board\"",
    );
    let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
    let doctor = eager(&realm, "doctor").await;
    save(&doctor, "/r.json", r#"{"medications": ["a"], "labs": [1]}"#).await.unwrap();
    let pharmacist = drive(&realm, "pharmacist").await;
    pharmacist.unlink(ROOT, b"r.json").await.unwrap();
    doctor.unlink(ROOT, b"r.json").await.unwrap();
    let new = r#"{"medications": ["new"], "labs": [2]}"#;
    save(&doctor, "/r.json", new).await.unwrap();
    save(&pharmacist, "/r.json", r#"{"medications": ["back"]}"#).await.unwrap();
    let all = names(&doctor, "/").await;
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(read(&doctor, "/r.json").await, new);
    let copy = all.iter().find(|n| *n != "r.json").unwrap();
    assert_eq!(read(&doctor, copy).await, r#"{"medications": ["back"], "labs": [1]}"#);
}

// The other order: the removal waits for the name to come back, and meanwhile another workstation
// saves.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_edited_after_it_was_removed_here_stays() {
    let policy = super::support::POLICY.replace(
        "remove = \"physician@st-mary\"",
        "remove = \"physician@st-mary or pharmacist@board\"",
    );
    let text = |medicine: &str| format!(r#"{{"medications": ["{medicine}"], "labs": [1]}}"#);
    for edited in [text("b"), r#"{"medications": ["a"], "labs": [2]}"#.to_owned()] {
        let realm = TestRealm::found_with(Bucket::memory(), &policy).await;
        let doctor = eager(&realm, "doctor").await;
        save(&doctor, "/r.json", &text("a")).await.unwrap();
        let pharmacist = drive(&realm, "pharmacist").await;
        pharmacist.unlink(ROOT, b"r.json").await.unwrap();
        save(&doctor, "/r.json", &edited).await.unwrap();
        pharmacist.drain().await.unwrap();
        assert_eq!(read(&doctor, "/r.json").await, edited);
        assert_eq!(names(&pharmacist, "/").await, ["r.json"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_moved_elsewhere_while_it_was_edited_has_one_name() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let editor = drive(&realm, "doctor").await;
    save(&editor, "/r.txt", "old").await.unwrap();
    let other = eager(&realm, "doctor").await;
    let ward = other.make_dir(ROOT, b"ward", 0o700).await.unwrap().ino;
    let replace = chartfs::view::RenameMode::Replace;
    for (from, to, name) in [(ROOT, ROOT, "s.txt"), (ROOT, ward, "t.txt")] {
        let old = names(&other, "/").await.into_iter().find(|n| n.ends_with("txt")).unwrap();
        let editor = drive(&realm, "doctor").await;
        let handle = begin_edit(&editor, &old, name).await;
        other.rename(from, old.as_bytes(), to, name.as_bytes(), replace).await.unwrap();
        end_edit(&editor, handle).await;
    }
    assert_eq!(names(&other, "/").await, ["ward"]);
    assert_eq!(read(&other, "/ward/t.txt").await, "t.txt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_removed_while_a_file_was_made_in_it_comes_back() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let maker = drive(&realm, "doctor").await;
    let outer = maker.make_dir(ROOT, b"outer", 0o700).await.unwrap().ino;
    let inner = maker.make_dir(outer, b"inner", 0o700).await.unwrap().ino;
    let (_, opened) = maker.create(inner, b"new.txt", true, 0o600).await.unwrap();
    maker.write(opened.handle, 0, "text".into()).await.unwrap();
    let other = eager(&realm, "doctor").await;
    let their_outer = other.resolve("/outer").await.unwrap().ino;
    other.remove_dir(their_outer, b"inner").await.unwrap();
    other.remove_dir(ROOT, b"outer").await.unwrap();
    assert!(names(&other, "/").await.is_empty());
    end_edit(&maker, opened.handle).await;
    assert_eq!(read(&other, "/outer/inner/new.txt").await, "text");
}

// The other order: the file is there first.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_which_somebody_made_a_file_is_not_removed() {
    let realm = TestRealm::found(Bucket::memory()).await;
    let maker = drive(&realm, "doctor").await;
    maker.make_dir(ROOT, b"ward", 0o700).await.unwrap();
    let other = drive(&realm, "doctor").await;
    other.resolve("/ward").await.unwrap();
    assert!(names(&other, "/ward").await.is_empty());
    save(&maker, "/ward/new.txt", "text").await.unwrap();
    let e = other.remove_dir(ROOT, b"ward").await.unwrap_err();
    assert_eq!(e.kind(), Kind::NotEmpty);
    save(&maker, "/ward/more.txt", "more").await.unwrap();
    assert_eq!(read(&*eager(&realm, "doctor").await, "/ward/new.txt").await, "text");
}
