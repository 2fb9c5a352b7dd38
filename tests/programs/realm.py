"""A realm on a folder that serves as bucket, with the people and the policy of the demonstration,
and one real mount for each of them."""

import json
import os
import re
import subprocess
import time
from pathlib import Path

# Who holds what, as in src/demo/realm.rs.
PEOPLE = {
    "physician": ["physician@st-mary"],
    "psychiatrist": ["psychiatrist@north", "staff@north"],
    "pharmacist": ["pharmacist@pharmacy-board"],
    "patient": ["patient@st-mary", "owner@patient-0001"],
    "office": ["records@st-mary"],
}
AUTHORITIES = {
    "st-mary": "hospital",
    "north": "hospital",
    "pharmacy-board": "pharmacy",
    "ethics-board": "research",
    "patient-0001": "patient",
}
# How long anything may take before it is called hung. It is never what a test measures.
HUNG_S = 120


class Realm:
    """The realm, the credentials and the mounts, all below one folder."""

    def __init__(self, chartfs, folder):
        self.chartfs = str(chartfs)
        self.folder = Path(folder)
        self.bucket = f"file://{self.folder}/bucket"
        self.mounted = {}

    def call(self, *words, who="office", text=None):
        """Runs the program; an error is an exception that says what was printed."""
        done = subprocess.run(
            [self.chartfs, *map(str, words)], env=self.environment(who), input=text,
            cwd=self.folder, capture_output=True, text=True, timeout=HUNG_S, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"chartfs {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def environment(self, who):
        """Everybody has a workstation, with high-water marks and a journal of its own."""
        home = self.folder / "home" / who
        home.mkdir(parents=True, exist_ok=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CHARTFS_", "XDG_"))}
        return clean | {"HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "xterm"}

    def found(self, here):
        """Founds the realm: the policy of the demonstration at the root, and a folder through
        which programs exchange files, with a policy of its own."""
        quiet = "--no-passphrase"
        self.call("init", self.bucket, "--admin", "admin", quiet)
        for name, kind in AUTHORITIES.items():
            self.call("authority", "new", name, "--kind", kind, "--realm", self.bucket,
                      "--admin", "admin", "--out", name, quiet)
        for who, attributes in PEOPLE.items():
            self.enrol(who, attributes)
        demo = (here.parent.parent / "src/demo/policy.toml").read_text()
        # The records office gives the exchange its policy.
        managed = re.sub(r'(?m)^manage = "', 'manage = "records@st-mary or ', demo)
        assert managed != demo, "nobody would manage the exchange"
        self.call("policy", "set", "/", "-", "--realm", self.bucket, "--as-admin", "admin",
                  text=managed)
        (self.folder / "about").mkdir()
        (self.folder / "about/about.txt").write_text("Programs leave files here.\n")
        self.file(self.folder / "about", "/exchange")
        self.call("policy", "set", "/exchange", here / "exchange.toml", "--realm", self.bucket,
                  "--credential", self.credential("office"))

    def enrol(self, who, attributes):
        """Makes a credential and lets every authority concerned issue its attributes to it."""
        key = self.credential(who)
        self.call("user", "new", who, "--realm", self.bucket, "--out", key, "--no-passphrase")
        request = self.call("user", "show", "--request", key)
        for authority in AUTHORITIES:
            names = [a.split("@")[0] for a in attributes if a.endswith(f"@{authority}")]
            if names:
                grant = self.call("authority", "issue", "--authority-file", authority, "--to", "-",
                                  "--realm", self.bucket, *names, text=request)
                self.call("credential", "add", "-", "--credential", key, "--realm", self.bucket,
                          text=grant)

    def credential(self, who):
        return self.folder / f"{who}.credential"

    def file(self, source, path):
        """Lets the records office, which reads nothing, file what lies below a folder."""
        self.call("import", self.bucket, path, source, "--credential",
                  self.credential("office"))

    def mount(self, who, *options):
        """Mounts the drive as somebody, in the background, as people do."""
        point = self.folder / "drives" / who
        point.mkdir(parents=True, exist_ok=True)
        self.call("mount", self.bucket, point, "--credential", self.credential(who), "--log-file",
                  self.folder / f"{who}.log", *options, who=who)
        self.mounted[who] = point
        return point

    def umount(self, who):
        """Unmounts a drive; what is written is in the bucket afterwards."""
        point = self.mounted.pop(who)
        self.call("umount", point, who=who)
        waited = time.monotonic() + HUNG_S
        while os.path.ismount(point):
            if time.monotonic() > waited:
                raise RuntimeError(f"{point} is still mounted")
            time.sleep(0.01)

    def rejected(self, who):
        """Returns the texts of somebody that were refused, as the program lists them."""
        listed = self.call("rejected", "list", "--json", "--credential",
                           self.credential(who), who=who)
        return json.loads(listed)

    def rejected_text(self, who, text_id):
        return self.call("rejected", "show", text_id, "--credential",
                         self.credential(who), who=who)

    def close(self):
        """Takes off what a failed run left mounted."""
        for who in list(self.mounted):
            point = self.mounted.pop(who)
            subprocess.run([self.chartfs, "umount", "--lazy", str(point)], check=False,
                           env=self.environment(who), capture_output=True, timeout=HUNG_S)

    def check(self):
        """Verifies the whole bucket without any key."""
        self.call("check", self.bucket)
