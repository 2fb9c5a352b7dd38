//! A realm in a directory, and daemons of their own over it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use chartfs::config::create_secret;
use chartfs::key::credential::Credential;
use chartfs::key::keyfile::{self, FileKind};
use chartfs::key::keyring::Keyring;
use chartfs::realm::Realm;
use chartfs::record::Records;
use chartfs::record::marks::Marks;
use chartfs::store::{self, Location, StoreOptions};
use chartfs::view::{View, ViewOptions};

use crate::drive::support::TestRealm;
use crate::drive::view::{POLICY, RUNTIME};

/// How many workstations there are, and one more for the checker.
const WORKSTATIONS: usize = 3;

/// A bucket with a realm, and what its workstations keep.
pub(crate) struct Bucket {
    dir: tempfile::TempDir,
}

async fn open(dir: &Path) -> store::Bucket {
    let options = StoreOptions::from_vars(std::iter::empty());
    store::Bucket::open(&Location::Directory(dir.to_path_buf()), &options).await.unwrap()
}

impl Bucket {
    /// Founds a realm in which everybody may do everything.
    pub(crate) fn found() -> Self {
        let bucket = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(bucket.path("bucket")).unwrap();
        RUNTIME.block_on(async {
            let realm = TestRealm::found_with(open(&bucket.path("bucket")).await, POLICY).await;
            for i in 0..WORKSTATIONS {
                let name = format!("doctor{i}");
                let credential = realm.credential(&name, &["physician@st-mary"]).await;
                let file = bucket.path(&format!("credential{i}"));
                let sealed = keyfile::seal(FileKind::Credential, &credential.to_bytes(), None);
                create_secret(&file, &sealed).unwrap();
            }
        });
        bucket
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("bucket").display())
    }

    /// Where a worker writes what it was told.
    pub(crate) fn log(&self, worker: u64) -> PathBuf {
        self.path(&format!("log{worker}"))
    }

    fn command(&self, workstation: usize, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartfs"));
        command.arg(name).arg(self.url());
        command.arg("--state").arg(self.path(&format!("state{workstation}")));
        command.stdin(Stdio::null());
        command
    }

    /// Starts a daemon as one of the workstations.
    pub(crate) fn mount(&self, workstation: usize) -> Daemon {
        let point = self.path(&format!("mount{workstation}"));
        fs::create_dir(&point).unwrap();
        let log = fs::File::create(self.path(&format!("daemon{workstation}.log"))).unwrap();
        let mut child = self
            .command(workstation, "mount")
            .arg(&point)
            .arg("--foreground")
            .arg("--credential")
            .arg(self.path(&format!("credential{workstation}")))
            .stderr(log)
            .spawn()
            .unwrap();
        let outside = fs::metadata(self.dir.path()).unwrap();
        while std::os::unix::fs::MetadataExt::dev(&fs::metadata(&point).unwrap())
            == std::os::unix::fs::MetadataExt::dev(&outside)
        {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the daemon ended: {}",
                fs::read_to_string(self.path(&format!("daemon{workstation}.log"))).unwrap()
            );
            std::thread::yield_now();
        }
        let log = self.path(&format!("daemon{workstation}.log"));
        Daemon { child, point, log, resident_kib: Vec::new(), descriptors: Vec::new() }
    }

    /// Opens the drive without a mount, as a workstation that has not seen it before.
    pub(crate) fn view(&self) -> Arc<View> {
        RUNTIME.block_on(async {
            let file = self.path(&format!("credential{}", WORKSTATIONS - 1));
            let sealed = fs::read(file).unwrap();
            let secret = keyfile::open(FileKind::Credential, &sealed, None).unwrap();
            let credential = Credential::from_bytes(&secret).unwrap();
            let genesis = credential.realm_genesis;
            let realm =
                Realm::open(open(&self.path("bucket")).await, Some(&genesis)).await.unwrap();
            let keyring = Arc::new(Keyring::new(credential).unwrap());
            let marks = Arc::new(Marks::in_memory());
            let records = Records::new(Arc::new(realm), keyring, marks);
            View::of(Arc::new(records), ViewOptions::default()).await.unwrap()
        })
    }

    /// Runs `chartfs check`; returns what it complains of.
    pub(crate) fn check(&self) -> Result<String, String> {
        let output = self.command(WORKSTATIONS - 1, "check").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(said) } else { Err(said) }
    }
}

/// A daemon and what it was seen to take.
pub(crate) struct Daemon {
    child: Child,
    point: PathBuf,
    log: PathBuf,
    resident_kib: Vec<u64>,
    descriptors: Vec<usize>,
}

impl Daemon {
    pub(crate) fn point(&self) -> &Path {
        &self.point
    }

    /// Notes how much memory and how many descriptors it has at this moment.
    pub(crate) fn sample(&mut self) {
        let of = |name: &str| format!("/proc/{}/{name}", self.child.id());
        let status = fs::read_to_string(of("status")).unwrap_or_default();
        let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let resident: Option<u64> =
            resident.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
        self.resident_kib.extend(resident);
        self.descriptors.extend(fs::read_dir(of("fd")).ok().map(Iterator::count));
    }

    pub(crate) fn print(&self) {
        let half = self.resident_kib.len() / 2;
        println!(
            "daemon: memory {} MiB at half time, {} MiB at the end, {} MiB at most; descriptors {} at the end, {} at most",
            self.resident_kib.get(half).unwrap_or(&0) >> 10,
            self.resident_kib.last().unwrap_or(&0) >> 10,
            self.resident_kib.iter().max().unwrap_or(&0) >> 10,
            self.descriptors.last().unwrap_or(&0),
            self.descriptors.iter().max().unwrap_or(&0),
        );
    }

    /// Unmounts; what it complained of is printed.
    pub(crate) fn end(mut self) {
        chartfs::daemon::umount(&self.point, false).unwrap();
        let status = self.child.wait().unwrap();
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        for line in said.lines().filter(|l| !l.contains("alert=\"conflict\"")).take(20) {
            println!("daemon said: {line}");
        }
        assert!(status.success(), "the daemon ended with {status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = chartfs::daemon::umount(&self.point, true);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
