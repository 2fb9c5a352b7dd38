//! The written sections of the manual pages.

use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::error::Kind;

/// Makes a section of terms and what they mean.
pub(super) fn terms<'a>(title: &str, terms: impl IntoIterator<Item = (&'a str, &'a str)>) -> Roff {
    let mut roff = heading(title);
    for (term, text) in terms {
        roff.control("TP", []).text([bold(term)]).text([roman(text)]);
    }
    roff
}

pub(super) fn heading(title: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    roff
}

pub(super) fn paragraphs(title: &str, paragraphs: &[&str]) -> Roff {
    let mut roff = heading(title);
    for text in paragraphs {
        roff.control("PP", []).text([roman(*text)]);
    }
    roff
}

/// Adds lines that are shown as they stand.
pub(super) fn literal(roff: &mut Roff, lines: &str) {
    roff.control("PP", []).control("RS", ["4"]).control("nf", []);
    for line in lines.lines() {
        let text: Inline = roman(if line.is_empty() { " " } else { line });
        roff.text([text]);
    }
    roff.control("fi", []).control("RE", []);
}

pub(super) fn description() -> Roff {
    paragraphs(
        "DESCRIPTION",
        &[
            "chartfs mounts a bucket as a drive of patient records. Every record is a plain file to \
             the program that reads it; in the bucket it is a set of sections, each encrypted with \
             its own key, and each key wrapped under the section's policy. Who mounts decides what \
             the file says: a user sees the sections that the attributes in the user's credential \
             open, as a valid file of its type.",
            "A realm is founded in a bucket by an administrator, who introduces authorities: \
             hospitals, pharmacy boards, ethics boards, patients. Authorities issue attributes, \
             such as physician@st-mary, into the credentials of users. Neither the administrator \
             nor the bucket can read a record.",
            "Errors are three lines on the standard error: what went wrong, why, and what to try. \
             With --json, what is read is printed as one JSON document, to which later versions \
             only add fields.",
        ],
    )
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Internal => "A failure of this machine or of this program.",
        Kind::Usage => {
            "The request itself is wrong: an argument, a policy, a file of another type."
        }
        Kind::NotFound => "What is named does not exist, or the caller may not know that it does.",
        Kind::Exists => "What is to be made exists already; a bucket that is not empty.",
        Kind::Denied => {
            "The policy says no, the passphrase is wrong, or a key file is not private."
        }
        Kind::CredentialExpired => "The certificate behind an attribute has ended.",
        Kind::CredentialRevoked => "The attribute was taken away.",
        Kind::Integrity => "Stored bytes fail a signature, a hash, a length or a rollback check.",
        Kind::Unsupported => "A store, a format or an operation that this version does not serve.",
        Kind::Conflict => "Somebody else changed the same thing first.",
        Kind::Unavailable => "The bucket did not answer in time, or refused for now.",
        Kind::MountPoint => "The mount point cannot be used.",
        Kind::NotDirectory => "A folder was expected and something else is there.",
        Kind::IsDirectory => "Something else was expected and a folder is there.",
        Kind::NotEmpty => "The folder still has entries.",
        Kind::BadName => "A name that cannot be stored.",
        Kind::OtherPolicy => "What is moved would come under another policy: copy it instead.",
        Kind::NoSpace => "The disk, or a limit of this program, is full.",
    }
}

/// Every exit status, from the table that the program itself uses.
pub(super) fn exit_status() -> Roff {
    let mut rows: Vec<(u8, &str)> =
        Kind::ALL.iter().map(|k| (k.exit_status(), meaning(*k))).collect();
    rows.push((0, "All is well, also when the reader of the output went away."));
    rows.sort_unstable();
    let rows: Vec<(String, &str)> = rows.into_iter().map(|(n, m)| (n.to_string(), m)).collect();
    terms("EXIT STATUS", rows.iter().map(|(n, m)| (n.as_str(), *m)))
}

pub(super) fn command_exit_status() -> Roff {
    paragraphs("EXIT STATUS", &["0 when all is well; the others are listed in chartfs(1)."])
}

