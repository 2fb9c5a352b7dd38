"""What one program does as one person, and what must be so afterwards."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from records import BUNDLE, CLOSED, OPEN, RECORDS, same_but_layout, same_bytes
from realm import HUNG_S

HERE = Path(__file__).resolve().parent
# Where people work: in a patient's folder, or where programs exchange files.
PATIENT, EXCHANGE = "patient-0001", "exchange"
# Runs a script, and says which command of it failed.
RUN = 'trap "echo line \$LINENO: \$BASH_COMMAND >&2" ERR; . "$0"'
OBSERVERS = ["patient", "psychiatrist"]
# Names of files that stay on the workstation, of those that the cases make.
LOCAL = re.compile(r".*(~|\.bak|\.tmp)$")


class Script:
    """A case: a shell script, and what its comments say of it."""

    def __init__(self, kind, path):
        text = path.read_text(encoding="utf-8")
        self.kind, self.path, self.name = kind, path, f"{kind}/{path.stem}"
        needs = re.search(r"(?m)^# needs: (.*)$", text)
        self.needs = needs[1].split() if needs else []
        self.is_laid_out_anew = "# layout: another" in text

    def run(self, realm, who, **variables):
        """Runs it as somebody; returns the exit status and what was said."""
        environment = realm.environment(who) | {"R": str(HERE / "replays")}
        environment |= {k: str(v) for k, v in variables.items()}
        try:
            done = subprocess.run(
                ["bash", "-eEuo", "pipefail", "-c", RUN, str(self.path)], env=environment, check=False,
                cwd=variables["W"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=HUNG_S)
        except subprocess.TimeoutExpired as e:
            return -1, f"hung: {e.output!r}"
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()


class Work:
    """One script, done by one person on a mount that commits in one way."""

    def __init__(self, realm, commit, script, who, top):
        self.realm, self.commit, self.script, self.who = realm, commit, script, who
        self.place = f"{top}/{commit}/{script.kind}.{script.path.stem}.{who}"
        self.local = realm.folder / "local" / self.place
        self.local.mkdir(parents=True)
        self.problems, self.notes = [], []

    def title(self):
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{self.script.name} as {self.who}, commit={self.commit}{self.aside()}{notes}"

    def aside(self):
        """What is said of the circumstances."""
        return ""

    def at(self, who):
        """The folder on the mount of somebody."""
        return self.realm.mounted[who] / self.place

    def do(self):
        """Works, and looks at once when `close` has said that the bucket has it."""
        try:
            self.act()
        except OSError as e:
            self.problems.append(f"{e}")
        if self.commit == "remote":
            self.look("at once")

    def look(self, when):
        """Compares as those who see what the editor does not."""
        for who in OBSERVERS:
            try:
                self.compare_as(who, when)
            except (OSError, ValueError) as e:
                self.problems.append(f"{who} {when}: {e}")

    def need_names(self, names, folder, who):
        """Nothing is lost and nothing is left lying about."""
        there = sorted(f.name for f in folder.iterdir())
        if there != sorted(names):
            self.problems.append(f"{who} finds {there}")

    def look_at_rejected(self, listed):
        """Looks at what was refused, where something must be."""

    def need(self, problem):
        if problem:
            self.problems.append(problem)

    def run(self, **variables):
        return self.script.run(self.realm, self.who, W=self.local, **variables)


class RecordWork(Work):
    """Edits records of which everybody sees other parts."""

    @classmethod
    def of(cls, realm, commit, script, who):
        return [cls(realm, commit, script, who, PATIENT)]

    def files(self):
        return {**RECORDS, "refused.json": BUNDLE}

    def act(self):
        self.seen = {}
        for name in RECORDS:
            self.edit(name)
        self.edit_what_is_closed("refused.json")

    def edit(self, name):
        file = self.at(self.who) / name
        self.seen[name] = seen = file.read_text(encoding="utf-8")
        if seen == RECORDS[name] or OPEN[0] not in seen:
            self.problems.append(f"{name}: it shows {seen!r}")
        status, said = self.run(F=file, D=file.parent, N=name, OLD=OPEN[0], NEW=OPEN[1])
        if status != 0:
            self.problems.append(f"{name}: exit status {status}: {said}")
        self.compare(name, seen, file, "its editor")

    def compare(self, name, before, file, who):
        text = file.read_text(encoding="utf-8")
        expected = before.replace(*OPEN)
        if self.script.is_laid_out_anew:
            different = same_but_layout(expected, text, self.seen[name])
        else:
            different = same_bytes(expected, text)
        self.need(different and f"{name}, {who}: {different}")

    def edit_what_is_closed(self, name):
        """The old version stays, and the new text is kept for its author."""
        folder = self.at(self.who)
        before = (folder / name).read_text(encoding="utf-8")
        status, _ = self.run(F=folder / name, D=folder, N=name, OLD=CLOSED[0], NEW=CLOSED[1])
        # `git` does not look at what `close` says; the text is kept all the same.
        self.notes.append(f"refusal: exit status {status}")
        # The kernel lets go of a closed file a moment after `close` returns.
        hung = time.monotonic() + HUNG_S
        while different := same_bytes(before, (folder / name).read_text(encoding="utf-8")):
            if time.monotonic() > hung:
                self.problems.append(f"{name}, its editor: {different}")
                return
            time.sleep(0.02)

    def look_at_rejected(self, listed):
        """The refused text is kept sealed, whatever the program did with its own file."""
        path = f"/{self.place}/refused.json"
        kept = [text["id"] for text in listed if text["path"] == path]
        texts = [self.realm.rejected_text(self.who, text_id) for text_id in kept]
        if not any(CLOSED[1] in text for text in texts):
            self.problems.append(f"the refused text is not kept, but {texts}")

    def prepare(self):
        """Notes what others see before anything is changed."""
        self.before = {
            who: {n: (self.at(who) / n).read_text(encoding="utf-8") for n in self.files()}
            for who in OBSERVERS}
        if "childhood" in self.before["patient"]["record.json"]:
            self.problems.append("the patient sees the psychotherapy notes")

    def compare_as(self, who, when):
        for name in RECORDS:
            self.compare(name, self.before[who][name], self.at(who) / name, f"{who} {when}")
        text = (self.at(who) / "refused.json").read_text(encoding="utf-8")
        different = same_bytes(self.before[who]["refused.json"], text)
        self.need(different and f"refused.json, {who} {when}: {different}")
        self.need_names(self.files(), self.at(who), f"{who} {when}")


class TreeWork(Work):
    """Works on files that everybody who sees them sees all of."""

    def __init__(self, realm, commit, script, who, top):
        super().__init__(realm, commit, script, who, top)
        self.expected = None

    def prepare(self):
        if self.is_refused():
            self.expected = tree(self.at("patient"))

    def is_refused(self):
        """The pharmacist may neither read the documents of a patient nor add to the folder."""
        return self.who == "pharmacist" and self.place.startswith(PATIENT)

    def aside(self):
        return ", where he may not" if self.is_refused() else ""

    def act(self):
        status, said = self.run(D=self.at(self.who))
        if self.is_refused():
            if status == 0:
                self.problems.append(f"it did not say that it failed: {said}")
            self.notes.append(said.splitlines()[-1] if said else "it says nothing")
            return
        if status != 0:
            self.problems.append(f"exit status {status}: {said}")
        self.expected = self.should_be()

    def compare_as(self, who, when):
        if who != "patient" or self.expected is None:
            return
        self.need(same_tree(self.expected, tree(self.at(who)), f"{who} {when}"))


class OpaqueWork(TreeWork):
    """Edits files without sections, as on a local disk."""

    @classmethod
    def of(cls, realm, commit, script, who):
        places = [PATIENT, EXCHANGE] if who == "pharmacist" else [PATIENT]
        return [cls(realm, commit, script, who, place) for place in places]

    def files(self):
        return opaque_files(self.realm)

    def should_be(self):
        """The same program does the same on a local disk."""
        folder = self.local / "same"
        write_files(folder, self.files())
        status, said = self.run(D=folder)
        if status != 0:
            self.problems.append(f"in a local folder: exit status {status}: {said}")
        return tree(folder)


# For as long a name that was taken away may come back, and more.
SETTLED_S = 60


class FolderWork(TreeWork):
    """Works on a folder of its own, with an inbox."""

    @classmethod
    def of(cls, realm, commit, script, who):
        places = [EXCHANGE, PATIENT] if who == "pharmacist" else [EXCHANGE]
        return [cls(realm, commit, script, who, place) for place in places]

    def files(self):
        message = "MSH|^~\\&|LAB|N|||20261123||ORU^R01|{0}|P|2.5\rPID|1||MRN-{0}\r"
        return {"in/a.hl7": message.format(1), "in/record.json": BUNDLE,
                "results/a.hl7": message.format(1), "results/b.hl7": message.format(2)}

    def look(self, when):
        """Compares, and again: what was unlinked in part is seen by the others until its name does
        not come back for a while."""
        until = time.monotonic() + SETTLED_S
        while True:
            before = list(self.problems)
            super().look(when)
            if self.problems == before or time.monotonic() > until:
                return
            self.problems = before
            time.sleep(1)

    def prepare(self):
        super().prepare()
        self.whole = (self.at("patient") / "in/record.json").read_bytes()

    def should_be(self):
        """What the person sees, with what is hidden from him in the record."""
        seen = tree(self.at(self.who))
        return {path: self.whole if path.endswith("/record.json") and self.is_filed(path) else text
                for path, text in seen.items()}

    def is_filed(self, path):
        """Says whether it is the record that was filed, and not a copy of what the person saw."""
        return path in ("in/record.json", "done/record.json")


def tree(folder):
    """Returns the files below a folder by path, and its folders; without those of local names."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not LOCAL.match(path.name):
            name = str(path.relative_to(folder))
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


