//! Cases that the program and the model once disagreed on, as short as they got.

use crate::operations::{At, Change, Edit, How, Operation, Step};

/// A case: which workstations are stale, the policy of the folder that has its own, the steps.
pub(crate) type Known = (u8, usize, Vec<Step>);

const OWN_B: At = At { folder: 1, name: 1 };

fn save(station: u8, at: At, how: How, is_polite: bool, changes: &[Change]) -> Step {
    let edit = Edit { is_polite, changes: changes.to_vec() };
    Step { station, operation: Operation::Save { at, how, edit } }
}

/// Returns all of them.
pub(crate) fn all() -> Vec<Known> {
    vec![renamed_away_and_refused()]
}

/// The physician renames a file away and may not write it anew; the sister, who does not know,
/// removes and makes it under its old name, which she may not give back. Nothing may change then.
fn renamed_away_and_refused() -> Known {
    let moved = Change::Move { from: 7, to: 8 };
    let steps = vec![
        save(4, OWN_B, How::InPlace, true, &[Change::Set(0), Change::Set(0)]),
        Step { station: 0, operation: Operation::SetPolicy { policy: 0 } },
        save(0, OWN_B, How::Away { is_local: false }, false, &[Change::Set(0)]),
        save(4, OWN_B, How::Anew, false, &[moved]),
    ];
    (0b1_0000, 2, steps)
}
