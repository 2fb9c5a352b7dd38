//! `chartfs doctor`: is this machine fit for a mount, and what will not work tomorrow?

use std::path::{Path, PathBuf};

use clap::Args;
use nix::errno::Errno;
use serde::Serialize;

use super::date::format_unix_s;
use super::out::{Out, Tone};
use super::report::{Exit, Outcome, one_line};
use super::secrets::{self, PassphraseArgs};
use super::session::{Session, block_on};
use super::user::grants_of;
use crate::clock::now_unix_s;
use crate::daemon::{self, Answer};
use crate::error::{Error, Kind, Result};
use crate::realm::Realm;

/// A credential that ends sooner is worth a warning.
const EXPIRY_WARNING_S: i64 = 7 * 86_400;
/// A clock that is behind a signed statement by more than this is wrong.
const CLOCK_LEEWAY_S: i64 = 300;
/// The day on which this check was written: no clock is right that shows an earlier one.
const EARLIEST_UNIX_S: i64 = 1_790_000_000;
const FUSE_DEVICE: &str = "/dev/fuse";
const FUSE_CONFIG: &str = "/etc/fuse.conf";

/// Look for what would keep a mount from working
///
/// Prints a line for each check: ok, warn or fail, with what to try. Without --bucket only this
/// machine is looked at. The exit status is 0 unless something fails.
#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// A bucket to reach and to probe; a probe object is written and removed
    #[arg(long)]
    bucket: Option<String>,
    /// A credential to look at
    #[arg(long, value_name = "FILE")]
    credential: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    check: &'static str,
    text: String,
    #[serde(rename = "try")]
    hint: Option<String>,
}

