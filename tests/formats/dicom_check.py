#!/usr/bin/env python3
"""tests/formats/dicom_check.py FOLDER

FOLDER holds for each file a folder with `full.dcm` and its partial views, `<view>.dcm`. Every view
is read by dcmdump, dciodvfy and pydicom; a complaint that the full file does not give, and that
EXPECTED does not name for the view, is a failure. Then dcmodify and pydicom edit each view:
`<view>.dcm` becomes `<view>.dcmodify.dcm` and `<view>.pydicom.dcm` for the caller to merge.

Prints a line for each tool and ends with how many failed. A tool that is not there is skipped.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The attributes of which dciodvfy may say more about a view: those of type 1 that a section took
# along, or that are of type 2 in one kind of object and of type 1 in another.
EXPECTED = {
    "patient": [],
    "pixels": [
        "PixelData",
        "WaveformSequence",
        "Laterality",
        "ContentDate",
        "ContentTime",
        "AcquisitionDateTime",
        "ContentQualification",
        "DimensionIndexSequence",
        "DimensionOrganizationSequence",
        "PerFrameFunctionalGroupsSequence",
        "SharedFunctionalGroupsSequence",
        "PlanePositionSequence",
    ],
    # One that holds text of a person is a note.
    "vendor": ["AcquisitionContextSequence"],
    "study": [
        "Manufacturer",
        "ManufacturerModelName",
        "DeviceSerialNumber",
        "SoftwareVersions",
        "RTPlanLabel",
        "ReferencedStructureSetSequence",
    ],
}

failures = 0


def fail(text):
    global failures
    failures += 1
    print(f"FAILED: {text}")


def run(*command):
    done = subprocess.run(command, capture_output=True, timeout=60)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def complaints(text):
    lines = (re.sub(r"\s+", " ", line) for line in text.splitlines())
    return Counter(line for line in lines if line.startswith(("E:", "F:", "Error")))


def compare(tool, command, folders):
    if shutil.which(command[0]) is None:
        print(f"SKIPPED: {tool} is not installed")
        return
    views = expected = 0
    paths = [p for f in folders for p in [f / "full.dcm", *views_of(f)]]
    with ThreadPoolExecutor() as pool:
        all_said = dict(zip(paths, pool.map(lambda p: complaints(run(*command, str(p))[1]), paths)))
    for folder in folders:
        whole = all_said[folder / "full.dcm"]
        for path in views_of(folder):
            views += 1
            said = all_said[path]
            for line in (said - whole).elements():
                if any(f"<{name}>" in line for name in EXPECTED[path.stem]):
                    expected += 1
                else:
                    fail(f"{tool} on {folder.name}/{path.name}: {line}")
    print(f"{tool}: {views} views, {expected} complaints that were expected")


def views_of(folder):
    views = sorted(folder.glob("*.dcm"))
    return [p for p in views if p.stem != "full" and p.stem.count(".") == 0]


def dcmodify(folders):
    if shutil.which("dcmodify") is None:
        print("SKIPPED: dcmodify is not installed")
        return
    for folder in folders:
        for path in views_of(folder):
            target = path.with_suffix(".dcmodify.dcm")
            shutil.copyfile(path, target)
            code, said = run("dcmodify", "-nb", "-i", "(0020,0013)=4242", str(target))
            if code != 0:
                fail(f"dcmodify on {folder.name}/{path.name}: {said}")
    print("dcmodify: done")


def pydicom(folders):
    if importlib.util.find_spec("pydicom") is None:
        print("SKIPPED: pydicom is not installed")
        return
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    for folder in folders:
        for path in views_of(folder):
            try:
                data = pydicom.dcmread(path)
                str(data)
                data.InstanceNumber = 4242
                data.save_as(path.with_suffix(".pydicom.dcm"))
            except Exception as error:  # any of them is what the test looks for
                fail(f"pydicom on {folder.name}/{path.name}: {error!r}")
    print("pydicom: done")


def main():
    folders = sorted(p for p in Path(sys.argv[1]).iterdir() if p.is_dir())
    compare("dcmdump", ["dcmdump", "-q"], folders)
    compare("dciodvfy", ["dciodvfy"], folders)
    dcmodify(folders)
    pydicom(folders)
    print(f"{failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    os.environ.setdefault("DCMDICTPATH", "/usr/share/libdcmtk17/dicom.dic")
    sys.exit(main())
