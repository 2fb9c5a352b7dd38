//! A record: the sections of one patient file, and the plain file that they make together.

pub mod format;
