//! DICOM as a researcher reads it: the attributes of the table below, which are a subset of what the
//! basic profile of PS3.15 keeps. Every other attribute has no value, and so have sequences, private
//! attributes, overlays and pixels, in which a name may be written.
//!
//! An attribute that stays where it is hidden must not look as if it were: where nothing of it is
//! released its value is padding.

use super::super::adapter::Adapter;
use super::super::rules::Rules;
use super::super::safe_harbor::{MAX_AGE, Pseudonyms, copied, rewrite};
use super::super::tree::{Form, Tree};
use super::walk::{Element, Encoding, Walk};
use super::{
    Dicom, MAGIC, META_GROUP, META_RANK, PREAMBLE_BYTES, PREAMBLE_RANK, SOP_CLASS, SOP_INSTANCE,
    TRANSFER_SYNTAX, syntax,
};

/// What becomes of the value of an attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Words of defined terms.
    Code,
    /// Numbers in digits.
    Number,
    /// Numbers in binary.
    Binary,
    /// An identifier of the standard itself.
    Standard,
    /// An identifier of an object.
    Uid,
    /// The first day of the year.
    Date,
    Age,
    /// A pseudonym.
    Id,
    /// A pseudonym of at most 16 characters.
    ShortId,
    /// A name: a word that stands for all of them.
    Name,
}

