//! Talks to people: one file per command, and the only module that prints and asks.
//!
//! The command line is first read as it stands ([`Cli`]), which nothing but the command line can
//! make fail: `--help`, `--version` and `completions` work whatever the environment is like. Then
//! `Session` puts the settings together, and the command does its work.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod report;
mod out;
mod date;
mod session;
mod secrets;
mod input;
mod init;
mod authority;
mod user;
mod credential;
mod policy;
mod matrix;
mod doctor;
mod completions;
mod version;
mod man;

use report::{Exit, Failure, Outcome, report, usage_error};
use session::Session;

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
    Doctor(doctor::DoctorArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs the program with these arguments, the first of which is its own name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    report(run(args))
}

fn run(args: impl IntoIterator<Item = OsString>) -> Outcome {
    let cli = match Cli::try_parse_from(args) {
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
    let Some(command) = &cli.command else {
        return Err(Failure::Error(
            crate::error::Error::new(crate::error::Kind::Usage, "no command is named")
                .hint("chartfs help"),
        ));
    };
    let session = || Session::new(&cli.global);
    match command {
        Command::Init(args) => init::run(args, &session()?),
        Command::Authority(command) => authority::run(command, &session()?),
        Command::User(command) => user::run(command, &session()?),
        Command::Credential(command) => credential::run(command, &session()?),
        Command::Policy(command) => policy::run(command, &session()?),
        Command::Matrix(args) => matrix::run(args, &session()?),
        Command::Doctor(args) => doctor::run(args, &session()?),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
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
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
