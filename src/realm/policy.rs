//! Who may read and write which section, and who may list, add, remove and manage in a folder: a
//! text that its owner signs, attached to a directory and inherited below it.
//!
//! Object `p/<hash>`, bytes: magic "CHARTFSP" 8 | format u16 = 1 | realm 16 | replaced policy 32
//! (zero: signed by an administrator) | patient (short) | time_unix_s i64 | text (long, TOML) |
//! author 32 | certificates u8 × 32 | signature 64.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::inbox::{self, Inbox};
use crate::error::{Error, Kind, Result};
use crate::key::attribute::{AuthorityId, NAME_LEN_MAX_BYTES};
use crate::key::hash;
use crate::key::policy::Policy;
use crate::key::sign::{PublicKey, Signature};
use crate::wire::{Reader, Writer};

pub use super::release::{Emergency, EmergencyPart, Release, ResearchPart};

const MAGIC: &[u8; 8] = b"CHARTFSP";
const FORMAT: u16 = 1;
pub(super) const DOMAIN: &str = "chartfs1 policy";
/// The longest policy text, in bytes.
pub const TEXT_LEN_MAX_BYTES: usize = 256 << 10;
/// The largest policy object, in bytes.
pub const POLICY_LEN_MAX_BYTES: u64 = 300 << 10;
/// The most certificates behind one signature.
pub const CERTIFICATES_MAX: usize = 16;
/// The section that glues the others together; readable by whoever reads any of them.
pub const FRAME: &str = "frame";
/// The section of a directory that names its entries.
pub const NAMES: &str = "names";
/// The section of a directory that names its entries to researchers.
pub const PSEUDONYMS: &str = "pseudonyms";
/// The section of a directory that holds the key of its research project.
pub const PROJECT: &str = "project";

/// A policy as its author signs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStatement {
    /// The realm, 16 bytes.
    pub realm: [u8; 16],
    /// The policy in force before, whose `manage` the author satisfies; zero when an
    /// administrator signs.
    pub replaces: [u8; 32],
    /// Whose folder it was set on, which binds `{patient}` in the replaced policy.
    pub patient: Option<AuthorityId>,
    /// When it was signed.
    pub time_unix_s: i64,
    /// The text.
    pub text: String,
    /// Who signed.
    pub author: PublicKey,
    /// Which certificates make the author entitled.
    pub certificates: Vec<[u8; 32]>,
}

impl PolicyStatement {
    /// Returns the bytes to be signed.
    pub fn to_signed_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(MAGIC).u16(FORMAT).bytes(&self.realm).bytes(&self.replaces);
        w.short(self.patient.as_ref().map_or("", AuthorityId::as_str).as_bytes());
        w.i64(self.time_unix_s).long(self.text.as_bytes()).bytes(&self.author.0);
        w.u8(u8::try_from(self.certificates.len()).expect("at most 16 certificates"));
        self.certificates.iter().for_each(|c| {
            w.bytes(c);
        });
        w.into_bytes()
    }

    /// Reads a stored policy and checks its name and signature; who the author is stays open.
    ///
    /// # Errors
    /// `Integrity` when it is not the one named, not of this realm, or not signed by its author.
    pub fn parse(bytes: &[u8], named: &[u8; 32], realm: &[u8; 16]) -> Result<Self> {
        if hash::sha256(&[bytes]) != *named {
            return Err(Error::damaged("a policy is not the one that its name says"));
        }
        let mut r = Reader::new(bytes, "a policy");
        if r.array::<8>()? != *MAGIC || r.u16()? != FORMAT {
            return Err(r.bad("it does not begin as one"));
        }
        let (its_realm, replaces) = (r.array()?, r.array()?);
        if its_realm != *realm {
            return Err(r.bad("it belongs to another realm"));
        }
        let patient = read_patient(&mut r)?;
        let time_unix_s = r.i64()?;
        let text = std::str::from_utf8(r.long(TEXT_LEN_MAX_BYTES)?)
            .map_err(|_| r.bad("its text is not UTF-8"))?
            .to_owned();
        let author = PublicKey(r.array()?);
        let count = usize::from(r.u8()?);
        if count > CERTIFICATES_MAX {
            return Err(r.bad("its count of certificates is over the limit"));
        }
        let mut certificates = Vec::with_capacity(count);
        for _ in 0..count {
            certificates.push(r.array()?);
        }
        let signed_len = r.position();
        let signature = Signature(r.array()?);
        r.finish()?;
        author.verify(DOMAIN, &bytes[..signed_len], &signature)?;
        Ok(Self { realm: its_realm, replaces, patient, time_unix_s, text, author, certificates })
    }
}

