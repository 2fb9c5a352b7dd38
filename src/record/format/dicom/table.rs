//! Which section the attributes of a data set belong to, and what becomes of a hidden one:
//! PS3.3 (modules and types), PS3.6 (numbers).

use super::super::slots::Slot;

/// Where an attribute belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: Slot,
    /// Whether it stays without value where it is hidden: type 2, which must be there.
    pub(super) stays: bool,
}

/// Attributes without which no image or document is one, and that say nothing about a person but
/// which objects belong together.
const FRAME: &[(u32, u32)] = &[
    (0x0008_0005, 0x0008_0008), // SpecificCharacterSet, LanguageCodeSequence, ImageType
    (0x0008_0016, 0x0008_0018), // SOPClassUID, SOPInstanceUID
    (0x0008_0060, 0x0008_0060), // Modality
    (0x0008_0064, 0x0008_0068), // ConversionType, PresentationIntentType
    (0x0008_0201, 0x0008_0201), // TimezoneOffsetFromUTC
    (0x0008_1150, 0x0008_1155), // ReferencedSOPClassUID, ReferencedSOPInstanceUID
    (0x0008_9205, 0x0008_9208), // PixelPresentation … ComplexImageComponent
    (0x0018_0020, 0x0018_0021), // ScanningSequence, SequenceVariant
    (0x0020_000d, 0x0020_000e), // StudyInstanceUID, SeriesInstanceUID
    (0x0020_0011, 0x0020_0011), // SeriesNumber
    (0x0020_0013, 0x0020_0013), // InstanceNumber
    (0x0020_0032, 0x0020_0037), // ImagePositionPatient, ImageOrientationPatient
    (0x0020_0052, 0x0020_0052), // FrameOfReferenceUID
    (0x0028_0002, 0x0028_0034), // SamplesPerPixel … PixelAspectRatio
    (0x0028_0100, 0x0028_0103), // BitsAllocated … PixelRepresentation
    (0x0028_0301, 0x0028_0301), // BurnedInAnnotation
    (0x0028_1040, 0x0028_1041), // PixelIntensityRelationship and its sign
    (0x0028_1052, 0x0028_1054), // RescaleIntercept, RescaleSlope, RescaleType
    (0x0028_1101, 0x0028_1103), // descriptors of the palette
    (0x0028_1201, 0x0028_1223), // the palette
    (0x0028_2110, 0x0028_2114), // LossyImageCompression, its ratio and method
    (0x0040_a040, 0x0040_a040), // ValueType
    (0x0040_a050, 0x0040_a050), // ContinuityOfContent
    (0x0040_a491, 0x0040_a491), // CompletionFlag
    (0x0040_a493, 0x0040_a493), // VerificationFlag
    (0x0040_a504, 0x0040_a504), // ContentTemplateSequence
    (0x0042_0012, 0x0042_0012), // MIMETypeOfEncapsulatedDocument
    (0x2050_0020, 0x2050_0020), // PresentationLUTShape
    (0x300a_000c, 0x300a_000c), // RTPlanGeometry
    (0x300e_0002, 0x300e_0002), // ApprovalStatus
];