pub(super) fn files() -> Roff {
    terms(
        "FILES",
        [
            (
                "~/.config/chartfs/chartfs.toml",
                "Settings: bucket, credential, passphrase-file, passphrase-command, attr-ttl-s, \
                 commit, cache-mib, journal-mib, color, log, state; and in [store]: endpoint, region, profile, path-style, \
                 ca-bundle. Flags win over variables, variables over this file; unknown keys are \
                 refused. XDG_CONFIG_HOME is obeyed.",
            ),
            (
                "~/.local/share/chartfs/*.credential, *.authority, *.administrator",
                "Key files, mode 0600; files that others can read are refused. XDG_DATA_HOME is \
                 obeyed.",
            ),
            (
                "~/.local/share/chartfs/state/",
                "High-water marks: which version of each record was seen last. They hold no \
                 secret. Without them the bucket could show an older version unnoticed. rejected/ in \
                 it has texts that were saved and are not in the bucket, sealed for their author: \
                 chartfs-rejected(1). mount.log has the log lines of mounts in the background; \
                 mount.journal in the folder of a realm and user what the bucket does not have \
                 yet, sealed.",
            ),
            (
                "~/.cache/chartfs/",
                "Sealed objects that were read from buckets. They can be removed at any time when \
                 nothing is mounted. XDG_CACHE_HOME is obeyed.",
            ),
        ],
    )
}

pub(super) fn environment() -> Roff {
    terms(
        "ENVIRONMENT",
        [
            ("CHARTFS_BUCKET", "The bucket, when a command does not name one."),
            ("CHARTFS_CREDENTIAL", "The credential, when a command does not name one."),
            ("CHARTFS_PASSPHRASE_FILE", "A private file with the passphrase; - is standard input."),
            ("CHARTFS_PASSPHRASE_COMMAND", "A shell command that prints the passphrase."),
            ("CHARTFS_CONFIG", "The settings file."),
            ("CHARTFS_STATE", "The folder of high-water marks."),
            ("CHARTFS_ATTR_TTL_S", "For how many seconds the kernel may answer by itself."),
            ("CHARTFS_COMMIT", "remote or journal: what close and fsync of a mount wait for."),
            ("CHARTFS_CACHE_MIB", "How many MiB of sealed objects a mount keeps; 1024."),
            ("CHARTFS_JOURNAL_MIB", "How many MiB may wait for the bucket; 4096."),
            ("CHARTFS_ENDPOINT, CHARTFS_REGION, CHARTFS_PROFILE", "How the bucket is reached."),
            ("CHARTFS_COLOR, NO_COLOR", "auto, always or never; no colour when NO_COLOR is set."),
            ("CHARTFS_LOG", "Which log lines are wanted, as in warn,chartfs::store=debug."),
            (
                "CREDENTIALS_DIRECTORY",
                "Set by systemd; the credential chartfs.passphrase in it is the passphrase.",
            ),
            (
                "AWS_*, AZURE_*, GOOGLE_*",
                "Endpoint, region, profile and passwords of the cloud, as its own tools use them.",
            ),
        ],
    )
}

