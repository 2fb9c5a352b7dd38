//! What stands where the schema wants an element that the view does not show. A stub says no more
//! than the document's type says anyway: `NI`, no information, is what a document without the
//! element says too, while `MSK` would tell that something is hidden.

use super::outline::Facts;
use super::types::title_of;

/// Section templates that a stub repeats: those of C-CDA and of IHE.
const KNOWN_ROOTS: [&str; 2] = ["2.16.840.1.113883.10.20.", "1.3.6.1.4.1.19376."];
const MAX_TEMPLATES: usize = 8;
const MAX_EXTENSION_LEN: usize = 10;

/// Returns the stub of a run in the header.
pub(super) fn header(name: &str, prefix: &str) -> Vec<u8> {
    let text = match name {
        "author" => {
            "<~author><~time nullFlavor=\"NI\"/><~assignedAuthor><~id nullFlavor=\"NI\"/>\
             </~assignedAuthor></~author>"
        }
        "custodian" => {
            "<~custodian><~assignedCustodian><~representedCustodianOrganization>\
             <~id nullFlavor=\"NI\"/></~representedCustodianOrganization></~assignedCustodian>\
             </~custodian>"
        }
        "addr" => "<~addr nullFlavor=\"NI\"/><~telecom nullFlavor=\"NI\"/>",
        "name" => {
            "<~name nullFlavor=\"NI\"/><~administrativeGenderCode nullFlavor=\"NI\"/>\
             <~birthTime nullFlavor=\"NI\"/><~raceCode nullFlavor=\"NI\"/>\
             <~ethnicGroupCode nullFlavor=\"NI\"/>"
        }
        "component" => {
            "<~component><~nonXMLBody><~text nullFlavor=\"NI\"/></~nonXMLBody></~component>"
        }
        "title" => "<~title nullFlavor=\"NI\"/>",
        "effectiveTime" => "<~effectiveTime nullFlavor=\"NI\"/>",
        "confidentialityCode" => "<~confidentialityCode nullFlavor=\"NI\"/>",
        _ => "<~id nullFlavor=\"NI\"/>",
    };
    text.replace('~', prefix).into_bytes()
}

/// Returns the stub of a section that the template of the document wants.
pub(super) fn section(facts: &Facts, code: &str, prefix: &str) -> Vec<u8> {
    let mut text = String::from("<~component><~section nullFlavor=\"NI\">");
    let known = facts.templates.iter().filter(|(root, _)| is_known(root)).take(MAX_TEMPLATES);
    for (root, extension) in known {
        text += &format!("<~templateId root=\"{root}\"");
        if let Some(extension) = extension.as_deref().filter(|e| is_date(e)) {
            text += &format!(" extension=\"{extension}\"");
        }
        text += "/>";
    }
    text += &format!("<~code code=\"{code}\" codeSystem=\"2.16.840.1.113883.6.1\"/>");
    text += &format!("<~title>{}</~title>", title_of(code));
    text += "<~text>No information</~text></~section></~component>";
    text.replace('~', prefix).into_bytes()
}

/// Returns the stub of the first section of a body whose template wants none: a body has one.
pub(super) fn first_section(prefix: &str) -> Vec<u8> {
    let text = "<~component><~section nullFlavor=\"NI\"><~text>No information</~text></~section>\
                </~component>";
    text.replace('~', prefix).into_bytes()
}

fn is_known(root: &str) -> bool {
    KNOWN_ROOTS.iter().any(|known| root.starts_with(known))
        && root.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn is_date(extension: &str) -> bool {
    extension.len() <= MAX_EXTENSION_LEN
        && extension.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}
