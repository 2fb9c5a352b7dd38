"""openemr_importer.py INBOX ARCHIVE RESULTS   replays the file calls of an importer of laboratory results:
it lists the inbox, reads each file as a whole, files the result, copies the text into the archive
and unlinks it; an empty file is logged and left."""

import os
import sys

inbox, archive, results = sys.argv[1:]
names = []
with os.scandir(inbox) as listing:
    for entry in listing:
        if not entry.name.startswith("."):
            names.append(entry.name)
failed = []
for name in sorted(names):
    path = os.path.join(inbox, name)
    try:
        with open(path, "rb") as file:
            text = file.read()
        if not text:
            print(f"{name} is empty")
            continue
        with open(results, "ab") as file:
            file.write(text)
        with open(os.path.join(archive, name), "wb") as file:
            file.write(text)
        os.unlink(path)
    except OSError as e:
        failed.append(str(e))
sys.exit("\n".join(failed) or 0)
