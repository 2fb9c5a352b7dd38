//! What a document shows for sections that the policy announces and the reader does not see:
//! `nullFlavor="MSK"`, masked. Where the document's type wants a section it stands instead of the
//! stub; for the others one section at the end of the body names what is withheld, but nothing that
//! law or custom sets apart.

use super::super::Sections;
use super::super::rank::{MAX_RANK_BYTES, Rank};
use super::super::section::{HoleKind, Item, LIST, Role, SectionText};
use super::super::slots::Slot;
use super::types::section_of_loinc;

/// The identifier of the section at the end, by which it is known again.
const ROOT: &str = "8a2f6d1c-6f0e-4c57-9a57-0a6b7d1e4f22";
const STUB_CODE: &str = "code code=\"";

/// Says whether a part of the body is the mark at its end.
pub(super) fn is_mark(text: &[u8]) -> bool {
    text.len() < 4096 && text.windows(ROOT.len()).any(|part| part == ROOT.as_bytes())
}

/// Returns the marker of hidden sections in the view that shows these.
pub(super) fn of(hidden: &[Slot], shown: &Sections) -> Option<SectionText> {
    let frame = &shown.get(&Slot::FRAME)?.items;
    if hidden.is_empty() {
        return None;
    }
    let mut items = Vec::new();
    let mut rest: Vec<Slot> = hidden.to_vec();
    for stub in frame {
        let Some((slot, container, text)) = wanted(stub).filter(|w| hidden.contains(&w.0)) else {
            continue;
        };
        rest.retain(|other| *other != slot);
        let fills = |item: &Item| item.container == container;
        if !shown.values().flat_map(|text| &text.items).any(fills) {
            let len = u32::try_from(stub.bytes.len()).expect("a stub is short");
            items.push(item(container, masked(text), Role::Instead(len)));
        }
    }
    let body = frame.iter().find(|item| item.container == LIST && item.bytes.contains(&b'<'));
    if let Some(first) = body.filter(|_| !rest.is_empty()) {
        items.push(item(LIST, at_end(&rest, prefix_of(&first.bytes)), Role::Text));
    }
    let mut text = SectionText { items };
    text.sort();
    (!text.is_empty()).then_some(text)
}

fn item(container: u32, text: String, role: Role) -> Item {
    // Behind everything: what stands first in a body is known by its place.
    let last = [0xff; MAX_RANK_BYTES];
    let rank = Rank::from_bytes(&last).expect("bytes that are not zero are a rank");
    Item { container, rank, bytes: text.into_bytes(), role }
}

/// Returns section, container and text of the stub of a section that the document's type wants.
fn wanted(stub: &Item) -> Option<(Slot, u32, &str)> {
    let hole = stub.hole().filter(|hole| hole.kind == HoleKind::Stub)?;
    let text = std::str::from_utf8(&stub.bytes).ok()?;
    let (_, code) = text.split_once(STUB_CODE)?;
    let (code, _) = code.split_once('"')?;
    Some((section_of_loinc(code)?, hole.container, text))
}

/// Returns a stub that says that it stands for something masked.
fn masked(stub: &str) -> String {
    stub.replacen("nullFlavor=\"NI\"", "nullFlavor=\"MSK\"", 1)
        .replace(">No information<", ">Withheld<")
}

/// Returns the prefix of names, with its colon, that a stub or component begins with.
fn prefix_of(text: &[u8]) -> &str {
    let text = std::str::from_utf8(text).unwrap_or("");
    let name = text.split_once('<').map_or("", |(_, rest)| rest);
    let name = name.split(|c: char| !(c.is_alphanumeric() || ":-_.".contains(c))).next();
    let name = name.unwrap_or("");
    name.find(':').map_or("", |colon| &name[..=colon])
}

fn at_end(withheld: &[Slot], prefix: &str) -> String {
    let named = withheld.iter().filter(|slot| !slot.is_sensitive()).map(|slot| slot.name());
    let mut names: Vec<&str> = named.collect();
    if names.len() < withheld.len() {
        names.push("other content");
    }
    let text = format!(
        "<~component><~section nullFlavor=\"MSK\"><~id root=\"{ROOT}\"/>\
         <~title>Withheld</~title><~text>{}</~text></~section></~component>",
        names.join(", ")
    );
    text.replace('~', prefix)
}
