"""The records that are filed, and the comparison of what was with what is."""

import json
import os

# What an edit changes: everybody who edits sees and may write the medications.
OPEN = ("take-10-mg", "take-20-mg-at-night")
# Who edits sees the birthday, and only the records office and the patient may write it.
CLOSED = ("1961-02-03", "1962-03-04")

# A bundle as programs of several makers left it: no two entries are laid out alike, and what one
# person sees lies between what is hidden from him.
BUNDLE = """{
  "resourceType": "Bundle",
  "type": "collection",
  "entry": [
    {"fullUrl": "urn:x:1", "resource": {"resourceType": "Patient", "id": "1",
      "identifier": [{"system": "urn:example:mrn", "value": "MRN-1"}],
      "name": [{"family": "Abernox", "given": ["Cendra"]}],
      "birthDate": "1961-02-03",
      "telecom": [ {"system": "phone", "value": "555-0001"} ]}},
    {"fullUrl":"urn:x:2","resource":{"resourceType":"Claim","id":"2","status":"active","total":{"value":120.50}}},
    {
        "fullUrl": "urn:x:3",
        "resource": {
            "resourceType": "MedicationRequest",
            "status": "active",
            "dosageInstruction": [{"text": "take-10-mg"}]
        }
    },
    {"fullUrl": "urn:x:4", "resource": {"resourceType": "DocumentReference", "id": "4",
\t"meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}]},
\t"description": "Spoke of childhood \\u2013 gr\\u00fc\\u00df"}},
    {"fullUrl": "urn:x:5", "resource": {"resourceType": "Condition", "id": "5",
       "code": {"coding": [{"system": "http://snomed.info/sct", "code": "370143000",
                            "display": "Major depressive disorder"}]}}},
    { "fullUrl": "urn:x:6", "resource": { "resourceType": "AllergyIntolerance", "criticality": "high" } },
    {"fullUrl": "urn:x:7", "resource": {"resourceType": "Observation", "category": [{"coding": [{"code": "laboratory"}]}],
       "valueQuantity": {"value": 1.10e0, "unit": "mg/dL"}}},
    {"fullUrl": "urn:x:8", "resource": {"resourceType": "Coverage", "payor": [{"display": "Exämple Mutual"}]}}
  ]
}
"""

# A plain file of a program that knows nothing of sections.
PLAIN = """{ "name": "Cendra Abernox",  "birth_date": "1961-02-03",
  "billing": {"insurer": "Exämple Mutual", "open_claims":2},
  "medications": [{"name": "lisinopril", "dose": "take-10-mg"}],
\t"mental_health": ["recurrent depression, in remission"],
  "allergies": ["penicillin"],
  "labs": {"creatinine_mg_dl": 0.80}
}
"""

RECORDS = {"record.json": BUNDLE, "summary.json": PLAIN}


def elements(text):
    """Returns the elements of a record as they are written: the entries of a bundle by their
    address, the members of a plain file by their name."""
    whole = json.loads(text)
    keys = [e["fullUrl"] for e in whole["entry"]] if "entry" in whole else list(whole)
    at = text.index('"entry"') + len('"entry"') if "entry" in whole else 0
    found = {}
    for key in keys:
        if "entry" in whole:
            at = text.index("{", at)
        else:
            at = text.index(":", text.index(json.dumps(key), at)) + 1
            at += len(text[at:]) - len(text[at:].lstrip())
        _, end = json.JSONDecoder().raw_decode(text, at)
        found[key] = text[at:end]
        at = end
    return found


def same_bytes(expected, text):
    """Says where a text differs that must be the same in every byte."""
    if text == expected:
        return None
    at = len(os.path.commonprefix([expected, text]))
    start = max(0, at - 20)
    return f"at {at} expected {expected[start:at + 40]!r}, found {text[start:at + 40]!r}"


def same_but_layout(expected, text, seen):
    """Says what differs, when the program lays out anew what it saw: the elements stand in the
    same order and say the same, and those that the program did not see are the same in every byte."""
    was, now = elements(expected), elements(text)
    if list(was) != list(now):
        return f"expected {list(was)}, found {list(now)}"
    hidden = [key for key in was if key not in elements(seen)]
    for key in was:
        if json.loads(was[key]) != json.loads(now[key]):
            return f"{key}: expected {was[key]!r}, found {now[key]!r}"
        if key in hidden and was[key] != now[key]:
            return f"{key} is hidden: {same_bytes(was[key], now[key])}"
    return None
