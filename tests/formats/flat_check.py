#!/usr/bin/env python3
"""tests/formats/flat_check.py DIR

Reads every file of DIR, each a view of a part of a record, with programs that did not make it: TOML
with tomllib, YAML with PyYAML. Says how many of each were read; ends with 1 when one could not be.
"""

import sys
from pathlib import Path

try:
    import tomllib
except ImportError:
    tomllib = None
try:
    import yaml
except ImportError:
    yaml = None


def read_toml(data):
    # tomllib refuses a byte order mark, which TOML allows.
    tomllib.loads(data.decode("utf-8-sig"))


def read_yaml(data):
    found = yaml.safe_load(data)
    if found is not None and not isinstance(found, dict):
        raise ValueError("it is no mapping")


READERS = {
    ".toml": ("tomllib", tomllib, read_toml),
    ".yaml": ("PyYAML", yaml, read_yaml),
}


def main():
    failed = 0
    for suffix, (name, module, read) in READERS.items():
        files = sorted(Path(sys.argv[1]).glob(f"*{suffix}"))
        if module is None:
            print(f"SKIPPED: {len(files)} views of {suffix}: {name} is not installed")
            continue
        for file in files:
            try:
                read(file.read_bytes())
            except Exception as e:
                print(f"FAILED: {file.name}: {e}: {file.read_bytes()!r}")
                failed += 1
        print(f"ok: {name} read {len(files)} views of {suffix}")
    return 1 if failed else 0


sys.exit(main())
