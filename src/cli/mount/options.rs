//! The options of `-o`, as mount(8), fstab and systemd hand them over.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// Options of other file systems and of mount(8) itself, which mean nothing here.
const IGNORED: [&str; 25] = [
    "defaults",
    "nofail",
    "_netdev",
    "auto",
    "noauto",
    "user",
    "users",
    "nouser",
    "owner",
    "group",
    "dev",
    "nodev",
    "suid",
    "nosuid",
    "exec",
    "noexec",
    "async",
    "sync",
    "atime",
    "noatime",
    "relatime",
    "norelatime",
    "default_permissions",
    "nodiratime",
    "lazytime",
];

/// What `-o` said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ListOptions {
    pub(super) read_only: bool,
    pub(super) nonempty: bool,
    pub(super) attr_ttl: Option<Duration>,
    pub(super) credential: Option<PathBuf>,
    pub(super) passphrase_file: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) cache_mib: Option<u64>,
    pub(super) pins: Vec<String>,
}

/// Reads the lists of all `-o`, the later over the earlier.
pub(super) fn parse(lists: &[String]) -> Result<ListOptions> {
    let mut options = ListOptions::default();
    for word in lists.iter().flat_map(|l| l.split(',')).map(str::trim).filter(|w| !w.is_empty()) {
        let (name, value) = word.split_once('=').map_or((word, None), |(n, v)| (n, Some(v)));
        let needed =
            || value.filter(|v| !v.is_empty()).ok_or_else(|| refused(word, "it needs a value"));
        match name {
            "ro" if value.is_none() => options.read_only = true,
            "rw" if value.is_none() => options.read_only = false,
            "nonempty" if value.is_none() => options.nonempty = true,
            "attr_ttl" => options.attr_ttl = Some(seconds(needed()?)?),
            "credential" => options.credential = Some(needed()?.into()),
            "commit" => options.commit = Some(needed()?.to_owned()),
            "pin" => options.pins.push(needed()?.to_owned()),
            "cache_mib" => options.cache_mib = Some(number(needed()?)?),
            "passphrase_file" => options.passphrase_file = Some(needed()?.to_owned()),
            "passphrase" => {
                return Err(refused("passphrase", "it could be seen by everybody on this machine")
                    .hint("use passphrase_file=FILE"));
            }
            "allow_other" | "allow_root" => {
                return Err(refused(name, "a mount shows what one user's credential opens")
                    .hint("let every user mount with an own credential"));
            }
            _ if IGNORED.contains(&name) && value.is_none() => {}
            _ if name.starts_with("x-") || ["comment", "fsname", "subtype"].contains(&name) => {}
            _ => return Err(refused(word, "it is unknown").hint("see: man chartfs-mount")),
        }
    }
    Ok(options)
}

fn refused(word: &str, why: &'static str) -> Error {
    Error::new(Kind::Usage, format!("the mount option {word:?} cannot be used")).because(why)
}

/// Reads a number of seconds.
pub(super) fn seconds(text: &str) -> Result<Duration> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| Error::new(Kind::Usage, format!("{text:?} is not a number of seconds")))
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Error::new(Kind::Usage, format!("{text:?} is not a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<ListOptions> {
        parse(&[list.to_owned()])
    }

    #[test]
    fn what_fstab_and_systemd_add_is_ignored() {
        let list = "rw,nofail,_netdev,auto,noauto,user,users,nouser,owner,group,dev,nodev,suid,\
                    nosuid,exec,noexec,x-systemd.automount,x-gvfs-show,comment=a,defaults,";
        assert_eq!(read(list).unwrap(), ListOptions::default());
    }

    #[test]
    fn own_options_are_understood_and_the_last_counts() {
        let options =
            read("ro,nonempty,attr_ttl=3,credential=/a/b,passphrase_file=/c,pin=/x,pin=/y")
                .unwrap();
        assert_eq!(options.pins, ["/x", "/y"]);
        assert!(options.read_only && options.nonempty);
        assert_eq!(options.attr_ttl, Some(Duration::from_secs(3)));
        assert_eq!(options.credential, Some("/a/b".into()));
        assert_eq!(options.passphrase_file.as_deref(), Some("/c"));
        assert!(!parse(&["ro".to_owned(), "rw".to_owned()]).unwrap().read_only);
    }

    #[test]
    fn what_is_unknown_or_unsafe_is_refused() {
        for bad in [
            "frob",
            "rw=1",
            "attr_ttl",
            "attr_ttl=x",
            "credential=",
            "allow_other",
            "passphrase=secret",
        ] {
            let e = read(bad).unwrap_err();
            assert_eq!(e.kind(), Kind::Usage, "{bad}");
            assert!(!e.to_string().contains("secret"), "{e}");
        }
    }
}
