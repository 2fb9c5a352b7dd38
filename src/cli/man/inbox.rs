//! The part of the page about policies that tells of inboxes.

use clap_mangen::roff::Roff;

use super::text::{heading, literal, paragraphs, terms};

const ABOUT: &[&str] = &[
    "A table [[inbox]] in the policy of the root makes a folder an inbox. What programs put there, \
     or chartfs import does, is recognised and filed into the folder of the patient that it names: \
     HL7 v2 messages, alone and in batches, FHIR resources, bundles and bulk files in JSON, CDA \
     documents and DICOM files. Only the policy of the root does, because whoever could say where \
     records go could have them where he reads them.",
    "Filed is by whoever mounts the drive, or imports, and may read all of the inbox and take files \
     out of it, with the own rights in the patients' folders. So give the inbox a policy of its own, \
     under which those who deliver may add and write, and those who file may read and remove.",
    "A patient is found by the numbers in the text, and by who gave them. A number with another \
     birth date, numbers of two patients, or a number that does not say who gave it are refused: \
     such a text goes to .failed in the inbox, and the reason beside it.",
];

const KEYS: &[(&str, &str)] = &[
    ("folder", "The inbox, as a path from the root."),
    ("patients", "The folder with the patients' folders."),
    (
        "new",
        "What the folder of a new patient is called, with {id}, the patient's number, or {random} in \
         it. Without it, who is not known is not filed.",
    ),
    ("id", "Whose numbers {id} stands for, unless it is the first number of the text."),
    (
        "index",
        "The folder in which it is kept which number is whose; .patients in the inbox, unless it is \
         said. Whoever may write there decides where records go.",
    ),
    (
        "systems",
        "A table of other names of those that give numbers: of assigning authorities in HL7 v2, \
         issuers in DICOM, systems in FHIR, roots in CDA. The empty name stands for texts that do \
         not say it.",
    ),
];

const EXAMPLE: &str = r#"[[inbox]]
folder = "/inbox"
patients = "/patients"
new = "{random}"

[inbox.systems]
ST_MARY = "urn:oid:2.16.840.1.999.1"
"http://st-mary.example/mrn" = "urn:oid:2.16.840.1.999.1""#;

pub(super) fn parts() -> [Roff; 3] {
    let mut example = heading("EXAMPLE OF AN INBOX");
    literal(&mut example, EXAMPLE);
    let about = paragraphs("INBOXES", ABOUT);
    [about, terms("KEYS OF AN INBOX", KEYS.iter().copied()), example]
}
