//! What programs may expect of a mounted drive, tried through the kernel.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../drive/mod.rs"]
mod drive;

mod files;
mod inbox;
mod calls;
mod names;
mod metadata;
mod waiting;
mod ending;
mod programs;
mod model;
mod people;
mod research;
mod saving;
mod stations;
mod views;
