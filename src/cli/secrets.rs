//! Key files as commands open and make them, and the passphrases that they ask for.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use super::out::say;
use super::session::Session;
use crate::config::{Passphrase, PassphraseSource, SecretFile, create_secret, read_secret};
use crate::error::{Error, Kind, Result};
use crate::key::credential::Credential;
use crate::key::keyfile::{self, FileKind};
use crate::realm::administrator::AdministratorKey;
use crate::realm::authority::AuthorityKeys;

/// Where the passphrase of a key file comes from.
#[derive(Args, Debug, Default)]
pub(super) struct PassphraseArgs {
    /// Read the passphrase from FILE, which only you may be able to read; - is the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_command")]
    pub(super) passphrase_file: Option<String>,
    /// Read the passphrase from the output of a shell command
    #[arg(long, value_name = "COMMAND")]
    pub(super) passphrase_command: Option<String>,
}

impl PassphraseArgs {
    fn source(&self, session: &Session) -> Option<PassphraseSource> {
        let file = self.passphrase_file.as_deref().map(PassphraseSource::from_file_argument);
        let command = self.passphrase_command.clone().map(PassphraseSource::Command);
        file.or(command).or_else(|| session.settings.passphrase.clone())
    }
}

/// Opens the secret in a key file's bytes, with a passphrase when it asks for one.
fn open_bytes(
    session: &Session,
    kind: FileKind,
    path: &Path,
    file: &[u8],
    args: &PassphraseArgs,
) -> Result<(Zeroizing<Vec<u8>>, Option<Passphrase>)> {
    let named = |e: Error| naming(path, &e);
    // Another kind of file is refused before anybody is asked for its passphrase.
    if let Err(e) = keyfile::open(kind, file, None) {
        if e.kind() != Kind::Denied || !keyfile::needs_passphrase(file).map_err(named)? {
            return Err(named(e));
        }
    } else {
        return Ok((keyfile::open(kind, file, None)?, None));
    }
    let passphrase = match args.source(session) {
        Some(source) => source.read()?,
        None => ask(&format!("Passphrase of {}: ", path.display()))?,
    };
    let secret = keyfile::open(kind, file, Some(passphrase.expose())).map_err(named)?;
    Ok((secret, Some(passphrase)))
}

/// Says which file it is about.
fn naming(path: &Path, e: &Error) -> Error {
    let mut named = Error::new(e.kind(), format!("{}: {}", path.display(), e.what()));
    if let Some(why) = e.why() {
        named = named.because(why);
    }
    match e.try_this() {
        Some(hint) => named.hint(hint.to_owned()),
        None => named,
    }
}

fn ask(prompt: &str) -> Result<Passphrase> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::Denied, "a passphrase is needed")
            .because("there is no terminal to ask for it")
            .hint("add --passphrase-file FILE or --passphrase-command COMMAND"));
    }
    let typed = rpassword::prompt_password(prompt)
        .map_err(|e| Error::new(Kind::Internal, "cannot ask for the passphrase").because(e))?;
    Passphrase::new(typed.into_bytes())
}

/// Returns the passphrase of a key file that is about to be made; none when the user wants none.
pub(super) fn new_passphrase(
    session: &Session,
    path: &Path,
    args: &PassphraseArgs,
    is_unlocked: bool,
) -> Result<Option<Passphrase>> {
    if is_unlocked {
        return Ok(None);
    }
    if let Some(source) = args.source(session) {
        return source.read().map(Some);
    }
    ask_new(path).map(Some)
}

/// Asks for a new passphrase, twice.
pub(super) fn ask_new(path: &Path) -> Result<Passphrase> {
    let typed = ask(&format!("New passphrase for {}: ", path.display())).map_err(|e| {
        if e.kind() != Kind::Denied {
            return e;
        }
        Error::new(Kind::Usage, "the new key file needs a passphrase")
            .because("there is no terminal to ask for it")
            .hint("give one in a file; or --no-passphrase, if the file's mode is enough")
    })?;
    if ask("The same again: ")?.expose() != typed.expose() {
        return Err(Error::new(Kind::Usage, "the two passphrases differ").hint("try again"));
    }
    Ok(typed)
}

