//! What was there before and what two did at once: nothing that was removed or overwritten, and
//! nothing that was written, is lost.

#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

#[path = "../fake_s3/mod.rs"]
mod fake_s3;
#[path = "../support/mod.rs"]
mod support;

mod conflicts;
mod kept;
mod locals;
mod removed;
mod unlinked;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chartfs::error::Result;
use chartfs::store::{Bucket, Condition, ObjectName};
use chartfs::view::{Access, Handle, Ino, View, ViewOptions};
use support::TestRealm;

/// A view that never shows anything older than the question, and gives names no time to come back.
async fn eager(realm: &TestRealm, user: &str) -> Arc<View> {
    let options = ViewOptions { attr_ttl: Duration::ZERO, grace: Duration::ZERO };
    View::of(realm.records(user).await, options).await.unwrap()
}

/// A view as a mount has it.
async fn drive(realm: &TestRealm, user: &str) -> Arc<View> {
    View::of(realm.records(user).await, ViewOptions::default()).await.unwrap()
}

async fn try_read(view: &View, path: &str) -> Result<String> {
    let mut all = Vec::new();
    let take = |piece: Bytes| {
        all.extend_from_slice(&piece);
        Ok(())
    };
    view.read_path(path, take).await?;
    Ok(String::from_utf8(all).unwrap())
}

async fn read(view: &View, path: &str) -> String {
    try_read(view, path).await.unwrap_or_else(|e| panic!("{path}: {e}"))
}

async fn save(view: &View, path: &str, text: &str) -> Result<()> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = view.resolve(parent).await?.ino;
    view.write_path(parent, name.as_bytes(), text.as_bytes()).await.map(|_| ())
}

async fn names(view: &View, path: &str) -> Vec<String> {
    let entries = view.list_path(path).await.unwrap();
    entries.into_iter().map(|e| String::from_utf8(e.name).unwrap()).collect()
}

/// Opens a file and changes its text, without closing it.
async fn begin_edit(view: &View, path: &str, text: &str) -> Handle {
    let ino = view.resolve(path).await.unwrap().ino;
    let access = Access { read: true, write: true, truncate: true, append: false };
    let handle = view.open(ino, access).await.unwrap().handle;
    view.write(handle, 0, Bytes::from(text.to_owned())).await.unwrap();
    handle
}

async fn end_edit(view: &View, handle: Handle) {
    view.flush(handle).await.unwrap();
    view.release(handle).await;
}

async fn objects(bucket: &Bucket, prefix: &str) -> Vec<ObjectName> {
    use futures::StreamExt;
    bucket.list(prefix).map(|listed| listed.unwrap().name).collect().await
}

async fn overwrite(bucket: &Bucket, name: &ObjectName, bytes: Bytes) {
    bucket.put(name, bytes, Condition::Always).await.unwrap();
}

const ROOT: Ino = Ino::ROOT;