impl PolicyStatement {
    /// Compiles the text for a patient. A policy that was set on a patient's folder is good for
    /// that patient only: `{patient}` in the policy that it replaces named its author.
    ///
    /// # Errors
    /// `Integrity` when it is another patient's, or the text cannot be read: it was checked before
    /// it was signed.
    pub fn bind(&self, hash: [u8; 32], patient: Option<&AuthorityId>) -> Result<BoundPolicy> {
        if self.patient.is_some() && self.patient.as_ref() != patient {
            return Err(Error::damaged("a policy of one patient stands for another"));
        }
        let bound = PolicyDocument::parse(&self.text).and_then(|d| d.bind(hash, patient.cloned()));
        bound.map_err(|e| Error::damaged("a stored policy cannot be read").because(e))
    }
}

/// Reads a patient: an authority's name, or nothing.
pub(crate) fn read_patient(r: &mut Reader<'_>) -> Result<Option<AuthorityId>> {
    let text = r.text(NAME_LEN_MAX_BYTES)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| r.bad("a patient in it has no valid name"))
}

/// The text of a policy, as TOML; every right is a formula over attributes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// The rights over the folder itself.
    pub folder: FolderRights,
    /// The rights over every section that is not named.
    pub default: SectionRights,
    /// The rights over single sections.
    #[serde(default, rename = "section")]
    pub sections: BTreeMap<String, SectionRights>,
    /// What is released to a research project, de-identified.
    pub research: Option<ResearchPart>,
    /// What is opened for emergencies.
    pub emergency: Option<EmergencyPart>,
    /// Folders whose files are filed; only those of the root's policy count.
    #[serde(default, rename = "inbox")]
    pub inboxes: Vec<Inbox>,
}

/// Who may do what with the folder itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderRights {
    /// See the names in it.
    pub list: String,
    /// Put records and folders into it.
    pub add: String,
    /// Take records and folders out of it, with all their sections.
    pub remove: String,
    /// Set another policy on it.
    pub manage: String,
}

/// Who may do what with a section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionRights {
    /// Read it.
    pub read: String,
    /// Change it.
    pub write: String,
    /// Say to everybody that it is withheld, instead of leaving it out silently.
    #[serde(default)]
    pub announce: bool,
}

