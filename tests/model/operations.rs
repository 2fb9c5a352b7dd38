//! What people do, as numbers that always mean something: a shorter list of operations is still one.

use proptest::prelude::*;

/// The names that files and folders may have.
pub(crate) const NAMES: [&str; 10] = [
    "a.json",
    "b.json",
    "f.json",
    "n.txt",
    "a.json.new",
    "n.txt.new",
    "old.json",
    "x.tmp",
    "a.json~",
    "sub",
];
/// How many of [`NAMES`] people work on; the others come up when they save and rename.
pub(crate) const WORKED_ON: u8 = 4;

/// A folder among those that the workstation shows, and a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) folder: u8,
    pub(crate) name: u8,
}

/// The ways in which programs save.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    InPlace,
    /// By a new file, of a name that stays here or of one that does not, renamed over it.
    Over {
        is_local: bool,
    },
    /// By renaming it away, to a name that stays here or to one that does not, and making it anew.
    Away {
        is_local: bool,
    },
    /// By removing it and making it anew.
    Anew,
}

/// One change of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Set(u8),
    /// Says something that belongs into another section.
    Tell(u8),
    Insert {
        at: u8,
        key: u8,
    },
    Delete(u8),
    Move {
        from: u8,
        to: u8,
    },
}

/// The changes that one save makes.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    /// Whether only what the user may write is changed.
    pub(crate) is_polite: bool,
    pub(crate) changes: Vec<Change>,
}

/// A change of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bytes {
    Append,
    Overwrite { at: u8 },
    Truncate { at: u8 },
}

/// One operation of somebody at a workstation.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Save { at: At, how: How, edit: Edit },
    Touch(At),
    Bytes { at: At, change: Bytes },
    Cut { at: At, to: u8 },
    Open { slot: bool, at: At },
    Write { slot: bool, edit: Edit },
    Read { slot: bool },
    Flush { slot: bool },
    Close { slot: bool },
    Rename { from: At, to: At, is_exclusive: bool },
    Unlink(At),
    MakeDir(At),
    RemoveDir(At),
    SetTime { at: At, time: u8 },
    Look(At),
    Tidy,
    Settle,
    Remount,
    Crash,
    SetPolicy { policy: u8 },
}

/// An operation and the workstation at which it is done.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) station: u8,
    pub(crate) operation: Operation,
}

fn at() -> impl Strategy<Value = At> {
    let name = prop_oneof![8 => 0..WORKED_ON, 2 => 0..u8::try_from(NAMES.len()).expect("few")];
    (0..4_u8, name).prop_map(|(folder, name)| At { folder, name })
}

fn any_at() -> impl Strategy<Value = At> {
    let name = 0..u8::try_from(NAMES.len()).expect("few");
    (0..4_u8, name).prop_map(|(folder, name)| At { folder, name })
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::InPlace),
        3 => any::<bool>().prop_map(|is_local| How::Over { is_local }),
        2 => any::<bool>().prop_map(|is_local| How::Away { is_local }),
        2 => Just(How::Anew),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let place = 0..12_u8;
    prop_oneof![
        8 => place.clone().prop_map(Change::Set),
        1 => place.clone().prop_map(Change::Tell),
        5 => (place.clone(), 0..12_u8).prop_map(|(at, key)| Change::Insert { at, key }),
        3 => place.clone().prop_map(Change::Delete),
        1 => (place.clone(), place).prop_map(|(from, to)| Change::Move { from, to }),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    (prop::bool::weighted(0.85), prop::collection::vec(change(), 1..4))
        .prop_map(|(is_polite, changes)| Edit { is_polite, changes })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        2 => Just(Bytes::Append),
        1 => (0..60_u8).prop_map(|at| Bytes::Overwrite { at }),
        1 => (0..60_u8).prop_map(|at| Bytes::Truncate { at }),
    ]
}

fn on_handles() -> impl Strategy<Value = Operation> {
    let slot = any::<bool>();
    prop_oneof![
        3 => (slot, at()).prop_map(|(slot, at)| Operation::Open { slot, at }),
        4 => (slot, edit()).prop_map(|(slot, edit)| Operation::Write { slot, edit }),
        1 => slot.prop_map(|slot| Operation::Read { slot }),
        3 => slot.prop_map(|slot| Operation::Flush { slot }),
        2 => slot.prop_map(|slot| Operation::Close { slot }),
    ]
}

fn on_names() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (any_at(), any_at(), prop::bool::weighted(0.1))
            .prop_map(|(from, to, is_exclusive)| Operation::Rename { from, to, is_exclusive }),
        2 => any_at().prop_map(Operation::Unlink),
        1 => (0..4_u8).prop_map(|folder| Operation::MakeDir(At { folder, name: 9 })),
        1 => any_at().prop_map(Operation::RemoveDir),
        1 => any_at().prop_map(Operation::Touch),
    ]
}

fn on_mounts() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => Just(Operation::Tidy),
        4 => Just(Operation::Settle),
        6 => Just(Operation::Remount),
        2 => Just(Operation::Crash),
        2 => (0..4_u8).prop_map(|policy| Operation::SetPolicy { policy }),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        30 => (at(), how(), edit()).prop_map(|(at, how, edit)| Operation::Save { at, how, edit }),
        6 => (at(), bytes()).prop_map(|(at, change)| Operation::Bytes { at, change }),
        1 => (at(), 0..60_u8).prop_map(|(at, to)| Operation::Cut { at, to }),
        2 => (at(), any::<u8>()).prop_map(|(at, time)| Operation::SetTime { at, time }),
        3 => any_at().prop_map(Operation::Look),
        28 => on_handles(),
        16 => on_names(),
        8 => on_mounts(),
    ]
}

pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let step =
        (any::<u8>(), operation()).prop_map(|(station, operation)| Step { station, operation });
    prop::collection::vec(step, 1..=count)
}
