//! The model of one record: its elements by section, and what a save does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chartfs::error::Kind;

use crate::rights::{Rights, Section, User};
use crate::text::{Element, Form, Text, section_of};

/// One element of a record; its number stays while its value changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) number: u64,
    pub(crate) element: Element,
    pub(crate) section: Section,
}

/// One version of a record.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// Counts commits.
    pub(crate) commit: u64,
    /// When each section was changed last, and when any was.
    changed: BTreeMap<Section, u64>,
    content: u64,
    pub(crate) form: Form,
    pub(crate) items: Vec<Item>,
    raw: Vec<u8>,
    /// The sections that somebody who may write them wrote, be it nothing.
    written: BTreeSet<Section>,
    authors: BTreeMap<Section, BTreeSet<User>>,
    committer: User,
    /// The commit that last moved elements: which of them it moved, nobody promises.
    moved: u64,
}

/// What the program was seen to do, where the promises leave it free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Merged,
    Conflict,
    Refused(Kind),
}

/// What a save does to a record.
#[derive(Debug)]
pub(crate) enum Saved {
    /// It has this version now. The elements stand in an order that nobody promises, but for
    /// those of `kept`, which stand as they did.
    /// `shown` is what the saver sees then, where that is promised to the byte.
    /// Those of `again` may stand there as well: one that was moved comes back, or stays, when the
    /// other removed it.
    Version { now: Version, kept: Vec<u64>, shown: Option<Vec<Element>>, again: Vec<Item> },
    /// Somebody else changed the same element.
    Conflict,
}

pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

impl Version {
    /// Makes a record of a text.
    pub(crate) fn create(
        user: User,
        rights: &Rights,
        text: &Text,
        numbers: &mut Numbers,
    ) -> Result<Self, Kind> {
        Self::create_as(user, rights, &text.as_stored(), numbers)
    }

    /// Makes a record of a text that is taken for what it is called.
    fn create_as(
        user: User,
        rights: &Rights,
        text: &Text,
        numbers: &mut Numbers,
    ) -> Result<Self, Kind> {
        let form = text.form();
        let (mut items, mut raw) = (Vec::new(), Vec::new());
        match text {
            Text::Raw(bytes) => raw.clone_from(bytes),
            Text::Doc(_, elements) => {
                for element in elements {
                    let section = section_of(form, &element.0, &element.1);
                    items.push(Item { number: numbers.next(), element: element.clone(), section });
                }
            }
        }
        let needs_documents = form == Form::Opaque && !rights.writes(user, Section::Documents);
        if needs_documents || items.iter().any(|i| !rights.writes(user, i.section)) {
            return Err(Kind::Denied);
        }
        let all = || form.sections().iter().copied();
        let content = numbers.next();
        Ok(Self {
            commit: 1,
            changed: all().map(|s| (s, content)).collect(),
            content,
            form,
            items,
            raw,
            written: all().filter(|s| rights.writes(user, *s)).collect(),
            authors: all().map(|s| (s, BTreeSet::from([user]))).collect(),
            committer: user,
            moved: 0,
        })
    }

    /// Returns what a user sees of it.
    pub(crate) fn text_for(&self, user: User, rights: &Rights) -> Text {
        if self.form == Form::Opaque {
            let shown = rights.reads(user, Section::Documents);
            return Text::Raw(if shown { self.raw.clone() } else { Vec::new() });
        }
        let shown = self.items.iter().filter(|i| rights.reads(user, i.section));
        Text::Doc(self.form, shown.map(|i| i.element.clone()).collect())
    }

    /// Says whether something may be in it that the user does not see.
    pub(crate) fn hides(&self, user: User, rights: &Rights) -> bool {
        self.written.iter().any(|s| !rights.reads(user, *s))
    }

    /// Says whether nobody else wrote anything in it.
    pub(crate) fn made_by(&self, user: User) -> bool {
        self.committer == user && self.authors.values().all(|a| a.iter().all(|u| *u == user))
    }

