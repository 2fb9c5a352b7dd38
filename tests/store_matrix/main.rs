//! A drive over a bucket that fails: every kind of request meets every fault at random moments, and
//! nothing that was acknowledged is lost, nothing is torn, and nothing is tried for ever.

#![allow(clippy::unwrap_used)]

mod cells;
#[path = "../fake_s3/mod.rs"]
mod fake_s3;
mod matrix;
mod model;
mod round;
mod states;
#[path = "../support/mod.rs"]
mod support;
mod template;
