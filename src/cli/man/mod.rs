//! `chartfs man`: the manual pages, options from the command line itself and the rest written.

mod inbox;
mod text;

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::out::Out;
use super::report::{Exit, Outcome};
use crate::config::Color;
use crate::error::{Error, Kind, Result};

/// Write the manual pages into a folder
#[derive(Args, Debug)]
#[command(hide = true)]
pub(super) struct ManArgs {
    /// The folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> Outcome {
    let pages = pages()?;
    let mut out = Out::new(Color::Never);
    for (name, text) in &pages {
        let path = args.out.join(name);
        std::fs::write(&path, text).map_err(|e| {
            Error::new(Kind::Usage, format!("cannot write {}", path.display())).because(e)
        })?;
        out.line(path.display())?;
    }
    Ok(Exit::DONE)
}

/// Returns every page: its file name and its text.
fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut root = super::Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = vec![
        ("chartfs.1".to_owned(), program_page(&root)?),
        ("chartfs-policy.7".to_owned(), text::policy_language().render().into_bytes()),
    ];
    for command in root.get_subcommands().filter(|c| !c.is_hide_set()) {
        let name = format!("chartfs-{}", command.get_name());
        pages.push((format!("{name}.1"), command_page(command, &name)?));
    }
    Ok(pages)
}

fn failed(e: std::io::Error) -> Error {
    Error::new(Kind::Internal, "a manual page cannot be made").because(e)
}

/// Makes a page without date: it has to come out the same every time.
fn page(command: &clap::Command, name: &str) -> Man {
    Man::new(command.clone())
        .title(name.to_uppercase())
        .date("")
        .source("chartfs")
        .manual("chartfs")
}

fn program_page(root: &clap::Command) -> Result<Vec<u8>> {
    let man = page(root, "chartfs");
    let mut out = Vec::new();
    man.render_title(&mut out).map_err(failed)?;
    man.render_name_section(&mut out).map_err(failed)?;
    man.render_synopsis_section(&mut out).map_err(failed)?;
    text::description().to_writer(&mut out).map_err(failed)?;
    man.render_subcommands_section(&mut out).map_err(failed)?;
    man.render_options_section(&mut out).map_err(failed)?;
    for section in [text::exit_status(), text::files(), text::environment()] {
        section.to_writer(&mut out).map_err(failed)?;
    }
    text::examples("chartfs").to_writer(&mut out).map_err(failed)?;
    text::see_also(&["chartfs-policy(7)"]).to_writer(&mut out).map_err(failed)?;
    Ok(out)
}

/// Makes the page of a command; commands below it follow one after the other.
fn command_page(command: &clap::Command, name: &str) -> Result<Vec<u8>> {
    let words = name.replacen('-', " ", 1);
    let command = own_options(command.clone()).display_name(name).bin_name(&words);
    let man = page(&command, name);
    let mut out = Vec::new();
    man.render_title(&mut out).map_err(failed)?;
    man.render_name_section(&mut out).map_err(failed)?;
    synopsis("SH", &command).to_writer(&mut out).map_err(failed)?;
    man.render_description_section(&mut out).map_err(failed)?;
    let below: Vec<_> = command.get_subcommands().filter(|c| !c.is_hide_set()).collect();
    if below.is_empty() {
        man.render_options_section(&mut out).map_err(failed)?;
    }
    for sub in below {
        subcommand(sub, name, &mut out)?;
    }
    if let Some(json) = text::json(name) {
        json.to_writer(&mut out).map_err(failed)?;
    }
    text::command_exit_status().to_writer(&mut out).map_err(failed)?;
    text::examples(name).to_writer(&mut out).map_err(failed)?;
    text::see_also(&["chartfs(1)", "chartfs-policy(7)"]).to_writer(&mut out).map_err(failed)?;
    Ok(out)
}

fn subcommand(command: &clap::Command, parent: &str, out: &mut Vec<u8>) -> Result<()> {
    let words = format!("{} {}", parent.replacen('-', " ", 1), command.get_name());
    let sub = own_options(command.clone()).display_name(&words).bin_name(&words);
    let mut text = Roff::new();
    text.control("SH", [words.to_uppercase().as_str()]);
    let about = sub.get_long_about().or_else(|| sub.get_about());
    for paragraph in about.map(ToString::to_string).unwrap_or_default().split("\n\n") {
        text.control("PP", []).text([roman(paragraph)]);
    }
    text.extend([synopsis("SS", &sub)]);
    text.to_writer(out).map_err(failed)?;
    let mut options = Vec::new();
    Man::new(sub).render_options_section(&mut options).map_err(failed)?;
    // The options of a command below a command are a sub-section of its section.
    out.extend_from_slice(String::from_utf8_lossy(&options).replace(".SH ", ".SS ").as_bytes());
    Ok(())
}

/// Leaves out the options of all commands, which chartfs(1) has.
fn own_options(command: clap::Command) -> clap::Command {
    command.mut_args(|a| if a.is_global_set() { a.hide(true) } else { a })
}

fn synopsis(level: &str, command: &clap::Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control(level, ["SYNOPSIS"]).text([roman(usage.trim_start_matches("Usage: "))]);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed pages are those of this build: `cargo run -- man --out man` makes them anew.
    #[test]
    fn the_committed_pages_are_up_to_date() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man");
        let pages = pages().unwrap();
        for (name, text) in &pages {
            let committed = std::fs::read(folder.join(name)).unwrap_or_default();
            assert!(*text == committed, "{name} is out of date: cargo run -- man --out man");
        }
        let written = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name());
        let names: Vec<&str> = pages.iter().map(|(n, _)| n.as_str()).collect();
        for file in written {
            assert!(names.contains(&file.to_str().unwrap()), "{file:?} is of no command");
        }
    }

    #[test]
    fn every_command_has_examples() {
        let root = super::super::Cli::command();
        for command in root.get_subcommands().filter(|c| !c.is_hide_set()) {
            let name = format!("chartfs-{}", command.get_name());
            assert!(!text::examples_of(&name).is_empty(), "{name}");
        }
    }
}
