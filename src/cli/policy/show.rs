//! `chartfs policy show`.

use clap::Args;
use serde::Serialize;

use super::folder::policy_at;
use crate::cli::date::format_unix_s;
use crate::cli::drive::DriveArgs;
use crate::cli::out::{Out, say};
use crate::cli::report::{Exit, Outcome};
use crate::cli::session::Session;
use crate::key::credential::hex;

/// Show the policy of a folder as its author signed it
#[derive(Args, Debug)]
pub(in crate::cli) struct ShowArgs {
    /// The folder in the drive; / is its root
    path: String,
    /// The bucket of the realm
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
    #[command(flatten)]
    drive: DriveArgs,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    path: String,
    hash: String,
    author: String,
    signed: String,
    patient: Option<String>,
    replaces: Option<String>,
    text: String,
}

pub(super) fn run(args: &ShowArgs, session: &Session) -> Outcome {
    let location = session.location(args.realm.as_deref())?;
    let found = policy_at(session, &location, &args.path, &args.drive)?;
    let statement = &found.statement;
    let shown = Shown {
        path: args.path.clone(),
        hash: hex(&found.hash),
        author: hex(&statement.author.0),
        signed: format_unix_s(statement.time_unix_s),
        patient: found.patient.as_ref().map(ToString::to_string),
        replaces: (statement.replaces != [0; 32]).then(|| hex(&statement.replaces)),
        text: statement.text.clone(),
    };
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&shown)?;
    } else {
        say(format_args!("policy {} of {}, signed {}", shown.hash, shown.path, shown.signed));
        out.bytes(shown.text.as_bytes())?;
        if !shown.text.ends_with('\n') {
            out.line("")?;
        }
    }
    Ok(Exit::DONE)
}
