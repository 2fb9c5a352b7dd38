//! `chartfs authority`: introducing authorities, looking at them, and issuing attributes.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::date::{end_of_day, format_unix_s};
use super::input::read_text;
use super::out::{Out, say};
use super::report::{Exit, Outcome};
use super::secrets::{self, NewKeyFile, PassphraseArgs};
use super::session::{Session, block_on};
use crate::clock::now_unix_s;
use crate::config::{Passphrase, PassphraseSource, create_secret};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::{Attribute, AttributeName, AuthorityId};
use crate::key::certificate::VALIDITY_MAX_S;
use crate::key::credential::{Request, hex};
use crate::key::keyfile::FileKind;
use crate::realm::authority::{AuthorityKeys, AuthorityKind, AuthorityState};

const DAY_S: i64 = 86_400;
/// A certificate begins so long before it is issued, for clocks that are behind.
const ISSUE_LEEWAY_S: i64 = 300;
/// The longest request, in bytes.
const REQUEST_LEN_MAX_BYTES: u64 = 64 << 10;

/// Introduce authorities, look at them, issue attributes
#[derive(Subcommand, Debug)]
pub(super) enum AuthorityCommand {
    New(NewArgs),
    List(ListArgs),
    Show(ShowArgs),
    Issue(IssueArgs),
}

/// Introduce a new authority to the realm, as an administrator
///
/// The authority's keys are sealed into a new file, which the administrator hands over and deletes.
#[derive(Args, Debug)]
pub(super) struct NewArgs {
    /// Its name: a to z, 0 to 9, '-', '_', '.'
    id: String,
    /// What it is: hospital, pharmacy, research, patient, emergency, insurance
    #[arg(long)]
    kind: String,
    /// The bucket of the realm
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
    /// The administrator's key
    #[arg(long, value_name = "FILE")]
    admin: PathBuf,
    /// Where to put the authority's keys
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Read the passphrase for the new file from FILE; - is the standard input
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<String>,
    /// Protect the new file by its mode only
    #[arg(long, conflicts_with = "new_passphrase_file")]
    no_passphrase: bool,
}