    /// Counts a commit that changes no section.
    pub(crate) fn touched(&self, user: User) -> Self {
        Self { commit: self.commit + 1, committer: user, ..self.clone() }
    }

    /// Says when anything was changed last of what would go if a user removed the record: all of
    /// it, or what he sees.
    pub(crate) fn changed_in(&self, seen_by: Option<(User, &Rights)>) -> u64 {
        let Some((user, rights)) = seen_by else { return self.content };
        let seen = self.changed.iter().filter(|(s, _)| rights.reads(user, **s));
        seen.map(|(_, changed)| *changed).max().unwrap_or(0)
    }

    fn change(&mut self, sections: impl IntoIterator<Item = Section>, numbers: &mut Numbers) {
        self.content = numbers.next();
        for section in sections {
            self.changed.insert(section, self.content);
        }
    }

    /// Takes out what a user sees and may write; nothing when there is nothing of that.
    pub(crate) fn take_out(
        &self,
        user: User,
        rights: &Rights,
        numbers: &mut Numbers,
    ) -> Option<Self> {
        let may = |s: &Section| rights.reads(user, *s) && rights.writes(user, *s);
        let filled =
            |s: &Section| self.items.iter().any(|i| i.section == *s) || !self.raw.is_empty();
        let gone: Vec<Section> =
            self.form.sections().iter().copied().filter(may).filter(filled).collect();
        if gone.is_empty() {
            return None;
        }
        let mut next = self.touched(user);
        next.raw.clear();
        next.items.retain(|i| !gone.contains(&i.section));
        for section in &gone {
            next.authors.insert(*section, BTreeSet::from([user]));
        }
        next.change(gone, numbers);
        Some(next)
    }

    /// Puts the elements in the order in which they are stored; says whether that is one of them.
    pub(crate) fn adopt(&mut self, stored: &[Element], again: &[Item]) -> bool {
        let mut rest = self.items.clone();
        let mut again = again.to_vec();
        let mut items = Vec::with_capacity(rest.len());
        for element in stored {
            let place = |all: &[Item]| all.iter().position(|i| i.element == *element);
            match (place(&rest), place(&again)) {
                (Some(at), _) => items.push(rest.remove(at)),
                (None, Some(at)) => items.push(again.remove(at)),
                (None, None) => return false,
            }
        }
        let mut numbers = BTreeSet::new();
        let is_single = items.iter().all(|i: &Item| numbers.insert(i.number));
        self.items = items;
        rest.is_empty() && is_single
    }
}

/// Saves a text that was made of `base` onto `now`.
pub(crate) fn save(
    user: User,
    rights: &Rights,
    base: &Rc<Version>,
    now: &Rc<Version>,
    text: &Text,
    seen: Seen,
    numbers: &mut Numbers,
) -> Result<Saved, Kind> {
    if base.form != Form::Opaque {
        return save_elements(user, rights, base, now, text, seen, numbers);
    }
    let commands =
        rights.reads(user, Section::Documents) && rights.writes(user, Section::Documents);
    if !commands {
        if base.text_for(user, rights).bytes() == text.bytes() {
            return Ok(unchanged(user, now));
        }
        return Err(Kind::Denied);
    }
    if base.content != now.content {
        return Ok(Saved::Conflict);
    }
    // Its folder says of what form it is; who may not change that leaves it as it is.
    let text = if rights.names_anything(user) { text.as_stored() } else { Text::Raw(text.bytes()) };
    let mut made = Version::create_as(user, rights, &text, numbers)?;
    made.commit = now.commit + 1;
    let kept = made.items.iter().map(|i| i.number).collect();
    Ok(Saved::Version { now: made, kept, shown: None, again: Vec::new() })
}

fn unchanged(user: User, now: &Version) -> Saved {
    let kept = now.items.iter().map(|i| i.number).collect();
    Saved::Version { now: now.touched(user), kept, shown: None, again: Vec::new() }
}

