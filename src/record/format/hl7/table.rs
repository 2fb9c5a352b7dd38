//! What is known of every segment: its section, how it is cut, and whether it has a set id.

use super::super::slots::Slot;
use super::lines::Id;

/// How a segment stands in a view.
pub(super) enum Cut {
    /// It is shown or not.
    Whole,
    /// It is shown by its fields; the last number is that of all fields from there on.
    Fields(fn(usize) -> Slot, usize),
    /// Its name is shown in its place.
    Stub,
}

/// Says how a segment is cut.
pub(super) fn cut(id: Id) -> Cut {
    match &id {
        b"MSH" => Cut::Fields(header_field, 30),
        b"FHS" | b"BHS" => Cut::Fields(batch_header_field, 20),
        b"BTS" | b"FTS" => Cut::Fields(|n| if n == 1 { Slot::FRAME } else { Slot::NOTES }, 6),
        b"EVN" => Cut::Fields(event_field, 9),
        b"MSA" => Cut::Fields(|n| if n <= 2 { Slot::FRAME } else { Slot::PROVENANCE }, 9),
        b"PID" => Cut::Fields(patient_field, 41),
        b"PD1" => Cut::Fields(further_patient_field, 24),
        b"PV1" => Cut::Stub,
        _ => Cut::Whole,
    }
}

/// How an ARV segment of [`super::labels::is_shown`] is cut: what is restricted is shown, the
/// reason is not.
pub(super) fn restriction_field(number: usize) -> Slot {
    if number <= 3 { Slot::FRAME } else { Slot::DIRECTIVES }
}

fn header_field(number: usize) -> Slot {
    match number {
        3..=6 | 22.. => Slot::DIRECTORY,
        8 => Slot::PROVENANCE,
        _ => Slot::FRAME,
    }
}

fn batch_header_field(number: usize) -> Slot {
    match number {
        3..=6 => Slot::DIRECTORY,
        8 => Slot::PROVENANCE,
        9.. => Slot::NOTES,
        _ => Slot::FRAME,
    }
}

fn event_field(number: usize) -> Slot {
    match number {
        1 | 2 => Slot::FRAME,
        3 | 4 | 6 => Slot::ENCOUNTERS,
        _ => Slot::PROVENANCE,
    }
}

fn patient_field(number: usize) -> Slot {
    match number {
        1 => Slot::FRAME,
        5 | 7..=10 | 15..=17 | 22..=39 => Slot::DEMOGRAPHICS,
        11..=14 | 40 => Slot::CONTACT,
        _ => Slot::IDENTIFIERS,
    }
}

fn further_patient_field(number: usize) -> Slot {
    match number {
        3 | 4 => Slot::CONTACT,
        7 | 8 | 12 | 13 | 15 => Slot::DIRECTIVES,
        10 => Slot::IDENTIFIERS,
        9 => Slot::BILLING,
        16 | 17 => Slot::IMMUNIZATIONS,
        _ => Slot::DEMOGRAPHICS,
    }
}

/// Returns the section of a segment that follows no other.
pub(super) fn section(id: Id) -> Slot {
    match &id {
        b"NK1" | b"CTD" => Slot::CONTACT,
        b"MRG" | b"QPD" | b"QRD" | b"QRF" => Slot::IDENTIFIERS,
        b"AL1" | b"IAM" | b"IAR" => Slot::ALLERGIES,
        b"RXO" | b"RXE" | b"RXD" | b"RXG" | b"RXA" | b"RXV" | b"RXR" | b"RXC" | b"ODS" | b"ODT" => {
            Slot::MEDICATIONS
        }
        b"DG1" | b"PRB" | b"DRG" | b"DB1" | b"PDA" => Slot::PROBLEMS,
        b"OBR" | b"OBX" | b"SPM" | b"SAC" | b"INV" | b"EQU" | b"SID" | b"TCD" => Slot::LABS,
        b"IPC" => Slot::IMAGING,
        b"PR1" | b"ORC" | b"TQ1" | b"TQ2" | b"CDO" => Slot::PROCEDURES,
        b"PV1" | b"PV2" | b"EVN" | b"NPU" => Slot::ENCOUNTERS,
        b"SCH" | b"RGS" | b"AIS" | b"AIG" | b"AIL" | b"AIP" | b"ARQ" | b"APR" => Slot::APPOINTMENTS,
        b"GOL" | b"PTH" | b"VAR" | b"ROL" | b"PRT" | b"RF1" | b"CTI" | b"CSR" | b"CSP" | b"CSS" => {
            Slot::CAREPLAN
        }
        b"TXA" | b"NTE" | b"DSP" | b"ADD" => Slot::NOTES,
        b"IN1" | b"IN2" | b"IN3" | b"GT1" | b"FT1" | b"BLG" | b"ACC" | b"UB1" | b"UB2" | b"ABS"
        | b"AUT" | b"PYE" | b"PSG" | b"PSS" | b"PSL" | b"IVC" | b"GP1" | b"GP2" => Slot::BILLING,
        b"RQD" | b"RQ1" | b"DEV" => Slot::DEVICES,
        b"ARV" | b"CON" => Slot::DIRECTIVES,
        b"PRD" | b"STF" | b"PRA" | b"ORG" | b"LOC" | b"MFI" | b"MFE" => Slot::DIRECTORY,
        b"SFT" | b"UAC" | b"ERR" | b"QAK" | b"DSC" | b"RCP" => Slot::PROVENANCE,
        _ => Slot::OTHER,
    }
}