/// Attributes of type 2 with their sections.
const STAYING: &[(u32, Slot)] = &[
    (0x0008_0020, Slot::ENCOUNTERS),   // StudyDate
    (0x0008_0023, Slot::IMAGING),      // ContentDate
    (0x0008_0030, Slot::ENCOUNTERS),   // StudyTime
    (0x0008_0033, Slot::IMAGING),      // ContentTime
    (0x0008_0050, Slot::IDENTIFIERS),  // AccessionNumber
    (0x0008_0070, Slot::DEVICES),      // Manufacturer
    (0x0008_0090, Slot::DIRECTORY),    // ReferringPhysicianName
    (0x0008_1111, Slot::PROCEDURES),   // ReferencedPerformedProcedureStepSequence
    (0x0008_1070, Slot::DIRECTORY),    // OperatorsName
    (0x0010_0010, Slot::DEMOGRAPHICS), // PatientName
    (0x0010_0020, Slot::IDENTIFIERS),  // PatientID
    (0x0010_0030, Slot::DEMOGRAPHICS), // PatientBirthDate
    (0x0010_0040, Slot::DEMOGRAPHICS), // PatientSex
    (0x0018_0015, Slot::IMAGING),      // BodyPartExamined
    (0x0018_0022, Slot::IMAGING),      // ScanOptions
    (0x0018_0023, Slot::IMAGING),      // MRAcquisitionType
    (0x0018_0050, Slot::IMAGING),      // SliceThickness
    (0x0018_0060, Slot::IMAGING),      // KVP
    (0x0018_0080, Slot::IMAGING),      // RepetitionTime
    (0x0018_0081, Slot::IMAGING),      // EchoTime
    (0x0018_0082, Slot::IMAGING),      // InversionTime
    (0x0018_0091, Slot::IMAGING),      // EchoTrainLength
    (0x0018_1060, Slot::IMAGING),      // TriggerTime
    (0x0018_5100, Slot::IMAGING),      // PatientPosition
    (0x0018_5101, Slot::IMAGING),      // ViewPosition
    (0x0020_0010, Slot::ENCOUNTERS),   // StudyID
    (0x0020_0012, Slot::IMAGING),      // AcquisitionNumber
    (0x0020_0020, Slot::IMAGING),      // PatientOrientation
    (0x0020_0060, Slot::IMAGING),      // Laterality
    (0x0020_1040, Slot::IMAGING),      // PositionReferenceIndicator
    (0x0040_0555, Slot::IMAGING),      // AcquisitionContextSequence
    (0x0040_a372, Slot::PROCEDURES),   // PerformedProcedureCodeSequence
    (0x0042_0010, Slot::NOTES),        // DocumentTitle
    (0x300a_0006, Slot::PROCEDURES),   // RTPlanDate
    (0x300a_0007, Slot::PROCEDURES),   // RTPlanTime
];

/// The sections of [`STAYING`]: who sees them all knows whether such an attribute is empty.
pub(super) const STAYING_SLOTS: &[Slot] = &[
    Slot::DEMOGRAPHICS,
    Slot::IDENTIFIERS,
    Slot::IMAGING,
    Slot::PROCEDURES,
    Slot::ENCOUNTERS,
    Slot::NOTES,
    Slot::DEVICES,
    Slot::DIRECTORY,
];

