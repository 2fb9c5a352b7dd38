//! What arrives in one file and is filed as several: a batch of messages, a bulk file with the
//! resources of many patients. Read piece by piece, in memory that does not grow with the file.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use super::super::fhir::identity::{identify_line, identity_of_line, number_in_file};
use super::super::json::valid;
use super::{Document, Person, RECOGNISE_MAX_BYTES, Recognised, hex, no};
use crate::error::{Error, Kind, Result};
use crate::key::hash;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
const PREAMBLE_BYTES: usize = 128;
const PIECE_BYTES: usize = 64 << 10;
/// As many bytes of a bulk file are sorted by patient at once.
const BATCH_BYTES: usize = 16 << 20;
const PIECE_MAX: usize = 32 << 20;
const _: () = assert!(PIECE_MAX as u64 == RECOGNISE_MAX_BYTES, "one limit");

/// What a text looks like by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A DICOM file.
    Dicom,
    /// Messages of HL7 v2.
    Hl7v2,
    /// A JSON text, which may be FHIR.
    Fhir,
    /// JSON texts, one per line.
    FhirLines,
    /// An XML text, which may be CDA.
    Cda,
    /// Something else.
    Unknown,
}

/// Returns what a text looks like.
pub fn shape(text: &[u8]) -> Shape {
    if text.get(PREAMBLE_BYTES..).is_some_and(|rest| rest.starts_with(b"DICM")) {
        return Shape::Dicom;
    }
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let is_space = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
    let text = &text[text.iter().position(|b| !is_space(b)).unwrap_or(text.len())..];
    match text.first() {
        Some(b'{') if is_lines(text) => Shape::FhirLines,
        Some(b'{') => Shape::Fhir,
        Some(b'<') => Shape::Cda,
        Some(_) if header(text).is_some() => Shape::Hl7v2,
        _ => Shape::Unknown,
    }
}

/// Says whether the first line is a JSON text of its own, and another follows.
fn is_lines(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|&b| b == b'\n') else { return false };
    let more = text[end..].iter().find(|b| !b.is_ascii_whitespace());
    more == Some(&b'{') && valid(&text[..end]).is_some()
}

/// Returns the name of the header segment that begins here.
fn header(text: &[u8]) -> Option<&[u8]> {
    let (name, next) = (text.get(..3)?, *text.get(3)?);
    let is_header = matches!(name, b"MSH" | b"FHS" | b"BHS" | b"BTS" | b"FTS");
    (is_header && next.is_ascii_punctuation()).then_some(name)
}

/// The messages of a batch, without what stands around them.
pub struct Messages<R> {
    source: R,
    buffer: Vec<u8>,
    is_ended: bool,
}

impl<R: Read> Messages<R> {
    /// Begins with a text.
    pub fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), is_ended: false }
    }

    /// Reads more; an error when one message is too long.
    fn fill(&mut self) -> Result<()> {
        if self.buffer.len() > PIECE_MAX {
            return Err(no("a message in it is too long"));
        }
        let begin = self.buffer.len();
        self.buffer.resize(begin + PIECE_BYTES, 0);
        let got = self.source.read(&mut self.buffer[begin..])?;
        self.buffer.truncate(begin + got);
        self.is_ended = got == 0;
        Ok(())
    }

    /// Returns where the next header begins behind `from`, as far as is read.
    fn next_header(&self, from: usize) -> Option<usize> {
        let is_break = |b: u8| matches!(b, b'\r' | b'\n' | 0x0b | 0x1c);
        // Only a text begins so, and never a message.
        let mark = if self.buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let is_space = |b: &&u8| matches!(b, b' ' | b'\t');
        let begin = mark + self.buffer[mark..].iter().take_while(is_space).count();
        (from..self.buffer.len()).find(|&at| {
            (at <= begin || is_break(self.buffer[at - 1])) && header(&self.buffer[at..]).is_some()
        })
    }

    fn take(&mut self) -> Result<Option<Vec<u8>>> {
        let mut from = 0;
        loop {
            let begin = loop {
                if let Some(begin) = self.next_header(from) {
                    break begin;
                }
                if self.is_ended {
                    return Ok(None);
                }
                from = self.buffer.len().saturating_sub(4);
                self.fill()?;
            };
            self.buffer.drain(..begin);
            from = 1;
            let end = loop {
                if let Some(end) = self.next_header(from) {
                    break end;
                }
                if self.is_ended {
                    break self.buffer.len();
                }
                from = self.buffer.len().saturating_sub(4).max(1);
                self.fill()?;
            };
            let rest = self.buffer.split_off(end);
            let mut piece = std::mem::replace(&mut self.buffer, rest);
            if piece.starts_with(b"MSH") {
                // The frame of the transport is not the message's.
                let is_frame = |b: &u8| matches!(b, 0x0b | 0x1c);
                while piece.last().is_some_and(is_frame)
                    || (piece.ends_with(b"\r")
                        && piece.len() > 1
                        && is_frame(&piece[piece.len() - 2]))
                {
                    piece.pop();
                }
                return Ok(Some(piece));
            }
            from = 0;
        }
    }
}

impl<R: Read> Iterator for Messages<R> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.take();
        if taken.is_err() {
            // What follows a message that is too long is not looked for.
            self.is_ended = true;
            self.buffer.clear();
        }
        taken.transpose()
    }
}

/// The lines of a bulk file that belong to one patient.
#[derive(Debug)]
pub struct Share {
    /// Whom they are about, and what they are called; or why that is not known.
    pub recognised: Result<Recognised>,
    /// The lines.
    pub text: Vec<u8>,
}

