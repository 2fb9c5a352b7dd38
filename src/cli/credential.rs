//! `chartfs credential`: what authorities granted, put into a user's credential.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::input::read_text;
use super::out::{Out, say};
use super::report::{Exit, Outcome};
use super::secrets::{self, HeldCredential, PassphraseArgs};
use super::session::{Session, block_on};
use super::user::{grants_of, print_grants};
use crate::error::{Error, Kind, Result};
use crate::key::certificate::UncheckedCertificate;
use crate::key::credential::Grant;
use crate::realm::Realm;

/// The longest grant, in bytes: 4,096 keys in hexadecimal.
const GRANT_LEN_MAX_BYTES: u64 = 16 << 20;

/// Add grants to a credential, list what it holds
#[derive(Subcommand, Debug)]
pub(super) enum CredentialCommand {
    Add(AddArgs),
    List(ListArgs),
}

/// Add what an authority issued
///
/// Every key is checked by pairings, and the authority and its certificate against the realm in
/// the bucket, before the credential is rewritten. When the bucket cannot be reached nothing is
/// added, unless --offline says so.
#[derive(Args, Debug)]
pub(super) struct AddArgs {
    /// The grant; - is the standard input
    grant: PathBuf,
    /// The credential
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,
    /// The bucket of the realm
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
    /// Do not ask the bucket whether the authority belongs to the realm
    #[arg(long, conflicts_with = "realm")]
    offline: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// List what authorities granted
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// The credential
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(command: &CredentialCommand, session: &Session) -> Outcome {
    match command {
        CredentialCommand::Add(args) => add(args, session),
        CredentialCommand::List(args) => list(args, session),
    }
}

fn add(args: &AddArgs, session: &Session) -> Outcome {
    let path = session.credential_file(args.credential.as_deref())?;
    let location = if args.offline { None } else { Some(session.location(args.realm.as_deref())?) };
    let line = read_text(&args.grant, GRANT_LEN_MAX_BYTES, "the grant")?;
    let mut held = HeldCredential::open(session, &path, &args.passphrase)?;
    let grant = held.credential.open_grant(&line)?;
    if let Some(location) = location {
        block_on(async {
            let pin = Some(&held.credential.realm_genesis);
            let realm = session.open_realm(&location, pin).await?;
            check_against_realm(&realm, &grant).await
        })??;
    } else {
        say("the authority was not compared with the realm: its keys may be a stranger's");
    }
    let (authority, keys) = (grant.authority.clone(), grant.keys.len());
    held.credential.add_grant(grant);
    held.store()?;
    let mut out = Out::new(session.settings.color);
    out.line(format_args!("added {keys} keys of {authority} to {}", path.display()))?;
    Ok(Exit::DONE)
}

/// Checks that the grant comes from the authority that the realm knows by this name.
async fn check_against_realm(realm: &Realm, grant: &Grant) -> Result<()> {
    let authority = realm.authority(&grant.authority).await?;
    let stranger = |why: &'static str| {
        Error::new(Kind::Integrity, format!("the grant is not from {} of this realm", authority.id))
            .because(why)
            .hint("ask the authority to issue it again")
    };
    if authority.public.to_bytes() != grant.public.to_bytes() {
        return Err(stranger("it was made with another key than the realm shows"));
    }
    let certificate = UncheckedCertificate::parse(&grant.certificate)?;
    if certificate.claims().realm != realm.id() {
        return Err(stranger("its certificate is of another realm"));
    }
    certificate
        .verify(&authority.identity)
        .map_err(|_| stranger("its certificate is not signed by the authority"))?;
    Ok(())
}

fn list(args: &ListArgs, session: &Session) -> Outcome {
    let path = session.credential_file(args.credential.as_deref())?;
    let credential = secrets::open_credential(session, &path, &args.passphrase)?;
    let grants = grants_of(&credential)?;
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&grants)?;
    } else {
        print_grants(&mut out, &grants)?;
    }
    Ok(Exit::DONE)
}