/// The other attributes, in spans from first to last; the first span that holds one decides.
const SPANS: &[(u32, u32, Slot)] = &[
    (0x0008_0012, 0x0008_0015, Slot::PROVENANCE), // creation of the instance
    (0x0008_0021, 0x0008_0035, Slot::IMAGING),    // dates and times of series and images
    (0x0008_0051, 0x0008_0051, Slot::IDENTIFIERS), // IssuerOfAccessionNumberSequence
    (0x0008_0061, 0x0008_0063, Slot::ENCOUNTERS), // ModalitiesInStudy
    (0x0008_0080, 0x0008_009d, Slot::DIRECTORY),  // institution and physicians
    (0x0008_0100, 0x0008_0123, Slot::FRAME),      // inside coded entries
    (0x0008_1010, 0x0008_1010, Slot::DEVICES),    // StationName
    (0x0008_1030, 0x0008_1030, Slot::ENCOUNTERS), // StudyDescription
    (0x0008_1032, 0x0008_1032, Slot::PROCEDURES), // ProcedureCodeSequence
    (0x0008_103e, 0x0008_103f, Slot::IMAGING),    // SeriesDescription
    (0x0008_1040, 0x0008_1072, Slot::DIRECTORY),  // department, physicians, operators
    (0x0008_1080, 0x0008_1084, Slot::PROBLEMS),   // admitting diagnoses
    (0x0008_1090, 0x0008_1090, Slot::DEVICES),    // ManufacturerModelName
    (0x0008_1110, 0x0008_1110, Slot::ENCOUNTERS), // ReferencedStudySequence
    (0x0008_1115, 0x0008_1115, Slot::IMAGING),    // ReferencedSeriesSequence
    (0x0008_1120, 0x0008_1120, Slot::IDENTIFIERS), // ReferencedPatientSequence
    (0x0008_1125, 0x0008_1125, Slot::ENCOUNTERS), // ReferencedVisitSequence
    (0x0008_1130, 0x0008_2fff, Slot::IMAGING),    // references, derivation, anatomy
    (0x0008_3001, 0x0008_3012, Slot::IMAGING),    // series and irradiation events
    (0x0008_9000, 0x0008_9fff, Slot::IMAGING),    // enhanced images
    (0x0010_0021, 0x0010_0028, Slot::IDENTIFIERS), // issuer and kind of the patient's number
    (0x0010_0032, 0x0010_0049, Slot::DEMOGRAPHICS),
    (0x0010_0050, 0x0010_0050, Slot::BILLING), // PatientInsurancePlanCodeSequence
    (0x0010_0101, 0x0010_0102, Slot::DEMOGRAPHICS), // language
    (0x0010_0200, 0x0010_0229, Slot::DEMOGRAPHICS), // animal or phantom
    (0x0010_1000, 0x0010_1000, Slot::IDENTIFIERS), // OtherPatientIDs
    (0x0010_1001, 0x0010_1001, Slot::DEMOGRAPHICS), // OtherPatientNames
    (0x0010_1002, 0x0010_1002, Slot::IDENTIFIERS), // OtherPatientIDsSequence
    (0x0010_1005, 0x0010_1010, Slot::DEMOGRAPHICS), // PatientBirthName, PatientAge
    (0x0010_1020, 0x0010_1030, Slot::VITALS),  // size and weight
    (0x0010_1040, 0x0010_1040, Slot::CONTACT), // PatientAddress
    (0x0010_1050, 0x0010_1050, Slot::BILLING), // InsurancePlanIdentification
    (0x0010_1060, 0x0010_1060, Slot::IDENTIFIERS), // PatientMotherBirthName
    (0x0010_1080, 0x0010_1081, Slot::SOCIAL_HISTORY), // military rank
    (0x0010_1090, 0x0010_1100, Slot::IDENTIFIERS), // MedicalRecordLocator
    (0x0010_2000, 0x0010_2000, Slot::DIRECTIVES), // MedicalAlerts
    (0x0010_2110, 0x0010_2110, Slot::ALLERGIES),
    (0x0010_2150, 0x0010_2155, Slot::CONTACT), // residence, telephone
    (0x0010_2160, 0x0010_2161, Slot::DEMOGRAPHICS), // EthnicGroup
    (0x0010_2180, 0x0010_21a0, Slot::SOCIAL_HISTORY), // Occupation, SmokingStatus
    (0x0010_21b0, 0x0010_21b0, Slot::NOTES),   // AdditionalPatientHistory
    (0x0010_21c0, 0x0010_21d0, Slot::REPRODUCTIVE), // PregnancyStatus, LastMenstrualDate
    (0x0010_21f0, 0x0010_21f0, Slot::SOCIAL_HISTORY), // PatientReligiousPreference
    (0x0010_2201, 0x0010_2202, Slot::DEMOGRAPHICS), // species
    (0x0010_2203, 0x0010_2203, Slot::REPRODUCTIVE), // PatientSexNeutered
    (0x0010_2210, 0x0010_2296, Slot::DEMOGRAPHICS), // breed
    (0x0010_2297, 0x0010_2299, Slot::CONTACT), // ResponsiblePerson
    (0x0010_4000, 0x0010_4000, Slot::NOTES),   // PatientComments
    (0x0012_0040, 0x0012_0042, Slot::IDENTIFIERS), // number in a clinical trial
    (0x0012_0062, 0x0012_0064, Slot::PROVENANCE), // de-identification
    (0x0018_1000, 0x0018_101b, Slot::DEVICES), // serial numbers, digitizers
    (0x0018_1020, 0x0018_1020, Slot::DEVICES), // SoftwareVersions
    (0x0018_1030, 0x0018_1030, Slot::PROCEDURES), // ProtocolName
    (0x0018_1200, 0x0018_1203, Slot::DEVICES), // calibration
    (0x0018_4000, 0x0018_4000, Slot::NOTES),   // AcquisitionComments
    (0x0018_a001, 0x0018_a001, Slot::DEVICES), // ContributingEquipmentSequence
    (0x0020_4000, 0x0020_4000, Slot::NOTES),   // ImageComments
    (0x0028_4000, 0x0028_4000, Slot::NOTES),   // ImagePresentationComments
    (0x0032_1030, 0x0032_1030, Slot::PROBLEMS), // ReasonForStudy
    (0x0032_1031, 0x0032_1034, Slot::DIRECTORY), // who asks for the study
    (0x0032_1066, 0x0032_1067, Slot::PROBLEMS), // ReasonForVisit
    (0x0032_4000, 0x0032_4000, Slot::NOTES),   // StudyComments
    (0x0038_0010, 0x0038_0014, Slot::IDENTIFIERS), // AdmissionID
    (0x0038_0050, 0x0038_0050, Slot::DIRECTIVES), // SpecialNeeds
    (0x0038_0060, 0x0038_0064, Slot::IDENTIFIERS), // ServiceEpisodeID
    (0x0038_0062, 0x0038_0062, Slot::ENCOUNTERS), // ServiceEpisodeDescription
    (0x0038_0100, 0x0038_0100, Slot::NOTES),   // PertinentDocumentsSequence
    (0x0038_0400, 0x0038_0400, Slot::CONTACT), // PatientInstitutionResidence
    (0x0038_0500, 0x0038_0502, Slot::PROBLEMS), // PatientState
    (0x0038_4000, 0x0038_4000, Slot::NOTES),   // VisitComments
    (0x0040_0006, 0x0040_0006, Slot::DIRECTORY), // ScheduledPerformingPhysicianName
    (0x0040_000b, 0x0040_000b, Slot::DIRECTORY), // ScheduledPerformingPhysicianIdentification…
    (0x0040_0001, 0x0040_0220, Slot::APPOINTMENTS), // scheduled steps
    (0x0040_0275, 0x0040_0275, Slot::APPOINTMENTS), // RequestAttributesSequence
    (0x0040_0280, 0x0040_0280, Slot::NOTES),   // CommentsOnThePerformedProcedureStep
    (0x0040_0310, 0x0040_0310, Slot::NOTES),   // CommentsOnRadiationDose
    (0x0040_0241, 0x0040_03ff, Slot::PROCEDURES), // performed steps
    (0x0040_0400, 0x0040_0400, Slot::NOTES),   // CommentsOnTheScheduledProcedureStep
    (0x0040_0440, 0x0040_0450, Slot::PROCEDURES), // protocol context
    (0x0040_0500, 0x0040_07ff, Slot::LABS),    // specimens
    (0x0040_08d8, 0x0040_08ea, Slot::IMAGING), // spacing, units
    (0x0040_1010, 0x0040_1011, Slot::DIRECTORY), // intended recipients
    (0x0040_1002, 0x0040_1002, Slot::PROBLEMS), // ReasonForTheRequestedProcedure
    (0x0040_100a, 0x0040_100a, Slot::PROBLEMS), // ReasonForRequestedProcedureCodeSequence
    (0x0040_1008, 0x0040_1008, Slot::OTHER),   // ConfidentialityCode
    (0x0040_1101, 0x0040_1104, Slot::DIRECTORY), // identification of persons
    (0x0040_1400, 0x0040_1400, Slot::NOTES),   // RequestedProcedureComments
    (0x0040_1001, 0x0040_1fff, Slot::PROCEDURES), // requested procedure
    (0x0040_2001, 0x0040_2001, Slot::PROBLEMS), // ReasonForTheImagingServiceRequest
    (0x0040_2008, 0x0040_2011, Slot::DIRECTORY), // who entered the order
    (0x0040_2016, 0x0040_2017, Slot::IDENTIFIERS), // numbers of the order
    (0x0040_2400, 0x0040_2400, Slot::NOTES),   // ImagingServiceRequestComments
    (0x0040_2002, 0x0040_2fff, Slot::PROCEDURES),
    (0x0040_4000, 0x0040_4fff, Slot::PROCEDURES), // work items
    (0x0040_8302, 0x0040_9fff, Slot::IMAGING),    // dose, real world values
    (0x0040_a073, 0x0040_a07c, Slot::DIRECTORY),  // observers, participants, custodian
    (0x0040_a075, 0x0040_a075, Slot::DIRECTORY),  // VerifyingObserverName
    (0x0040_a123, 0x0040_a124, Slot::DIRECTORY),  // PersonName
    (0x0040_a370, 0x0040_a370, Slot::PROCEDURES), // ReferencedRequestSequence
    (0x0040_a375, 0x0040_a385, Slot::IMAGING),    // evidence
    (0x0040_a160, 0x0040_a160, Slot::NOTES),      // TextValue
    (0x0040_a000, 0x0040_afff, Slot::LABS),       // structured reports
    (0x0040_db00, 0x0040_dbff, Slot::FRAME),      // templates
    (0x0070_0001, 0x0070_0006, Slot::NOTES),      // text on the image
    (0x0070_0081, 0x0070_0081, Slot::NOTES),      // ContentDescription
    (0x0070_0084, 0x0070_0086, Slot::DIRECTORY),  // ContentCreatorName
    (0x0088_0904, 0x0088_0912, Slot::NOTES),      // topics
    (0x0400_0500, 0x0400_0520, Slot::OTHER),      // EncryptedAttributesSequence
    (0x300e_0008, 0x300e_0008, Slot::DIRECTORY),  // ReviewerName
    (0xfffa_fffa, 0xfffa_fffa, Slot::WHOLE),      // DigitalSignaturesSequence
    (0xfffc_fffc, 0xfffc_fffc, Slot::WHOLE),      // DataSetTrailingPadding
];