/// What a text says of the elements that it was made of.
struct Edited {
    /// The elements of the text, those that were there before with their number.
    items: Vec<Item>,
    /// The visible ones that it was made of.
    old: Vec<Item>,
    /// Whether elements that stayed stand in another order.
    moved: bool,
}

impl Edited {
    /// Returns the elements of the text, and those that it has no more.
    fn everything(self) -> Vec<Item> {
        let is_gone = |old: &Item| self.items.iter().all(|i| i.number != old.number);
        let gone: Vec<Item> = self.old.into_iter().filter(is_gone).collect();
        [self.items, gone].concat()
    }
}

fn edited(
    user: User,
    rights: &Rights,
    base: &Version,
    elements: &[Element],
    numbers: &mut Numbers,
) -> Edited {
    let old: Vec<Item> =
        base.items.iter().filter(|i| rights.reads(user, i.section)).cloned().collect();
    let mut unmatched: Vec<Option<&Item>> = old.iter().map(Some).collect();
    let mut places = Vec::new();
    let mut items = Vec::new();
    for element in elements {
        let at = unmatched.iter().position(|i| i.is_some_and(|i| i.element.0 == element.0));
        let was = at.and_then(|at| unmatched[at].take());
        places.extend(at);
        let section = match was {
            Some(was) if was.element == *element => was.section,
            _ => section_of(base.form, &element.0, &element.1),
        };
        let number = was.map_or_else(|| numbers.next(), |w| w.number);
        items.push(Item { number, element: element.clone(), section });
    }
    Edited { items, moved: !places.is_sorted(), old }
}

fn within(items: &[Item], section: Section) -> Vec<&Item> {
    items.iter().filter(|i| i.section == section).collect()
}

fn find(items: &[Item], section: Section, number: u64) -> Option<&Element> {
    let found = items.iter().find(|i| i.number == number && i.section == section);
    found.map(|i| &i.element)
}

/// Says whether both sides changed one element of a section in different ways; of one that is kept,
/// whether both still have it.
fn clash(
    old: &[Item],
    ours: &[Item],
    theirs: &[Item],
    (section, is_kept): (Section, bool),
) -> bool {
    within(old, section).into_iter().any(|item| {
        let (our, their) = (find(ours, section, item.number), find(theirs, section, item.number));
        let was = Some(&item.element);
        let differ = our != was && their != was && our != their;
        differ && (!is_kept || (our.is_some() && their.is_some()))
    })
}

/// Says whether both sides gave an element that the saver sees other words, in whichever section.
fn both_changed(edit: &Edited, now: &Version, visible: impl Fn(&Section) -> bool) -> bool {
    let of = |list: &'_ [Item], number: u64| {
        let found = list.iter().find(|i| i.number == number && visible(&i.section));
        found.map(|i| i.element.clone())
    };
    edit.old.iter().any(|was| {
        let (our, their) = (of(&edit.items, was.number), of(&now.items, was.number));
        let has_changed = |now: &Option<Element>| now.as_ref().is_some_and(|e| *e != was.element);
        has_changed(&our) && has_changed(&their) && our != their
    })
}