/// List the authorities of the realm
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// The bucket of the realm
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Show an authority: its kind, its attributes and their epochs
#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// Its name
    id: String,
    /// The bucket of the realm
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Issue attributes to a user, as their authority
///
/// The result is one line of text, sealed to the user's device: it may travel by mail.
#[derive(Args, Debug)]
pub(super) struct IssueArgs {
    /// The authority's keys
    #[arg(long, value_name = "FILE")]
    authority_file: PathBuf,
    /// The user's request; - is the standard input
    #[arg(long, value_name = "REQUEST")]
    to: PathBuf,
    /// The attributes: physician, or physician@AUTHORITY
    #[arg(required = true)]
    attributes: Vec<String>,
    /// The last day of validity in UTC, as 2027-02-03
    #[arg(long, value_name = "DATE", conflicts_with = "days")]
    until: Option<String>,
    /// How many days it is valid [default: 90, which is the most]
    #[arg(long)]
    days: Option<u32>,
    /// Where to put the grant instead of the standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The bucket of the realm
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(command: &AuthorityCommand, session: &Session) -> Outcome {
    match command {
        AuthorityCommand::New(args) => new(args, session),
        AuthorityCommand::List(args) => list(args, session),
        AuthorityCommand::Show(args) => show(args, session),
        AuthorityCommand::Issue(args) => issue(args, session),
    }
}

fn new(args: &NewArgs, session: &Session) -> Outcome {
    let id: AuthorityId = args.id.parse()?;
    if id.as_str() == crate::key::policy::UNBOUND_PATIENT {
        return Err(Error::new(Kind::Usage, format!("no authority may be called {id}")).into());
    }
    let kind: AuthorityKind = args.kind.parse()?;
    let location = session.location(args.realm.as_deref())?;
    let file = args.out.clone();
    let file =
        file.unwrap_or_else(|| secrets::default_file(session, id.as_str(), FileKind::Authority));
    let admin = secrets::open_administrator(session, &args.admin, &args.passphrase)?;
    let passphrase = passphrase_of_new(args, &file)?;
    let new = NewKeyFile::reserve(&file)?;
    let keys: AuthorityKeys = block_on(async {
        let realm = session.open_realm(&location, admin.realm_genesis.as_ref()).await?;
        realm.introduce(id.clone(), kind, &admin.identity, now_unix_s()).await
    })??;
    new.write(FileKind::Authority, &keys.to_bytes(), passphrase.as_ref())?;
    new.keep();
    let mut out = Out::new(session.settings.color);
    out.line(format_args!("authority {id}, {kind}: its keys are in {}", file.display()))?;
    Ok(Exit::DONE)
}

fn passphrase_of_new(args: &NewArgs, file: &Path) -> Result<Option<Passphrase>> {
    match &args.new_passphrase_file {
        Some(source) => PassphraseSource::from_file_argument(source).read().map(Some),
        // The passphrase of the administrator is not to become that of the authority unasked.
        None if args.no_passphrase => Ok(None),
        None => secrets::ask_new(file).map(Some),
    }
}

#[derive(Serialize)]
struct AuthorityJson {
    id: String,
    kind: String,
    seq: u64,
    changed: String,
    identity: String,
    attributes: Vec<AttributeJson>,
    revoked_certificates: usize,
}

#[derive(Serialize)]
struct AttributeJson {
    attribute: String,
    epoch: u32,
}

impl AuthorityJson {
    fn of(state: &AuthorityState) -> Self {
        let attribute = |(name, epoch): (&AttributeName, &crate::key::attribute::Epoch)| {
            AttributeJson { attribute: format!("{name}@{}", state.id), epoch: epoch.0 }
        };
        Self {
            id: state.id.to_string(),
            kind: state.kind.to_string(),
            seq: state.seq,
            changed: format_unix_s(state.time_unix_s),
            identity: hex(&state.identity.0),
            attributes: state.attributes.iter().map(attribute).collect(),
            revoked_certificates: state.revoked.len(),
        }
    }
}

fn list(args: &ListArgs, session: &Session) -> Outcome {
    let location = session.location(args.realm.as_deref())?;
    let states = block_on(async {
        let realm = session.open_realm(&location, None).await?;
        let mut states = Vec::new();
        for id in realm.authority_ids().await? {
            states.push(AuthorityJson::of(&*realm.authority(&id).await?));
        }
        Ok::<_, Error>(states)
    })??;
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&states)?;
        return Ok(Exit::DONE);
    }
    let row = |s: &AuthorityJson| {
        let names: Vec<&str> =
            s.attributes.iter().map(|a| a.attribute.split('@').next().unwrap_or("")).collect();
        vec![s.id.clone(), s.kind.clone(), names.join(" ")]
    };
    let rows: Vec<_> = states.iter().map(row).collect();
    out.table(&["AUTHORITY", "KIND", "ATTRIBUTES"], &rows)?;
    Ok(Exit::DONE)
}

fn show(args: &ShowArgs, session: &Session) -> Outcome {
    let id: AuthorityId = args.id.parse()?;
    let location = session.location(args.realm.as_deref())?;
    let state =
        block_on(async { session.open_realm(&location, None).await?.authority(&id).await })??;
    let json = AuthorityJson::of(&state);
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&json)?;
        return Ok(Exit::DONE);
    }
    out.line(format_args!("authority  {}", json.id))?;
    out.line(format_args!("kind       {}", json.kind))?;
    out.line(format_args!("identity   {}", json.identity))?;
    out.line(format_args!("changed    {} (state {})", json.changed, json.seq))?;
    out.line(format_args!("revoked    {} certificates", json.revoked_certificates))?;
    for a in &json.attributes {
        out.line(format_args!("attribute  {} epoch {}", a.attribute, a.epoch))?;
    }
    Ok(Exit::DONE)
}

