//! `chartfs init`: founding a realm in an empty bucket.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::out::{Out, say};
use super::report::{Exit, Outcome};
use super::secrets::{self, NewKeyFile, PassphraseArgs};
use super::session::{Session, block_on};
use crate::clock::now_unix_s;
use crate::error::Result;
use crate::key::credential::hex;
use crate::key::keyfile::FileKind;
use crate::realm::Realm;
use crate::realm::administrator::AdministratorKey;
use crate::store::{Bucket, Location, StoreOptions};

/// Found a realm in an empty bucket
///
/// Proves that the store honours conditional writes, writes the realm's first state, and seals the
/// new administrator's key into a file. The fingerprint printed at the end is what users compare
/// when they make their credentials.
#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// The bucket: s3://BUCKET/PREFIX, az://…, gs://… or file:///DIR (made if need be)
    bucket: String,
    /// Where to put the administrator's key
    #[arg(long, value_name = "FILE")]
    admin: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Protect the key by the file's mode only
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_command"])]
    no_passphrase: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Founded {
    realm: String,
    bucket: String,
    admin_file: PathBuf,
}

pub(super) fn run(args: &InitArgs, session: &Session) -> Outcome {
    let location: Location = args.bucket.parse()?;
    let admin_file = args
        .admin
        .clone()
        .unwrap_or_else(|| secrets::default_file(session, "admin", FileKind::Administrator));
    let passphrase =
        secrets::new_passphrase(session, &admin_file, &args.passphrase, args.no_passphrase)?;
    let mut key = AdministratorKey::generate();
    // The key is on the disk before the realm exists: a realm without its key is lost.
    let new = NewKeyFile::reserve(&admin_file)?;
    new.write(FileKind::Administrator, &key.to_bytes(), passphrase.as_ref())?;
    let genesis = block_on(found(&location, &session.settings.store, &key))??;
    let path = new.keep();
    key.realm_genesis = Some(genesis);
    NewKeyFile::write_again(&path, FileKind::Administrator, &key.to_bytes(), passphrase.as_ref())?;
    print(session, args, &location, genesis, path)
}

async fn found(
    location: &Location,
    options: &StoreOptions,
    key: &AdministratorKey,
) -> Result<[u8; 32]> {
    let mut options = options.clone();
    options.create_directory = true;
    let bucket = Bucket::open(location, &options).await?;
    Ok(Realm::found(bucket, &key.identity, now_unix_s()).await?.genesis())
}

fn print(
    session: &Session,
    args: &InitArgs,
    location: &Location,
    genesis: [u8; 32],
    admin_file: PathBuf,
) -> Outcome {
    let mut out = Out::new(session.settings.color);
    let founded = Founded { realm: hex(&genesis), bucket: location.to_string(), admin_file };
    if args.json {
        out.json(&founded)?;
        return Ok(Exit::DONE);
    }
    let Founded { realm, bucket, admin_file } = founded;
    let admin = admin_file.display();
    out.line(format_args!("realm {realm}"))?;
    out.line(format_args!("administrator's key in {admin}: keep it off-line, with a copy"))?;
    say(format_args!(
        "next: chartfs authority new ID --kind hospital --realm {bucket} --admin {admin} --out ID.authority\n\
         then: chartfs user new NAME --realm {bucket} --fingerprint {realm}\n\
         then: chartfs policy set / POLICY --realm {bucket} --as-admin {admin}"
    ));
    Ok(Exit::DONE)
}
