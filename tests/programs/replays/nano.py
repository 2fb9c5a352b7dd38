"""nano.py FILE OLD NEW [OPTION...]   lets nano, on a terminal, put NEW in the place of OLD, save and leave.

Exits with 1 when nano says that it could not save."""

import os
import pty
import select
import sys
import time

path, old, new, *options = sys.argv[1:]
DELETE, SAVE, LEAVE = b"\x04", b"\x13", b"\x18"


def position():
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if old in line:
                return f"+{number},{line.index(old) + 1}"
    sys.exit(f"{old} is not in {path}")


def screen(terminal, until, quiet_s=20):
    """Reads what nano shows until one of the words is in it, or nano is gone."""
    shown, end = b"", time.monotonic() + quiet_s
    while not any(word in shown for word in until):
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            sys.exit(f"nano shows nothing more: {shown!r}")
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
    return shown


place = position()
pid, terminal = pty.fork()
if pid == 0:
    os.execvp("nano", ["nano", "--ignorercfiles", *options, place, path])
screen(terminal, [b"Exit"])
os.write(terminal, DELETE * len(old) + new.encode())
os.write(terminal, SAVE)
said = screen(terminal, [b"Wrote", b"Error", b"rror "])
failed = b"rror" in said
# A text that is not saved is asked about: no, it need not be.
os.write(terminal, LEAVE + (b"n" if failed else b""))
try:
    while os.read(terminal, 65536):
        pass
except OSError:
    pass
os.waitpid(pid, 0)
sys.exit(f"nano: {said[-200:]!r}" if failed else 0)