impl Finding {
    fn new(verdict: Verdict, check: &'static str, text: impl Into<String>) -> Self {
        Self { verdict, check, text: text.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn of_error(verdict: Verdict, check: &'static str, e: &Error) -> Self {
        let hint = e.try_this().map(str::to_owned);
        Self { verdict, check, text: one_line(&e.to_string()), hint }
    }
}

pub(super) fn run(args: &DoctorArgs, session: &Session) -> Outcome {
    let mut found = vec![fuse_device(), fuse_helper(session)];
    found.extend(fuse_config(std::fs::read_to_string(FUSE_CONFIG).ok().as_deref()));
    found.extend(mounts());
    let mut pin = None;
    if args.credential.is_some() || session.settings.credential.is_some() {
        let path = session.credential_file(args.credential.as_deref())?;
        match secrets::open_credential(session, &path, &args.passphrase) {
            Ok(credential) => {
                pin = Some(credential.realm_genesis);
                found.extend(expiry(&credential, now_unix_s())?);
            }
            Err(e) => found.push(Finding::of_error(Verdict::Fail, "credential", &e)),
        }
    }
    if args.bucket.is_some() || session.settings.bucket.is_some() {
        block_on(bucket(session, args, pin, &mut found))?;
    } else {
        found.push(clock(now_unix_s(), None));
    }
    let worst = found.iter().map(|f| f.verdict).max().unwrap_or(Verdict::Ok);
    let mut out = Out::new(session.settings.color);
    if args.json {
        out.json(&found)?;
    } else {
        for f in &found {
            let (tone, word) = match f.verdict {
                Verdict::Ok => (Tone::Good, "ok  "),
                Verdict::Warn => (Tone::Warning, "warn"),
                Verdict::Fail => (Tone::Bad, "fail"),
            };
            out.line(format_args!("{} {}: {}", out.tone(tone, word), f.check, f.text))?;
            if let Some(hint) = &f.hint {
                out.line(format_args!("     try: {hint}"))?;
            }
        }
    }
    Ok(if worst == Verdict::Fail { Exit::bad(Kind::Internal) } else { Exit::DONE })
}

fn fuse_device() -> Finding {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(FUSE_DEVICE);
    match opened {
        Ok(_) => Finding::new(Verdict::Ok, "fuse device", "/dev/fuse can be opened"),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Finding::new(Verdict::Fail, "fuse device", "there is no /dev/fuse")
                .hint("modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN")
        }
        Err(e) => Finding::new(Verdict::Fail, "fuse device", format!("/dev/fuse: {e}"))
            .hint("let your user open /dev/fuse"),
    }
}

fn fuse_helper(session: &Session) -> Finding {
    let is_root = nix::unistd::geteuid().is_root();
    match session.environment.find_program("fusermount3") {
        Some(path) => Finding::new(Verdict::Ok, "fusermount3", path.display().to_string()),
        None if is_root => Finding::new(Verdict::Ok, "fusermount3", "absent; root needs none"),
        None => Finding::new(Verdict::Fail, "fusermount3", "it is not in PATH")
            .hint("apt install fuse3"),
    }
}

/// Returns what this machine lacks to mount anything, each with what to try.
pub(super) fn lacking(session: &Session) -> Vec<String> {
    [fuse_device(), fuse_helper(session)]
        .into_iter()
        .filter(|f| f.verdict == Verdict::Fail)
        .map(|f| format!("{} (try: {})", f.text, f.hint.unwrap_or_default()))
        .collect()
}

/// One mount is one person's credential: nobody else is meant to enter it.
fn fuse_config(text: Option<&str>) -> Option<Finding> {
    let is_set = text?.lines().any(|l| l.trim() == "user_allow_other");
    is_set.then(|| {
        Finding::new(
            Verdict::Ok,
            "user_allow_other",
            "set in /etc/fuse.conf; chartfs never uses it: a mount is for one user",
        )
    })
}

fn mounts() -> Vec<Finding> {
    match daemon::mounts() {
        Ok(points) => points.iter().map(|point| mount(point)).collect(),
        Err(e) => vec![Finding::of_error(Verdict::Warn, "mount", &e)],
    }
}

/// Asks a mount how it does.
fn mount(point: &Path) -> Finding {
    let shown = point.display();
    let bad = |verdict, text: &str| Finding::new(verdict, "mount", format!("{shown} {text}"));
    match daemon::ask(point) {
        Ok(Answer::Text(_) | Answer::Refused(Errno::ENODATA | Errno::EOPNOTSUPP)) => {
            bad(Verdict::Ok, "answers")
        }
        Ok(Answer::Refused(e)) => bad(Verdict::Warn, &format!("refuses: {}", e.desc())),
        Ok(Answer::Dead) => bad(Verdict::Fail, "is dead").hint(format!("chartfs umount {shown}")),
        Ok(Answer::Stopped(pid)) => bad(Verdict::Fail, "does not answer: its daemon is stopped")
            .hint(format!("kill -CONT {pid}")),
        Ok(Answer::Silent) => bad(Verdict::Fail, "does not answer")
            .hint(format!("wait; or end it: chartfs umount --force {shown}")),
        Err(e) => Finding::of_error(Verdict::Warn, "mount", &e),
    }
}

/// Compares the clock with the newest statement that was signed somewhere else.
fn clock(now: i64, signed_unix_s: Option<i64>) -> Finding {
    let shown = format_unix_s(now);
    let floor = signed_unix_s.unwrap_or(EARLIEST_UNIX_S).max(EARLIEST_UNIX_S);
    if now + CLOCK_LEEWAY_S < floor {
        return Finding::new(
            Verdict::Fail,
            "clock",
            format!("{shown} is before {}, when something was signed", format_unix_s(floor)),
        )
        .hint("set the clock: timedatectl set-ntp true");
    }
    Finding::new(Verdict::Ok, "clock", shown)
}

fn expiry(credential: &crate::key::credential::Credential, now: i64) -> Result<Vec<Finding>> {
    let grants = grants_of(credential)?;
    if grants.is_empty() {
        let text = "it holds no attribute: it opens nothing";
        return Ok(vec![
            Finding::new(Verdict::Warn, "credential", text)
                .hint("chartfs user show --request FILE, and give the request to your authorities"),
        ]);
    }
    let finding = |g: super::user::GrantJson| {
        let again = format!("ask {} to issue them again", g.authority);
        let text = |verb: &str| {
            format!("{} of {} {verb} {}", g.attributes.join(" "), g.authority, g.not_after)
        };
        if g.not_after_unix_s < now {
            Finding::new(Verdict::Fail, "credential", text("ended")).hint(again)
        } else if g.not_after_unix_s - now < EXPIRY_WARNING_S {
            Finding::new(Verdict::Warn, "credential", text("ends")).hint(again)
        } else {
            Finding::new(Verdict::Ok, "credential", text("is good until"))
        }
    };
    Ok(grants.into_iter().map(finding).collect())
}

async fn bucket(
    session: &Session,
    args: &DoctorArgs,
    pin: Option<[u8; 32]>,
    found: &mut Vec<Finding>,
) {
    let mut signed_unix_s = None;
    let reached = async {
        let location = session.location(args.bucket.as_deref())?;
        let bucket = session.open_bucket(&location).await?;
        let realm = Realm::open(bucket.clone(), pin.as_ref()).await?;
        found.push(Finding::new(
            Verdict::Ok,
            "bucket",
            format!("{location} holds realm {}", crate::key::credential::hex(&realm.genesis())),
        ));
        signed_unix_s = Some(realm.state().time_unix_s);
        if realm.state().root_policy == [0; 32] {
            found.push(
                Finding::new(Verdict::Warn, "policy", "the drive has no policy yet")
                    .hint("chartfs policy set / POLICY --as-admin FILE"),
            );
        }
        bucket.probe().await
    }
    .await;
    match reached {
        Ok(()) => {
            found.push(Finding::new(Verdict::Ok, "writes", "conditional writes are honoured"));
        }
        Err(e) => found.push(Finding::of_error(Verdict::Fail, "bucket", &e)),
    }
    found.push(clock(now_unix_s(), signed_unix_s));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_behind_what_was_signed_is_wrong() {
        let signed = EARLIEST_UNIX_S + 10_000;
        assert_eq!(clock(signed - CLOCK_LEEWAY_S, Some(signed)).verdict, Verdict::Ok);
        assert_eq!(clock(signed - CLOCK_LEEWAY_S - 1, Some(signed)).verdict, Verdict::Fail);
        assert_eq!(clock(0, None).verdict, Verdict::Fail);
    }

    #[test]
    fn allow_other_is_told_only_when_it_is_set() {
        assert!(fuse_config(Some("#user_allow_other\n")).is_none());
        assert!(fuse_config(Some("user_allow_other\n")).is_some());
        assert!(fuse_config(None).is_none());
    }
}
