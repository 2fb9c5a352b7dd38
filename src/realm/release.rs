//! What a policy releases to a research project: the de-identified twins of some sections, under
//! pseudonymous names.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::policy::{BoundRights, FRAME, PROJECT, PSEUDONYMS, any_of};
use crate::error::{Error, Kind, Result};
use crate::key::policy::Policy;

/// Before the name of a section: its de-identified twin.
pub const TWIN_PREFIX: &str = "research.";
/// The longest name of a project, in bytes.
pub const PROJECT_LEN_MAX_BYTES: usize = 63;

/// The part of a policy's text that releases sections to a research project.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResearchPart {
    /// What the project is called: one patient has one pseudonym in one project.
    pub project: String,
    /// The sections whose de-identified twins are released.
    pub sections: BTreeSet<String>,
    /// Who reads the twins, and the pseudonymous names.
    pub read: String,
}

/// The same, compiled.
#[derive(Clone, Debug)]
pub struct Release {
    /// What the project is called.
    pub project: String,
    /// Who reads the twins.
    pub read: Policy,
    twins: BTreeMap<String, BoundRights>,
    pseudonyms: BoundRights,
    key: BoundRights,
}

impl Release {
    /// Compiles a release. A twin is written by whoever may write its source, or may set the policy
    /// that releases it; who writes a twin, or a name, knows the key of the project.
    ///
    /// # Errors
    /// `Usage` when the project has no usable name or a formula is over its limits.
    pub(super) fn bind<'r>(
        part: &ResearchPart,
        read: &Policy,
        of: impl Fn(&str) -> &'r BoundRights,
        names: &'r BoundRights,
        manage: &'r Policy,
    ) -> Result<Self> {
        check_project(&part.project)?;
        let either = |write| any_of("research", [write, manage]);
        let twin = |name: &str| -> Result<(String, BoundRights)> {
            let write = either(&of(name).write)?;
            Ok((name.to_owned(), BoundRights { read: read.clone(), write, announce: false }))
        };
        let sections = part.sections.iter().map(String::as_str).filter(|name| *name != FRAME);
        let twins: BTreeMap<_, _> = sections.chain([FRAME]).map(twin).collect::<Result<_>>()?;
        let names = either(&names.write)?;
        let writers = twins.values().map(|r| &r.write).chain([&names]);
        let key_read = any_of("the project", writers)?;
        Ok(Self {
            project: part.project.clone(),
            read: read.clone(),
            pseudonyms: BoundRights { read: read.clone(), write: names.clone(), announce: false },
            key: BoundRights { read: key_read, write: names, announce: false },
            twins,
        })
    }

    /// Says whether the twin of a section is released; that of the frame goes with the others.
    pub fn has(&self, section: &str) -> bool {
        self.twins.contains_key(section)
    }

    /// Returns the sections whose twins are released, the frame among them.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.twins.keys().map(String::as_str)
    }

    /// Returns the rights over what exists for the project only.
    pub(super) fn rights_over(&self, section: &str) -> Option<&BoundRights> {
        match section {
            PSEUDONYMS => Some(&self.pseudonyms),
            PROJECT => Some(&self.key),
            other => self.twins.get(other.strip_prefix(TWIN_PREFIX)?),
        }
    }

    pub(super) fn rights(&self) -> impl Iterator<Item = &BoundRights> {
        self.twins.values().chain([&self.pseudonyms, &self.key])
    }
}

/// The part of a policy's text that opens sections for emergencies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyPart {
    /// Who reads the summary.
    pub read: String,
    /// The sections that it is made of.
    #[serde(default = "summary_sections")]
    pub sections: BTreeSet<String>,
}

/// What an International Patient Summary is made of, as far as no law sets it apart.
fn summary_sections() -> BTreeSet<String> {
    let all = [
        "demographics",
        "allergies",
        "medications",
        "problems",
        "immunizations",
        "labs",
        "procedures",
        "devices",
        "directives",
        "directory",
    ];
    all.map(str::to_owned).into()
}

/// The same, compiled: the sections themselves are readable, and the names.
#[derive(Clone, Debug)]
pub struct Emergency {
    /// Who reads the summary.
    pub read: Policy,
    /// Who sees the names without being let in for emergencies.
    pub(super) list: Policy,
}

impl Emergency {
    /// Says for somebody whether he is let in for emergencies only.
    pub fn is_only(&self, sees: impl Fn(&Policy) -> bool) -> bool {
        !sees(&self.list) && sees(&self.read)
    }
}

fn check_project(name: &str) -> Result<()> {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > PROJECT_LEN_MAX_BYTES || !name.chars().all(is_good) {
        return Err(Error::new(Kind::Usage, "the policy cannot be read: research project")
            .because("a project is called by 1 to 63 small letters, digits and hyphens"));
    }
    Ok(())
}