impl PolicyDocument {
    /// Reads the text of a policy.
    ///
    /// # Errors
    /// `Usage` when it is too long, not TOML, or not of this shape; the message has the line.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > TEXT_LEN_MAX_BYTES {
            return Err(Error::new(Kind::Usage, "the policy is too long")
                .because(format!("it has {} bytes of at most {TEXT_LEN_MAX_BYTES}", text.len())));
        }
        toml::from_str(text).map_err(|e| {
            Error::new(Kind::Usage, "the policy cannot be read").because(e.to_string().trim_end())
        })
    }

    /// Compiles every formula, with `{patient}` bound.
    ///
    /// # Errors
    /// `Usage` when a formula cannot be read or is over the limits; the message says which.
    pub fn bind(&self, hash: [u8; 32], patient: Option<AuthorityId>) -> Result<BoundPolicy> {
        inbox::check(&self.inboxes)?;
        let p = patient.as_ref();
        let folder = |name: &str, text: &str| formula(&format!("folder {name}"), text, p);
        let rights = |name: &str, r: &SectionRights| -> Result<BoundRights> {
            Ok(BoundRights {
                read: formula(&format!("section {name} read"), &r.read, p)?,
                write: formula(&format!("section {name} write"), &r.write, p)?,
                announce: r.announce,
            })
        };
        let default = rights("default", &self.default)?;
        let mut sections: BTreeMap<String, BoundRights> = self
            .sections
            .iter()
            .map(|(name, r)| Ok((name.clone(), rights(name, r)?)))
            .collect::<Result<_>>()?;
        let mut list = folder("list", &self.folder.list)?;
        let emergency = self.open_for_emergency(p, &mut list, &default, &mut sections)?;
        let add = folder("add", &self.folder.add)?;
        let remove = folder("remove", &self.folder.remove)?;
        let manage = folder("manage", &self.folder.manage)?;
        let all = || sections.values().chain([&default]);
        let frame = BoundRights {
            read: any_of("the frame", all().map(|r| &r.read))?,
            write: any_of("the frame", all().map(|r| &r.write))?,
            announce: false,
        };
        let names = BoundRights {
            read: list.clone(),
            write: any_of("the names", [&add, &remove])?,
            announce: false,
        };
        let released = self.research.as_ref();
        let released = released.map(|r| {
            let read = formula("research read", &r.read, p)?;
            let of = |name: &str| match name {
                FRAME => &frame,
                other => sections.get(other).unwrap_or(&default),
            };
            Release::bind(r, &read, of, &names, &manage)
        });
        let released = released.transpose()?;
        Ok(BoundPolicy {
            hash,
            patient,
            list,
            add,
            remove,
            manage,
            default,
            sections,
            frame,
            names,
            released,
            emergency,
            inboxes: self.inboxes.clone(),
        })
    }
}

impl PolicyDocument {
    /// Opens what an emergency summary is made of, and the names, for whoever reads the summary: it
    /// is made of the sections themselves, so it is never older than they are.
    fn open_for_emergency(
        &self,
        patient: Option<&AuthorityId>,
        list: &mut Policy,
        default: &BoundRights,
        sections: &mut BTreeMap<String, BoundRights>,
    ) -> Result<Option<Emergency>> {
        let Some(part) = &self.emergency else { return Ok(None) };
        let read = formula("emergency read", &part.read, patient)?;
        for name in part.sections.iter().filter(|name| *name != FRAME) {
            let rights = sections.entry(name.clone()).or_insert_with(|| default.clone());
            rights.read = any_of(&format!("section {name} read"), [&rights.read, &read])?;
        }
        let listed = any_of("folder list", [&*list, &read])?;
        let list = std::mem::replace(list, listed);
        Ok(Some(Emergency { read, list }))
    }
}

fn formula(what: &str, text: &str, patient: Option<&AuthorityId>) -> Result<Policy> {
    Policy::parse_template(text, patient).map_err(|e| {
        let why = e.why().unwrap_or_else(|| e.what()).to_owned();
        Error::new(Kind::Usage, format!("the policy cannot be read: {what}")).because(why)
    })
}

pub(super) fn any_of<'a>(
    what: &str,
    policies: impl IntoIterator<Item = &'a Policy>,
) -> Result<Policy> {
    Policy::any_of(policies).map_err(|e| {
        Error::new(Kind::Usage, format!("the policy is over a limit: {what}"))
            .because(e.why().unwrap_or("too many clauses"))
    })
}

/// Who may do what with a section, compiled.
#[derive(Clone, Debug)]
pub struct BoundRights {
    /// Read it.
    pub read: Policy,
    /// Change it.
    pub write: Policy,
    /// Say that it is withheld.
    pub announce: bool,
}

/// A policy with `{patient}` bound and every formula in its canonical form.
#[derive(Clone, Debug)]
pub struct BoundPolicy {
    /// The policy's hash.
    pub hash: [u8; 32],
    /// The patient that it is bound to.
    pub patient: Option<AuthorityId>,
    /// Who sees the names.
    pub list: Policy,
    /// Who puts records in.
    pub add: Policy,
    /// Who takes records out.
    pub remove: Policy,
    /// Who sets another policy.
    pub manage: Policy,
    default: BoundRights,
    sections: BTreeMap<String, BoundRights>,
    frame: BoundRights,
    names: BoundRights,
    released: Option<Release>,
    emergency: Option<Emergency>,
    /// Folders whose files are filed, when it is the root's policy.
    pub inboxes: Vec<Inbox>,
}

