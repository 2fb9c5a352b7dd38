//! The program is killed, and the power is cut, while three writers save, rename and remove: what
//! was acknowledged is there afterwards, and nothing is torn.
//!
//! A few dozen rounds; with `CHARTFS_LONG` 2,000 for each way to commit (`CHARTFS_CRASH_ROUNDS`
//! says another number, `CHARTFS_CRASH_SEED` other random moments, and `CHARTFS_TEST_PROGRAM`
//! another build of the program, as one with optimizations).
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../drive/mod.rs"]
mod drive;
mod kill;
mod plan;
mod power;
mod site;
mod writer;

use site::Place;

#[test]
fn what_was_acknowledged_outlives_a_kill_when_the_bucket_has_it() {
    kill::rounds(Place::Directory, "remote");
}

#[test]
fn what_was_acknowledged_outlives_a_kill_when_the_journal_has_it() {
    kill::rounds(Place::Directory, "journal");
}

#[test]
fn what_was_acknowledged_outlives_a_kill_when_a_server_has_it() {
    kill::rounds(Place::Server, "remote");
}

#[test]
fn what_was_acknowledged_outlives_a_kill_when_the_journal_has_it_and_a_server_is_to() {
    kill::rounds(Place::Server, "journal");
}

#[test]
fn what_was_acknowledged_outlives_a_power_cut_in_a_local_bucket() {
    power::rounds(Place::Directory, "remote");
}

#[test]
fn what_was_acknowledged_outlives_a_power_cut_in_the_journal_and_a_local_bucket() {
    power::rounds(Place::Directory, "journal");
}

#[test]
fn what_was_acknowledged_outlives_a_power_cut_in_the_journal_beside_a_server() {
    power::rounds(Place::Server, "journal");
}

/// The number that a variable of the environment holds.
fn number(variable: &str) -> Option<u64> {
    std::env::var_os(variable)?.to_str()?.parse().ok()
}