/// Says whether a code without a system in this segment is a diagnosis, drug or service rather
/// than the name of a ward or a number of a person.
pub(super) fn is_clinical(id: Id) -> bool {
    matches!(
        &id,
        b"DG1"
            | b"DRG"
            | b"PRB"
            | b"OBR"
            | b"OBX"
            | b"RXO"
            | b"RXE"
            | b"RXD"
            | b"RXG"
            | b"RXA"
            | b"RXC"
            | b"PR1"
            | b"FT1"
            | b"AL1"
            | b"IAM"
            | b"IAR"
            | b"ORC"
            | b"SCH"
            | b"AIS"
            | b"PV2"
            | b"GOL"
            | b"PTH"
            | b"RF1"
            | b"TXA"
            | b"ODS"
            | b"PDA"
            | b"IN1"
            | b"IN2"
            | b"IN3"
            | b"AUT"
            | b"UB1"
            | b"UB2"
    )
}

/// Says whether the first field of a segment counts it among its like.
pub(super) fn has_set_id(id: Id) -> bool {
    matches!(
        &id,
        b"AL1"
            | b"IAM"
            | b"DG1"
            | b"OBR"
            | b"OBX"
            | b"PR1"
            | b"NK1"
            | b"IN1"
            | b"GT1"
            | b"NTE"
            | b"FT1"
            | b"SPM"
            | b"TQ1"
            | b"DB1"
            | b"UB1"
            | b"UB2"
            | b"RGS"
            | b"AIS"
            | b"AIG"
            | b"AIL"
            | b"AIP"
            | b"ARV"
            | b"CON"
            | b"TXA"
            | b"ORG"
            | b"IVC"
    )
}

/// Returns the segments whose set ids begin anew after this one; nothing says: all do.
pub(super) fn restarts(id: Id) -> Option<&'static [&'static Id]> {
    Some(match &id {
        b"MSH" | b"PID" => return None,
        b"NTE" | b"PRT" | b"TQ1" | b"TQ2" | b"CTD" => &[],
        b"OBR" => &[b"NTE", b"OBX", b"TQ1", b"SPM", b"DG1"],
        b"ORC" | b"RXO" | b"RXE" | b"RXD" | b"RXG" | b"RXA" => &[b"NTE", b"OBX", b"TQ1"],
        b"SPM" | b"TXA" | b"PRB" | b"GOL" | b"PTH" => &[b"NTE", b"OBX"],
        b"RGS" => &[b"NTE", b"AIS", b"AIG", b"AIL", b"AIP"],
        _ => &[b"NTE"],
    })
}

/// LOINC codes of vital signs.
const VITAL_SIGNS: [&str; 19] = [
    "8867-4", "8480-6", "8462-4", "85354-9", "8310-5", "8331-1", "9279-1", "29463-7", "3141-9",
    "8302-2", "39156-5", "59408-5", "2708-6", "8287-5", "9843-4", "72514-3", "8478-0", "59575-1",
    "77606-2",
];
/// LOINC codes of smoking, occupation and housing.
const SOCIAL_HISTORY: [&str; 5] = ["72166-2", "11367-0", "63512-8", "71802-3", "11341-5"];

/// Returns the section that an observation's code alone decides.
pub(super) fn observed(code: &[u8]) -> Option<Slot> {
    let is = |known: &&str| known.as_bytes() == code;
    if VITAL_SIGNS.iter().any(is) {
        return Some(Slot::VITALS);
    }
    SOCIAL_HISTORY.iter().any(is).then_some(Slot::SOCIAL_HISTORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patient_is_cut_into_three_sections() {
        for number in 2..60 {
            let slot = patient_field(number).0;
            assert!((Slot::DEMOGRAPHICS.0..=Slot::IDENTIFIERS.0).contains(&slot), "{number}");
        }
        let slots = [3, 5, 7, 11, 13, 18, 19].map(|n| patient_field(n).name());
        let (i, d, c) = ("identifiers", "demographics", "contact");
        assert_eq!(slots, [i, d, d, c, c, i, i]);
    }

    #[test]
    fn an_unknown_segment_is_in_the_strictest_section() {
        assert_eq!(section(*b"ZPI"), Slot::OTHER);
        assert_eq!(section(*b"pid"), Slot::OTHER);
    }
}
