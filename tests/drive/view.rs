//! The drive under test: a realm in a bucket, a view of it, and a hand on the bucket that makes it
//! slow or failing.

use std::sync::{Arc, LazyLock};

use chartfs::record::{Located, PolicyRef, RecordId};
use chartfs::store::Bucket;
use chartfs::view::{Ino, View, ViewOptions};

use super::fake_s3::FakeS3;
use super::support::TestRealm;

/// A policy under which the user of these tests may do everything.
pub(crate) const POLICY: &str = r#"
[folder]
list = "physician@st-mary"
add = "physician@st-mary"
remove = "physician@st-mary"
manage = "physician@st-mary"

[default]
read = "physician@st-mary"
write = "physician@st-mary"
"#;

/// Where buckets live that outlast a mount. Made at first use: some tests fork before it.
pub(crate) static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
});

/// A view and what is behind it.
#[derive(Clone)]
pub(crate) struct Drive {
    pub(crate) view: Arc<View>,
    pub(crate) realm: Arc<TestRealm>,
    pub(crate) server: Option<FakeS3>,
}

/// Makes an empty drive that its user may change, in memory.
pub(crate) fn fresh() -> Drive {
    RUNTIME.block_on(drive_on(Bucket::memory(), None, ViewOptions::default()))
}

/// The same, where what is shown is never older than the question.
pub(crate) fn fresh_without_memory() -> Drive {
    let options = ViewOptions { attr_ttl: std::time::Duration::ZERO, ..ViewOptions::default() };
    RUNTIME.block_on(drive_on(Bucket::memory(), None, options))
}

/// Makes an empty drive behind a server that can be held up.
pub(crate) fn remote() -> Drive {
    remote_with(&[])
}

/// The same with files in the root.
pub(crate) fn remote_with(files: &[(&str, &str)]) -> Drive {
    RUNTIME.block_on(async {
        let server = FakeS3::start().await;
        let bucket = server.bucket().await;
        let mut drive = drive_on(bucket, Some(server), ViewOptions::default()).await;
        for (name, text) in files {
            let written = drive.view.write_path(Ino::ROOT, name.as_bytes(), text.as_bytes()).await;
            written.expect("a new drive can be written");
        }
        let records = drive.realm.records("doctor").await;
        drive.view = View::of(records, ViewOptions::default()).await.expect("a view");
        drive
    })
}

async fn drive_on(bucket: Bucket, server: Option<FakeS3>, options: ViewOptions) -> Drive {
    let realm = TestRealm::found_with(bucket, POLICY).await;
    let view = View::of(realm.records("doctor").await, options).await.expect("a view");
    Drive { view, realm: Arc::new(realm), server }
}

/// Reads a file, without a mount.
pub(crate) fn read(view: &View, path: &str) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let take = |piece: bytes::Bytes| {
        all.extend_from_slice(&piece);
        Ok(())
    };
    RUNTIME.block_on(view.read_path(path, take)).is_ok().then_some(all)
}

/// Writes a file in the root, without a mount.
pub(crate) fn write(view: &View, name: &str, text: &[u8]) {
    let written = RUNTIME.block_on(view.write_path(Ino::ROOT, name.as_bytes(), text));
    written.expect("the other workstation writes");
}

/// What the user of `realm` of that name sees.
pub(crate) fn of_user(realm: &Arc<TestRealm>, user: &str, options: ViewOptions) -> Drive {
    let view = RUNTIME
        .block_on(async { View::of(realm.records(user).await, options).await.expect("a view") });
    Drive { view, realm: Arc::clone(realm), server: None }
}

impl Drive {
    /// Opens the same bucket as another workstation of the same user.
    pub(crate) fn elsewhere(&self) -> Arc<View> {
        RUNTIME.block_on(async {
            let records = self.realm.records("doctor").await;
            View::of(records, ViewOptions::default()).await.expect("a view")
        })
    }

    /// Reads a file in the root from the bucket, past this view.
    pub(crate) fn stored(&self, name: &str) -> Option<Vec<u8>> {
        read(&self.elsewhere(), name)
    }

    /// Returns the names in the root that are in the bucket.
    pub(crate) fn stored_names(&self) -> std::collections::BTreeSet<String> {
        let view = self.elsewhere();
        let entries = RUNTIME.block_on(view.list_path("/")).expect("the root is readable");
        entries.into_iter().map(|e| String::from_utf8_lossy(&e.name).into_owned()).collect()
    }

    /// Writes a file in the root as another workstation does.
    pub(crate) fn write_elsewhere(&self, name: &str, text: &[u8]) {
        write(&self.elsewhere(), name, text);
    }

    /// Returns where the root lives, and the policy in force in it.
    pub(crate) fn root(&self) -> (Located, PolicyRef) {
        let state = self.view.records().realm().state();
        let root = RecordId(state.root_record);
        let policy = PolicyRef { hash: state.root_policy, patient: None };
        (Located { birth: root, record: root }, policy)
    }

    /// Returns where the record of a name in the root lives; waits until it has one.
    pub(crate) fn located(&self, name: &str) -> Located {
        let (root, policy) = self.root();
        RUNTIME.block_on(async {
            let records = self.realm.records("doctor").await;
            loop {
                let names = records.names(root, &policy, std::time::Duration::ZERO).await;
                let names = names.expect("the root is readable");
                if let Some(entry) = names.table.0.get(name.as_bytes()) {
                    return entry.located;
                }
                tokio::task::yield_now().await;
            }
        })
    }

    fn server(&self) -> &FakeS3 {
        self.server.as_ref().expect("only a remote drive can be held up")
    }

    /// Holds every read of the record of `name` in the root, which is no longer in memory.
    pub(crate) fn hold_reads(&self, name: &str) {
        let located = self.located(name);
        self.server().hold("GET", located.object().as_str());
        self.view.records().forget(located.record);
    }

    /// Holds the answers to reads of the record of `name` in the root.
    pub(crate) fn hold_answers(&self, name: &str) {
        self.server().hold_answers("GET", self.located(name).object().as_str());
    }

    /// Holds every commit of the record of `name` in the root.
    pub(crate) fn hold_commits(&self, name: &str) {
        self.server().hold("PUT", self.located(name).object().as_str());
    }

    /// Holds every change of the names in the root.
    pub(crate) fn hold_names(&self) {
        self.server().hold("PUT", self.root().0.object().as_str());
    }

    /// Waits until as many requests are held.
    pub(crate) fn wait_held(&self, count: usize) {
        RUNTIME.block_on(self.server().wait_held(count));
    }

    /// Lets what is held go on.
    pub(crate) fn release(&self) {
        if let Some(server) = &self.server {
            server.release();
        }
    }

    /// Makes the bucket refuse every commit of the record of `name` in the root.
    pub(crate) fn refuse_commits(&self, name: &str) {
        self.server().refuse("PUT", self.located(name).object().as_str());
    }
}