/// The attributes that are released, in spans from first to last (PS3.6).
const SPANS: &[(u32, u32, Kind)] = &[
    (0x0008_0005, 0x0008_0005, Kind::Code), // SpecificCharacterSet
    (0x0008_0008, 0x0008_0008, Kind::Code), // ImageType
    (0x0008_0016, 0x0008_0016, Kind::Standard), // SOPClassUID
    (0x0008_0018, 0x0008_0018, Kind::Uid),  // SOPInstanceUID
    (0x0008_0020, 0x0008_0023, Kind::Date), // dates of study, series, acquisition, content
    (0x0008_0050, 0x0008_0050, Kind::ShortId), // AccessionNumber
    (0x0008_0060, 0x0008_0061, Kind::Code), // Modality, ModalitiesInStudy
    (0x0008_0064, 0x0008_0064, Kind::Code), // ConversionType
    (0x0008_0068, 0x0008_0068, Kind::Code), // PresentationIntentType
    (0x0008_9205, 0x0008_9208, Kind::Code), // PixelPresentation … ComplexImageComponent
    (0x0010_0010, 0x0010_0010, Kind::Name), // PatientName
    (0x0010_0020, 0x0010_0020, Kind::Id),   // PatientID
    (0x0010_0030, 0x0010_0030, Kind::Date), // PatientBirthDate
    (0x0010_0040, 0x0010_0040, Kind::Code), // PatientSex
    (0x0010_1010, 0x0010_1010, Kind::Age),  // PatientAge
    (0x0010_1020, 0x0010_1030, Kind::Number), // PatientSize, PatientWeight
    (0x0010_21a0, 0x0010_21a0, Kind::Code), // SmokingStatus
    (0x0010_21c0, 0x0010_21c0, Kind::Binary), // PregnancyStatus
    (0x0018_0015, 0x0018_0015, Kind::Code), // BodyPartExamined
    (0x0018_0020, 0x0018_0023, Kind::Code), // ScanningSequence … MRAcquisitionType
    (0x0018_0025, 0x0018_0025, Kind::Code), // AngioFlag
    (0x0018_0050, 0x0018_0050, Kind::Number), // SliceThickness
    (0x0018_0060, 0x0018_0060, Kind::Number), // KVP
    (0x0018_0080, 0x0018_0084, Kind::Number), // times of repetition, echo, inversion
    (0x0018_0086, 0x0018_0095, Kind::Number), // EchoNumbers … PixelBandwidth
    (0x0018_1060, 0x0018_1063, Kind::Number), // TriggerTime, FrameTime
    (0x0018_1088, 0x0018_1088, Kind::Number), // HeartRate
    (0x0018_1100, 0x0018_1130, Kind::Number), // ReconstructionDiameter … TableHeight
    (0x0018_1140, 0x0018_1140, Kind::Code), // RotationDirection
    (0x0018_1150, 0x0018_1153, Kind::Number), // ExposureTime … ExposureInuAs
    (0x0018_1164, 0x0018_1164, Kind::Number), // ImagerPixelSpacing
    (0x0018_1170, 0x0018_1170, Kind::Number), // GeneratorPower
    (0x0018_1190, 0x0018_1190, Kind::Number), // FocalSpots
    (0x0018_1310, 0x0018_1310, Kind::Binary), // AcquisitionMatrix
    (0x0018_1312, 0x0018_1312, Kind::Code), // InPlanePhaseEncodingDirection
    (0x0018_1314, 0x0018_1314, Kind::Number), // FlipAngle
    (0x0018_1315, 0x0018_1315, Kind::Code), // VariableFlipAngleFlag
    (0x0018_1316, 0x0018_1318, Kind::Number), // SAR, dBdt
    (0x0018_5100, 0x0018_5101, Kind::Code), // PatientPosition, ViewPosition
    (0x0020_000d, 0x0020_000e, Kind::Uid),  // StudyInstanceUID, SeriesInstanceUID
    (0x0020_0010, 0x0020_0010, Kind::ShortId), // StudyID
    (0x0020_0011, 0x0020_0013, Kind::Number), // SeriesNumber … InstanceNumber
    (0x0020_0020, 0x0020_0020, Kind::Code), // PatientOrientation
    (0x0020_0032, 0x0020_0037, Kind::Number), // ImagePositionPatient, ImageOrientationPatient
    (0x0020_0052, 0x0020_0052, Kind::Uid),  // FrameOfReferenceUID
    (0x0020_0060, 0x0020_0060, Kind::Code), // Laterality
    (0x0020_1002, 0x0020_1002, Kind::Number), // ImagesInAcquisition
    (0x0020_1041, 0x0020_1041, Kind::Number), // SliceLocation
    (0x0028_0002, 0x0028_0002, Kind::Binary), // SamplesPerPixel
    (0x0028_0004, 0x0028_0004, Kind::Code), // PhotometricInterpretation
    (0x0028_0006, 0x0028_0006, Kind::Binary), // PlanarConfiguration
    (0x0028_0008, 0x0028_0008, Kind::Number), // NumberOfFrames
    (0x0028_0010, 0x0028_0011, Kind::Binary), // Rows, Columns
    (0x0028_0030, 0x0028_0034, Kind::Number), // PixelSpacing … PixelAspectRatio
    (0x0028_0100, 0x0028_0107, Kind::Binary), // BitsAllocated … LargestImagePixelValue
    (0x0028_0301, 0x0028_0301, Kind::Code), // BurnedInAnnotation
    (0x0028_1040, 0x0028_1040, Kind::Code), // PixelIntensityRelationship
    (0x0028_1041, 0x0028_1041, Kind::Binary), // its sign
    (0x0028_1050, 0x0028_1053, Kind::Number), // WindowCenter … RescaleSlope
    (0x0028_1101, 0x0028_1103, Kind::Binary), // descriptors of the palette
    (0x0028_1201, 0x0028_1203, Kind::Binary), // the palette
    (0x0028_2110, 0x0028_2110, Kind::Code), // LossyImageCompression
    (0x0028_2112, 0x0028_2112, Kind::Number), // LossyImageCompressionRatio
    (0x0040_a040, 0x0040_a040, Kind::Code), // ValueType
    (0x0040_a050, 0x0040_a050, Kind::Code), // ContinuityOfContent
    (0x0040_a491, 0x0040_a491, Kind::Code), // CompletionFlag
    (0x0040_a493, 0x0040_a493, Kind::Code), // VerificationFlag
    (0x2050_0020, 0x2050_0020, Kind::Code), // PresentationLUTShape
    (0x300a_0006, 0x300a_0006, Kind::Date), // RTPlanDate
    (0x300a_000c, 0x300a_000c, Kind::Code), // RTPlanGeometry
    (0x300e_0002, 0x300e_0002, Kind::Code), // ApprovalStatus
];

