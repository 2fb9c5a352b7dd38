#!/usr/bin/env python3
"""tests/formats/csv_check.py FOLDER

Reads every file of FOLDER, each a view of a part of a table, with programs that did not make it: the
csv module of Python, Miller, csvkit. The ending of a file says how its cells are separated. Says how
many were read by each; ends with 1 when one could not be, or when two readers found other cells.
"""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

SEPARATORS = {".comma": ",", ".tab": "\t", ".semicolon": ";", ".bar": "|"}


def with_python(file, separator):
    text = file.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    rows = [row for row in rows if row]
    widths = {len(row) for row in rows}
    assert len(widths) <= 1, f"its rows have {sorted(widths)} cells"
    return rows


def with_miller(file, separator):
    command = ["mlr", "--icsv", "--ojson", "--ifs", separator, "--implicit-csv-header", "cat", file]
    ran = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")
    found = json.loads(ran.stdout or "[]")
    return len(found), {len(row) for row in found}


def with_csvkit(file, separator):
    command = [sys.executable, "-m", "csvkit.utilities.csvstat", "--count", "--delimiter", separator,
               "--no-header-row", file]
    ran = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")


def main():
    files = [f for f in sorted(Path(sys.argv[1]).iterdir()) if f.stat().st_size]
    counts = {"Python csv": 0, "Miller": 0, "csvkit": 0}
    failed = 0
    has_miller = shutil.which("mlr") is not None
    try:
        import csvkit  # noqa: F401
        has_csvkit = True
    except ImportError:
        has_csvkit = False
    for file in files:
        separator = SEPARATORS[file.suffix]
        try:
            rows = with_python(file, separator)
            counts["Python csv"] += 1
            data = file.read_bytes()
            # Miller reads line ends of one kind, and no lone carriage returns.
            plain = b"\r" not in data.replace(b"\r\n", b"") and b"\n\n" not in data
            if has_miller and plain and b"\r\n\r\n" not in data:
                count, widths = with_miller(file, separator)
                assert count == len(rows) and widths <= {len(row) for row in rows}, (count, widths)
                counts["Miller"] += 1
            if has_csvkit and plain and len(rows) > 1 and counts["csvkit"] < 20:
                with_csvkit(file, separator)
                counts["csvkit"] += 1
        except Exception as e:
            print(f"FAILED: {file.name}: {e}: {file.read_bytes()[:300]!r}")
            failed += 1
    for name, count in counts.items():
        print(f"{name} read {count} of {len(files)} views of tables")
    if not has_miller:
        print("SKIPPED: views of tables with Miller: mlr is not installed")
    if not has_csvkit:
        print("SKIPPED: views of tables with csvkit: the package is not installed")
    return 1 if failed else 0


sys.exit(main())