/// Returns what is documented of a command's JSON.
pub(super) fn json(name: &str) -> Option<Roff> {
    let text: &[&str] = match name {
        "chartfs-init" => &["An object: realm (the fingerprint), bucket, admin_file."],
        "chartfs-authority" => &[
            "list: an array of what show prints. show: an object: id, kind, seq, changed, identity, \
             attributes (array of attribute, epoch), revoked_certificates.",
        ],
        "chartfs-user" => {
            &["show: an object: user_name, gid, realm, grants (array of authority, attributes, \
             not_before, not_after, not_after_unix_s, expired, keys)."]
        }
        "chartfs-status" => {
            &["An array of objects: point, daemon_pid, commit, online, offline_since_unix_s, \
             offline_because, pending_writes, pending_bytes, oldest_unix_s, conflicts, \
             refused_because, journal; or point and error."]
        }
        "chartfs-credential" => &["list: the array grants of chartfs user show."],
        "chartfs-policy" => {
            &["show: an object: path, hash, author, signed, patient, replaces, text. check: an \
             object: errors, warnings, authorities_compared, findings (array of level, place, text, \
             try). explain: an object: section, attributes, rights (array of right, open, formula, \
             missing; missing is null when nobody may)."]
        }
        "chartfs-matrix" => &[
            "An object: right (read or write), roles (array of name, attributes), sections (array \
             of section, cells; a cell has role, opens, one_more).",
        ],
        "chartfs-ls" => {
            &["An array of name, kind (file or directory), size_bytes, mtime, mtime_unix_s, known \
             (false for a file that is damaged)."]
        }
        "chartfs-history" => &[
            "An array, the newest first, of version, time, time_unix_s, writer, sections (array), \
             size_bytes. With --removed: an array of name, kind (file or directory), removed, \
             removed_unix_s, by, id.",
        ],
        "chartfs-rejected" => &[
            "list: an array, the oldest first, of id, time, time_unix_s, path, size_bytes, reason.",
        ],
        "chartfs-import" => &[
            "An object: created, changed, unchanged, skipped, failed. Into an inbox: of the documents \
             in the files.",
        ],
        "chartfs-check" => &[
            "An object: ok, objects (number by kind), damaged and notes (arrays of object, what, \
             because), not_listed.",
        ],
        "chartfs-doctor" => &["An array of verdict (ok, warn, fail), check, text, try."],
        _ => return None,
    };
    Some(paragraphs("JSON", text))
}

/// Returns the examples of a page; none for an unknown one.
pub(super) fn examples_of(name: &str) -> &'static str {
    match name {
        "chartfs" => {
            "chartfs init file:///srv/records --admin admin.key\n\
             chartfs authority new st-mary --kind hospital --realm file:///srv/records \\\n    \
             --admin admin.key --out st-mary.authority\n\
             chartfs user new ana --realm file:///srv/records --out ana.credential\n\
             chartfs user show --request ana.credential > ana.request\n\
             chartfs authority issue --authority-file st-mary.authority --to ana.request \\\n    \
             --realm file:///srv/records physician > ana.grant\n\
             chartfs credential add ana.grant --credential ana.credential \\\n    \
             --realm file:///srv/records\n\
             chartfs policy set / policy.toml --realm file:///srv/records --as-admin admin.key\n\
             chartfs mount file:///srv/records ~/records --credential ana.credential"
        }
        "chartfs-init" => {
            "chartfs init s3://clinic-records/realm --admin admin.key\n\
             chartfs init file:///srv/records --no-passphrase"
        }
        "chartfs-authority" => {
            "chartfs authority new board --kind pharmacy --realm s3://clinic-records/realm \\\n    \
             --admin admin.key --out board.authority\n\
             chartfs authority list --realm s3://clinic-records/realm --json\n\
             chartfs authority issue --authority-file board.authority --to lee.request \\\n    \
             pharmacist --days 30 --realm s3://clinic-records/realm --out lee.grant"
        }
        "chartfs-demo" => {
            "chartfs demo\n\
             chartfs demo --exit --patients 10 ~/demo"
        }
        "chartfs-user" => {
            "chartfs user new lee --realm s3://clinic-records/realm --out lee.credential\n\
             chartfs user show lee.credential\n\
             chartfs user show --request lee.credential > lee.request"
        }
        "chartfs-credential" => {
            "chartfs credential add lee.grant --credential lee.credential \\\n    \
             --realm s3://clinic-records/realm\n\
             chartfs credential list --credential lee.credential"
        }
        "chartfs-policy" => {
            "chartfs policy check policy.toml --realm s3://clinic-records/realm\n\
             chartfs policy set / policy.toml --realm s3://clinic-records/realm \\\n    \
             --as-admin admin.key\n\
             chartfs policy explain labs --as nurse@st-mary --policy policy.toml"
        }
        "chartfs-matrix" => {
            "chartfs matrix s3://clinic-records/realm\n\
             chartfs matrix --policy policy.toml \\\n    \
             --roles 'nurse=nurse@st-mary,doctor=physician@st-mary+on-call@st-mary'"
        }
        "chartfs-mount" => {
            "chartfs mount s3://clinic-records/realm ~/records --credential lee.credential\n\
             chartfs mount -f file:///srv/records /mnt -o ro,attr_ttl=60\n\
             # in /etc/fstab\n\
             s3://clinic-records/realm /mnt fuse.chartfs \\\n    \
             noauto,user,_netdev,credential=/etc/chartfs/lee.credential 0 0"
        }
        "chartfs-umount" => "chartfs umount ~/records",
        "chartfs-status" => {
            "chartfs status\nchartfs status ~/records --json | jq '.[].pending_writes'"
        }
        "chartfs-check" => "chartfs check s3://clinic-records/realm --json",
        "chartfs-doctor" => {
            "chartfs doctor\n\
             chartfs doctor --bucket s3://clinic-records/realm --credential lee.credential"
        }
        "chartfs-completions" => "chartfs completions bash > /etc/bash_completion.d/chartfs",
        other => drive_examples_of(other),
    }
}