/// Reads a bulk file and sorts its lines by patient and type, some mebibytes at a time.
pub fn shares<R: Read>(source: R) -> impl Iterator<Item = Result<Vec<Share>>> {
    let mut lines = Lines { source, buffer: Vec::new(), searched: 0, is_ended: false };
    std::iter::from_fn(move || {
        let mut batch = Batch::default();
        while batch.len < BATCH_BYTES {
            match lines.take() {
                Ok(Some(line)) => batch.add(&line),
                Ok(None) if batch.len == 0 => return None,
                Ok(None) => break,
                Err(e) => {
                    lines.is_ended = true;
                    lines.buffer.clear();
                    return Some(Err(e));
                }
            }
        }
        Some(Ok(batch.into_shares()))
    })
}

struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
    /// How far no line end was found.
    searched: usize,
    is_ended: bool,
}

impl<R: Read> Lines<R> {
    /// Returns the next line that is not blank, with its end.
    fn take(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let found = self.buffer[self.searched..].iter().position(|&b| b == b'\n');
            let end = match found {
                Some(at) => self.searched + at + 1,
                None if self.is_ended && self.buffer.is_empty() => return Ok(None),
                None if self.is_ended => self.buffer.len(),
                None => {
                    self.searched = self.buffer.len();
                    self.fill()?;
                    continue;
                }
            };
            let rest = self.buffer.split_off(end);
            let mut line = std::mem::replace(&mut self.buffer, rest);
            self.searched = 0;
            if !line.iter().all(u8::is_ascii_whitespace) {
                if !line.ends_with(b"\n") {
                    line.push(b'\n');
                }
                return Ok(Some(line));
            }
        }
    }

    fn fill(&mut self) -> Result<()> {
        if self.buffer.len() > PIECE_MAX {
            return Err(no("a line in it is too long"));
        }
        let begin = self.buffer.len();
        // As much again as is there: a long line is not moved over and over.
        self.buffer.resize(begin + PIECE_BYTES.max(begin), 0);
        let got = self.source.read(&mut self.buffer[begin..])?;
        self.buffer.truncate(begin + got);
        self.is_ended = got == 0;
        Ok(())
    }
}

/// Lines that are sorted together.
#[derive(Default)]
struct Batch {
    len: usize,
    /// People and their lines by type.
    people: Vec<(Person, BTreeMap<String, Vec<u8>>)>,
    /// Which number is whose.
    by_number: HashMap<(String, String), usize>,
    /// Lines that are nobody's, by the reason.
    refused: BTreeMap<String, (Error, Vec<u8>)>,
}

impl Batch {
    fn add(&mut self, line: &[u8]) {
        self.len += line.len();
        let text = std::str::from_utf8(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line));
        let found = text
            .map_err(|_| no("a line of it is not written in UTF-8"))
            .and_then(|text| identify_line(text.trim()));
        let (kind, person) = match found {
            Ok((kind, person)) => (kind, person),
            Err(e) => return self.refuse(e, line),
        };
        let Some(number) = number_in_file(&person) else {
            return self.refuse(no("it names its patient by no identifier"), line);
        };
        let number = (number.system.clone(), number.value.clone());
        let index = *self.by_number.entry(number).or_insert(self.people.len());
        match self.people.get_mut(index) {
            None => self.people.push((person, BTreeMap::new())),
            Some((one, _)) => {
                person.identifiers.into_iter().for_each(|i| one.add(Some(i)));
                one.family = one.family.take().or(person.family);
                one.given = one.given.take().or(person.given);
                one.birth_date = one.birth_date.take().or(person.birth_date);
            }
        }
        self.people[index].1.entry(kind).or_default().extend_from_slice(line);
    }

    fn refuse(&mut self, reason: Error, line: &[u8]) {
        let (_, lines) =
            self.refused.entry(reason.to_string()).or_insert_with(|| (reason, Vec::new()));
        lines.extend_from_slice(line);
    }

    fn into_shares(self) -> Vec<Share> {
        let mut shares = Vec::new();
        for (person, kinds) in self.people {
            for (kind, text) in kinds {
                let document =
                    Document { folder: None, stem: kind, extension: "ndjson", version: None };
                let recognised = Ok(Recognised { person: person.clone(), document });
                shares.push(Share { recognised, text });
            }
        }
        let refused = self.refused.into_values();
        shares.extend(refused.map(|(reason, text)| Share { recognised: Err(reason), text }));
        shares
    }
}

/// Puts new lines of a bulk file into the old ones: a resource that both have is the new one.
///
/// # Errors
/// `Usage` when one of them cannot be read by lines, or both are too long together.
pub fn union(old: &[u8], new: &[u8]) -> Result<Vec<u8>> {
    let cannot = || Error::new(Kind::Usage, "the lines that are filed already cannot be read");
    let mut order: Vec<&[u8]> = Vec::new();
    let mut by_identity: HashMap<String, usize> = HashMap::new();
    for line in old.split_inclusive(|&b| b == b'\n').chain(new.split_inclusive(|&b| b == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let text = std::str::from_utf8(line).map_err(|_| cannot())?;
        let identity = identity_of_line(text.trim())
            .unwrap_or_else(|| hex(&hash::sha256(&[text.trim().as_bytes()])));
        let at = *by_identity.entry(identity).or_insert(order.len());
        if at == order.len() {
            order.push(line);
        } else {
            order[at] = line;
        }
    }
    let len: usize = order.iter().map(|line| line.len() + 1).sum();
    if len > PIECE_MAX {
        return Err(Error::new(Kind::Usage, "the patient's lines of this type are too many")
            .because("a file of them has at most 32 MiB"));
    }
    let mut text = Vec::with_capacity(len);
    for line in order {
        text.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            text.push(b'\n');
        }
    }
    Ok(text)
}
