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
    vec![
        renamed_away_and_refused(),
        refused_at_home(),
        moved_and_deleted(),
        a_record_over_another(),
        a_key_that_both_added(),
        a_clash_whose_copy_is_refused(),
        taken_away_under_another_policy(),
        a_bundle_saved_by_two(),
    ]
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

/// A text goes into a record, and with it over another.
fn a_record_over_another() -> Known {
    let new = At { folder: 0, name: 4 };
    let a = At { folder: 0, name: 0 };
    let insert = |at, key| Change::Insert { at, key };
    let steps = vec![
        save(5, new, How::InPlace, true, &[Change::Set(1)]),
        save(5, a, How::InPlace, true, &[insert(0, 2), insert(10, 3)]),
        save(
            5,
            a,
            How::Over { is_local: false },
            true,
            &[Change::Move { from: 4, to: 3 }, Change::Set(4)],
        ),
    ];
    (0, 0, steps)
}

/// Two people add one key each in their own words.
fn a_key_that_both_added() -> Known {
    let a = At { folder: 1, name: 0 };
    let insert = |at, key| Change::Insert { at, key };
    let steps = vec![
        save(0, a, How::InPlace, true, &[insert(2, 7), Change::Set(4), Change::Delete(5)]),
        Step { station: 1, operation: Operation::SetPolicy { policy: 2 } },
        save(1, a, How::Away { is_local: false }, true, &[insert(9, 5)]),
        save(0, a, How::Over { is_local: false }, true, &[insert(4, 7), insert(4, 5)]),
    ];
    (0b1101_1111, 0, steps)
}

/// Who believes an old text adds a member that somebody else added, and may make no copy of the
/// file: saving again when the file is closed must not put it over the other.
fn a_clash_whose_copy_is_refused() -> Known {
    let insert = |at, key| Change::Insert { at, key };
    let local = At { folder: 3, name: 0 };
    let steps = vec![
        save(6, local, How::Away { is_local: false }, true, &[Change::Delete(10), Change::Set(5)]),
        Step {
            station: 0,
            operation: Operation::Rename {
                from: At { folder: 1, name: 6 },
                to: At { folder: 3, name: 4 },
                is_exclusive: false,
            },
        },
        save(3, At { folder: 1, name: 0 }, How::InPlace, true, &[Change::Set(10), insert(6, 3)]),
        save(
            0,
            At { folder: 1, name: 0 },
            How::Away { is_local: true },
            true,
            &[insert(2, 11), insert(11, 3)],
        ),
    ];
    (0b10_0001, 0, steps)
}

/// A name is taken away under one policy and comes back under another.
fn taken_away_under_another_policy() -> Known {
    let b = At { folder: 1, name: 1 };
    let steps = vec![
        save(0, b, How::InPlace, true, &[Change::Delete(11), Change::Set(4)]),
        Step { station: 4, operation: Operation::Unlink(b) },
        Step { station: 0, operation: Operation::SetPolicy { policy: 3 } },
        save(4, b, How::InPlace, true, &[Change::Delete(9)]),
    ];
    (0b100_0000, 0, steps)
}

/// Somebody who believes an old bundle tells of something in it.
fn a_bundle_saved_by_two() -> Known {
    let f = At { folder: 0, name: 2 };
    let insert = |at, key| Change::Insert { at, key };
    let (over, local) = (How::Over { is_local: false }, How::Over { is_local: true });
    let steps = vec![
        save(5, f, local, true, &[Change::Delete(10), Change::Set(10)]),
        save(0, f, How::InPlace, true, &[Change::Delete(10)]),
        save(0, f, over, true, &[Change::Set(3), insert(0, 2)]),
        save(3, f, How::InPlace, true, &[Change::Set(10), insert(1, 11), Change::Tell(11)]),
        save(0, f, How::InPlace, false, &[insert(7, 6), Change::Tell(2)]),
    ];
    (0b1000_0001, 0, steps)
}
