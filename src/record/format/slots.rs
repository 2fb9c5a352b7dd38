//! The canonical sections: a number that never changes, a name, and how confidential it is.

use std::fmt;

/// The number of a section; fixed for ever, because stored records name sections by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

/// How confidential a section is, in the order of HL7 v3 Confidentiality (U < L < M < N < R < V).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidentiality {
    /// U: no restriction.
    Unrestricted,
    /// L: de-identified or about institutions.
    Low,
    /// M: moderately sensitive.
    Moderate,
    /// N: what a treating person normally sees.
    Normal,
    /// R: stigmatising, or identifying by itself.
    Restricted,
    /// V: may endanger a person.
    VeryRestricted,
}

impl Confidentiality {
    /// Finds the level of a v3-Confidentiality code.
    pub fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "U" => Self::Unrestricted,
            "L" => Self::Low,
            "M" => Self::Moderate,
            "N" => Self::Normal,
            "R" => Self::Restricted,
            "V" => Self::VeryRestricted,
            _ => return None,
        })
    }
}

/// The number of the twin of section 0; above every section.
pub const TWIN_BASE: u16 = 512;

macro_rules! slots {
    ($($number:literal $constant:ident $name:literal $level:ident $doc:literal;)*) => {
        impl Slot {
            $(#[doc = $doc] pub const $constant: Self = Self($number);)*

            /// Every section, by number.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];

            const ROWS: &'static [(&'static str, Confidentiality)] =
                &[$(($name, Confidentiality::$level)),*];

            /// The names of the de-identified twins, by the number of their source.
            const TWINS: &'static [&'static str] = &[$(concat!("research.", $name)),*];
        }

        #[cfg(test)]
        const NUMBERS: &[u16] = &[$($number),*];
    };
}

slots! {
    0 FRAME "frame" Low "Glue, head and tail of the file, and the shells that other sections fill.";
    1 DEMOGRAPHICS "demographics" Normal "Name, birth date, gender, race, marital status.";
    2 CONTACT "contact" Normal "Addresses, telephone numbers, next of kin.";
    3 IDENTIFIERS "identifiers" Restricted "Record numbers, social security number, passport.";
    4 ALLERGIES "allergies" Normal "Allergies and intolerances.";
    5 MEDICATIONS "medications" Normal "Prescriptions, dispenses, administrations.";
    6 PROBLEMS "problems" Normal "Diagnoses and conditions.";
    7 IMMUNIZATIONS "immunizations" Normal "Vaccinations.";
    8 LABS "labs" Normal "Laboratory results, reports, specimens.";
    9 VITALS "vitals" Normal "Vital signs and physical findings.";
    10 IMAGING "imaging" Normal "Imaging studies and their reports.";
    11 PROCEDURES "procedures" Normal "Procedures and orders.";
    12 ENCOUNTERS "encounters" Normal "Visits and stays.";
    13 APPOINTMENTS "appointments" Normal "Appointments and schedules.";
    14 CAREPLAN "careplan" Normal "Plans, goals, teams, tasks.";
    15 NOTES "notes" Restricted "Free text, which nobody can classify.";
    16 MENTAL_HEALTH "mental-health" Restricted "Psychiatry and psychology.";
    17 PSYCHOTHERAPY_NOTES "psychotherapy-notes" VeryRestricted "Notes of a psychotherapist.";
    18 SUBSTANCE_USE "substance-use" Restricted "Alcohol and drug use and its treatment.";
    19 REPRODUCTIVE "reproductive" Restricted "Sexual and reproductive health.";
    20 HIV "hiv" Restricted "HIV tests, status, treatment.";
    21 GENETICS "genetics" Restricted "Genetic tests and hereditary disease.";
    22 VIOLENCE "violence" VeryRestricted "Abuse and violence.";
    23 BILLING "billing" Normal "Claims, insurance, accounts.";
    24 FAMILY_HISTORY "family-history" Restricted "Diseases of relatives.";
    25 SOCIAL_HISTORY "social-history" Normal "Smoking, occupation, living situation.";
    26 DEVICES "devices" Normal "Implants, aids, supplies.";
    27 DIRECTIVES "directives" Normal "Consents, alerts, advance directives.";
    28 EMERGENCY "emergency" Normal "The emergency summary, derived.";
    29 RESEARCH "research" Low "The de-identified twin, derived.";
    30 DIRECTORY "directory" Low "Practitioners, organizations, places, products.";
    31 PROVENANCE "provenance" Normal "Who wrote what, and when.";
    32 DOCUMENTS "documents" Restricted "A file that cannot be cut: PDF, images, unknown types.";
    33 WHOLE "whole" Normal "Statements about the whole file: total, signature, links.";
    34 OTHER "other" VeryRestricted "Elements and keys that no rule knows.";
}