const STANDARD: &[u8] = b"1.2.840.10008.";
/// A value of text that says nothing.
const PADDING: &[u8] = b"  ";
const NAME: &[u8] = b"WITHHELD";
const SHORT_ID_LEN: usize = 16;
const MAX_BINARY_BYTES: usize = 1 << 18;
const ITEM: (u16, u16) = (0xfffe, 0xe000);
const SEQUENCE_END: (u16, u16) = (0xfffe, 0xe0dd);
const META_LENGTH: u32 = 0x0002_0000;
const META_VERSION: u32 = 0x0002_0001;
const IMPLEMENTATION: u32 = 0x0002_0012;

fn kind(tag: u32) -> Option<Kind> {
    let span = SPANS.iter().find(|&&(first, last, _)| (first..=last).contains(&tag));
    span.map(|span| span.2)
}

/// Writes a file anew.
pub(super) fn of(bytes: &[u8], project: &Pseudonyms) -> Option<Vec<u8>> {
    let tree = Dicom.parse(bytes, &Rules::builtin())?;
    let super::Kind::Shell(uid) = tree.kind else { return None };
    let (_, encoding) = syntax::find(uid.as_bytes())?;
    let clean = Clean { tree: &tree, project, encoding };
    rewrite(&tree, copied, |_, node, out| {
        if node.identity.as_ref() == PREAMBLE_RANK {
            out.extend_from_slice(&preamble(tree.span(node)));
            return Some(());
        }
        if node.identity.as_ref() == META_RANK {
            return clean.meta(node.start, node.end, out);
        }
        clean.element(node.start, matches!(node.form, Form::Instead(_)), out)
    })
}

/// Returns a preamble that is not the empty one, with no more than the kind of the other file that
/// it begins.
fn preamble(old: &[u8]) -> [u8; PREAMBLE_BYTES] {
    let mut new = [0; PREAMBLE_BYTES];
    let is_tiff = [&b"II*\0"[..], b"MM\0*"].iter().any(|magic| old.starts_with(magic));
    if is_tiff {
        new[..4].copy_from_slice(&old[..4]);
    } else {
        new[PREAMBLE_BYTES - 1] = b' ';
    }
    new
}

struct Clean<'t, 'a> {
    tree: &'t Tree<'a>,
    project: &'t Pseudonyms,
    encoding: Encoding,
}

impl Clean<'_, '_> {
    fn element(&self, at: usize, stays: bool, out: &mut Vec<u8>) -> Option<()> {
        let bytes = self.tree.text;
        let walk = Walk::new(bytes, self.encoding);
        let mut is_sequence = false;
        let element = walk.element(at, bytes.len(), &mut |_, event| {
            is_sequence |= matches!(event, super::Event::Sequence(_));
        })?;
        let value = &bytes[element.value..element.end];
        let released = if is_sequence { None } else { self.value(element.tag, value) };
        match released {
            Some(value) => element.write(bytes, &value, self.encoding.big, out)?,
            None if stays && is_sequence => self.empty(&element, &[SEQUENCE_END], out),
            // A compressed image keeps its table of offsets, which is empty.
            None if !is_sequence && element.is_undefined(bytes) => {
                self.empty(&element, &[ITEM, SEQUENCE_END], out);
            }
            None if stays => element.write(bytes, PADDING, self.encoding.big, out)?,
            None => out.extend_from_slice(&element.emptied(bytes)),
        }
        Some(())
    }

    /// Writes an element of unknown length with items of length zero: a sequence that does not look
    /// like one that is hidden, or fragments.
    fn empty(&self, element: &Element, items: &[(u16, u16)], out: &mut Vec<u8>) {
        let header = element.emptied(self.tree.text);
        let (head, length) = header.split_at(header.len().saturating_sub(4));
        out.extend_from_slice(head);
        out.extend(length.iter().map(|_| 0xff));
        for &(group, number) in items {
            for part in [group, number] {
                out.extend(if self.encoding.big { part.to_be_bytes() } else { part.to_le_bytes() });
            }
            out.extend_from_slice(&[0; 4]);
        }
    }

