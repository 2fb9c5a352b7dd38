//! Two halves of one computation at a time: what a person waits for at the first open of a record.

use std::thread;

/// Below so many rows a second thread costs more than it saves.
pub(super) const ROWS_MIN: usize = 3;

/// Computes both, the first in a thread of its own unless there is none to be had.
pub(super) fn both<A: Send, B>(
    worthwhile: bool,
    first: impl Fn() -> A + Sync,
    second: impl FnOnce() -> B,
) -> (A, B) {
    if !worthwhile {
        return (first(), second());
    }
    thread::scope(|scope| {
        let helper = thread::Builder::new().spawn_scoped(scope, &first);
        let b = second();
        let a = helper.map_or_else(
            |_| first(),
            |helper| helper.join().expect("computations on points do not panic"),
        );
        (a, b)
    })
}
