//! A realm with some records in it, from which every round starts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chartfs::error::{Kind, Result};
use chartfs::key::keyring::Keyring;
use chartfs::realm::Realm;
use chartfs::record::Records;
use chartfs::record::marks::Marks;
use chartfs::store::{Bucket, Location, StoreOptions};
use chartfs::view::{Ino, View, ViewOptions};

use crate::fake_s3::{FakeS3, SECRET};
use crate::support::{POLICY, TestRealm, USERS};

/// What the psychiatrist wrote, and the doctor does not see.
pub(crate) const HIDDEN: &str = "what-only-the-psychiatrist-and-the-patient-read";

/// How often a request is tried: the default.
pub(crate) const TRIES: u32 = 6;

pub(crate) struct Template {
    pub(crate) objects: BTreeMap<String, Vec<u8>>,
    pub(crate) texts: Vec<(String, Vec<u8>)>,
    pub(crate) doctor: Arc<Keyring>,
    pub(crate) ana: Arc<Keyring>,
    genesis: [u8; 32],
    /// The doctor's local state, with the capsules that the doctor made.
    marks: Vec<u8>,
}

impl Template {
    pub(crate) async fn found() -> Self {
        let server = FakeS3::start().await;
        let policy = POLICY.replace(
            "write = \"psychiatrist@north\"",
            "write = \"psychiatrist@north or physician@st-mary\"",
        );
        let realm = TestRealm::found_with(server.bucket().await, &policy).await;
        let keyring = async |user: &str| {
            let (_, attributes) = USERS.iter().find(|(name, _)| *name == user).unwrap();
            Arc::new(Keyring::new(realm.credential(user, attributes).await).unwrap())
        };
        let mut this = Self {
            objects: BTreeMap::new(),
            texts: Vec::new(),
            doctor: keyring("doctor").await,
            ana: keyring("ana").await,
            genesis: realm.genesis,
            marks: Vec::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("marks");
        let (bucket, marks) = (server.bucket().await, Arc::new(Marks::open(&file).unwrap()));
        let view = this.view(bucket, &this.doctor, marks).await.unwrap();
        for name in ["a.json", "b.json", "c.json", "d.json"] {
            let shown = record_text(&format!("first {name}"), "");
            let end = format!(", \"psychiatry\": [\"{HIDDEN}\"]}}");
            let whole = format!("{}{end}", shown.trim_end_matches('}'));
            view.write_path(Ino::ROOT, name.as_bytes(), whole.as_bytes()).await.unwrap();
            this.texts.push((name.to_owned(), shown.into_bytes()));
        }
        let long = long_text("first long", 300_000);
        view.write_path(Ino::ROOT, b"long.bin", &long[..]).await.unwrap();
        this.texts.push(("long.bin".to_owned(), long));
        this.objects = server.state.lock().unwrap().objects.clone();
        view.drain().await.unwrap();
        drop(view);
        this.marks = std::fs::read(&file).unwrap();
        this
    }

    /// The drive of the doctor, on the workstation that made the records.
    pub(crate) async fn at_work(&self, bucket: Bucket) -> Arc<View> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("marks");
        std::fs::write(&file, &self.marks).unwrap();
        let marks = Arc::new(Marks::open(&file).unwrap());
        // The file stays open when its name is gone.
        patiently(async || self.view(bucket.clone(), &self.doctor, marks.clone()).await).await
    }

    /// The drive of a user on a workstation that remembers nothing.
    pub(crate) async fn elsewhere(
        &self,
        bucket: Bucket,
        keyring: &Arc<Keyring>,
    ) -> Result<Arc<View>> {
        self.view(bucket, keyring, Arc::new(Marks::in_memory())).await
    }

    async fn view(
        &self,
        bucket: Bucket,
        keyring: &Arc<Keyring>,
        marks: Arc<Marks>,
    ) -> Result<Arc<View>> {
        let realm = Arc::new(Realm::open(bucket, Some(&self.genesis)).await?);
        let records = Arc::new(Records::new(realm, keyring.clone(), marks));
        // What is shown is never older than the question, so reads meet the faults; and a name that
        // is taken away need not come back.
        let (attr_ttl, grace) = (Duration::ZERO, Duration::ZERO);
        let options = ViewOptions { attr_ttl, grace, ..ViewOptions::default() };
        View::of(records, options).await
    }
}

/// Does what no fault is in the way of, however slow the machine is that should do it soon.
pub(crate) async fn patiently<T>(mut work: impl AsyncFnMut() -> Result<T>) -> T {
    for _ in 0..100 {
        match work().await {
            Err(e) if e.kind() == Kind::Unavailable => {}
            done => return done.unwrap(),
        }
    }
    panic!("the server of the test does not answer");
}

/// Opens the bucket of a server.
pub(crate) async fn open(server: &FakeS3, request: Duration, operation: Duration) -> Bucket {
    let vars = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let vars = vars.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter();
    let mut options = StoreOptions::from_vars(vars);
    options.endpoint = Some(format!("http://{}", server.address));
    options.request_timeout = request;
    options.operation_timeout = operation;
    options.retry_wait = Duration::from_millis(2);
    options.tries = TRIES;
    let location: Location = "s3://bucket".parse().unwrap();
    Bucket::open(&location, &options).await.unwrap()
}

/// A small record as the doctor sees it.
pub(crate) fn record_text(what: &str, allergy: &str) -> String {
    format!("{{\"medications\": [\"{what}\"], \"allergies\": [\"{allergy}\"]}}")
}

/// A long text without a format.
pub(crate) fn long_text(what: &str, len: usize) -> Vec<u8> {
    let line = format!("{what}\n");
    let mut text = line.repeat(len / line.len() + 1).into_bytes();
    text.truncate(len);
    text
}
