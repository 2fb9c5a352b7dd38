//! A daemon of its own over a bucket in a directory: killed while it saves, and watched for how
//! much memory it takes.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use chartfs::daemon;
use chartfs::key::credential::Credential;
use chartfs::key::keyring::Keyring;
use chartfs::realm::Realm;
use chartfs::record::Records;
use chartfs::record::marks::Marks;
use chartfs::store::{Bucket, Location, StoreOptions};
use chartfs::view::{View, ViewOptions};

use crate::drive::support::TestRealm;
use crate::drive::view::{POLICY, RUNTIME};
use crate::{Point, drive, foreground_by};

/// How many times the daemon is killed.
const ROUNDS: u32 = 50;
/// What a daemon may take, as the issue has it.
const MEMORY_MAX_KIB: u64 = 256 << 10;

fn credential_file(bucket: &Path) -> PathBuf {
    bucket.with_extension("credential")
}

fn marks_file(bucket: &Path) -> PathBuf {
    bucket.with_extension("marks")
}

async fn open_bucket(dir: &Path) -> Bucket {
    let options = StoreOptions::from_vars(std::iter::empty());
    Bucket::open(&Location::Directory(dir.to_path_buf()), &options).await.unwrap()
}

/// Founds a realm in a directory, with a credential beside it.
fn found(bucket: &Path) {
    fs::create_dir(bucket).unwrap();
    RUNTIME.block_on(async {
        let realm = TestRealm::found_with(open_bucket(bucket).await, POLICY).await;
        let credential = realm.credential("doctor", &["physician@st-mary"]).await;
        fs::write(credential_file(bucket), credential.to_bytes()).unwrap();
    });
}

/// Opens the realm that [`found`] made, with the marks of the last time.
pub(crate) fn view_of(bucket: &Path) -> Arc<View> {
    RUNTIME.block_on(async {
        let credential =
            Credential::from_bytes(&fs::read(credential_file(bucket)).unwrap()).unwrap();
        let genesis = credential.realm_genesis;
        let realm = Realm::open(open_bucket(bucket).await, Some(&genesis)).await.unwrap();
        let marks = Marks::open(&marks_file(bucket)).unwrap();
        let keyring = Keyring::new(credential).unwrap();
        let records = Records::new(Arc::new(realm), Arc::new(keyring), Arc::new(marks));
        View::of(Arc::new(records), ViewOptions::default()).await.unwrap()
    })
}

fn daemon_of(bucket: &Path, point: &Point) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("CHARTFS_TEST_BUCKET", bucket);
    foreground_by(command, point)
}

fn end(mut child: Child, point: &Point) {
    daemon::umount(point.path(), false).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The text of a version: every part of it says which it is, and its length too.
fn text_of(version: u32) -> String {
    let size = 20_000 + 7_000 * (version as usize % 20);
    format!(
        r#"{{"medications": ["{version}"], "labs": ["{}"]}}"#,
        format!("{version} ").repeat(size / 4)
    )
}

/// Saves in one of the ways of programs.
fn save(dir: &Path, version: u32) -> std::io::Result<()> {
    let (path, text) = (dir.join("record.json"), text_of(version));
    if version.is_multiple_of(2) {
        return drive::save(&path, text);
    }
    let new = dir.join("record.json.new");
    drive::save(&new, text)?;
    fs::rename(&new, &path)
}

pub(crate) fn old_or_new() {
    let work = tempfile::tempdir().unwrap();
    let bucket = work.path().join("bucket");
    found(&bucket);
    let mut before = 0;
    let point = Point::new();
    let child = daemon_of(&bucket, &point);
    save(point.path(), before).unwrap();
    end(child, &point);
    let (mut kept, mut promised) = (0, 0);
    for round in 1..=ROUNDS {
        let mut child = daemon_of(&bucket, &point);
        let dir = point.path().to_path_buf();
        let saving = std::thread::spawn(move || save(&dir, round));
        // Somewhere before, within or after the save; now and then only when it is over.
        let saved = if round % 10 == 0 {
            saving.join().unwrap().map(|()| child.kill().unwrap())
        } else {
            std::thread::sleep(Duration::from_millis(u64::from(round * 7 % 90)));
            child.kill().unwrap();
            saving.join().unwrap()
        };
        child.wait().unwrap();
        daemon::umount(point.path(), true).unwrap();
        let child = daemon_of(&bucket, &point);
        let now = fs::read_to_string(point.path().join("record.json")).unwrap();
        if now == text_of(round) {
            before = round;
        } else {
            assert!(saved.is_err(), "round {round}: the save succeeded and is gone");
            assert!(now == text_of(before), "round {round}: neither {before} nor the new version");
            kept += 1;
        }
        promised += u32::from(saved.is_ok());
        for entry in fs::read_dir(point.path()).unwrap().map(Result::unwrap) {
            fs::read(entry.path()).unwrap();
        }
        end(child, &point);
    }
    println!(
        "killed {ROUNDS} times: {kept} times the old version, {promised} times after the save"
    );
    assert!(kept > 0, "no round was killed early enough to try anything");
}

fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A byte of the long file.
fn byte_at(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

pub(crate) fn long_file() {
    let is_long = std::env::var_os("CHARTFS_LONG").is_some();
    let size: u64 = if is_long { 500 << 20 } else { 80 << 20 };
    let work = tempfile::tempdir().unwrap();
    let bucket = work.path().join("bucket");
    found(&bucket);
    let point = Point::new();
    let path = point.path().join("scan.bin");
    let piece_len = 1 << 20;
    let child = daemon_of(&bucket, &point);
    let file = fs::File::create(&path).unwrap();
    for start in (0..size).step_by(piece_len) {
        let piece: Vec<u8> = (start..start + piece_len as u64).map(byte_at).collect();
        file.write_all_at(&piece, start).unwrap();
    }
    file.sync_all().unwrap();
    drop(file);
    let writing = peak_kib(child.id());
    end(child, &point);

    let child = daemon_of(&bucket, &point);
    assert_eq!(fs::metadata(&path).unwrap().len(), size);
    let file = fs::File::open(&path).unwrap();
    let check = |at: u64, len: usize| {
        let mut part = vec![0; len];
        file.read_exact_at(&mut part, at).unwrap();
        assert!((at..).zip(&part).all(|(i, b)| byte_at(i) == *b), "other bytes at {at}");
    };
    for i in 0..300u64 {
        check(
            (i * 7_919 * 65_537) % (size - 100_000),
            1 + usize::try_from(i * 331 % 99_999).unwrap(),
        );
    }
    let idle = peak_kib(child.id());
    for start in (0..size).step_by(piece_len) {
        check(start, piece_len);
    }
    let reading = peak_kib(child.id());
    drop(file);
    end(child, &point);
    println!(
        "{size} bytes: peak while writing {writing} KiB, random reads {idle} KiB, all {reading} KiB"
    );
    assert!(reading < MEMORY_MAX_KIB, "{reading} KiB while reading");
    assert!(writing < 2 * MEMORY_MAX_KIB, "{writing} KiB while writing");
}
