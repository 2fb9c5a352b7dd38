//! From numbers to texts: what a person makes of the text that he sees.

use crate::operations::{Bytes, Change, Edit};
use crate::record::Numbers;
use crate::rights::{Rights, User};
use crate::text::{Element, Form, Text, section_of};

/// Who edits.
pub(crate) struct Editor<'a> {
    pub(crate) user: User,
    pub(crate) rights: &'a Rights,
    pub(crate) numbers: &'a mut Numbers,
}

fn pick(at: u8, len: usize) -> usize {
    usize::from(at) % len.max(1)
}

impl Editor<'_> {
    fn value(&mut self) -> String {
        format!("v{}", self.numbers.next())
    }

    fn may(&self, form: Form, element: &Element) -> bool {
        self.rights.writes(self.user, section_of(form, &element.0, &element.1))
    }

    /// Makes the first text of a file.
    pub(crate) fn first(&mut self, name: &str, edit: &Edit) -> Text {
        let form = match name.as_bytes()[0] {
            b'a' | b'b' | b'o' => Form::Json,
            b'f' => Form::Bundle,
            _ => return Text::Raw(format!("note {}\n", self.numbers.next()).into_bytes()),
        };
        let mut elements: Vec<Element> = Vec::new();
        let begin = usize::from(form == Form::Bundle);
        for (key, _) in form.keys().iter().take(begin) {
            elements.push(((*key).to_owned(), self.value()));
        }
        let seed = edit.changes.len() + usize::from(edit.is_polite);
        for (i, (key, _)) in form.keys().iter().enumerate().skip(begin) {
            let element = ((*key).to_owned(), self.value());
            if !(i + seed).is_multiple_of(3) && (!edit.is_polite || self.may(form, &element)) {
                elements.push(element);
            }
        }
        if elements.is_empty() {
            elements.push((form.keys()[pick(7, form.keys().len())].0.to_owned(), self.value()));
        }
        Text::Doc(form, elements)
    }

    /// Edits a text.
    pub(crate) fn edit(&mut self, text: &Text, edit: &Edit) -> Text {
        let Text::Doc(form, elements) = text else {
            return Text::Raw(format!("note {}\n", self.numbers.next()).into_bytes());
        };
        let mut elements = elements.clone();
        for change in &edit.changes {
            self.change(*form, &mut elements, *change, edit.is_polite);
        }
        Text::Doc(*form, elements)
    }

    fn change(&mut self, form: Form, all: &mut Vec<Element>, change: Change, is_polite: bool) {
        let fixed = usize::from(form == Form::Bundle);
        let may = |this: &Self, e: &Element| !is_polite || this.may(form, e);
        let find = |this: &Self, at: u8| {
            let free = |(i, e): (usize, &Element)| (i >= fixed && may(this, e)).then_some(i);
            let found: Vec<usize> = all.iter().enumerate().filter_map(free).collect();
            found.get(pick(at, found.len())).copied()
        };
        match change {
            Change::Set(at) => {
                if let Some(i) = find(self, at) {
                    all[i].1 = self.value();
                }
            }
            Change::Tell(at) => {
                let Some(i) = find(self, at) else { return };
                let told = (all[i].0.clone(), format!("HIV v{}", self.numbers.next()));
                if may(self, &told) {
                    all[i] = told;
                }
            }
            Change::Insert { at, key } => {
                let keys = form.keys();
                let key = keys[fixed + pick(key, keys.len() - fixed)].0;
                let element = (key.to_owned(), self.value());
                let is_there = all.iter().any(|e| e.0 == key);
                if !is_there && may(self, &element) {
                    let at = fixed + pick(at, all.len() + 1 - fixed);
                    all.insert(at, element);
                }
            }
            Change::Delete(at) => {
                if let Some(i) = find(self, at).filter(|_| all.len() > 1) {
                    all.remove(i);
                }
            }
            Change::Move { from, to } => {
                if let Some(i) = find(self, from) {
                    let element = all.remove(i);
                    let to = fixed + pick(to, all.len() + 1 - fixed);
                    all.insert(to, element);
                }
            }
        }
    }
}

/// Changes a text as a program does that knows nothing of its form.
pub(crate) fn change_bytes(text: &Text, change: Bytes, number: u64) -> (u64, Vec<u8>, Text) {
    let mut bytes = text.bytes();
    let piece = format!("w{number}\n").into_bytes();
    let at = match change {
        Bytes::Append => bytes.len(),
        Bytes::Overwrite { at } | Bytes::Truncate { at } => usize::from(at),
    };
    if let Bytes::Truncate { .. } = change {
        // Without its last line break a text is still valid, with another frame.
        let at = if at + 1 == bytes.len() { at.saturating_sub(1) } else { at };
        bytes.resize(at, 0);
        return (at as u64, Vec::new(), Text::parse(&bytes));
    }
    if bytes.len() < at + piece.len() {
        bytes.resize(at + piece.len(), 0);
    }
    bytes[at..at + piece.len()].copy_from_slice(&piece);
    (at as u64, piece, Text::parse(&bytes))
}
