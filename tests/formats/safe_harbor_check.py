#!/usr/bin/env python3
"""tests/formats/safe_harbor_check.py FOLDER

Reads every twin in FOLDER, which a researcher would read, with programs that did not make it: json,
xml and tomllib of Python, PyYAML, hl7, pydicom, fhir.resources. Beside each file stands its source,
`-source` behind its name: a FHIR resource that is not valid itself may have a twin that is none. Says
how many were read by each, and what it skipped; ends with 1 when one could not be read.
"""

import importlib
import json
import sys
import xml.etree.ElementTree as tree
from collections import Counter
from pathlib import Path

counts, failed = Counter(), []


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"SKIPPED: {name}: not installed")
        return None


tomllib, yaml, hl7, pydicom = map(module, ["tomllib", "yaml", "hl7", "pydicom"])
fhir = module("fhir.resources.R4B")


def resource(text, source):
    value, was = json.loads(text), json.loads(source)
    counts["json"] += 1
    if fhir is None:
        return
    try:
        model = fhir.get_fhir_model_class(was["resourceType"])
        model.model_validate(was)
    except Exception:
        return
    model.model_validate(value)
    counts["fhir.resources"] += 1


def read(file):
    data = file.read_bytes()
    source = Path(f"{file}-source").read_bytes()
    text = data.decode("utf-8-sig", errors="replace")
    old = source.decode("utf-8-sig", errors="replace")
    match file.suffix:
        case ".json":
            json.loads(text)
            counts["json"] += 1
        case ".fhir":
            resource(text, old)
        case ".ndjson":
            lines = [[line for line in t.splitlines() if line.strip()] for t in (text, old)]
            assert len(lines[0]) == len(lines[1]), "it has other lines"
            for line, was in zip(*lines):
                resource(line, was)
        case ".xml":
            tree.fromstring(data)
            counts["xml"] += 1
        case ".toml" if tomllib:
            tomllib.loads(text)
            counts["tomllib"] += 1
        case ".yaml" if yaml:
            yaml.safe_load(text)
            counts["PyYAML"] += 1
        case ".hl7" if hl7:
            plain = text.strip("\x0b\x1c\r\n").replace("\r\n", "\r").replace("\n", "\r")
            is_usual = plain.startswith("MSH|^~\\&|") and "\rMSH" not in plain
            if is_usual and "\rBTS" not in plain:
                hl7.parse(plain)
                counts["hl7"] += 1
        case ".dcm" if pydicom:
            str(pydicom.dcmread(file))
            counts["pydicom"] += 1


for file in sorted(Path(sys.argv[1]).iterdir()):
    if file.suffix.endswith("-source"):
        continue
    try:
        read(file)
    except Exception as error:
        failed.append(f"{file.name}: {type(error).__name__}: {str(error)[:300]}")
print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
print("\n".join(failed))
sys.exit(1 if failed else 0)