/// Groups of which every attribute belongs to one section.
const GROUPS: &[(u32, u32, Slot)] = &[
    (0x0018, 0x0018, Slot::IMAGING), // acquisition
    (0x0020, 0x0028, Slot::IMAGING), // place and kind of the image
    (0x0032, 0x0032, Slot::PROCEDURES),
    (0x0038, 0x0038, Slot::ENCOUNTERS),
    (0x003a, 0x003a, Slot::IMAGING), // waveforms
    (0x0042, 0x0042, Slot::NOTES),   // encapsulated documents
    (0x0044, 0x0044, Slot::MEDICATIONS),
    (0x0046, 0x0048, Slot::IMAGING), // ophthalmic and microscopic measurements
    (0x0050, 0x0050, Slot::DEVICES),
    (0x0052, 0x0066, Slot::IMAGING),
    (0x0068, 0x0068, Slot::DEVICES), // implants
    (0x0070, 0x0072, Slot::IMAGING), // presentation
    (0x0074, 0x0074, Slot::PROCEDURES),
    (0x0076, 0x0078, Slot::DEVICES),
    (0x0080, 0x0088, Slot::IMAGING),
    (0x0400, 0x0400, Slot::PROVENANCE), // signatures, earlier values
    (0x3002, 0x3006, Slot::IMAGING),    // dose, structures
    (0x3008, 0x300c, Slot::PROCEDURES), // radiotherapy
    (0x300e, 0x300e, Slot::PROVENANCE),
    (0x4008, 0x4008, Slot::NOTES), // results
    (0x5000, 0x5600, Slot::IMAGING),
    (0x6000, 0x60ff, Slot::IMAGING), // overlays
    (0x7fe0, 0x7fe0, Slot::IMAGING), // pixels
];

