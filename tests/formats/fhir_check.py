#!/usr/bin/env python3
"""tests/formats/fhir_check.py FOLDER

Reads every FOLDER/N.view.json beside FOLDER/N.full.json, the file it is a view of, with the PyPI package
fhir.resources, as R4B or as the version that takes the file, and tells the views that it refuses while
it takes the file. Lines of N.view.ndjson are read one by one. Prints SKIPPED when this Python does not
have the package; tests/run has one that does.
"""

import json
import sys
from pathlib import Path


def package_or_skip():
    try:
        import fhir.resources  # noqa: F401
    except ImportError:
        print("SKIPPED: views of FHIR with fhir.resources: the package is not there")
        sys.exit(0)


def versions():
    from fhir.resources import get_fhir_model_class as r5
    from fhir.resources.R4B import get_fhir_model_class as r4b

    return [r4b, r5]


def refusal(version, value):
    """Returns why a resource is refused; None when it is taken."""
    try:
        version(value["resourceType"]).model_validate(value)
    except Exception as error:  # noqa: BLE001 whatever it is, the resource is not taken
        return " ".join(str(error).split())[:300]
    return None


def resources(path):
    text = path.read_text(encoding="utf-8-sig")
    parts = text.splitlines() if path.suffix == ".ndjson" else [text]
    return [json.loads(part) for part in parts if part.strip()]


def main(folder):
    package_or_skip()
    checked, bad = 0, []
    for full in sorted(folder.glob("*.full.*json")):
        taken = [v for v in versions() if not any(refusal(v, r) for r in resources(full))]
        if not taken:
            continue
        number = full.name.split(".")[0]
        for view in sorted(folder.glob(f"{number}.view*{full.suffix}")):
            checked += 1
            why = [refusal(taken[0], resource) for resource in resources(view)]
            bad += [f"{view.name}: {reason}" for reason in why if reason]
    # The check can fail.
    assert refusal(versions()[0], {"resourceType": "Composition", "title": 7})
    print(f"fhir.resources: {checked} views, {len(bad)} refused")
    print("\n".join(bad[:20]))
    sys.exit(1 if bad or not checked else 0)


main(Path(sys.argv[1]))
