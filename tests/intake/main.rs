//! What other systems deliver is filed into the folders of the patients that it names: through the
//! view, without a mount.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod filing;
mod people;
mod rights;
mod samples;
mod site;
mod sweep;
