"""mirth_reader.py FOLDER DONE COPIES   replays the file calls of an integration engine's file reader: it
polls a folder, skips what is hidden, unreadable or still being written, reads each file by the size
that it was told, hands it on (into COPIES), and moves it to DONE; where that cannot be, it copies
and deletes; where even that cannot be, it leaves a mark, so as not to read the file again."""

import os
import shutil
import sys
import time

folder, done, copies = sys.argv[1:]
YOUNGEST_S = 1.0


def candidates():
    """What a poll finds, oldest first."""
    found = []
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith(".") or name.endswith(".ignore"):
            continue
        if not os.path.isfile(path) or not os.access(path, os.R_OK):
            continue
        status = os.stat(path)
        if os.path.exists(path + ".ignore"):
            continue
        found.append((status.st_mtime_ns, name, status))
    return sorted(found, key=lambda f: f[:2])


def read(path, size):
    """Reads just as many bytes as the size was; fewer or more are an error."""
    with open(path, "rb", buffering=0) as file:
        text = b""
        while len(text) < size:
            piece = file.read(size - len(text))
            if not piece:
                sys.exit(f"{path}: {size} bytes were announced, {len(text)} came")
            text += piece
        if file.read(1):
            sys.exit(f"{path}: more than {size} bytes came")
    return text


def move(path, target):
    """Deletes what is in the way, renames, and copies where that is refused."""
    if os.path.exists(target):
        os.unlink(target)
    try:
        os.rename(path, target)
    except OSError:
        shutil.copyfile(path, target)
        os.unlink(path)


waiting = True
failed = []
while waiting:
    waiting = False
    for mtime_ns, name, status in candidates():
        if time.time() - mtime_ns / 1e9 < YOUNGEST_S:
            waiting = True
            continue
        path = os.path.join(folder, name)
        text = read(path, status.st_size)
        with open(os.path.join(copies, name), "wb") as copy:
            copy.write(text)
        try:
            move(path, os.path.join(done, name))
        except OSError as e:
            failed.append(str(e))
            with open(path + ".ignore", "wb"):
                pass
    if waiting:
        time.sleep(0.1)
sys.exit("\n".join(failed) or 0)
