//! Random work on files, compared step by step with plain memory.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::drive::Mounted;

/// The largest file of a run in bytes: several pages and several kernel requests.
const SIZE_MAX: u64 = 300_000;

/// Numbers that are the same in every run (Knuth's MMIX generator, its upper half).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) % limit
    }
}

fn open(m: &Mounted) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(m.path("f"))
        .unwrap()
}

/// Does one step to the file and to the model.
fn step(m: &Mounted, n: &mut Numbers, file: &mut File, model: &mut Vec<u8>) {
    let at = usize::try_from(n.below(SIZE_MAX)).unwrap();
    let len = usize::try_from(n.below(40_000)).unwrap();
    match n.below(10) {
        0..=3 => {
            let byte = u8::try_from(n.below(256)).unwrap();
            file.write_all_at(&vec![byte; len], at as u64).unwrap();
            if model.len() < at + len && len > 0 {
                model.resize(at + len, 0);
            }
            if len > 0 {
                model[at..at + len].fill(byte);
            }
        }
        4..=6 => {
            let mut got = vec![0; len];
            let end = (at + len).min(model.len());
            let wanted = model.get(at..end).unwrap_or_default();
            let mut read = 0;
            while read < wanted.len() {
                let more = file.read_at(&mut got[read..], (at + read) as u64).unwrap();
                assert!(more > 0, "a read ended early");
                read += more;
            }
            assert!(got[..read] == *wanted, "other bytes at {at}");
        }
        7 => {
            file.set_len(at as u64).unwrap();
            model.resize(at, 0);
        }
        8 => file.sync_all().unwrap(),
        _ => *file = open(m),
    }
    assert_eq!(file.metadata().unwrap().len(), model.len() as u64);
}

#[test]
fn random_work_on_one_file_gives_what_memory_gives() {
    let Some(m) = Mounted::new() else { return };
    for seed in [1, 2, 3] {
        let (mut n, mut model) = (Numbers(seed), Vec::new());
        fs::write(m.path("f"), "").unwrap();
        let mut file = open(&m);
        for _ in 0..400 {
            step(&m, &mut n, &mut file, &mut model);
        }
        drop(file);
        assert!(fs::read(m.path("f")).unwrap() == model, "seed {seed}: other bytes at the end");
    }
}

#[test]
fn many_threads_in_one_directory_do_not_disturb_each_other() {
    let Some(m) = Mounted::new() else { return };
    std::thread::scope(|scope| {
        for t in 0..8 {
            let point = m.point();
            scope.spawn(move || {
                for i in 0..30 {
                    let (new, kept) =
                        (point.join(format!("new-{t}")), point.join(format!("{t}-{i}")));
                    fs::write(&new, format!("{t} {i}")).unwrap();
                    fs::rename(&new, &kept).unwrap();
                    assert_eq!(fs::read_to_string(&kept).unwrap(), format!("{t} {i}"));
                    assert!(fs::read_dir(point).unwrap().count() > 0);
                    if i % 3 == 0 {
                        fs::remove_file(&kept).unwrap();
                    }
                }
            });
        }
    });
    let files: BTreeMap<String, String> = fs::read_dir(m.point())
        .unwrap()
        .map(Result::unwrap)
        .map(|e| (e.file_name().into_string().unwrap(), fs::read_to_string(e.path()).unwrap()))
        .collect();
    assert_eq!(files.len(), 8 * 20);
    assert!(files.iter().all(|(name, text)| *text == name.replace('-', " ")));
}
