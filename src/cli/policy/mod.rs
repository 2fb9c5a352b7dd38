//! `chartfs policy`: setting the rules of a folder, and finding out what they come to.

mod set;
mod show;
mod check;
mod explain;
mod lint;
mod folder;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::drive::DriveArgs;
use super::input::read_text;
use super::report::{Failure, Outcome};
use super::session::Session;
use crate::error::Result;
use crate::key::attribute::{Attribute, AuthorityId};
use crate::realm::Realm;
use crate::realm::policy::{BoundPolicy, PolicyDocument, TEXT_LEN_MAX_BYTES};

/// Stands for whichever patient, where a policy is looked at before it is bound to one.
const ANY_PATIENT: &str = "any.patient";

/// Set the policy of a folder, look at it, check it, explain it
#[derive(Subcommand, Debug)]
pub(super) enum PolicyCommand {
    Set(set::SetArgs),
    Show(show::ShowArgs),
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
}

/// Which policy to look at.
#[derive(Args, Debug)]
#[group(skip)]
pub(super) struct SourceArgs {
    /// A policy in a file; - is the standard input
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// Whose folder it is, which binds {patient}
    #[arg(long, value_name = "ID")]
    pub(super) patient: Option<String>,
    /// The folder in the drive whose policy it is, when not the root
    #[arg(long, value_name = "PATH", default_value = "/", conflicts_with = "policy")]
    pub(super) path: String,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
}

/// A policy to look at.
pub(super) struct Source {
    pub(super) document: PolicyDocument,
    pub(super) bound: BoundPolicy,
    pub(super) patient: Patient,
}

/// Whom `{patient}` stands for.
pub(super) struct Patient {
    id: AuthorityId,
    is_named: bool,
}

impl Patient {
    pub(super) fn new(named: Option<&str>) -> Result<Self> {
        let id = named.unwrap_or(ANY_PATIENT).parse()?;
        Ok(Self { id, is_named: named.is_some() })
    }

    /// Reads an attribute, in which `{patient}` may stand.
    pub(super) fn attribute(&self, text: &str) -> Result<Attribute> {
        text.replace("{patient}", self.id.as_str()).parse()
    }

    /// Writes what names the patient as the user would.
    pub(super) fn shown(&self, text: &impl ToString) -> String {
        let text = text.to_string();
        if self.is_named { text } else { text.replace(ANY_PATIENT, "{patient}") }
    }

    /// Says whether an authority is the patient.
    pub(super) fn is(&self, authority: &AuthorityId) -> bool {
        *authority == self.id
    }
}

impl Source {
    pub(super) fn of_text(text: &str, patient: Patient) -> Result<Self> {
        let document = PolicyDocument::parse(text)?;
        let bound = document.bind([0; 32], Some(patient.id.clone()))?;
        Ok(Self { document, bound, patient })
    }

    /// Reads the policy in the file that is named, or the one of a folder in the drive.
    pub(super) fn load(
        args: &SourceArgs,
        realm: Option<&str>,
        session: &Session,
    ) -> std::result::Result<Self, Failure> {
        let patient = args.patient.as_deref();
        if let Some(path) = &args.policy {
            return Ok(Self::of_text(&read_policy(path)?, Patient::new(patient)?)?);
        }
        let location = session.location(realm)?;
        let found = folder::policy_at(session, &location, &args.path, &args.drive)?;
        let bound_to = found.patient.as_ref().map(AuthorityId::as_str);
        Ok(Self::of_text(&found.statement.text, Patient::new(patient.or(bound_to))?)?)
    }
}

pub(super) fn run(command: &PolicyCommand, session: &Session) -> Outcome {
    match command {
        PolicyCommand::Set(args) => set::run(args, session),
        PolicyCommand::Show(args) => show::run(args, session),
        PolicyCommand::Check(args) => check::run(args, session),
        PolicyCommand::Explain(args) => explain::run(args, session),
    }
}

fn read_policy(path: &Path) -> Result<String> {
    read_text(path, TEXT_LEN_MAX_BYTES as u64, "the policy")
}

/// Reads attributes from arguments, each of which may hold several with commas between them.
pub(super) fn parse_attributes(texts: &[String], patient: &Patient) -> Result<Vec<Attribute>> {
    let words = texts.iter().flat_map(|t| t.split([',', '+'])).filter(|w| !w.is_empty());
    words.map(|w| patient.attribute(w.trim())).collect()
}

/// Returns the authorities of a realm with the attributes that each has announced.
async fn known_authorities(realm: &Realm) -> Result<lint::Authorities> {
    let mut known = lint::Authorities::new();
    for id in realm.authority_ids().await? {
        let state = realm.authority(&id).await?;
        let attributes = state.attributes.keys().cloned().collect();
        known.insert(id, lint::Known { kind: state.kind, attributes });
    }
    Ok(known)
}