def same_tree(expected, found, who):
    """Says what differs of two trees."""
    if list(expected) != list(found):
        missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        return f"{who}: missing {missing}, not expected {more}"
    other = [path for path in expected if expected[path] != found[path]]
    return f"{who}: other contents in {other}" if other else None


def write_files(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


# An image of two by two dots, in the text form that dcmtk reads.
IMAGE = r"""
(0002,0002) UI =SecondaryCaptureImageStorage
(0002,0003) UI [2.25.1]
(0002,0010) UI =LittleEndianExplicit
(0008,0016) UI =SecondaryCaptureImageStorage
(0008,0018) UI [2.25.1]
(0010,0010) PN [Abernox^Cendra]
(0010,0020) LO [MRN-1]
(0020,000d) UI [2.25.2]
(0020,000e) UI [2.25.3]
(0028,0002) US 1
(0028,0004) CS [MONOCHROME2]
(0028,0010) US 2
(0028,0011) US 2
(0028,0100) US 8
(0028,0101) US 8
(0028,0102) US 7
(0028,0103) US 0
(7fe0,0010) OB 01\02\03\04
"""
LETTER = '<?xml version="1.0"?>\n<letter>\n  <dose>10 mg</dose>\n</letter>\n'
TABLE = "drug,dose_mg\nlisinopril,10\n"


def opaque_files(realm):
    """Returns files of formats that have no sections; the image is made by dcmtk, if it is there."""
    files = {"letter.xml": LETTER, "table.txt": TABLE}
    image = realm.folder / "image.dcm"
    if shutil.which("dump2dcm") and not image.exists():
        (realm.folder / "image.txt").write_text(IMAGE, encoding="utf-8")
        subprocess.run(["dump2dcm", "-q", realm.folder / "image.txt", image], check=True,
                       timeout=HUNG_S)
    if image.exists():
        files["image.dcm"] = image.read_bytes()
    return files


def file_everything(realm, commit, every):
    """Lets the records office file what everybody works on."""
    source = realm.folder / "filed" / commit
    for work in every:
        write_files(source / work.place, work.files())
    for top in sorted(source.iterdir()):
        realm.file(top, f"/{top.name}")
