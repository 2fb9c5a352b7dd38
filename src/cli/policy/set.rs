//! `chartfs policy set`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::lint::{Level, findings};
use super::{Patient, Source, known_authorities, read_policy};
use crate::cli::out::{Out, say};
use crate::cli::report::{Exit, Outcome};
use crate::cli::secrets::{self, PassphraseArgs};
use crate::cli::session::{Session, block_on};
use crate::clock::now_unix_s;
use crate::error::{Error, Kind, Result};
use crate::key::credential::{Credential, hex};
use crate::key::keyring::Keyring;
use crate::realm::Realm;
use crate::realm::administrator::AdministratorKey;
use crate::realm::policy::PolicyStatement;
use crate::record::head::RECORD_LEN_MAX_BYTES;
use crate::record::marks::Marks;
use crate::record::{Located, PolicyRef, RecordId, Records};

/// Set the policy of a folder
///
/// The policy of the root is set by an administrator. What `policy check` calls an error is
/// refused here.
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
    as_admin: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: &SetArgs, session: &Session) -> Outcome {
    check_root(&args.path)?;
    let text = read_policy(&args.file)?;
    let source = Source::of_text(&text, Patient::new(None)?)?;
    let location = session.location(args.realm.as_deref())?;
    let admin = secrets::open_administrator(session, &args.as_admin, &args.passphrase)?;
    let hash = block_on(async {
        let realm = session.open_realm(&location, admin.realm_genesis.as_ref()).await?;
        refuse_errors(&source, &realm, &args.file).await?;
        set_root(realm, admin, text).await
    })??;
    let mut out = Out::new(session.settings.color);
    out.line(format_args!("policy {} is in force at {}", hex(&hash), args.path))?;
    Ok(Exit::DONE)
}

/// Refuses every folder but the root.
pub(super) fn check_root(path: &str) -> Result<()> {
    if path.split('/').all(str::is_empty) && path.starts_with('/') {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, format!("{path:?} is not the root of the drive"))
        .because("only the root's policy is served")
        .hint("name /"))
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
        replaces: [0; 32],
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
