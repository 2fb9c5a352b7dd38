//! `chartfs --version`, and `-vV` for those who report a fault.

use super::out::Out;
use super::report::{Exit, Outcome};
use crate::config::Color;
use crate::key::capsule::SUITE;

pub(super) fn run(is_long: bool) -> Outcome {
    let mut out = Out::new(Color::Never);
    out.line(format_args!("chartfs {}", env!("CARGO_PKG_VERSION")))?;
    if is_long {
        out.line(format_args!("commit: {}", option_env!("CHARTFS_COMMIT").unwrap_or("unknown")))?;
        out.line("formats: realm 1, authority 1, policy 1, record 1, key file 1")?;
        out.line(format_args!("suite: {SUITE} (Rouselakis-Waters 2015 on BLS12-381)"))?;
        out.line(format_args!("target: {} {}", std::env::consts::OS, std::env::consts::ARCH))?;
    }
    Ok(Exit::DONE)
}
