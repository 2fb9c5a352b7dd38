#!/usr/bin/env python3
"""tests/formats/hl7_check.py FOLDER

Reads every FOLDER/N.view beside FOLDER/N.full, the file it is a view of, with the PyPI packages hl7
and hl7apy, and says how many views a reader refuses that takes the file. Prints SKIPPED when
this Python does not have the packages; tests/run has one that does.
"""

import functools
import re
import sys
from pathlib import Path


def packages_or_skip():
    try:
        import hl7  # noqa: F401
        import hl7apy  # noqa: F401
    except ImportError:
        print("SKIPPED: views of HL7 v2 with other readers: the packages hl7 and hl7apy are not there")
        sys.exit(0)


def messages(data):
    """Cuts a file into messages with the line ends of the standard, as an interface engine does."""
    text = data.decode("utf-8", errors="surrogateescape").lstrip("\ufeff")
    text = re.sub("[\r\n\x0b\x1c]+", "\r", text).strip("\r")
    parts = re.split(r"\r(?=MSH)", text)
    return [re.sub(r"\r(BTS|FTS)[^\r]*", "", part) + "\r" for part in parts if part[:3] == "MSH"]


def with_hl7(text):
    import hl7

    parsed = hl7.parse(text)
    # The package takes blanks off the end of a message.
    printed, given = str(parsed).strip().split("\r"), text.strip().split("\r")
    other = [pair for pair in zip(printed, given) if pair[0] != pair[1]]
    assert not other and len(printed) == len(given), f"it is printed otherwise: {other[:1]}"
    assert parsed.segment("MSH") is not None


def with_hl7apy(text):
    from hl7apy.parser import parse_message

    parsed = parse_message(text, find_groups=False, force_validation=False)
    assert len(parsed.children) == len(text.strip("\r").split("\r")), "segments are missing"


@functools.lru_cache(maxsize=64)
def takes(reader, data):
    try:
        for message in messages(data):
            reader(message)
    except Exception as error:  # A reader may fail in any way.
        return f"{type(error).__name__}: {error}"
    return None


def main():
    packages_or_skip()
    counts, failed = {}, 0
    for view in sorted(Path(sys.argv[1]).glob("*.view")):
        shown, full = view.read_bytes(), view.with_suffix(".full").read_bytes()
        if len(messages(shown)) != len(messages(full)):
            print(f"FAILED: {view.name} has another number of messages")
            failed += 1
        for reader in (with_hl7, with_hl7apy):
            name = reader.__name__
            read, of = counts.get(name, (0, 0))
            if takes(reader, full) is not None:
                continue
            why = takes(reader, shown)
            if why is not None:
                print(f"FAILED: {view.name} {name}: {why}")
                failed += 1
            counts[name] = (read + (why is None), of + 1)
    for name, (read, of) in sorted(counts.items()):
        print(f"ok: {name} took {read} of {of} views of files that it takes")
    if not counts:
        print("FAILED: no view was read")
    sys.exit(1 if failed or not counts else 0)


if __name__ == "__main__":
    main()
