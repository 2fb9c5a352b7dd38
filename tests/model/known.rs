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
    vec![renamed_away_and_refused(), refused_at_home(), moved_and_deleted()]
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

/// A text that is refused after its name was taken away, while somebody else made another file.
fn refused_at_home() -> Known {
    let a = At { folder: 0, name: 0 };
    let b = At { folder: 0, name: 1 };
    let steps = vec![
        save(5, a, How::InPlace, true, &[Change::Set(0)]),
        Step { station: 0, operation: Operation::SetPolicy { policy: 0 } },
        save(0, a, How::InPlace, false, &[Change::Set(0)]),
        save(0, b, How::InPlace, true, &[Change::Set(0)]),
        save(3, a, How::Away { is_local: true }, false, &[Change::Tell(0)]),
    ];
    (0b101_1000, 0, steps)
}

/// The owner deletes an element that the physician moves meanwhile: it stays.
fn moved_and_deleted() -> Known {
    let b = At { folder: 0, name: 1 };
    let edit = Edit { is_polite: true, changes: vec![Change::Delete(2), Change::Set(0)] };
    let steps = vec![
        save(0, b, How::InPlace, true, &[Change::Set(0), Change::Set(0)]),
        Step { station: 5, operation: Operation::Open { slot: false, at: b } },
        Step { station: 5, operation: Operation::Write { slot: false, edit } },
        save(0, b, How::InPlace, false, &[Change::Move { from: 11, to: 0 }]),
        Step { station: 5, operation: Operation::Close { slot: false } },
    ];
    (0, 0, steps)
}
