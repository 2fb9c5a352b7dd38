//! What other systems deliver is filed into the folders of the patients that it names. Which folder
//! is an inbox, and where its files go, the root's signed policy says; whoever files does it with
//! the own rights.
//!
//! *Invariant:* doing it again, after a crash or by two at once, files nothing twice: a document
//! has one name in its patient's folder, and a patient one entry in the index.

mod filing;
mod folders;
mod index;
mod sweep;

use std::io::Read;
use std::sync::Arc;

use super::draft::{Draft, Text};
use super::file::is_refusal;
use super::{Saved, View, locked};
use crate::error::{Error, Kind, Result};
use crate::realm::inbox::Inbox;
use crate::record::external::BodySource;
use crate::record::format::identity::{
    Messages, RECOGNISE_MAX_BYTES, Recognised, Shape, identify, shape, shares,
};

pub use folders::Learnt;
use index::Index;
pub(super) use sweep::Waiting;

/// How much of a long text is looked at to find out what it is.
const PREFIX_BYTES: u64 = 8 << 20;
/// How much is read at once.
const PIECE_BYTES: usize = 1 << 20;

/// An inbox of the drive, and what is known of its patients.
pub struct Intake {
    rules: Inbox,
    index: Index,
    waiting: Waiting,
}

impl Intake {
    /// Returns the path of the folder.
    pub fn folder(&self) -> &str {
        &self.rules.folder
    }
}

/// What became of what was put into an inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Documents that are new.
    pub created: u64,
    /// Documents that have another text now.
    pub changed: u64,
    /// Documents that were there already.
    pub unchanged: u64,
    /// Texts that could not be filed and are in `.failed`, each with the reason.
    pub failed: u64,
}

impl Taken {
    fn count(&mut self, saved: Saved) {
        match saved {
            Saved::Created => self.created += 1,
            Saved::Changed => self.changed += 1,
            Saved::Same => self.unchanged += 1,
        }
    }
}

/// Says whether a text cannot be filed, now or later, until somebody does something about it.
fn is_final(kind: Kind) -> bool {
    let is_over = matches!(kind, Kind::CredentialExpired | Kind::CredentialRevoked);
    let is_name =
        matches!(kind, Kind::NotDirectory | Kind::IsDirectory | Kind::BadName | Kind::OtherPolicy);
    (is_refusal(kind) && !is_over) || is_name
}

impl View {
    /// Returns the inboxes of the drive.
    ///
    /// # Errors
    /// Those of reading the root's policy.
    pub async fn inboxes(&self) -> Result<Vec<Arc<Intake>>> {
        let realm = self.records.realm();
        let policy = realm.policy(&realm.state().root_policy, None).await?;
        let mut known = locked(&self.intakes);
        known.retain(|intake| policy.inboxes.contains(&intake.rules));
        for rules in &policy.inboxes {
            if !known.iter().any(|intake| intake.rules == *rules) {
                let rules = rules.clone();
                known.push(Arc::new(Intake {
                    rules,
                    index: Index::default(),
                    waiting: Waiting::default(),
                }));
            }
        }
        Ok(known.clone())
    }

    /// Returns the inbox at a path.
    ///
    /// # Errors
    /// As [`View::inboxes`].
    pub async fn inbox_at(&self, path: &str) -> Result<Option<Arc<Intake>>> {
        let names = |path: &str| -> Vec<String> {
            let names = path.split('/').filter(|n| !n.is_empty() && *n != ".");
            names.map(str::to_owned).collect()
        };
        let inboxes = self.inboxes().await?;
        Ok(inboxes.into_iter().find(|intake| names(intake.folder()) == names(path)))
    }

