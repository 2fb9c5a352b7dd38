//! Talks to people: one file per command, and the only module that prints and asks.
//!
//! The command line is first read as it stands (`Cli`), which nothing but the command line can
//! make fail: `--help`, `--version` and `completions` work whatever the environment is like. Then
//! `Session` puts the settings together, and the command does its work.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod report;
mod out;
mod session;
mod secrets;
mod input;
mod init;
mod authority;
mod user;
mod credential;
mod policy;
mod matrix;
mod drive;
mod ls;
mod cat;
mod get;
mod put;
mod history;
mod restore;
mod rejected;
mod import;
mod intake;
mod mount;
mod umount;
mod status;
mod check;
mod doctor;
mod demo;
mod completions;
mod version;
mod man;

use crate::clock::date;
use report::{Exit, Failure, Outcome, report, usage_error};
use session::{LogTo, Session, start_log};

/// Mount a bucket as a drive of patient records
#[derive(Parser, Debug)]
#[command(name = "chartfs", disable_version_flag = true, arg_required_else_help = true)]
#[command(propagate_version = false, subcommand_required = false)]
struct Cli {
    /// Print the version; with -v, what it is made of
    #[arg(short = 'V', long)]
    version: bool,
    /// Say more
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options that every command understands.
#[derive(Args, Debug)]
struct GlobalArgs {
    /// Read the settings from FILE instead of ~/.config/chartfs/chartfs.toml
    #[arg(long, value_name = "FILE", global = true, help_heading = "Settings")]
    config: Option<PathBuf>,
    /// Use colour: auto, always or never
    #[arg(long, value_name = "WHEN", global = true, help_heading = "Settings")]
    color: Option<String>,
    /// Keep high-water marks in DIR instead of ~/.local/share/chartfs/state
    #[arg(long, value_name = "DIR", global = true, help_heading = "Settings")]
    state: Option<PathBuf>,
    /// Reach the bucket at URL, a server that is not the cloud's own
    #[arg(long, value_name = "URL", global = true, help_heading = "Settings")]
    endpoint: Option<String>,
    /// The region of the bucket
    #[arg(long, value_name = "REGION", global = true, help_heading = "Settings")]
    region: Option<String>,
    /// The profile in the cloud's own configuration files
    #[arg(long, value_name = "NAME", global = true, help_heading = "Settings")]
    profile: Option<String>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Init(init::InitArgs),
    #[command(subcommand)]
    Authority(authority::AuthorityCommand),
    #[command(subcommand)]
    User(user::UserCommand),
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    Matrix(matrix::MatrixArgs),
    Ls(ls::LsArgs),
    Cat(cat::CatArgs),
    Get(get::GetArgs),
    Put(put::PutArgs),
    History(history::HistoryArgs),
    Restore(restore::RestoreArgs),
    #[command(subcommand)]
    Rejected(rejected::RejectedCommand),
    Import(import::ImportArgs),
    Mount(mount::MountArgs),
    Umount(umount::UmountArgs),
    Status(status::StatusArgs),
    Check(check::CheckArgs),
    Doctor(doctor::DoctorArgs),
    Demo(demo::DemoArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs the program with these arguments, the first of which is its own name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    report(run(args))
}

fn run(args: impl IntoIterator<Item = OsString>) -> Outcome {
    let mut cli = match Cli::try_parse_from(as_mount(args)) {
        Ok(cli) => cli,
        Err(e)
            if e.use_stderr()
                && e.kind() != clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            return Err(usage_error(&e).into());
        }
        Err(e) => return show_help(&e),
    };
    if cli.version {
        return version::run(cli.verbose);
    }
    let Some(command) = &mut cli.command else {
        return Err(Failure::Error(
            crate::error::Error::new(crate::error::Kind::Usage, "no command is named")
                .hint("chartfs help"),
        ));
    };
    let global = &cli.global;
    let quiet = || Session::new(global);
    let session = || quiet().inspect(|s| start_log(s, LogTo::Stderr));
    match command {
        Command::Init(args) => init::run(args, &session()?),
        Command::Authority(command) => authority::run(command, &session()?),
        Command::User(command) => user::run(command, &session()?),
        Command::Credential(command) => credential::run(command, &session()?),
        Command::Policy(command) => policy::run(command, &session()?),
        Command::Matrix(args) => matrix::run(args, &session()?),
        Command::Ls(args) => ls::run(args, &session()?),
        Command::Cat(args) => cat::run(args, &session()?),
        Command::Get(args) => get::run(args, &session()?),
        Command::Put(args) => put::run(args, &session()?),
        Command::History(args) => history::run(args, &session()?),
        Command::Restore(args) => restore::run(args, &session()?),
        Command::Rejected(command) => rejected::run(command, &session()?),
        Command::Import(args) => import::run(args, &session()?),
        Command::Mount(args) => mount::run(args, &quiet()?),
        Command::Umount(args) => umount::run(args),
        Command::Status(args) => status::run(args, &session()?),
        Command::Check(args) => check::run(args, &session()?),
        Command::Doctor(args) => doctor::run(args, &session()?),
        Command::Demo(args) => demo::run(args, &session()?),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// Puts in the word `mount` when mount(8) calls us: `mount.chartfs SOURCE DIR -o …`, or
/// `chartfs SOURCE DIR -o …` by way of the type `fuse.chartfs`.
fn as_mount(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let is_helper = |arg: &OsString| {
        std::path::Path::new(arg).file_name().is_some_and(|name| name == "mount.chartfs")
    };
    let is_source = |arg: &OsString| arg.to_str().is_some_and(|a| a.contains("://"));
    if args.first().is_some_and(is_helper) || args.get(1).is_some_and(is_source) {
        args.insert(1, "mount".into());
    }
    args
}

/// Prints help: a result when it was asked for, a usage error when nothing was said at all.
fn show_help(e: &clap::Error) -> Outcome {
    let text = e.render().to_string();
    if e.use_stderr() {
        out::say(text.trim_end());
        return Ok(Exit::bad(crate::error::Kind::Usage));
    }
    out::Out::new(crate::config::Color::Never).bytes(text.as_bytes())?;
    Ok(Exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn mount_is_understood_as_the_system_calls_it() {
        let args = |words: &[&str]| as_mount(words.iter().map(OsString::from)).len();
        assert_eq!(args(&["/sbin/mount.chartfs", "s3://b", "/mnt", "-o", "rw"]), 6);
        assert_eq!(args(&["chartfs", "file:///b", "/mnt"]), 4);
        assert_eq!(args(&["chartfs", "mount", "file:///b", "/mnt"]), 4);
        assert_eq!(args(&["chartfs"]), 1);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
