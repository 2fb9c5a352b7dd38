//! The view under test and how to make it slow or failing. The only part of the tests that knows
//! which view it is.

use std::sync::Arc;

use chartfs::error::Kind;
use chartfs::view::View;

/// Makes an empty drive that its user may change.
pub(crate) fn fresh() -> Arc<View> {
    View::in_memory()
}

/// Holds reads, commits and renames of the file `name` in the root until [`release`].
pub(crate) fn hold(view: &View, name: &str) {
    view.stub_slow(name.as_bytes());
}

/// Waits until a request is held.
pub(crate) fn wait_held(view: &View) {
    view.stub_wait_for_waiting();
}

/// Lets what is held go on.
pub(crate) fn release(view: &View) {
    view.stub_open_gate();
}

/// Lets go of everything, so that a failed test can end.
pub(crate) fn release_everything(view: &View) {
    view.stub_open_gate();
}

/// Makes commits of the file `name` in the root fail.
pub(crate) fn refuse_commits(view: &View, name: &str, kind: Kind) {
    view.stub_fail_flush(name.as_bytes(), kind);
}

/// Changes a file in the root as another workstation would, and says so to the kernel.
pub(crate) fn change_elsewhere(view: &View, name: &str, text: &[u8]) {
    view.stub_replace(name.as_bytes(), text);
}

/// How often the view was drained.
pub(crate) fn drains(view: &View) -> usize {
    view.stub_drained()
}

/// How many references the view believes the kernel to hold on a file in the root.
pub(crate) fn references(view: &View, name: &str) -> u64 {
    view.stub_references(name.as_bytes())
}
