#!/usr/bin/env python3
"""A small fixed workload on a mount point; prints name=value lines. benches/drive.sh calls it."""
import os
import random
import subprocess
import sys
import time

root = os.path.join(sys.argv[1], "workload")
small = int(os.environ.get("N_SMALL", 500))
large_mb = int(os.environ.get("SEQ_MB", 128))
text = os.urandom(4096)


def timed(name, work):
    start = time.perf_counter()
    work()
    print(f"{name}_ms={(time.perf_counter() - start) * 1e3:.1f}", flush=True)


def remount():
    for command in (os.environ["UMOUNT_CMD"], os.environ["MOUNT_CMD"]):
        subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def path(i):
    return os.path.join(root, f"{i}.bin")


def write(name, data):
    with open(name, "wb") as f:
        f.write(data)


def read(name):
    with open(name, "rb") as f:
        return f.read()


def save(i):
    name = os.path.join(root, "save.new")
    with open(name, "wb") as f:
        f.write(text[: 4096 - i])
        os.fsync(f.fileno())
    os.rename(name, path(i))


def write_large():
    piece = os.urandom(1 << 20)
    with open(os.path.join(root, "large"), "wb") as f:
        for _ in range(large_mb):
            f.write(piece)
        os.fsync(f.fileno())


def read_large():
    with open(os.path.join(root, "large"), "rb", buffering=0) as f:
        while f.read(1 << 20):
            pass


def random_reads():
    random.seed(1)
    with open(os.path.join(root, "large"), "rb", buffering=0) as f:
        for _ in range(2000):
            f.seek(random.randrange(large_mb * 256) * 4096)
            f.read(4096)


def memory(name):
    pids = subprocess.run(os.environ["FS_PID_CMD"], shell=True, capture_output=True, text=True).stdout.split()
    for line in open(f"/proc/{pids[0]}/status") if pids else ():
        if line.startswith(("VmRSS", "VmHWM")):
            print(f"{name}_{line[2:5].lower()}_kb={line.split()[1]}", flush=True)


os.mkdir(root)
memory("idle")
timed("create", lambda: [write(path(i), text) for i in range(small)])
remount()
timed("read_cold", lambda: [read(path(i)) for i in range(small)])
timed("read_warm", lambda: [read(path(i)) for i in range(small)])
remount()
timed("list_cold", lambda: subprocess.run(["ls", "-lR", root], stdout=subprocess.DEVNULL, check=True))
timed("list_warm", lambda: subprocess.run(["ls", "-lR", root], stdout=subprocess.DEVNULL, check=True))
timed("save", lambda: [save(i) for i in range(min(small, 100))])
timed("write_large", write_large)
remount()
timed("read_large", read_large)
memory("read_large")
remount()
timed("random_4k", random_reads)
timed("remove", lambda: subprocess.run(["rm", "-rf", root], check=True))
