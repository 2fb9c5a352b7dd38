//! The section of every segment that is shown as a whole. Segments that tell of one thing are a
//! unit: an order with its drug, the lines of one comment. A unit follows its parent: a comment
//! the observation that it stands under, an observation its report.

use super::super::rules::Rules;
use super::super::slots::Slot;
use super::labels::{Facts, Restricted, facts};
use super::lines::{Id, Segment};
use super::table::{Cut, cut, observed, section};

/// A comment on an observation of an order: parents of parents are followed so far.
const MAX_PARENTS: usize = 8;

struct Unit {
    facts: Facts,
    base: Slot,
    /// Whether its section is that of its parent.
    follows: bool,
    parent: Option<usize>,
    /// Whether a part of it tells which order it is; before that it is only the head of one.
    is_filled: bool,
}

/// Where in a message the walk is.
#[derive(Default)]
struct Place {
    /// What comments stand under.
    anchor: Option<usize>,
    /// The order, document or goal that observations stand under.
    order: Option<usize>,
    /// The specimen that they stand under.
    specimen: Option<usize>,
    visit: Option<usize>,
    appointment: Option<usize>,
    insurance: Option<usize>,
    /// The lines of one text.
    text: Option<usize>,
    comment: Option<usize>,
    /// The names of the segments of the order.
    ordered: Vec<Id>,
    is_vaccination: bool,
    restricted: Restricted,
}

/// Units of all messages of a file.
struct Walk<'a, 'r> {
    segments: &'r [Segment<'a>],
    rules: &'r Rules,
    units: Vec<Unit>,
    place: Place,
}