/// Returns the examples of the commands that work in the drive.
fn drive_examples_of(name: &str) -> &'static str {
    match name {
        "chartfs-ls" => {
            "chartfs ls s3://clinic-records/realm /patients -l --credential lee.credential"
        }
        "chartfs-cat" => {
            "chartfs cat s3://clinic-records/realm /patients/ana/record.json \\\n    \
             --credential lee.credential | jq .entry"
        }
        "chartfs-get" => {
            "chartfs get s3://clinic-records/realm /patients/ana ana-copy --credential lee.credential"
        }
        "chartfs-put" => {
            "chartfs put s3://clinic-records/realm record.json /patients/ana/ \\\n    \
             --credential lee.credential"
        }
        "chartfs-history" => {
            "chartfs history s3://clinic-records/realm /patients/ana/record.json\n\
             chartfs history s3://clinic-records/realm /patients/ana --removed"
        }
        "chartfs-restore" => {
            "chartfs restore s3://clinic-records/realm /patients/ana/record.json --version 3 \\\n    \
             --as record-before.json\n\
             # a name that was removed\n\
             chartfs restore s3://clinic-records/realm /patients/ana/note.txt"
        }
        "chartfs-rejected" => {
            "chartfs rejected list --credential lee.credential\n\
             chartfs rejected show 019f2c > record.json\n\
             chartfs rejected drop 019f2c"
        }
        "chartfs-import" => {
            "chartfs import s3://clinic-records/realm /patients ./export \\\n    \
             --credential lee.credential\n\
             # into an inbox: by patient\n\
             chartfs import s3://clinic-records/realm /inbox ./delivery \\\n    \
             --credential clerk.credential"
        }
        _ => "",
    }
}

pub(super) fn examples(name: &str) -> Roff {
    let mut roff = heading("EXAMPLES");
    literal(&mut roff, examples_of(name));
    roff
}

pub(super) fn see_also(pages: &[&str]) -> Roff {
    paragraphs("SEE ALSO", &[&pages.join(", ")])
}

/// The page about the language of policies.
pub(super) fn policy_language() -> Roff {
    let mut roff = Roff::new();
    roff.control("TH", ["CHARTFS-POLICY", "7", "", "", "chartfs"]);
    let mut name = heading("NAME");
    name.text([roman("chartfs-policy - who may do what in a folder")]);
    let mut example = heading("EXAMPLE");
    literal(&mut example, POLICY_EXAMPLE);
    let parts = [
        name,
        paragraphs("DESCRIPTION", POLICY_DESCRIPTION),
        terms("RIGHTS", POLICY_RIGHTS.iter().copied()),
        terms("FORMULAS", POLICY_FORMULAS.iter().copied()),
        terms("LIMITS", POLICY_LIMITS.iter().copied()),
        sections(),
        example,
    ];
    roff.extend(parts);
    roff.extend(super::inbox::parts());
    roff.extend([see_also(&["chartfs(1)", "chartfs-matrix(1)", "chartfs-import(1)"])]);
    roff
}

