//! chartfs mounts a bucket as a drive of patient records. Every record is a plain file to the
//! program that reads it; in the bucket it is a set of sections, each under its own AES key, each
//! key wrapped with distributed attribute-based encryption. Who mounts decides what the file says.
//!
//! The modules stand in the order of a read: `fuse → view → record → section → key`, and
//! `store` below `record`. Arrows go only downward; `tests/layers.rs` checks them on the source.

pub mod daemon;
pub mod fuse;
pub mod view;
pub mod record;
pub mod section;
pub mod realm;
pub mod key;
pub mod store;

// Beside the path.
pub mod cli;
pub mod config;
pub mod demo;
pub mod clock;
pub mod wire;
pub mod error;
