//! The inbox on a drive: what programs put there is filed once they are done with it, by whoever may
//! read it and take it away. What nobody here may file waits for somebody elsewhere.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::folder::place_of;
use super::super::local::{is_local_name, is_stand_in_name};
use super::super::node::{Node, Stands};
use super::super::{Ino, Invalidation, View, locked};
use super::{Intake, Taken};
use crate::error::{Kind, Result};
use crate::record::directory::Entry;
use crate::record::{RecordId, Sight};

/// How old what is known of an inbox may be: what others put there is found within that time.
const LOOK_MAX_AGE: Duration = Duration::from_secs(10);
/// How long a text waits that could not be filed and may be later.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// How deep folders in an inbox are looked into.
const DEPTH_MAX: usize = 16;
/// Tails of names that a file has only while it is being written.
const UNFINISHED: [&[u8]; 4] = [b".filepart", b".partial", b".crdownload", b".writing"];

/// What stood in an inbox when it was looked at last.
#[derive(Default)]
pub(in super::super) struct Waiting {
    files: Mutex<HashMap<Place, Seen>>,
    looked: Mutex<Option<Instant>>,
}

impl Waiting {
    /// Says whether it is time to look again: something waits here, or somebody elsewhere may have
    /// put something there.
    fn is_due(&self) -> bool {
        let is_young = locked(&self.looked).is_some_and(|at| at.elapsed() < LOOK_MAX_AGE);
        !is_young || locked(&self.files).values().any(|seen| seen.failed.is_none())
    }
}

/// A folder, and a name in it.
type Place = (RecordId, Vec<u8>);

#[derive(Clone, Copy)]
struct Seen {
    record: RecordId,
    version: [u8; 32],
    /// Since when it is as it is.
    since: Instant,
    /// When it could not be filed.
    failed: Option<Instant>,
}

/// Says whether a file of this name is still being written, or is none to be filed.
fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(b".")
        || is_local_name(name)
        || is_stand_in_name(name)
        || UNFINISHED.iter().any(|tail| name.len() > tail.len() && name.ends_with(tail))
}

impl View {
    /// Files what lies in the inboxes of the drive, as far as this user may; whoever serves a drive
    /// calls it from time to time. Returns what became of it.
    ///
    /// # Errors
    /// Those of looking at the inboxes. A text that cannot be filed now is tried again by a later
    /// call.
    pub async fn file_inboxes(&self) -> Result<Taken> {
        let mut sum = Taken::default();
        let is_named = self.is_named.swap(false, Ordering::Relaxed);
        for intake in self.inboxes().await? {
            if !is_named && !intake.waiting.is_due() {
                continue;
            }
            *locked(&intake.waiting.looked) = Some(Instant::now());
            let Some(folder) = self.find_inbox(&intake).await? else { continue };
            self.file_folder(&intake, &folder, DEPTH_MAX, &mut sum).await?;
        }
        Ok(sum)
    }

    /// Says whether this user may file what is put into an inbox, which is made now if need be.
    ///
    /// # Errors
    /// Those of making and reading the folder.
    pub async fn may_file(&self, intake: &Intake) -> Result<bool> {
        self.folder_at(intake.folder()).await?;
        Ok(self.find_inbox(intake).await?.is_some())
    }

    /// Returns the folder of an inbox, when it is there and its files are this user's to file.
    async fn find_inbox(&self, intake: &Intake) -> Result<Option<Arc<Node>>> {
        let mut folder = self.node(Ino::ROOT)?;
        for name in intake.folder().split('/').filter(|name| !name.is_empty()) {
            folder = match self.child(folder.ino, name.as_bytes()).await {
                Err(e) if matches!(e.kind(), Kind::NotFound | Kind::Denied) => return Ok(None),
                found => found?,
            };
        }
        let policy = match self.policy_in(&folder).await {
            Err(e) if matches!(e.kind(), Kind::NotDirectory | Kind::Denied) => return Ok(None),
            policy => policy?,
        };
        let may = self.may_remove(&folder).await? == Sight::Open && self.sees_all(&policy).await?;
        Ok(may.then_some(folder))
    }

