//! `chartfs policy set`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::folder::{self, is_root};
use super::lint::{Level, findings};
use super::{Patient, Source, known_authorities, read_policy};
use crate::cli::drive::{DriveArgs, with_view};
use crate::cli::out::{Out, say};
use crate::cli::report::{Exit, Failure, Outcome};
use crate::cli::secrets;
use crate::cli::session::{Session, block_on};
use crate::clock::now_unix_s;
use crate::error::{Error, Kind, Result};
use crate::key::attribute::AuthorityId;
use crate::key::credential::{Credential, hex};
use crate::key::keyring::Keyring;
use crate::realm::Realm;
use crate::realm::administrator::AdministratorKey;
use crate::realm::policy::PolicyStatement;
use crate::record::head::RECORD_LEN_MAX_BYTES;
use crate::record::marks::Marks;
use crate::record::{Located, PolicyRef, RecordId, Records};
use crate::store::Location;
use crate::view::{Rewrapped, View};

/// Set the policy of a folder
///
/// The policy of the root is set by an administrator, that of any other folder by who satisfies
/// `manage` of the policy in force there. What `policy check` calls an error is refused here.
///
/// Records are wrapped again for the new readers by whoever can open them. An administrator cannot:
/// with --credential, the holder of that does it at once, else each record's next writer.
#[derive(Args, Debug)]
pub(in crate::cli) struct SetArgs {
    /// The folder in the drive; / is its root
    path: String,
    /// The policy; - is the standard input
    file: PathBuf,
    /// The bucket of the realm
    #[arg(long, value_name = "BUCKET")]
    realm: Option<String>,
    /// Sign as an administrator, by this key
    #[arg(long, value_name = "FILE")]
    as_admin: Option<PathBuf>,
    #[command(flatten)]
    drive: DriveArgs,
}

pub(super) fn run(args: &SetArgs, session: &Session) -> Outcome {
    let text = read_policy(&args.file)?;
    let location = session.location(args.realm.as_deref())?;
    let said = match (&args.as_admin, is_root(&args.path)) {
        (Some(admin), true) => {
            let said = set_as_admin(args, session, &location, admin, text)?;
            match rewrap_root(args, session, &location)? {
                Some(done) => told(&said, done),
                None => said,
            }
        }
        (None, false) => set_as_user(args, session, &location, &text)?,
        (None, true) => {
            return Err(Error::new(Kind::Usage, "the root's policy is an administrator's")
                .hint("add --as-admin FILE")
                .into());
        }
        (Some(_), false) => {
            return Err(Error::new(Kind::Usage, "an administrator sets the policy of / only")
                .because("the other folders belong to those whom their policies let manage")
                .hint("use --credential FILE")
                .into());
        }
    };
    let mut out = Out::new(session.settings.color);
    out.line(said)?;
    Ok(Exit::DONE)
}

fn set_as_admin(
    args: &SetArgs,
    session: &Session,
    location: &Location,
    admin: &Path,
    text: String,
) -> Result<String> {
    let source = Source::of_text(&text, Patient::new(None)?)?;
    let admin = secrets::open_administrator(session, admin, &args.drive.passphrase)?;
    block_on(async {
        let realm = session.open_realm(location, admin.realm_genesis.as_ref()).await?;
        refuse_errors(&source, &realm, &args.file).await?;
        let hash = set_root(realm, admin, text).await?;
        Ok::<_, Error>(format!("policy {} is in force at {}", hex(&hash), args.path))
    })?
}

/// Wraps again what the holder of the credential can open, when one is named.
fn rewrap_root(
    args: &SetArgs,
    session: &Session,
    location: &Location,
) -> std::result::Result<Option<Rewrapped>, Failure> {
    if args.drive.credential.is_none() {
        return Ok(None);
    }
    let work = async |view: &Arc<View>| Ok(view.rewrap_root().await?);
    with_view(session, &location.to_string(), &args.drive, work).map(Some)
}

fn told(said: &str, done: Rewrapped) -> String {
    let Rewrapped { records, left } = done;
    format!("{said}: {records} records wrapped again, {left} left to their next writers")
}

fn set_as_user(
    args: &SetArgs,
    session: &Session,
    location: &Location,
    text: &str,
) -> std::result::Result<String, Failure> {
    with_view(session, &location.to_string(), &args.drive, async |view| {
        let before = folder::in_force(view, &args.path).await?;
        let patient = Patient::new(before.patient.as_ref().map(AuthorityId::as_str))?;
        let source = Source::of_text(text, patient)?;
        refuse_errors(&source, view.records().realm(), &args.file).await?;
        let done = folder::set(view, &args.path, text).await?;
        Ok(told(&format!("the policy is in force at {}", args.path), done))
    })
}

/// Tells the warnings and refuses a policy with errors.
async fn refuse_errors(source: &Source, realm: &Realm, file: &Path) -> Result<()> {
    let known = known_authorities(realm).await?;
    for f in findings(source, Some(&known)) {
        if f.level == Level::Error {
            return Err(Error::new(Kind::Usage, format!("the policy cannot be set: {}", f.place))
                .because(f.text)
                .hint(
                    f.hint.unwrap_or_else(|| format!("chartfs policy check {}", file.display())),
                ));
        }
        say(format_args!("warning: {}: {}", f.place, f.text));
    }
    Ok(())
}

/// Signs the root policy, makes it the one in force, and makes the root folder.
async fn set_root(realm: Realm, admin: AdministratorKey, text: String) -> Result<[u8; 32]> {
    let statement = PolicyStatement {
        realm: realm.id(),
        // Records that were made under the policy in force stay proven by this chain.
        replaces: realm.state().root_policy,
        patient: None,
        time_unix_s: now_unix_s(),
        text,
        author: admin.identity.public(),
        certificates: Vec::new(),
    };
    let key = &admin.identity;
    if !realm.state().administrators.contains(&key.public()) {
        return Err(Error::new(Kind::Denied, "the policy cannot be set")
            .because("the key is not an administrator's of this realm"));
    }
    let hash = realm.put_policy(&statement, |domain, message| key.sign(domain, message)).await?;
    realm.amend(key, now_unix_s(), |state| state.root_policy = hash).await?;
    make_root(realm, admin, hash).await?;
    Ok(hash)
}

/// Makes the record of the root folder if there is none. An administrator may make a record that
/// nobody wrote to yet, without any attribute.
async fn make_root(realm: Realm, admin: AdministratorKey, policy: [u8; 32]) -> Result<()> {
    let root = RecordId(realm.state().root_record);
    let located = Located { birth: root, record: root };
    if realm.bucket().get(&located.object(), RECORD_LEN_MAX_BYTES).await?.is_some() {
        return Ok(());
    }
    let mut credential = Credential::new("administrator", realm.genesis());
    credential.identity = admin.identity;
    let keyring = Arc::new(Keyring::new(credential)?);
    let records = Records::new(Arc::new(realm), keyring, Arc::new(Marks::in_memory()));
    let policy = PolicyRef { hash: policy, patient: None };
    records.create_directory(located, &policy).await?;
    Ok(())
}
