//! A realm in which several people mount the same bucket, with one patient's record in it.

use std::path::Path;
use std::sync::Arc;

use chartfs::demo::patients::patient;
use chartfs::store::{Bucket, Location, StoreOptions};
use chartfs::view::{Ino, ViewOptions};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::drive::support::{POLICY, TestRealm};
use crate::drive::view::{self, RUNTIME};
use crate::drive::{Mounted, options};

/// The policy of the test realm, under which the doctor may file a whole record.
pub(crate) fn policy() -> String {
    let rights = |section: &str, readers: &str| {
        format!("[section.{section}]\nread = \"{readers}\"\nwrite = \"physician@st-mary\"\n\n")
    };
    let hiv = rights("hiv", "physician@st-mary or owner@ana");
    POLICY
        .replace("[default]", &(hiv + "[default]"))
        .replace("\"psychiatrist@north\"\n", "\"psychiatrist@north or physician@st-mary\"\n")
}

/// The record that the doctor files.
pub(crate) fn bundle() -> Vec<u8> {
    let files = patient(1).files;
    files.into_iter().find(|(name, _)| name == "record.json").expect("every patient has one").1
}

/// Founds the realm in memory and files the record.
pub(crate) fn realm() -> Arc<TestRealm> {
    realm_in(Bucket::memory())
}

/// Founds the realm in a directory.
pub(crate) fn realm_in_directory(dir: &Path) -> Arc<TestRealm> {
    let location = Location::Directory(dir.to_path_buf());
    let options = StoreOptions::from_vars(std::iter::empty());
    realm_in(RUNTIME.block_on(Bucket::open(&location, &options)).expect("a directory"))
}

fn realm_in(bucket: Bucket) -> Arc<TestRealm> {
    let realm = Arc::new(RUNTIME.block_on(TestRealm::found_with(bucket, &policy())));
    file(&realm, "doctor", "record.json", &bundle());
    realm
}

/// Writes a file into the root as a user, without a mount.
pub(crate) fn file(realm: &Arc<TestRealm>, user: &str, name: &str, text: &[u8]) {
    let view = view::of_user(realm, user, ViewOptions::default()).view;
    RUNTIME.block_on(view.write_path(Ino::ROOT, name.as_bytes(), text)).expect("the user may");
}

/// Mounts the bucket as a user.
pub(crate) fn mount(realm: &Arc<TestRealm>, user: &str) -> Option<Mounted> {
    Mounted::with(view::of_user(realm, user, ViewOptions::default()), options())
}

/// What a user reads at this moment, without a mount and without memory.
pub(crate) fn seen(realm: &Arc<TestRealm>, user: &str, path: &str) -> Option<String> {
    let view = view::of_user(realm, user, ViewOptions::default()).view;
    view::read(&view, path).map(|text| String::from_utf8(text).expect("the records are text"))
}

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow)]
    entry: Vec<&'a RawValue>,
}

/// The entries of a bundle as they are written.
pub(crate) fn entries(text: &str) -> Vec<String> {
    let bundle: Bundle<'_> = serde_json::from_str(text).expect("the view is valid JSON");
    bundle.entry.into_iter().map(|e| e.get().to_owned()).collect()
}