    /// Files what lies in a folder and in those below it, which stay.
    async fn file_folder(
        &self,
        intake: &Intake,
        folder: &Arc<Node>,
        depth: usize,
        sum: &mut Taken,
    ) -> Result<()> {
        let table = self.table(folder, LOOK_MAX_AGE).await?;
        let (place, _) = place_of(folder)?;
        let is_there = |name: &Vec<u8>| table.0.contains_key(name);
        locked(&intake.waiting.files).retain(|(at, name), _| *at != place.record || is_there(name));
        for (name, entry) in &table.0 {
            if is_unfinished(name) || folder.folder.overlay(name).is_some() {
                continue;
            }
            if entry.is_directory() {
                if depth > 0 {
                    let below = self.node_of(folder, name, entry)?;
                    Box::pin(self.file_folder(intake, &below, depth - 1, sum)).await?;
                }
                continue;
            }
            let filed = Box::pin(self.file_settled(intake, folder, name, entry)).await;
            match filed {
                Ok(taken) => {
                    sum.created += taken.created;
                    sum.changed += taken.changed;
                    sum.unchanged += taken.unchanged;
                    sum.failed += taken.failed;
                }
                Err(error) => {
                    tracing::warn!(%error, "a text stays in an inbox; it is tried again");
                    let at = (place.record, name.clone());
                    if let Some(seen) = locked(&intake.waiting.files).get_mut(&at) {
                        seen.failed = Some(Instant::now());
                    }
                }
            }
        }
        Ok(())
    }

    /// Files a text that nobody has changed for a moment, and takes it out of the inbox.
    async fn file_settled(
        &self,
        intake: &Intake,
        folder: &Arc<Node>,
        name: &[u8],
        entry: &Entry,
    ) -> Result<Taken> {
        let node = self.node_of(folder, name, entry)?;
        let _work = node.file.work.lock().await;
        let Stands::Record { located, policy } = node.stands() else {
            return Ok(Taken::default());
        };
        let at = (place_of(folder)?.0.record, name.to_vec());
        if located != entry.located || node.file.is_busy() {
            let (record, since) = (located.record, Instant::now());
            let busy = Seen { record, version: [0; 32], since, failed: None };
            locked(&intake.waiting.files).insert(at, busy);
            return Ok(Taken::default());
        }
        let seen = self.see(located, &policy, self.options.attr_ttl).await?;
        let version = *seen.record.object_hash();
        if !self.is_settled(intake, at, located.record, version) || seen.hides {
            return Ok(Taken::default());
        }
        let text = self.text_of(&node).await?;
        let taken = self.take_text(intake, name, &text).await?;
        drop(text);
        if node.file.is_busy() {
            // It is written on: it is filed again, as a newer text of the same.
            return Ok(taken);
        }
        node.file.forget_text();
        self.unlink_record(folder, name, &node, located, &policy).await?;
        folder.forget_attr();
        self.invalidate(Invalidation::Entry { parent: folder.ino, name: name.to_vec() });
        Ok(taken)
    }

    /// Says whether a text has been as it is for long enough, and is not waiting to be tried again.
    fn is_settled(&self, intake: &Intake, at: Place, record: RecordId, version: [u8; 32]) -> bool {
        let now = Instant::now();
        let mut waiting = locked(&intake.waiting.files);
        let new = Seen { record, version, since: now, failed: None };
        let seen = waiting.entry(at).or_insert(new);
        if (seen.record, seen.version) != (record, version) {
            *seen = new;
        }
        let is_due = seen.failed.is_none_or(|failed| failed.elapsed() >= RETRY_INTERVAL);
        is_due && seen.since.elapsed() >= self.options.inbox_settle
    }
}