impl BoundPolicy {
    /// Returns every authority that the policy names.
    pub fn authorities(&self) -> BTreeSet<&AuthorityId> {
        let folder = [&self.list, &self.add, &self.remove, &self.manage];
        let rights = [&self.default, &self.frame, &self.names].into_iter();
        let released = self.released.iter().flat_map(Release::rights);
        let sections = rights.chain(self.sections.values()).chain(released);
        let sections = sections.flat_map(|r| [&r.read, &r.write]);
        let policies = folder.into_iter().chain(sections);
        policies.flat_map(Policy::attributes).map(|a| &a.authority).collect()
    }

    /// Returns the rights over a section, by its name.
    pub fn rights(&self, section: &str) -> &BoundRights {
        match section {
            FRAME => &self.frame,
            NAMES => &self.names,
            other => match self.released.as_ref().and_then(|r| r.rights_over(other)) {
                Some(rights) => rights,
                None if matches!(other, PSEUDONYMS | PROJECT) => &self.names,
                None => self.sections.get(other).unwrap_or(&self.default),
            },
        }
    }

    /// Returns for whom the policy opens a summary in emergencies.
    pub fn emergency(&self) -> Option<&Emergency> {
        self.emergency.as_ref()
    }

    /// Returns what the policy releases to a research project.
    pub fn released(&self) -> Option<&Release> {
        self.released.as_ref()
    }

    /// Returns the sections that the policy names.
    pub fn named_sections(&self) -> impl Iterator<Item = (&str, &BoundRights)> {
        self.sections.iter().map(|(name, rights)| (name.as_str(), rights))
    }

    /// Says whether some right depends on who the patient is.
    pub fn mentions(&self, authority: &AuthorityId) -> bool {
        let folder = [&self.list, &self.add, &self.remove, &self.manage];
        let sections = self.sections.values().chain([&self.default]);
        folder
            .into_iter()
            .chain(sections.flat_map(|r| [&r.read, &r.write]))
            .any(|p| p.attributes().any(|a| a.authority == *authority))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[folder]
list = "staff@st-mary or owner@{patient}"
add = "registrar@st-mary"
remove = "registrar@st-mary"
manage = "owner@{patient}"

[default]
read = "physician@st-mary or owner@{patient}"
write = "physician@st-mary"

[section.mental-health]
read = "psychiatrist@north or owner@{patient}"
write = "psychiatrist@north"
"#;

    #[test]
    fn the_patient_is_bound_and_the_frame_is_for_all_who_read_anything() {
        let document = PolicyDocument::parse(TEXT).unwrap();
        let ana = document.bind([0; 32], Some("ana".parse().unwrap())).unwrap();
        let frame = ana.rights(FRAME).read.to_string();
        for who in ["owner@ana", "physician@st-mary", "psychiatrist@north"] {
            assert!(frame.contains(who), "{frame}");
        }
        assert_eq!(ana.rights("labs").read.clauses().len(), 2);
        assert_eq!(ana.rights("mental-health").write.to_string(), "psychiatrist@north");
    }

    #[test]
    fn without_a_patient_nobody_is_the_owner() {
        let unbound = PolicyDocument::parse(TEXT).unwrap().bind([0; 32], None).unwrap();
        assert_eq!(unbound.rights("labs").read.to_string(), "physician@st-mary");
        assert!(unbound.manage.clauses().is_empty());
    }

    #[test]
    fn unknown_fields_and_bad_formulas_say_where_they_are() {
        let bad = TEXT.replace("manage =", "manages =");
        assert_eq!(PolicyDocument::parse(&bad).unwrap_err().kind(), Kind::Usage);
        let bad = TEXT.replace("psychiatrist@north\"\n", "psychiatrist@\"\n");
        let e = PolicyDocument::parse(&bad).unwrap().bind([0; 32], None).unwrap_err();
        assert!(e.what().contains("mental-health"), "{e}");
    }
}