const POLICY_DESCRIPTION: &[&str] = &[
    "A policy is a TOML text that its author signs. It stands at a folder and holds for everything \
     below, until a folder has one of its own. Each right is a formula over attributes.",
    "A section that is not named has the rights of [default]. Whether a user sees a section is \
     decided by the signed policy; what the policy closes is left out of the file silently, unless \
     announce = true asks for a marker. A FHIR bundle then has the label REDACTED in its meta, or \
     an entry that says so where the reader sees a meta of the bundle; it is shown to everybody to \
     whom the section is closed, filled or not, and no save stores it. Other formats have none.",
    "[research] releases sections to a project: whoever satisfies its read formula, and does not see \
     the folder's names, sees de-identified twins of the named sections, read-only, in folders and \
     files with pseudonyms for names and years for times. Twins are made by whoever writes their \
     sections; of what was written before the policy released it, by the next who may write it or \
     set the policy. One patient has one pseudonym in one project. A file in a format that cannot be \
     de-identified is empty.",
    "[emergency] opens sections to whoever satisfies its read formula. Who does not see the folder's \
     names otherwise reads every FHIR file as an International Patient Summary, read-only, made of \
     those sections when it is read. chartfs mount --pin keeps it readable off-line.",
];

const POLICY_RIGHTS: &[(&str, &str)] = &[
    ("[folder] list", "See the names in the folder."),
    ("[folder] add", "Put records and folders into it."),
    ("[folder] remove", "Take records and folders out of it, with all their sections."),
    ("[folder] manage", "Set another policy on it."),
    ("[default] read, write, announce", "The rights over every section that is not named."),
    ("[section.NAME] read, write, announce", "The rights over one section."),
    ("[research] project", "What the project is called: small letters, digits and hyphens."),
    ("[research] sections", "The sections of which twins are released."),
    ("[research] read", "Who reads the twins."),
    ("[emergency] read", "Who reads the summary, and the names of the folder."),
    (
        "[emergency] sections",
        "What the summary is made of; when it is not said, demographics, allergies, medications, \
         problems, immunizations, labs, procedures, devices, directives and directory.",
    ),
];

const POLICY_FORMULAS: &[(&str, &str)] = &[
    ("NAME@AUTHORITY", "The attribute NAME, issued by AUTHORITY: physician@st-mary."),
    ("A and B", "Both. Binds tighter than or."),
    ("A or B", "One of them."),
    ("2 of (A, B, C)", "At least two of them."),
    ("( )", "Parentheses group."),
    ("{patient}", "In the place of an authority: the patient whose folder it is."),
    ("nobody", "Alone: nothing satisfies it."),
];

const POLICY_LIMITS: &[(&str, &str)] = &[
    ("16 KiB", "The length of one formula; 256 KiB that of the text."),
    ("32", "The depth of parentheses, and the attributes of one clause."),
    ("64", "The clauses of a formula, after it was brought into its shortest form of A and B or …"),
    ("256", "The attributes over all clauses of a formula."),
];

const POLICY_EXAMPLE: &str = r#"[folder]
list = "staff@st-mary or owner@{patient}"
add = "physician@st-mary"
remove = "registrar@st-mary and owner@{patient}"
manage = "owner@{patient}"

[default]
read = "physician@st-mary or owner@{patient}"
write = "physician@st-mary"

[section.medications]
read = "physician@st-mary or pharmacist@board or owner@{patient}"
write = "physician@st-mary or pharmacist@board"
announce = true

[section.mental-health]
read = "(psychiatrist@north and treating@st-mary) or owner@{patient}"
write = "psychiatrist@north""#;

/// Every section, from the table that the program itself uses.
fn sections() -> Roff {
    use crate::record::format::Slot;
    let names: Vec<&str> =
        Slot::ALL.iter().filter(|s| **s != Slot::FRAME).map(|s| s.name()).collect();
    let text = format!("{}.", names.join(", "));
    let sensitive: Vec<&str> = Slot::SENSITIVE.iter().map(|s| s.name()).collect();
    let apart = format!(
        "Set apart by law or custom, so that no single authority should open them alone: {}.",
        sensitive.join(", ")
    );
    paragraphs("SECTIONS", &[&text, &apart])
}