fn issue(args: &IssueArgs, session: &Session) -> Outcome {
    let location = session.location(args.realm.as_deref())?;
    let now = now_unix_s();
    let until = last_second(args, now)?;
    let request = Request::parse(&read_text(&args.to, REQUEST_LEN_MAX_BYTES, "the request")?)?;
    let keys = secrets::open_authority(session, &args.authority_file, &args.passphrase)?;
    let names = own_names(&args.attributes, &keys.id)?;
    if let Some(path) = args.out.as_ref().filter(|p| p.exists()) {
        return Err(Error::new(Kind::Exists, format!("{} exists already", path.display()))
            .hint("choose another name with --out")
            .into());
    }
    let grant = block_on(async {
        let realm = session.open_realm(&location, Some(&keys.realm_genesis)).await?;
        realm.issue(&keys, &request, &names, now, until).await
    })??;
    match &args.out {
        Some(path) => create_secret(path, grant.as_bytes())?,
        None => Out::new(session.settings.color).bytes(grant.as_bytes())?,
    }
    let list: Vec<String> = names.iter().map(|n| format!("{n}@{}", keys.id)).collect();
    say(format_args!(
        "issued {} to {} until {}",
        list.join(" "),
        request.gid(),
        format_unix_s(until)
    ));
    Ok(Exit::DONE)
}

/// Returns the last second of validity; the longest one allowed when nothing is asked for.
fn last_second(args: &IssueArgs, now: i64) -> Result<i64> {
    let most = now - ISSUE_LEEWAY_S + VALIDITY_MAX_S;
    let refuse = |why: &'static str| {
        Err(Error::new(Kind::Usage, "the attributes cannot be issued for that time")
            .because(why)
            .hint("at most 90 days; issue them again before they end"))
    };
    let until = match (&args.until, args.days) {
        (Some(date), _) => end_of_day(date)?,
        (None, Some(days)) if i64::from(days) * DAY_S > VALIDITY_MAX_S => {
            return refuse("it is longer than 90 days");
        }
        (None, Some(days)) => (now + i64::from(days) * DAY_S).min(most),
        (None, None) => most,
    };
    if until <= now {
        return refuse("it has ended already");
    }
    if until > most {
        return refuse("it is longer than 90 days");
    }
    Ok(until)
}

/// Reads attributes of one authority, with or without its name behind them.
fn own_names(texts: &[String], id: &AuthorityId) -> Result<Vec<AttributeName>> {
    let mut names = Vec::new();
    for text in texts {
        let name: AttributeName = if text.contains('@') {
            let attribute: Attribute = text.parse()?;
            if attribute.authority != *id {
                return Err(Error::new(Kind::Usage, format!("{id} cannot issue {attribute}"))
                    .because("an authority vouches for its own attributes only"));
            }
            attribute.name
        } else {
            text.parse()?
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(until: Option<&str>, days: Option<u32>) -> IssueArgs {
        IssueArgs {
            authority_file: PathBuf::new(),
            to: PathBuf::new(),
            attributes: Vec::new(),
            until: until.map(str::to_owned),
            days,
            out: None,
            realm: None,
            passphrase: PassphraseArgs::default(),
        }
    }

    #[test]
    fn validity_is_at_most_ninety_days_and_not_over_yet() {
        let now = end_of_day("2026-11-23").unwrap();
        let last = |until, days| last_second(&args(until, days), now);
        assert_eq!(last(None, Some(1)).unwrap(), now + DAY_S);
        assert_eq!(last(None, None).unwrap(), last(None, Some(90)).unwrap());
        assert_eq!(last(None, None).unwrap() - (now - ISSUE_LEEWAY_S), VALIDITY_MAX_S);
        assert_eq!(last(Some("2026-11-24"), None).unwrap(), now + DAY_S);
        for (until, days) in [
            (None, Some(91)),
            (None, Some(0)),
            (Some("2026-11-22"), None),
            (Some("2027-02-22"), None),
        ] {
            assert_eq!(last(until, days).unwrap_err().kind(), Kind::Usage, "{until:?} {days:?}");
        }
    }

    #[test]
    fn an_authority_issues_its_own_attributes_once_each() {
        let id: AuthorityId = "st-mary".parse().unwrap();
        let own = |texts: &[&str]| {
            own_names(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(), &id)
        };
        assert_eq!(own(&["physician", "physician@st-mary"]).unwrap().len(), 1);
        assert_eq!(own(&["physician@north"]).unwrap_err().kind(), Kind::Usage);
    }
}
