//! `chartfs user`: credentials of people.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::date::format_unix_s;
use super::out::{Out, say};
use super::report::{Exit, Failure, Outcome, printable};
use super::secrets::{self, NewKeyFile, PassphraseArgs};
use super::session::{Session, block_on};
use crate::clock::now_unix_s;
use crate::error::{Error, Kind, Result};
use crate::key::certificate::UncheckedCertificate;
use crate::key::credential::{Credential, USER_NAME_LEN_MAX_BYTES, hex, unhex};
use crate::key::keyfile::FileKind;

/// Make a credential, look at it
#[derive(Subcommand, Debug)]
pub(super) enum UserCommand {
    New(NewArgs),
    Show(ShowArgs),
}

/// Make a credential for a user of the realm
///
/// The credential is pinned to the realm in the bucket. Compare the fingerprint with the one that
/// the administrator gave you, or give it with --fingerprint.
#[derive(Args, Debug)]
pub(super) struct NewArgs {
    /// How the user is called in lists; not proven to anybody
    name: String,
    /// The bucket of the realm
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
    /// Refuse any other realm than that of this fingerprint
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// Where to put the credential
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Protect the credential by the file's mode only
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_command"])]
    no_passphrase: bool,
}

/// Show a credential: its identifier, its realm, its attributes
#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// The credential
    file: PathBuf,
    /// Print only the request, the line to show to an authority
    #[arg(long, conflicts_with = "json")]
    request: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(command: &UserCommand, session: &Session) -> Outcome {
    match command {
        UserCommand::New(args) => new(args, session),
        UserCommand::Show(args) => show(args, session),
    }
}

fn new(args: &NewArgs, session: &Session) -> Outcome {
    if args.name.is_empty() || args.name.len() > USER_NAME_LEN_MAX_BYTES {
        return Err(Error::new(Kind::Usage, "the user's name cannot be used")
            .because("it has 1 to 255 bytes")
            .into());
    }
    let pin = args.fingerprint.as_deref().map(parse_fingerprint).transpose()?;
    let location = session.location(args.realm.as_deref())?;
    let file = args.out.clone().unwrap_or_else(|| {
        secrets::default_file(session, &file_name(&args.name), FileKind::Credential)
    });
    let genesis = block_on(async {
        session.open_realm(&location, pin.as_ref()).await.map(|r| r.genesis())
    })??;
    let passphrase = secrets::new_passphrase(session, &file, &args.passphrase, args.no_passphrase)?;
    let credential = Credential::new(&args.name, genesis);
    let new = NewKeyFile::reserve(&file)?;
    new.write(FileKind::Credential, &credential.to_bytes(), passphrase.as_ref())?;
    new.keep();
    let mut out = Out::new(session.settings.color);
    out.line(format_args!("credential {}", file.display()))?;
    out.line(format_args!("gid        {}", credential.gid()))?;
    out.line(format_args!("realm      {}", hex(&genesis)))?;
    if pin.is_none() {
        say("compare the realm with the fingerprint that the administrator gave you");
    }
    say(format_args!(
        "next: chartfs user show --request {} > REQUEST, and give REQUEST to your authorities",
        file.display()
    ));
    Ok(Exit::DONE)
}

/// Makes a file name of a user name.
fn file_name(user: &str) -> String {
    user.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}

fn parse_fingerprint(text: &str) -> Result<[u8; 32]> {
    unhex(text.trim()).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Error::new(Kind::Usage, "this is not the fingerprint of a realm")
            .because("a fingerprint has 64 hexadecimal digits")
    })
}

/// What an authority granted, as it is shown.
#[derive(Serialize)]
pub(super) struct GrantJson {
    pub(super) authority: String,
    pub(super) attributes: Vec<String>,
    not_before: String,
    pub(super) not_after: String,
    pub(super) not_after_unix_s: i64,
    pub(super) expired: bool,
    keys: usize,
}

#[derive(Serialize)]
struct CredentialJson {
    user_name: String,
    gid: String,
    realm: String,
    grants: Vec<GrantJson>,
}

/// Returns what each authority granted.
pub(super) fn grants_of(credential: &Credential) -> Result<Vec<GrantJson>> {
    let now = now_unix_s();
    let grant = |grant: &crate::key::credential::Grant| {
        let certificate = UncheckedCertificate::parse(&grant.certificate)?;
        let claims = certificate.claims();
        let name = |(name, epoch): &(_, crate::key::attribute::Epoch)| {
            format!("{name}#{}@{}", epoch.0, claims.authority)
        };
        Ok(GrantJson {
            authority: grant.authority.to_string(),
            attributes: claims.attributes.iter().map(name).collect(),
            not_before: format_unix_s(claims.not_before_unix_s),
            not_after: format_unix_s(claims.not_after_unix_s),
            not_after_unix_s: claims.not_after_unix_s,
            expired: claims.not_after_unix_s < now,
            keys: grant.keys.len(),
        })
    };
    credential.grants.values().map(grant).collect()
}

/// Prints what each authority granted.
pub(super) fn print_grants(
    out: &mut Out,
    grants: &[GrantJson],
) -> std::result::Result<(), Failure> {
    let row = |g: &GrantJson| {
        let until =
            if g.expired { format!("{} EXPIRED", g.not_after) } else { g.not_after.clone() };
        vec![g.authority.clone(), g.attributes.join(" "), until]
    };
    let rows: Vec<_> = grants.iter().map(row).collect();
    out.table(&["AUTHORITY", "ATTRIBUTES", "UNTIL"], &rows)
}

fn show(args: &ShowArgs, session: &Session) -> Outcome {
    let credential = secrets::open_credential(session, &args.file, &args.passphrase)?;
    let mut out = Out::new(session.settings.color);
    if args.request {
        out.bytes(credential.request().as_bytes())?;
        return Ok(Exit::DONE);
    }
    let json = CredentialJson {
        user_name: credential.user_name.clone(),
        gid: credential.gid().to_string(),
        realm: hex(&credential.realm_genesis),
        grants: grants_of(&credential)?,
    };
    if args.json {
        out.json(&json)?;
        return Ok(Exit::DONE);
    }
    out.line(format_args!("user   {}", printable(&json.user_name)))?;
    out.line(format_args!("gid    {}", json.gid))?;
    out.line(format_args!("realm  {}", json.realm))?;
    if json.grants.is_empty() {
        say("no attributes yet: chartfs user show --request FILE, for your authorities");
    }
    print_grants(&mut out, &json.grants)?;
    Ok(Exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_never_leaves_the_folder_of_key_files() {
        assert_eq!(file_name("../../etc/x y"), "..-..-etc-x-y");
        assert_eq!(file_name("dr.meyer"), "dr.meyer");
    }

    #[test]
    fn a_fingerprint_has_sixty_four_digits() {
        assert_eq!(parse_fingerprint(&"ab".repeat(32)).unwrap(), [0xab; 32]);
        assert!(parse_fingerprint("ab").is_err() && parse_fingerprint(&"xy".repeat(32)).is_err());
    }
}
