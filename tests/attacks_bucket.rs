//! What a hostile bucket, and a hostile insider with the bucket's help, can do to a reader: make
//! errors, never other text.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod attacks;
mod support;
