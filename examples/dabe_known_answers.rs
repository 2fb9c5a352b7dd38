//! Prints the known answers of the encryption scheme. `tests/known_answers/dabe_v1.json` is this
//! output, checked by `tests/reference/ref_rw15.py`; it changes only with the scheme's version.

#![allow(clippy::print_stdout)]

#[path = "../tests/known_answers/compute.rs"]
mod compute;

fn main() {
    print!("{}", compute::dabe_v1());
}
