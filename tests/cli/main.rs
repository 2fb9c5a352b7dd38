//! The program as people and scripts run it: over buckets in local directories, by its arguments,
//! its output and its exit status.

#![allow(clippy::unwrap_used)]

mod site;
mod setup;
mod refusals;
mod policy;
mod manners;
mod drive;
mod history;
mod intake;
