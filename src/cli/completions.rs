//! `chartfs completions`: what a shell needs to complete our command lines.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::out::Out;
use super::report::{Exit, Outcome};
use crate::config::Color;

/// Print the completions for a shell
#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "chartfs", &mut script);
    Out::new(Color::Never).bytes(&script)?;
    Ok(Exit::DONE)
}