/// A key file that is being made: its name is taken first, so that nothing is done in the bucket
/// whose keys could then not be stored. Taken back on drop unless it is kept.
pub(super) struct NewKeyFile(Option<PathBuf>);

impl NewKeyFile {
    /// Takes the name.
    pub(super) fn reserve(path: &Path) -> Result<Self> {
        create_secret(path, &[])?;
        Ok(Self(Some(path.to_owned())))
    }

    /// Seals a secret into the file.
    pub(super) fn write(
        &self,
        kind: FileKind,
        secret: &[u8],
        passphrase: Option<&Passphrase>,
    ) -> Result<()> {
        self.0.as_deref().map_or(Ok(()), |p| Self::write_again(p, kind, secret, passphrase))
    }

    /// Seals a secret into a file that stands already.
    pub(super) fn write_again(
        path: &Path,
        kind: FileKind,
        secret: &[u8],
        passphrase: Option<&Passphrase>,
    ) -> Result<()> {
        let sealed = keyfile::seal(kind, secret, passphrase.map(Passphrase::expose));
        SecretFile::lock(path)?.replace(&sealed)
    }

    /// Leaves the file where it is.
    pub(super) fn keep(mut self) -> PathBuf {
        self.0.take().expect("taken only here")
    }
}

impl Drop for NewKeyFile {
    fn drop(&mut self) {
        if let Some(Err(e)) = self.0.take().map(std::fs::remove_file) {
            say(format_args!("chartfs: an unused key file stays behind: {e}"));
        }
    }
}

/// Opens an administrator file.
pub(super) fn open_administrator(
    session: &Session,
    path: &Path,
    args: &PassphraseArgs,
) -> Result<AdministratorKey> {
    let file = read_secret(path)?;
    let (secret, _) = open_bytes(session, FileKind::Administrator, path, &file, args)?;
    AdministratorKey::from_bytes(&secret).map_err(|e| naming(path, &e))
}

/// Opens an authority file.
pub(super) fn open_authority(
    session: &Session,
    path: &Path,
    args: &PassphraseArgs,
) -> Result<AuthorityKeys> {
    let file = read_secret(path)?;
    let (secret, _) = open_bytes(session, FileKind::Authority, path, &file, args)?;
    AuthorityKeys::from_bytes(&secret).map_err(|e| naming(path, &e))
}

/// Opens a credential.
pub(super) fn open_credential(
    session: &Session,
    path: &Path,
    args: &PassphraseArgs,
) -> Result<Credential> {
    let file = read_secret(path)?;
    let (secret, _) = open_bytes(session, FileKind::Credential, path, &file, args)?;
    Credential::from_bytes(&secret).map_err(|e| naming(path, &e))
}

/// A credential that is held to be changed.
pub(super) struct HeldCredential {
    file: SecretFile,
    passphrase: Option<Passphrase>,
    pub(super) credential: Credential,
}

impl HeldCredential {
    /// Opens a credential and keeps other processes from changing it.
    pub(super) fn open(session: &Session, path: &Path, args: &PassphraseArgs) -> Result<Self> {
        let file = SecretFile::lock(path)?;
        let (secret, passphrase) =
            open_bytes(session, FileKind::Credential, path, file.bytes(), args)?;
        let credential = Credential::from_bytes(&secret).map_err(|e| naming(path, &e))?;
        Ok(Self { file, passphrase, credential })
    }

    /// Puts the changed credential in the place of the old one, under the same passphrase.
    pub(super) fn store(self) -> Result<()> {
        let secret = self.credential.to_bytes();
        let passphrase = self.passphrase.as_ref().map(Passphrase::expose);
        self.file.replace(&keyfile::seal(FileKind::Credential, &secret, passphrase))
    }
}

/// Returns where a key file goes when the command line does not say so.
pub(super) fn default_file(session: &Session, name: &str, kind: FileKind) -> PathBuf {
    let extension = match kind {
        FileKind::Credential => "credential",
        FileKind::Authority => "authority",
        FileKind::Administrator => "administrator",
    };
    session.settings.data.join(format!("{name}.{extension}"))
}
