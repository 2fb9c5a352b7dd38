//! The program: parse, run, exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    chartfs::cli::main(std::env::args_os())
}