    /// Files what a file holds, without putting it into the inbox first. What cannot be filed is
    /// put into `.failed` there, under the file's name and with the reason.
    ///
    /// # Errors
    /// What trying again may help against; what was filed before that stays.
    pub async fn take_in(
        &self,
        intake: &Intake,
        name: &[u8],
        mut source: impl Read,
    ) -> Result<Taken> {
        let mut draft = Draft::of(b"");
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let n = source.read(&mut piece)?;
            if n == 0 {
                break;
            }
            draft.write(draft.len(), &piece[..n])?;
        }
        drop(piece);
        let text = draft.text()?;
        drop(draft);
        self.take_text(intake, name, &text).await
    }

    /// Files the pieces of a text.
    async fn take_text(&self, intake: &Intake, name: &[u8], text: &Text) -> Result<Taken> {
        let mut taken = Taken::default();
        let prefix = prefix_of(text)?;
        match shape(&prefix) {
            Shape::Hl7v2 => self.take_messages(intake, name, text, &mut taken).await?,
            Shape::FhirLines => {
                let mut number = 0;
                for batch in shares(Reading { text, at: 0 }) {
                    let batch = match batch {
                        Ok(batch) => batch,
                        Err(e) => {
                            self.fail(intake, name, text, &e).await?;
                            taken.failed += 1;
                            break;
                        }
                    };
                    for share in batch {
                        number += 1;
                        let name = numbered(name, number);
                        let lines = Text::Memory(share.text.into());
                        let found = share.recognised;
                        self.take_piece(intake, &name, &lines, found, &mut taken).await?;
                    }
                }
            }
            Shape::Dicom => {
                let found = identify(&prefix);
                self.take_piece(intake, name, text, found, &mut taken).await?;
            }
            Shape::Fhir | Shape::Cda | Shape::Unknown => {
                let found = match text {
                    Text::Memory(bytes) => identify(bytes),
                    Text::Spool(_) => Err(Error::new(Kind::Usage, "it is too long to be filed")
                        .because(format!("it has more than {} MiB", RECOGNISE_MAX_BYTES >> 20))),
                };
                self.take_piece(intake, name, text, found, &mut taken).await?;
            }
        }
        Ok(taken)
    }

    /// Files a message as it is, or each of a batch.
    async fn take_messages(
        &self,
        intake: &Intake,
        name: &[u8],
        text: &Text,
        taken: &mut Taken,
    ) -> Result<()> {
        let mut messages = Messages::new(Reading { text, at: 0 }).peekable();
        let (mut number, mut before) = (0, None::<Vec<u8>>);
        while let Some(message) = messages.next() {
            let message = match message {
                Ok(message) => message,
                Err(e) => {
                    taken.failed += 1;
                    return self.fail(intake, name, text, &e).await;
                }
            };
            number += 1;
            if number == 1 && messages.peek().is_none() {
                before = Some(message);
                break;
            }
            let (name, found) = (numbered(name, number), identify(&message));
            let message = Text::Memory(message.into());
            self.take_piece(intake, &name, &message, found, taken).await?;
        }
        match (before, text) {
            // The one message of a file is filed byte for byte.
            (Some(message), Text::Memory(whole)) => {
                let found = identify(whole).or_else(|_| identify(&message));
                self.take_piece(intake, name, text, found, taken).await
            }
            (Some(message), Text::Spool(_)) => {
                let found = identify(&message);
                self.take_piece(intake, name, &Text::Memory(message.into()), found, taken).await
            }
            (None, _) if number == 0 => {
                let found = Err(Error::new(Kind::Usage, "there is no message in it"));
                self.take_piece(intake, name, text, found, taken).await
            }
            (None, _) => Ok(()),
        }
    }

    /// Files one text, or puts it into `.failed`.
    async fn take_piece(
        &self,
        intake: &Intake,
        name: &[u8],
        text: &Text,
        found: Result<Recognised>,
        taken: &mut Taken,
    ) -> Result<()> {
        let filed = match found {
            Ok(found) => Box::pin(self.file_text(intake, &found, text)).await,
            Err(e) => Err(e),
        };
        match filed {
            Ok(saved) => taken.count(saved),
            Err(e) if is_final(e.kind()) => {
                tracing::info!(error = %e, "a text in an inbox cannot be filed");
                self.fail(intake, name, text, &e).await?;
                taken.failed += 1;
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    async fn file_text(&self, intake: &Intake, found: &Recognised, text: &Text) -> Result<Saved> {
        let patient = self.patient_folder(intake, &found.person).await?;
        self.file_document(&patient, &found.document, text).await
    }
}

/// Puts a number before the extension of a name.
fn numbered(name: &[u8], number: u64) -> Vec<u8> {
    super::aside::marked_name(name, &format!(".{number}"))
}

fn prefix_of(text: &Text) -> Result<bytes::Bytes> {
    match text {
        Text::Memory(bytes) => Ok(bytes.clone()),
        Text::Spool(spool) => {
            let len = PREFIX_BYTES.min(text.len());
            let mut prefix = vec![0; usize::try_from(len).expect("a few mebibytes")];
            spool.read_at(0, &mut prefix)?;
            Ok(prefix.into())
        }
    }
}

/// A text that is read from its beginning.
struct Reading<'t> {
    text: &'t Text,
    at: u64,
}

impl Read for Reading<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = (out.len() as u64).min(self.text.len() - self.at);
        let n = usize::try_from(len).expect("no longer than the buffer");
        self.text.read_at(self.at, &mut out[..n]).map_err(std::io::Error::other)?;
        self.at += len;
        Ok(n)
    }
}
