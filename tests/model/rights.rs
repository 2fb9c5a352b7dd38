//! Who may do what, said once: the model asks this table, and the policy texts are printed from it.

use std::fmt::Write as _;

/// A user by number; [`USERS`] names them.
pub(crate) type User = usize;

/// The users: name, attribute, and the letter that stands for both below.
pub(crate) const USERS: [(&str, &str, char); 4] = [
    ("physician", "physician@st-mary", 'p'),
    ("pharmacist", "pharmacist@board", 'f'),
    ("sister", "family@ana", 's'),
    ("owner", "owner@ana", 'o'),
];
pub(crate) const PHYSICIAN: User = 0;
pub(crate) const PHARMACIST: User = 1;
pub(crate) const SISTER: User = 2;
/// Sees everything, whatever the policy: whoever wants to know what is stored asks him.
pub(crate) const OWNER: User = 3;

/// The sections that the texts of the model fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    /// What the default right is for, and something is written into.
    Labs,
    /// What the default right is for, and nothing is ever written into after the first commit.
    Rest,
    Medications,
    Allergies,
    Contact,
    /// Written by the physician, who cannot read it.
    MentalHealth,
    /// Written by the pharmacist, who cannot read it.
    Hiv,
    /// Read by everybody.
    Directory,
    /// A text that is not cut.
    Documents,
}

impl Section {
    /// The sections of a text that is cut.
    pub(crate) const CUT: [Self; 8] = [
        Self::Labs,
        Self::Rest,
        Self::Medications,
        Self::Allergies,
        Self::Contact,
        Self::MentalHealth,
        Self::Hiv,
        Self::Directory,
    ];
}

/// The rights under one policy, as letters of users.
pub(crate) struct Rights {
    add: &'static str,
    remove: &'static str,
    /// Read and write, in the order of [`ROWS`].
    sections: [(&'static str, &'static str); 8],
}

const ROWS: [(Section, &str); 8] = [
    (Section::Labs, "default"),
    (Section::Medications, "section.medications"),
    (Section::Allergies, "section.allergies"),
    (Section::Contact, "section.contact"),
    (Section::MentalHealth, "section.mental-health"),
    (Section::Hiv, "section.hiv"),
    (Section::Directory, "section.directory"),
    (Section::Documents, "section.documents"),
];

/// The policies that a folder may have; the first stands at the root.
pub(crate) const POLICIES: [Rights; 4] = [
    Rights {
        add: "po",
        remove: "po",
        sections: [
            ("po", "p"),
            ("pfo", "pf"),
            ("pfso", "po"),
            ("pso", "so"),
            ("o", "po"),
            ("po", "pf"),
            ("pfso", "pfo"),
            ("pfso", "pf"),
        ],
    },
    // The pharmacist makes records, and the physician takes none away.
    Rights {
        add: "pfo",
        remove: "o",
        sections: [
            ("pso", "p"),
            ("pfo", "pf"),
            ("pso", "p"),
            ("pfso", "so"),
            ("o", "p"),
            ("po", "pf"),
            ("pfso", "pfs"),
            ("pfo", "pfo"),
        ],
    },
    // The pharmacist sees medications only, the sister nothing that is not cut.
    Rights {
        add: "ps",
        remove: "ps",
        sections: [
            ("po", "p"),
            ("fo", "fo"),
            ("po", "p"),
            ("pso", "s"),
            ("po", "o"),
            ("o", "p"),
            ("pfso", "ps"),
            ("po", "po"),
        ],
    },
    // The owner may change most, and everybody reads medications.
    Rights {
        add: "pfso",
        remove: "pfo",
        sections: [
            ("po", "po"),
            ("pfso", "pfo"),
            ("pfso", "pfso"),
            ("po", "po"),
            ("o", "p"),
            ("pfo", "po"),
            ("pfso", "pfso"),
            ("pfso", "pfso"),
        ],
    },
];

fn names(letters: &str, user: User) -> bool {
    letters.contains(USERS[user].2)
}

impl Rights {
    fn of(&self, section: Section) -> (&'static str, &'static str) {
        let row = if section == Section::Rest { Section::Labs } else { section };
        let at = ROWS.iter().position(|(s, _)| *s == row).expect("every section has a row");
        self.sections[at]
    }

    pub(crate) fn reads(&self, user: User, section: Section) -> bool {
        names(self.of(section).0, user)
    }

    pub(crate) fn writes(&self, user: User, section: Section) -> bool {
        names(self.of(section).1, user)
    }

    pub(crate) fn adds(&self, user: User) -> bool {
        names(self.add, user)
    }

    pub(crate) fn removes(&self, user: User) -> bool {
        names(self.remove, user)
    }

    /// Says whether the user may change the names of a folder at all.
    pub(crate) fn names_anything(&self, user: User) -> bool {
        self.adds(user) || self.removes(user)
    }

    /// Says whether the user sees anything of a file: the frame of one that is cut is open to
    /// whoever reads any section.
    pub(crate) fn reads_any(&self, user: User, is_cut: bool) -> bool {
        if is_cut {
            self.sections.iter().any(|s| names(s.0, user))
        } else {
            self.reads(user, Section::Documents)
        }
    }

    /// Says whether the user may change anything of a file.
    pub(crate) fn writes_any(&self, user: User, is_cut: bool) -> bool {
        if is_cut {
            self.sections.iter().any(|s| names(s.1, user))
        } else {
            self.writes(user, Section::Documents)
        }
    }

    /// Prints the text of the policy.
    pub(crate) fn text(&self) -> String {
        let formula = |letters: &str| {
            let held = USERS.iter().filter(|u| letters.contains(u.2)).map(|u| u.1);
            held.collect::<Vec<_>>().join(" or ")
        };
        let (all, owner) = (formula("pfso"), formula("o"));
        let mut text = format!(
            "[folder]\nlist = \"{all}\"\nadd = \"{}\"\nremove = \"{}\"\nmanage = \"{owner}\"\n",
            formula(self.add),
            formula(self.remove)
        );
        for ((_, row), (read, write)) in ROWS.iter().zip(self.sections) {
            let rights = (formula(read), formula(write));
            write!(text, "\n[{row}]\nread = \"{}\"\nwrite = \"{}\"\n", rights.0, rights.1).unwrap();
        }
        text
    }
}