impl Slot {
    /// Stands for hidden sections that are announced, in a view only: no record has it.
    pub const MARKER: Self = Self(u16::MAX);

    /// Returns the slot of the de-identified twin of this section.
    #[must_use]
    pub fn twin(self) -> Self {
        Self(TWIN_BASE + self.0)
    }

    /// Returns the section of which this is the de-identified twin.
    pub fn source(self) -> Option<Self> {
        self.0.checked_sub(TWIN_BASE).filter(|n| usize::from(*n) < Self::ALL.len()).map(Self)
    }

    /// Returns the name used in policies, or `unknown` for a number of a later version.
    pub fn name(self) -> &'static str {
        match self.source() {
            Some(source) => Self::TWINS[usize::from(source.0)],
            None => Self::ROWS.get(usize::from(self.0)).map_or("unknown", |row| row.0),
        }
    }

    /// Finds the section of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|slot| slot.name() == name)
    }

    /// Returns how confidential the section is; a number of a later version counts as the most.
    pub fn confidentiality(self) -> Confidentiality {
        Self::ROWS.get(usize::from(self.0)).map_or(Confidentiality::VeryRestricted, |row| row.1)
    }

    /// Says whether law or custom sets the section apart, so that a code alone moves an element
    /// into it.
    pub fn is_sensitive(self) -> bool {
        Self::SENSITIVE.contains(&self)
    }

    /// The set-apart sections, the strictest first: an element that belongs to several goes to
    /// the first.
    pub const SENSITIVE: [Self; 7] = [
        Self::PSYCHOTHERAPY_NOTES,
        Self::VIOLENCE,
        Self::HIV,
        Self::SUBSTANCE_USE,
        Self::MENTAL_HEALTH,
        Self::GENETICS,
        Self::REPRODUCTIVE,
    ];
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_names_come_back() {
        for (index, slot) in Slot::ALL.iter().enumerate() {
            assert_eq!(usize::from(slot.0), index);
            assert_eq!(usize::from(NUMBERS[index]), index);
            assert_eq!(Slot::from_name(slot.name()), Some(*slot));
        }
        assert_eq!(Slot::ALL.len(), 35);
        assert_eq!(Slot::from_name("HIV"), None);
        assert_eq!(Slot(999).name(), "unknown");
    }

    #[test]
    fn twins_are_named_after_their_sources_and_stand_between_sections_and_names() {
        for slot in Slot::ALL {
            assert_eq!(slot.twin().source(), Some(*slot));
            let name = crate::realm::release::TWIN_PREFIX.to_owned() + slot.name();
            assert_eq!(slot.twin().name(), name);
            assert!(slot.source().is_none() && slot.0 < TWIN_BASE);
            assert!(slot.twin().0 < crate::record::directory::NAMES_SLOT);
        }
        assert_eq!(Slot::MARKER.source(), None);
    }

    #[test]
    fn levels_are_ordered_as_hl7_orders_them() {
        let levels = ["U", "L", "M", "N", "R", "V"].map(|c| Confidentiality::from_code(c).unwrap());
        assert!(levels.is_sorted());
        assert_eq!(Confidentiality::from_code("X"), None);
        assert!(Slot::HIV.confidentiality() > Slot::LABS.confidentiality());
        assert!(Slot::SENSITIVE.is_sorted_by_key(|s| std::cmp::Reverse(s.confidentiality())));
    }
}
