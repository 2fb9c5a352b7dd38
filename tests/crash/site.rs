//! A realm with two users, the program that one of them mounts it with, and what may be lost.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chartfs::daemon;
use chartfs::key::credential::Credential;
use chartfs::key::keyfile::{self, FileKind};
use chartfs::store::{Bucket, Location, StoreOptions};
use chartfs::view::{Ino, View, ViewOptions};

use crate::drive::HUNG;
use crate::drive::fake_s3::{FakeS3, SECRET};
use crate::drive::support::{TestRealm, USERS};
use crate::drive::view::{RUNTIME, read};
use crate::plan::{CHART, Lane, Tree, What, number_of, text_of};

/// Where a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory,
    Server,
}

/// What the other user writes into the chart.
const HIDDEN: &str = r#"{"mental-health": ["a text that the doctor never sees"]}"#;

pub(crate) struct Site {
    realm: TestRealm,
    server: Option<FakeS3>,
    /// Where bucket and state are; they may be on a file system of their own.
    root: PathBuf,
    point: PathBuf,
    commit: &'static str,
    psychiatrist: Vec<u8>,
    doctor: Vec<u8>,
    /// What the psychiatrist sees of the chart.
    hidden: Vec<u8>,
    /// Everything that is not to be lost with a disk.
    work: tempfile::TempDir,
}

impl Site {
    /// Founds a realm below `root`, or on a server, with one chart that two users wrote.
    pub(crate) fn found(place: Place, commit: &'static str, root: &Path) -> Self {
        let work = tempfile::tempdir().unwrap();
        let point = work.path().join("drive");
        fs::create_dir(&point).unwrap();
        for name in ["bucket", "state", "cache"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        RUNTIME.block_on(async {
            let (server, bucket) = match place {
                Place::Directory => (None, open_directory(&root.join("bucket")).await),
                Place::Server => {
                    let server = FakeS3::start().await;
                    let bucket = server.bucket().await;
                    (Some(server), bucket)
                }
            };
            let realm = TestRealm::found(bucket).await;
            let credential = async |user: &str| {
                let (_, attributes) = USERS.iter().find(|(name, _)| *name == user).unwrap();
                realm.credential(user, attributes).await.to_bytes().to_vec()
            };
            let (doctor, psychiatrist) =
                (credential("doctor").await, credential("psychiatrist").await);
            let key = keyfile::seal(FileKind::Credential, &doctor, None);
            write_secret(&work.path().join("credential"), &key);
            let root = root.to_owned();
            let hidden = Vec::new();
            let mut site =
                Self { realm, server, root, point, commit, psychiatrist, doctor, hidden, work };
            let text = text_of(CHART, 0);
            for (who, text) in [(&site.doctor, text.as_str()), (&site.psychiatrist, HIDDEN)] {
                let view = site.view(who).await;
                view.write_path(Ino::ROOT, CHART.as_bytes(), text.as_bytes()).await.unwrap();
            }
            let view = site.view(&site.psychiatrist).await;
            site.hidden = read_all(&view, CHART).await;
            assert_eq!(site.hidden, HIDDEN.as_bytes());
            site
        })
    }

    async fn view(&self, credential: &[u8]) -> Arc<View> {
        let credential = Credential::from_bytes(credential).unwrap();
        let records = self.realm.records_of(credential).await;
        View::of(records, ViewOptions::default()).await.unwrap()
    }

    pub(crate) fn point(&self) -> &Path {
        &self.point
    }

    /// Where writers keep their logs: another file system, where there is one.
    pub(crate) fn logs(&self) -> tempfile::TempDir {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
        let memory = Path::new("/dev/shm");
        match device(memory) {
            Some(here) if device(&self.root) != Some(here) => tempfile::tempdir_in(memory).unwrap(),
            _ => tempfile::tempdir().unwrap(),
        }
    }

    fn url(&self) -> String {
        match self.server {
            Some(_) => "s3://bucket".to_owned(),
            None => format!("file://{}", self.root.join("bucket").display()),
        }
    }

    /// The program with nothing in its environment but what it needs.
    fn program(&self) -> Command {
        let named = std::env::var_os("CHARTFS_TEST_PROGRAM");
        let mut command = Command::new(named.unwrap_or(env!("CARGO_BIN_EXE_chartfs").into()));
        command.env_clear().env("HOME", self.work.path());
        command.env("CHARTFS_STATE", self.root.join("state"));
        command.env("XDG_CACHE_HOME", self.root.join("cache"));
        if let Some(server) = &self.server {
            command
                .env("AWS_ENDPOINT_URL", format!("http://{}", server.address))
                .env("AWS_REGION", "us-east-1")
                .env("AWS_ACCESS_KEY_ID", "AK")
                .env("AWS_SECRET_ACCESS_KEY", SECRET);
        }
        command
    }

    /// Begins to mount; [`Mounting::wait`] waits until the drive works.
    pub(crate) fn mount(&self) -> Mounting {
        let notify = self.work.path().join("notify");
        let _ = fs::remove_file(&notify);
        let socket = UnixDatagram::bind(&notify).unwrap();
        let log = fs::File::create(self.work.path().join("log")).unwrap();
        let child = self
            .program()
            .args(["mount", "-f", &self.url()])
            .arg(&self.point)
            .args(["--commit", self.commit, "--credential"])
            .arg(self.work.path().join("credential"))
            .env("NOTIFY_SOCKET", &notify)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Mounting { child, socket }
    }

    /// What the program said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.work.path().join("log")).unwrap_or_default()
    }

