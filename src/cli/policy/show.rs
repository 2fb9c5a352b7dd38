//! `chartfs policy show`.

use clap::Args;
use serde::Serialize;

use super::root_policy;
use super::set::check_root;
use crate::cli::date::format_unix_s;
use crate::cli::out::{Out, say};
use crate::cli::report::{Exit, Outcome};
use crate::cli::session::{Session, block_on};
use crate::key::credential::hex;

/// Show the policy of a folder as its author signed it
#[derive(Args, Debug)]
pub(in crate::cli) struct ShowArgs {
    /// The folder in the drive; / is its root
    path: String,
    /// The bucket of the realm
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
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
    check_root(&args.path)?;
    let location = session.location(args.realm.as_deref())?;
    let shown = block_on(async {
        let realm = session.open_realm(&location, None).await?;
        let statement = root_policy(&realm).await?;
        Ok::<_, crate::error::Error>(Shown {
            path: args.path.clone(),
            hash: hex(&realm.state().root_policy),
            author: hex(&statement.author.0),
            signed: format_unix_s(statement.time_unix_s),
            patient: statement.patient.as_ref().map(ToString::to_string),
            replaces: (statement.replaces != [0; 32]).then(|| hex(&statement.replaces)),
            text: statement.text.clone(),
        })
    })??;
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
