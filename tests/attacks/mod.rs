//! The attacks, by who makes them.

mod cloud;
mod flips;
mod insider;
mod limits;
mod parsers;
mod small;
mod twins;