/// Returns for every segment its section as a whole.
pub(super) fn sections(segments: &[Segment<'_>], rules: &Rules) -> Vec<Slot> {
    let mut walk = Walk { segments, rules, units: Vec::new(), place: Place::default() };
    let of: Vec<usize> = (0..segments.len()).map(|index| walk.segment(index)).collect();
    of.into_iter().map(|unit| walk.slot(unit)).collect()
}

/// Says what every message restricts, for each of its segments.
pub(super) fn restrictions(segments: &[Segment<'_>]) -> Vec<Restricted> {
    let mut all = Vec::with_capacity(segments.len());
    for message in segments.chunk_by(|_, next| next.id != *b"MSH") {
        let mut restricted = Restricted::default();
        for segment in message {
            restricted.add(segment);
        }
        all.resize(all.len() + message.len(), restricted);
    }
    all
}

impl Walk<'_, '_> {
    fn slot(&self, index: usize) -> Slot {
        let unit = &self.units[index];
        let (mut facts, mut parent) = (unit.facts, unit.parent);
        let (mut base, mut follows) = (unit.base, unit.follows);
        for _ in 0..MAX_PARENTS {
            let Some(above) = parent.map(|above| &self.units[above]) else { break };
            facts.add(above.facts);
            if follows {
                (base, follows) = (above.base, above.follows);
            }
            parent = above.parent;
        }
        Rules::decide(base, facts.hits, facts.raised)
    }

    fn unit(&mut self, base: Slot, parent: Option<usize>) -> usize {
        self.units.push(Unit {
            facts: Facts::default(),
            base,
            follows: false,
            parent,
            is_filled: true,
        });
        self.units.len() - 1
    }

    fn base(&self, unit: Option<usize>) -> Option<Slot> {
        unit.map(|unit| self.units[unit].base)
    }

    /// Joins the unit of a place, or begins one there.
    fn join(&mut self, unit: Option<usize>, base: Slot) -> usize {
        unit.unwrap_or_else(|| self.unit(base, None))
    }

    fn segment(&mut self, index: usize) -> usize {
        let segment = &self.segments[index];
        let unit = self.place(index);
        if segment.id != *b"NTE" {
            self.place.comment = None;
        }
        if matches!(cut(segment.id), Cut::Fields(..)) {
            return unit;
        }
        let mut found = facts(segment, self.rules);
        let restricted = self.place.restricted;
        if restricted.names(b"ALL") || restricted.names(b"LOC") && segment.id == *b"PV1" {
            found.restrict();
        }
        self.units[unit].facts.add(found);
        unit
    }

    /// Finds the unit of a segment.
    fn place(&mut self, index: usize) -> usize {
        let segment = &self.segments[index];
        let base = section(segment.id);
        match &segment.id {
            b"MSH" | b"PID" | b"FHS" | b"BHS" | b"BTS" | b"FTS" => self.begin(index),
            b"NTE" | b"PRT" | b"CTD" | b"TQ1" | b"TQ2" | b"RXR" | b"RXC" | b"ADD" | b"CTI"
            | b"SAC" | b"INV" | b"CDO" | b"BLG" | b"ROL" => self.dependent(segment.id, base),
            b"ORC" | b"OBR" | b"RXO" | b"RXE" | b"RXD" | b"RXG" | b"RXA" | b"RXV" | b"ODS"
            | b"ODT" | b"RQD" | b"RQ1" => self.order(segment, base),
            b"OBX" => self.observation(segment),
            b"SPM" => {
                let base = self.base(self.place.order).unwrap_or(base);
                let unit = self.unit(base, self.place.order);
                self.place.specimen = Some(unit);
                self.anchor(unit)
            }
            b"TXA" | b"PRB" | b"GOL" | b"PTH" => {
                let unit = self.unit(base, None);
                (self.place.order, self.place.specimen) = (Some(unit), None);
                self.place.ordered.clear();
                self.anchor(unit)
            }
            b"PV1" | b"PV2" => {
                let unit = self.join(self.place.visit, base);
                self.place.visit = Some(unit);
                (self.place.order, self.place.specimen) = (None, None);
                self.anchor(unit)
            }
            b"ARV" => self.restriction(base),
            b"SCH" | b"RGS" | b"AIS" | b"AIG" | b"AIL" | b"AIP" | b"ARQ" | b"APR" => {
                let unit = self.join(self.place.appointment, base);
                self.place.appointment = Some(unit);
                self.anchor(unit)
            }
            b"IN1" => {
                let unit = self.unit(base, None);
                self.place.insurance = Some(unit);
                self.anchor(unit)
            }
            b"IN2" | b"IN3" => {
                let unit = self.join(self.place.insurance, base);
                self.anchor(unit)
            }
            _ => {
                let unit = self.unit(base, None);
                self.anchor(unit)
            }
        }
    }

    fn anchor(&mut self, unit: usize) -> usize {
        self.place.anchor = Some(unit);
        unit
    }

    /// Begins a message or a patient.
    fn begin(&mut self, index: usize) -> usize {
        let segment = &self.segments[index];
        if segment.id == *b"PID" {
            let Place { appointment, is_vaccination, restricted, .. } = self.place;
            self.place = Place { appointment, is_vaccination, restricted, ..Place::default() };
        } else {
            self.place = Place::default();
        }
        if segment.id == *b"MSH" {
            self.place.is_vaccination = matches!(segment.code(9), b"VXU" | b"VXR" | b"VXX");
            let mut restricted = Restricted::default();
            let rest = &self.segments[index + 1..];
            for segment in rest.iter().take_while(|segment| segment.id != *b"MSH") {
                restricted.add(segment);
            }
            self.place.restricted = restricted;
        }
        self.unit(Slot::FRAME, None)
    }

    /// Places what follows the segment that it stands under.
    fn dependent(&mut self, id: Id, base: Slot) -> usize {
        let anchor = self.place.anchor;
        match &id {
            b"NTE" => {
                let comment = self.place.comment.unwrap_or_else(|| self.follower(base, anchor));
                self.place.comment = Some(comment);
                comment
            }
            b"TQ1" | b"TQ2" | b"RXR" | b"RXC" => {
                let unit = self.place.order.or(self.place.appointment);
                self.join(unit, base)
            }
            b"BLG" => self.unit(base, anchor),
            // Who takes part in a visit is no part of the visit.
            b"ROL" | b"PRT" if anchor.is_none() || anchor == self.place.visit => {
                self.unit(base, anchor)
            }
            _ => self.follower(base, anchor),
        }
    }

    /// Begins a unit in the section of what it stands under, if there is that.
    fn follower(&mut self, base: Slot, anchor: Option<usize>) -> usize {
        let unit = self.unit(base, anchor);
        self.units[unit].follows = anchor.is_some();
        unit
    }

    /// Places a segment of an order: one order is one unit.
    fn order(&mut self, segment: &Segment<'_>, base: Slot) -> usize {
        let id = segment.id;
        let base = match &id {
            b"RXA" if self.place.is_vaccination => Slot::IMMUNIZATIONS,
            b"OBR" => diagnostic(segment),
            _ => base,
        };
        let is_drug = |id: Id| id.starts_with(b"RX");
        let fits = |ordered: &[Id]| match ordered {
            [] => false,
            [[b'O', b'R', b'C']] => id != *b"ORC",
            all => {
                is_drug(id) && all.iter().all(|&o| is_drug(o) || o == *b"ORC") && !all.contains(&id)
            }
        };
        let open = self.place.order.filter(|_| fits(&self.place.ordered));
        let unit = if let Some(unit) = open {
            self.place.ordered.push(id);
            unit
        } else {
            self.place.ordered = vec![id];
            self.unit(base, None)
        };
        if !self.units[unit].is_filled || open.is_none() {
            self.units[unit].base = base;
        }
        self.units[unit].is_filled = id != *b"ORC";
        (self.place.order, self.place.specimen, self.place.text) = (Some(unit), None, None);
        self.anchor(unit)
    }

    fn observation(&mut self, segment: &Segment<'_>) -> usize {
        let parent = self.place.specimen.or(self.place.order);
        let base = match (self.base(parent), observed(segment.code(3))) {
            (None | Some(Slot::LABS | Slot::PROCEDURES), found) => found.unwrap_or(Slot::LABS),
            (Some(slot), _) => slot,
        };
        // The lines of a report are one text: a phrase may run over their ends.
        let is_text = matches!(segment.code(2), b"TX" | b"FT");
        let line_of = self.place.text.filter(|&text| is_text && self.units[text].parent == parent);
        let unit = match line_of {
            Some(text) if self.place.anchor == Some(text) => text,
            _ => self.unit(base, parent),
        };
        self.place.text = is_text.then_some(unit);
        self.anchor(unit)
    }

    /// Places a restriction: after a visit it is that of the visit.
    fn restriction(&mut self, base: Slot) -> usize {
        let visit = self.place.visit.filter(|_| self.place.anchor == self.place.visit);
        let unit = self.unit(base, None);
        if let Some(visit) = visit {
            self.units[visit].parent = Some(unit);
        }
        unit
    }
}

/// Returns the section of a report by the service that made it.
fn diagnostic(segment: &Segment<'_>) -> Slot {
    let service = String::from_utf8_lossy(segment.code(24));
    super::super::fhir::category(&service).unwrap_or(section(segment.id))
}