    /// Kills the program and clears the mount point, and only then waits for its end: a thread of
    /// it that makes the kernel forget a page which is just being read cannot be killed before the
    /// reader gets an answer, and nobody answers any more.
    pub(crate) fn kill(&self, mut child: Child) {
        child.kill().unwrap();
        self.clear();
        child.wait().unwrap();
    }

    /// Clears the mount point; a daemon that was killed early may have left none.
    fn clear(&self) {
        use nix::mount::{MntFlags, umount2};
        let flags = MntFlags::MNT_FORCE | MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
        if umount2(&self.point, flags) == Err(nix::errno::Errno::EPERM) {
            let _ = daemon::umount(&self.point, true);
        }
    }

    /// Unmounts, which sends and commits everything.
    pub(crate) fn leave(&self, mut child: Child) {
        // Another test's child that is just begun may have a file of this drive open for a moment.
        let begun = std::time::Instant::now();
        while let Err(e) = daemon::umount(&self.point, false) {
            assert!(begun.elapsed() < HUNG, "{e:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Loses what may be lost: the cache, and the marks too.
    pub(crate) fn lose(&self, with_marks: bool) {
        remove_all(&self.root.join("cache"), &|_| true);
        if with_marks {
            remove_all(&self.root.join("state"), &|name| name.contains(".marks"));
        }
    }

    /// Checks every object of the bucket, as the program does without a key.
    pub(crate) fn check(&self) {
        let output = self.program().args(["check", &self.url()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// What the doctor sees who comes new to another workstation.
    pub(crate) fn elsewhere(&self) -> Tree {
        RUNTIME.block_on(async {
            let view = self.view(&self.doctor).await;
            let (mut tree, mut folders) = (Tree::new(), vec![String::new()]);
            while let Some(folder) = folders.pop() {
                for entry in view.list_path(&format!("/{folder}")).await.unwrap() {
                    let name = String::from_utf8(entry.name).unwrap();
                    let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                    if entry.attr.kind == chartfs::view::NodeKind::Directory {
                        folders.push(path.clone());
                        tree.insert(path, What::Folder);
                    } else {
                        let text = read_all(&view, &path).await;
                        let number = named(&path, &text);
                        tree.insert(path, number);
                    }
                }
            }
            tree
        })
    }

    /// Asserts that the part of the chart that belongs to somebody else is what it was.
    pub(crate) fn assert_hidden_part(&self) {
        let view = RUNTIME.block_on(self.view(&self.psychiatrist));
        let now = read(&view, &format!("/{CHART}"));
        assert!(now.as_ref() == Some(&self.hidden), "the hidden part is another: {now:?}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A daemon that begins to serve.
pub(crate) struct Mounting {
    pub(crate) child: Child,
    socket: UnixDatagram,
}

impl Mounting {
    /// Waits until the drive works.
    pub(crate) fn wait(mut self, site: &Site) -> Child {
        self.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let begun = std::time::Instant::now();
        let mut text = [0; 1000];
        loop {
            if let Ok(len) = self.socket.recv(&mut text)
                && text[..len].starts_with(b"READY=1")
            {
                return self.child;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("not mounted: {status}: {}", site.log());
            }
            if begun.elapsed() > HUNG {
                site.kill(self.child);
                panic!("not mounted within {HUNG:?}: {}", site.log());
            }
        }
    }
}

async fn open_directory(dir: &Path) -> Bucket {
    let options = StoreOptions::from_vars(std::iter::empty());
    Bucket::open(&Location::Directory(dir.to_path_buf()), &options).await.unwrap()
}

async fn read_all(view: &View, path: &str) -> Vec<u8> {
    let mut all = Vec::new();
    let take = |piece: bytes::Bytes| {
        all.extend_from_slice(&piece);
        Ok(())
    };
    view.read_path(&format!("/{}", path.trim_start_matches('/')), take).await.unwrap();
    all
}

fn write_secret(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).unwrap().write_all(bytes).unwrap();
}

fn remove_all(dir: &Path, is_to_go: &dyn Fn(&str) -> bool) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            remove_all(&entry.path(), is_to_go);
        } else if is_to_go(entry.file_name().to_str().unwrap()) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

/// Says which text stands there; a torn one is none that was ever written.
fn named(path: &str, text: &[u8]) -> What {
    let number = number_of(path, text).unwrap_or_else(|| {
        let shown = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
        panic!("{path} is torn: {} bytes, {shown:?}…", text.len())
    });
    What::Text(number)
}

/// Reads everything through the mount.
pub(crate) fn tree_of(point: &Path) -> Tree {
    let (mut tree, mut folders) = (Tree::new(), vec![String::new()]);
    while let Some(folder) = folders.pop() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in fs::read_dir(point.join(&folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            assert!(seen.insert(path.clone()), "{path} is there twice");
            assert!(crate::plan::LANES.iter().any(|l| l.owns(&path)), "{path} is nobody's");
            if entry.file_type().unwrap().is_dir() {
                folders.push(path.clone());
                tree.insert(path, What::Folder);
            } else {
                let what = named(&path, &fs::read(point.join(&path)).unwrap());
                tree.insert(path, what);
            }
        }
    }
    tree
}

/// The part of a tree that belongs to one writer.
pub(crate) fn part_of(tree: &Tree, lane: Lane) -> Tree {
    tree.iter().filter(|(name, _)| lane.owns(name)).map(|(n, w)| (n.clone(), *w)).collect()
}