/// Persons' names, which are no text to look for words in.
const NAMES: &[u32] = &[
    0x0008_0090,
    0x0008_009c,
    0x0008_1048,
    0x0008_1050,
    0x0008_1060,
    0x0008_1070,
    0x0010_0010,
    0x0010_1001,
    0x0010_1005,
    0x0010_1060,
    0x0010_2297,
    0x0032_1032,
    0x0040_0006,
    0x0040_1010,
    0x0040_2008,
    0x0040_a075,
    0x0040_a123,
    0x0070_0084,
    0x300e_0008,
];

/// Finds where an attribute belongs.
pub(super) fn place(tag: u32) -> Place {
    let gone = |slot| Place { slot, stays: false };
    let (group, element) = (tag >> 16, tag & 0xffff);
    if group % 2 == 1 {
        return gone(Slot::OTHER);
    }
    if element == 0 {
        // The length of a group tells how much of it is hidden.
        return gone(Slot::WHOLE);
    }
    let inside = |&&(first, last): &&(u32, u32)| (first..=last).contains(&tag);
    if FRAME.iter().any(|span| inside(&span)) {
        return gone(Slot::FRAME);
    }
    if let Some(&(_, slot)) = STAYING.iter().find(|row| row.0 == tag) {
        return Place { slot, stays: true };
    }
    let span = SPANS.iter().find(|&&(first, last, _)| (first..=last).contains(&tag));
    let group = || GROUPS.iter().find(|&&(first, last, _)| (first..=last).contains(&group));
    gone(span.or_else(group).map_or(Slot::OTHER, |row| row.2))
}