    /// Returns what is released of a value.
    fn value(&self, tag: u32, value: &[u8]) -> Option<Vec<u8>> {
        let kind = kind(tag)?;
        if kind == Kind::Binary {
            return (value.len() <= MAX_BINARY_BYTES).then(|| value.to_vec());
        }
        let text = std::str::from_utf8(value).ok()?.trim_matches(['\0', ' ']);
        if text.is_empty() {
            return None;
        }
        let all = |is: fn(&u8) -> bool| text.bytes().all(|b| is(&b));
        let released = match kind {
            Kind::Code => {
                let is =
                    |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_ \\".contains(b);
                Some(text.to_owned()).filter(|_| all(is) && longest_number(text) < 5)
            }
            Kind::Number => {
                let is = |b: &u8| b.is_ascii_digit() || b"+-.eE \\".contains(b);
                Some(text.to_owned()).filter(|_| all(is))
            }
            Kind::Standard => {
                Some(text.to_owned()).filter(|_| value.starts_with(STANDARD) && all(|b| is_uid(*b)))
            }
            Kind::Uid => Some(self.project.uid(text)),
            Kind::Date => self.project.year(text).map(|year| format!("{year}0101")),
            Kind::Age => age(text),
            Kind::Id => Some(self.project.id(text)),
            Kind::ShortId => {
                let id = self.project.id(text).replace('-', "");
                Some(id[..SHORT_ID_LEN].to_owned())
            }
            Kind::Name => Some(String::from_utf8_lossy(NAME).into_owned()),
            Kind::Binary => None,
        };
        let pad = if matches!(kind, Kind::Uid | Kind::Standard) { 0 } else { b' ' };
        released.map(|text| padded(text.into_bytes(), pad))
    }

    /// Writes the file meta group: what tells how to read the file, and which object it is.
    fn meta(&self, start: usize, end: usize, out: &mut Vec<u8>) -> Option<()> {
        let bytes = self.tree.text;
        let walk = Walk::new(bytes, Encoding::EXPLICIT);
        let (mut at, mut group, mut length) = (start + MAGIC.len(), Vec::new(), None);
        while at < end {
            let element = walk.element(at, end, &mut |_, _| {})?;
            let value = &bytes[element.value..element.end];
            let text = || std::str::from_utf8(value).ok().map(|t| t.trim_matches(['\0', ' ']));
            let new = match element.tag {
                META_LENGTH => {
                    length = Some(element);
                    None
                }
                META_VERSION => Some(vec![0, 1]),
                SOP_CLASS | TRANSFER_SYNTAX => {
                    let is_standard = value.starts_with(STANDARD) && text()?.bytes().all(is_uid);
                    is_standard.then(|| value.to_vec())
                }
                SOP_INSTANCE | IMPLEMENTATION => {
                    Some(padded(self.project.uid(text()?).into_bytes(), 0))
                }
                _ => None,
            };
            if let Some(new) = new {
                element.write(bytes, &new, false, &mut group)?;
            }
            debug_assert_eq!(element.tag >> 16, META_GROUP);
            at = element.end;
        }
        out.extend_from_slice(MAGIC);
        if let Some(element) = length {
            let len = u32::try_from(group.len()).ok()?;
            element.write(bytes, &len.to_le_bytes(), false, out)?;
        }
        out.extend_from_slice(&group);
        Some(())
    }
}

fn is_uid(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

fn longest_number(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0)
}

fn padded(mut value: Vec<u8>, pad: u8) -> Vec<u8> {
    if value.len() % 2 == 1 {
        value.push(pad);
    }
    value
}

/// Returns an age of three digits and a unit; of ninety years or more the group of all of them.
fn age(text: &str) -> Option<String> {
    let (digits, unit) = text.split_at_checked(3)?;
    let number: f64 = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    let is_old = unit == "Y" && number >= MAX_AGE;
    matches!(unit, "D" | "W" | "M" | "Y")
        .then(|| if is_old { "090Y".to_owned() } else { text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_in_order_and_do_not_meet() {
        for pair in SPANS.windows(2) {
            assert!(pair[0].1 < pair[1].0, "{:08x}", pair[1].0);
        }
    }

    #[test]
    fn an_age_over_89_is_one_of_a_group() {
        assert_eq!(age("045Y").as_deref(), Some("045Y"));
        assert_eq!(age("104Y").as_deref(), Some("090Y"));
        assert_eq!(age("100M").as_deref(), Some("100M"));
        for bad in ["45Y", "old", "045", "1é"] {
            assert_eq!(age(bad), None, "{bad}");
        }
    }
}