fn save_elements(
    user: User,
    rights: &Rights,
    base: &Rc<Version>,
    now: &Rc<Version>,
    text: &Text,
    seen: Seen,
    numbers: &mut Numbers,
) -> Result<Saved, Kind> {
    if base.text_for(user, rights) == *text {
        return Ok(unchanged(user, now));
    }
    let Text::Doc(_, elements) = text else { return Err(Kind::Usage) };
    let is_new_pair = text.repeats() && !base.text_for(user, rights).repeats();
    if text.form() != base.form || is_new_pair {
        return Err(Kind::Usage);
    }
    let edit = edited(user, rights, base, elements, numbers);
    let visible = |s: &Section| rights.reads(user, *s);
    let differs = |s: &Section| within(&edit.old, *s) != within(&edit.items, *s);
    let changed: BTreeSet<Section> =
        Section::CUT.into_iter().filter(visible).filter(differs).collect();
    let appended: BTreeSet<Section> =
        edit.items.iter().map(|i| i.section).filter(|s| !visible(s)).collect();

    let is_free = edit.moved || now.moved > base.commit;
    if base.commit != now.commit {
        let is_clash = |is_kept| {
            changed.iter().any(|s| clash(&edit.old, &edit.items, &now.items, (*s, is_kept)))
        };
        // What one side removed and the other changed stays changed, if it was moved as well.
        let is_sure = is_clash(true)
            || both_changed(&edit, now, visible)
            || (is_clash(false) && !(is_free && seen == Seen::Merged));
        if is_sure || (is_free && matches!(seen, Seen::Conflict | Seen::Refused(Kind::Conflict))) {
            return Ok(Saved::Conflict);
        }
    }
    let (mut merged, kept) = merged(user, now, &edit, &changed, &appended);
    // A member that both added stands twice in what the saver would see.
    let repeats = |version: &Version| version.text_for(user, rights).repeats();
    if base.commit != now.commit && repeats(&merged) && !repeats(now) && !text.repeats() {
        return Ok(Saved::Conflict);
    }
    if changed.iter().chain(&appended).any(|s| !rights.writes(user, *s)) {
        return Err(Kind::Denied);
    }
    // A moved element may give its neighbour another rank, or be the one that somebody changed.
    let is_free = edit.moved || (is_free && base.commit != now.commit);
    if is_free && seen == Seen::Refused(Kind::Denied) {
        return Err(Kind::Denied);
    }
    let shown = (base.commit == now.commit).then(|| {
        edit.items.iter().filter(|i| visible(&i.section)).map(|i| i.element.clone()).collect()
    });
    merged.change(changed.into_iter().chain(appended), numbers);
    let again = if is_free { edit.everything() } else { Vec::new() };
    Ok(Saved::Version { now: merged, kept, shown, again })
}

fn merged(
    user: User,
    now: &Rc<Version>,
    edit: &Edited,
    changed: &BTreeSet<Section>,
    appended: &BTreeSet<Section>,
) -> (Version, Vec<u64>) {
    let mut next = now.touched(user);
    let of = |number: u64, list: &[Item]| list.iter().find(|i| i.number == number).cloned();
    let same = |a: &Option<Item>, b: &Option<Item>| match (a, b) {
        (Some(a), Some(b)) => a.element == b.element && a.section == b.section,
        (None, None) => true,
        _ => false,
    };
    let mut kept = Vec::new();
    next.items = Vec::new();
    for item in &now.items {
        let (was, our) = (of(item.number, &edit.old), of(item.number, &edit.items));
        if was.is_none() {
            kept.push(item.number);
            next.items.push(item.clone());
        } else if same(&was, &our) {
            if !edit.moved {
                kept.push(item.number);
            }
            next.items.push(item.clone());
        } else if let Some(our) = our {
            next.items.push(our);
        } else if was.is_some_and(|w| w.section != item.section || w.element != item.element) {
            // Who took it out did not know that it had changed, or gone to another section.
            next.items.push(item.clone());
        }
    }
    // One that changed, or went to another section, stands there, whoever removed the old one.
    let is_new = |i: &&Item| {
        let was = of(i.number, &edit.old);
        let has_changed = |w: Item| w.section != i.section || w.element != i.element;
        was.is_none_or(|was| has_changed(was) && of(i.number, &now.items).is_none())
    };
    next.items.extend(edit.items.iter().filter(is_new).cloned());
    for section in changed {
        next.authors.insert(*section, BTreeSet::from([user]));
    }
    for section in appended {
        next.authors.entry(*section).or_default().insert(user);
    }
    next.written.extend(changed.iter().chain(appended));
    if edit.moved {
        next.moved = next.commit;
    }
    (next, kept)
}