/// Says whether an attribute is a person's name.
pub(super) fn is_name(tag: u32) -> bool {
    NAMES.contains(&tag)
}

/// Says whether an attribute is the data of an image, overlay, curve or waveform.
pub(super) fn is_image_data(tag: u32) -> bool {
    matches!(tag >> 16, 0x0028 | 0x5000..=0x5600 | 0x6000..=0x60ff | 0x7fe0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_has_a_section_that_is_said_to_have_some() {
        for &(tag, slot) in STAYING {
            assert!(STAYING_SLOTS.contains(&slot), "{tag:08x}");
            assert_eq!(place(tag), Place { slot, stays: true });
        }
    }

    #[test]
    fn private_and_unknown_attributes_are_in_the_strictest_section() {
        for tag in [0x0009_0010, 0x0029_1010, 0x0008_0fff, 0x0010_9999, 0x4010_1001, 0x0002_0001] {
            assert_eq!(place(tag).slot, Slot::OTHER, "{tag:08x}");
        }
        for tag in [0x0008_0000, 0x7fe0_0000, 0xfffc_fffc] {
            assert_eq!(place(tag).slot, Slot::WHOLE, "{tag:08x}");
        }
    }

    #[test]
    fn the_attributes_of_a_patient_are_where_the_others_formats_have_them() {
        let rows = [
            (0x0010_0010, Slot::DEMOGRAPHICS),
            (0x0010_1000, Slot::IDENTIFIERS),
            (0x0010_1040, Slot::CONTACT),
            (0x0010_2154, Slot::CONTACT),
            (0x0010_2110, Slot::ALLERGIES),
            (0x0008_1080, Slot::PROBLEMS),
            (0x0010_21a0, Slot::SOCIAL_HISTORY),
            (0x0010_21c0, Slot::REPRODUCTIVE),
            (0x0040_0275, Slot::APPOINTMENTS),
            (0x0008_0080, Slot::DIRECTORY),
            (0x0018_1000, Slot::DEVICES),
            (0x7fe0_0010, Slot::IMAGING),
            (0x0040_a730, Slot::LABS),
        ];
        for (tag, slot) in rows {
            assert_eq!(place(tag).slot, slot, "{tag:08x}");
        }
    }
}
