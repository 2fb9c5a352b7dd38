//! `chartfs rejected`: what was saved and is not in the bucket.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::date::format_unix_s;
use super::out::{Out, say};
use super::report::{Exit, Outcome};
use super::secrets::{self, PassphraseArgs};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::key::credential::hex;
use crate::key::keyring::Keyring;
use crate::view::{RejectedText, RejectedTexts};

/// List, show and drop texts that were saved on a mount and are not in the bucket
///
/// A text that the policy or the format refuses, or that could not be committed because the bucket
/// did not answer, is kept on this workstation, sealed, until its author drops it. No bucket and no
/// mount is needed, and a mount may be running.
#[derive(Subcommand, Debug)]
pub(super) enum RejectedCommand {
    List(ListArgs),
    Show(ShowArgs),
    Drop(DropArgs),
}

/// Whose texts they are.
#[derive(Args, Debug)]
struct AuthorArgs {
    /// The credential
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// List the texts, the oldest first
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    #[command(flatten)]
    author: AuthorArgs,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Write a text to the standard output
///
/// To save it again: chartfs rejected show ID | chartfs put BUCKET - PATH
#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// The text, by its identifier or the beginning of it
    id: String,
    #[command(flatten)]
    author: AuthorArgs,
}

/// Drop a text for ever
#[derive(Args, Debug)]
pub(super) struct DropArgs {
    /// The text, by its identifier or the beginning of it
    #[arg(required_unless_present = "all")]
    id: Option<String>,
    /// Drop all of them
    #[arg(long, conflicts_with = "id")]
    all: bool,
    #[command(flatten)]
    author: AuthorArgs,
}

#[derive(Serialize)]
struct TextJson {
    id: String,
    time: String,
    time_unix_s: i64,
    path: String,
    size_bytes: u64,
    reason: String,
}

pub(super) fn run(command: &RejectedCommand, session: &Session) -> Outcome {
    match command {
        RejectedCommand::List(args) => list(args, session),
        RejectedCommand::Show(args) => show(args, session),
        RejectedCommand::Drop(args) => drop_texts(args, session),
    }
}

/// Opens the rejected texts of a user of a realm.
pub(super) fn open_texts(session: &Session, keyring: Arc<Keyring>) -> Result<RejectedTexts> {
    let realm = hex(&keyring.realm_genesis()[..16]);
    let user = hex(&keyring.gid().0[..16]);
    RejectedTexts::open(session.settings.rejected_dir(&realm, &user)?, keyring)
}

fn texts(session: &Session, author: &AuthorArgs) -> Result<RejectedTexts> {
    let path = session.credential_file(author.credential.as_deref())?;
    let credential = secrets::open_credential(session, &path, &author.passphrase)?;
    open_texts(session, Arc::new(Keyring::new(credential)?))
}

fn list(args: &ListArgs, session: &Session) -> Outcome {
    let listed = texts(session, &args.author)?.list()?;
    let json: Vec<TextJson> = listed.into_iter().map(text_json).collect();
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&json)?;
        return Ok(Exit::DONE);
    }
    if json.is_empty() {
        say("no text is kept: everything that was saved is in the bucket");
    }
    let row = |t: &TextJson| {
        let bytes = t.size_bytes.to_string();
        vec![t.id.clone(), t.time.clone(), bytes, t.path.clone(), t.reason.clone()]
    };
    let rows: Vec<_> = json.iter().map(row).collect();
    out.table(&["ID", "SAVED", "BYTES", "PATH", "REASON"], &rows)?;
    Ok(Exit::DONE)
}

fn text_json(text: RejectedText) -> TextJson {
    TextJson {
        id: text.id,
        time: format_unix_s(text.time.unix_s),
        time_unix_s: text.time.unix_s,
        path: String::from_utf8_lossy(&text.path).into_owned(),
        size_bytes: text.size_bytes,
        reason: text.reason,
    }
}

/// Finds the one text whose identifier begins so.
fn find(texts: &RejectedTexts, start: &str) -> Result<String> {
    let listed = texts.list()?;
    let mut found = listed.into_iter().filter(|t| t.id.starts_with(start)).map(|t| t.id);
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Usage, format!("several rejected texts begin with {start:?}"))
                .hint("give more of the identifier: chartfs rejected list"))
        }
        (None, _) => {
            Err(Error::new(Kind::NotFound, format!("no rejected text is called {start:?}"))
                .hint("chartfs rejected list"))
        }
    }
}

fn show(args: &ShowArgs, session: &Session) -> Outcome {
    let texts = texts(session, &args.author)?;
    let id = find(&texts, &args.id)?;
    let mut out = Out::new(session.settings.color);
    let mut failure = None;
    texts.read(&id, |piece| {
        if failure.is_none() {
            failure = out.bytes(piece).err();
        }
        Ok(())
    })?;
    failure.map_or(Ok(Exit::DONE), Err)
}

fn drop_texts(args: &DropArgs, session: &Session) -> Outcome {
    let texts = texts(session, &args.author)?;
    let ids = match &args.id {
        Some(start) => vec![find(&texts, start)?],
        None => texts.list()?.into_iter().map(|t| t.id).collect(),
    };
    for id in &ids {
        texts.drop_text(id)?;
    }
    say(format_args!("dropped {}", if ids.len() == 1 { &ids[0] } else { "all" }));
    Ok(Exit::DONE)
}
