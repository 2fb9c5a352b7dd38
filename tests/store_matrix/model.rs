//! What must be in the bucket: what was acknowledged, and what may be there beside it.

use std::collections::BTreeMap;

/// A file that a program knows.
#[derive(Debug)]
pub(crate) struct Known {
    /// The names that it may have; more than one after a rename that failed.
    pub(crate) names: Vec<String>,
    /// The text that was acknowledged last.
    acknowledged: Option<Vec<u8>>,
    /// Texts that were saved after that and not acknowledged.
    unsettled: Vec<Vec<u8>>,
    /// What is known of its removal.
    gone: Gone,
    /// Whether it has a section that its user does not see.
    pub(crate) hides: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    No,
    Maybe,
    Yes,
}

impl Known {
    pub(crate) fn new(name: &str) -> Self {
        let names = vec![name.to_owned()];
        let (acknowledged, unsettled, gone) = (None, Vec::new(), Gone::No);
        Self { names, acknowledged, unsettled, gone, hides: false }
    }

    pub(crate) fn with(name: &str, text: &[u8], hides: bool) -> Self {
        Self { acknowledged: Some(text.to_vec()), hides, ..Self::new(name) }
    }

    /// Says whether a program would go on working with it.
    pub(crate) fn is_sure(&self) -> bool {
        self.names.len() == 1 && self.gone == Gone::No && self.acknowledged.is_some()
    }

    pub(crate) fn saved(&mut self, text: Vec<u8>, is_acknowledged: bool) {
        if is_acknowledged {
            self.acknowledged = Some(text);
            self.unsettled.clear();
        } else {
            self.unsettled.push(text);
        }
    }

    pub(crate) fn renamed(&mut self, to: &str, is_acknowledged: bool) {
        if is_acknowledged {
            self.names.clear();
        }
        self.names.push(to.to_owned());
    }

    pub(crate) fn removed(&mut self, is_acknowledged: bool) {
        self.gone = if is_acknowledged { Gone::Yes } else { Gone::Maybe };
    }

    /// Its text went onto the record of another file, whose name it may be found under.
    pub(crate) fn replaced(&mut self, other: &mut Self, is_acknowledged: bool) {
        let Some(text) = self.acknowledged.clone() else { return };
        other.saved(text, is_acknowledged);
        if is_acknowledged {
            self.gone = Gone::Yes;
        } else {
            self.names.extend(other.names.iter().cloned());
        }
    }

    /// Compares with what is in the bucket; returns what is wrong.
    pub(crate) fn check(&self, found: &BTreeMap<String, Vec<u8>>) -> Option<String> {
        let texts: Vec<_> = self.names.iter().filter_map(|n| found.get(n)).collect();
        let is_ours = |text: &Vec<u8>| {
            Some(text) == self.acknowledged.as_ref() || self.unsettled.contains(text)
        };
        if self.gone == Gone::Yes {
            let back = texts.into_iter().find(|text| is_ours(text))?;
            return Some(format!("{:?} was removed and is there: {}", self.names, shown(back)));
        }
        if texts.iter().any(|text| is_ours(text)) {
            return None;
        }
        let Some(acknowledged) = &self.acknowledged else { return None };
        let is_copy = |name: &str| name.contains("(conflict");
        if found.iter().any(|(name, text)| is_copy(name) && text == acknowledged) {
            return None;
        }
        if self.gone == Gone::Maybe && texts.is_empty() {
            return None;
        }
        let instead: Vec<_> = texts.into_iter().map(|t| shown(t)).collect();
        Some(format!(
            "LOST: {:?} was acknowledged with {}; there is {instead:?}",
            self.names,
            shown(acknowledged)
        ))
    }
}

/// The beginning of a text.
pub(crate) fn shown(text: &[u8]) -> String {
    format!("{} bytes {:?}", text.len(), String::from_utf8_lossy(&text[..text.len().min(60)]))
}
