"""libreoffice.py FILE OLD NEW   replays the file calls of LibreOffice: it opens a document, marks it
as open by a lock file, holds a lock on it, saves the new text beside it and renames that over it."""

import errno
import fcntl
import os
import secrets
import sys

path, old, new = sys.argv[1:]
folder, name = os.path.split(path)
lock_name = os.path.join(folder, f".~lock.{name}#")


def mark_as_open():
    """A lock file that is there already is somebody else's: the document is opened to be read."""
    try:
        lock = os.open(lock_name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        sys.exit(f"{name} is open elsewhere")
    os.write(lock, b",me,workstation,23.11.2026 09:00,file:///home/me;")
    os.close(lock)


def lock_range(file):
    """Locks are asked for and done without where there are none."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF):
            raise


def save(text, mode):
    """Writes the text into a file of a name of its own, and renames it over the document."""
    temporary = os.path.join(folder, f"lu{os.getpid()}{secrets.token_hex(3)}.tmp")
    file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # A document is written in pieces, and read back before it takes the place of the old one.
        os.pwrite(file, text[:7], 0)
        os.pwrite(file, text[7:], 7)
        os.ftruncate(file, len(text))
        os.fsync(file)
        if os.pread(file, len(text) + 1, 0) != text:
            sys.exit("what was written is not what is read")
        os.fchmod(file, mode & 0o777)
        os.close(file)
        os.rename(temporary, path)
    except OSError as e:
        # The document stays open and unsaved; the copy goes.
        os.unlink(temporary)
        return e
    return None


mark_as_open()
try:
    document = os.open(path, os.O_RDWR)
    lock_range(document)
    status = os.fstat(document)
    text = os.pread(document, status.st_size, 0)
    refused = save(text.replace(old.encode(), new.encode(), 1), status.st_mode)
    # The document that is open is the old one until it is opened again.
    if os.pread(document, status.st_size, 0) != text:
        sys.exit("the open document changed under its reader")
    os.close(document)
finally:
    os.unlink(lock_name)
if refused:
    sys.exit(f"saving failed: {refused}")
