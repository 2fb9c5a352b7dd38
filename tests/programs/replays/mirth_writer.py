"""mirth_writer.py FOLDER NAME TEXT beside|into|append   replays the file calls of an integration engine's
file writer: a new text beside the file that is renamed to it, or into it, or behind what it holds."""

import os
import sys

folder, name, text, how = sys.argv[1:]
path = os.path.join(folder, name)
# The folder is made when it is not there, and asked about first.
if not os.path.isdir(folder):
    os.makedirs(folder)


def write(target, flags):
    """Writes as a buffered stream does, and takes what close says for true."""
    file = os.open(target, os.O_WRONLY | os.O_CREAT | flags, 0o666)
    try:
        for at in range(0, len(text), 8192):
            os.write(file, text[at:at + 8192].encode())
    finally:
        os.close(file)


try:
    if how == "beside":
        temporary = path + ".tmp"
        write(temporary, os.O_TRUNC)
        if os.path.exists(path):
            os.unlink(path)
        os.rename(temporary, path)
    elif how == "into":
        write(path, os.O_TRUNC)
    else:
        write(path, os.O_APPEND)
except OSError as e:
    sys.exit(f"{name}: {e}")
