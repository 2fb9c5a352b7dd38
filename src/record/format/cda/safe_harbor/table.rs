//! The names of elements, attributes and templates that are released.

pub(super) const NULL_FLAVORS: [&str; 12] =
    ["ASKU", "DER", "INV", "MSK", "NA", "NASK", "NAV", "NI", "OTH", "PINF", "QS", "UNK"];
/// Templates whose identifiers are released: those of HL7, IHE and DS4P.
pub(super) const TEMPLATES: [&str; 5] = [
    "2.16.840.1.113883.10.20.",
    "1.3.6.1.4.1.19376.",
    "2.16.840.1.113883.3.3251.",
    "2.16.840.1.113883.3.88.",
    "1.2.840.10008.9.",
];
/// Namespaces that are released as they are.
pub(super) const NAMESPACES: [&str; 2] = ["urn:hl7-org:", "http://www.w3.org/"];

/// Elements that hold others, with white space between their names.
pub(super) const STRUCTURE: &str = "\
    act alternateIdentification asOrganizationPartOf assignedAuthor assignedAuthoringDevice \
    assignedCustodian assignedEntity assignedPerson associatedEntity associatedPerson \
    authenticator author authorization birthplace bodyStructure component componentOf consent \
    consumable criterion custodian dataEnterer documentationOf encompassingEncounter encounter \
    encounterParticipant entry entryRelationship event externalAct externalDocument \
    externalObservation externalProcedure guardian guardianPerson healthCareFacility \
    identifiedBy inFulfillmentOf informant informationRecipient intendedRecipient \
    languageCommunication legalAuthenticator location maintainedEntity manufacturedLabeledDrug \
    manufacturedMaterial manufacturedProduct manufacturerOrganization nonXMLBody observation \
    observationMedia observationRange order organizer parentDocument participant \
    participantRole patient patientRole performer place playingDevice playingEntity \
    precondition procedure product providerOrganization receivedOrganization recordTarget \
    reference referenceRange relatedDocument relatedEntity relatedPerson relatedSubject \
    representedCustodianOrganization representedOrganization responsibleParty scopingEntity \
    section serviceEvent serviceProviderOrganization specimen specimenPlayingEntity \
    specimenRole structuredBody subject substanceAdministration supply wholeOrganization";
/// Elements with a time, or with parts that have one.
pub(super) const TIMES: [&str; 9] = [
    "availabilityTime",
    "awarenessTime",
    "birthTime",
    "deceasedTime",
    "effectiveTime",
    "expirationTime",
    "time",
    "useablePeriod",
    "validTime",
];
pub(super) const QUANTITIES: [&str; 11] = [
    "denominator",
    "doseCheckQuantity",
    "doseQuantity",
    "expectedUseTime",
    "maxDoseQuantity",
    "multipleBirthOrderNumber",
    "numerator",
    "quantity",
    "rateQuantity",
    "repeatNumber",
    "sequenceNumber",
];
pub(super) const FLAGS: [&str; 6] = [
    "deceasedInd",
    "independentInd",
    "multipleBirthInd",
    "preferenceInd",
    "seperatableInd",
    "uncertaintyInd",
];
/// Codes whose element says of which system they are.
pub(super) const OWN_SYSTEM: [&str; 8] = [
    "confidentialityCode",
    "languageCode",
    "modeCode",
    "moodCode",
    "proficiencyLevelCode",
    "realmCode",
    "signatureCode",
    "statusCode",
];
/// Attributes of elements that hold others.
pub(super) const ATTRIBUTES: [&str; 11] = [
    "classCode",
    "contextConductionInd",
    "contextControlCode",
    "determinerCode",
    "inversionInd",
    "moodCode",
    "negationInd",
    "typeCode",
    "institutionSpecified",
    "operator",
    "xsi:type",
];
/// Codes of an age, of which the value is a number without a unit.
pub(super) const AGES: [&str; 6] =
    ["30525-0", "21612-7", "29553-5", "397659008", "424144002", "445518008"];
