//! Writers: each does the steps of its plan and writes down what was acknowledged, in a file on
//! another file system.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::plan::{Lane, Step, Tree, text_of};

/// A writer at work.
pub(crate) struct Writer {
    plan: Vec<Step>,
    before: Tree,
    log: PathBuf,
    thread: JoinHandle<Result<(), String>>,
}

/// What must be there after a writer's end: one of these.
pub(crate) struct Promised {
    pub(crate) trees: Vec<Tree>,
    pub(crate) acknowledged: usize,
    /// The last steps, for whoever looks into a failure.
    last: Vec<Step>,
}

impl std::fmt::Display for Promised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trees, acknowledged, last, .. } = self;
        write!(f, "one of {trees:#?} after {acknowledged} steps, the last of which: {last:#?}")
    }
}

/// Told after every acknowledgement how many there were.
pub(crate) type OnAck = Arc<dyn Fn() + Send + Sync>;

impl Writer {
    pub(crate) fn start(
        lane: Lane,
        (plan, before): (Vec<Step>, Tree),
        point: &Path,
        logs: &Path,
        is_cut: &Arc<AtomicBool>,
        on_ack: OnAck,
    ) -> Self {
        let log = logs.join(format!("{lane:?}"));
        let (steps, is_cut) = (plan.clone(), Arc::clone(is_cut));
        let mut file = File::create(&log).unwrap();
        // By its descriptor: once the mount is gone, the name means the folder below it.
        let root = File::open(point).unwrap();
        let thread = std::thread::spawn(move || {
            let point = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
            for (number, step) in steps.iter().enumerate() {
                writeln!(file, "begin {number}").unwrap();
                if let Err(e) = act(&point, step) {
                    // After the cut every call fails; before it none may.
                    let is_late = is_cut.load(Ordering::SeqCst);
                    return if is_late { Ok(()) } else { Err(format!("{step:?}: {e}")) };
                }
                writeln!(file, "done {number}").unwrap();
                file.sync_data().unwrap();
                on_ack();
            }
            Ok(())
        });
        Self { plan, before, log, thread }
    }

    /// Waits for its end, and reads from its log what was promised.
    pub(crate) fn end(self) -> Promised {
        self.thread.join().expect("a writer does not panic").unwrap();
        let log = fs::read_to_string(&self.log).unwrap();
        let count = |word: &str| log.lines().filter(|line| line.starts_with(word)).count();
        let (begun, done) = (count("begin"), count("done"));
        let tree = self.plan[..done].iter().fold(self.before, |tree, step| step.after(&tree));
        let trees = if begun > done { self.plan[done].outcomes(&tree) } else { vec![tree] };
        let last = self.plan[done.saturating_sub(6)..begun].to_vec();
        Promised { trees, acknowledged: done, last }
    }
}

/// Makes the calls of a step.
fn act(point: &Path, step: &Step) -> io::Result<()> {
    let backup = |name: &str| point.join(format!("{name}~"));
    match step {
        Step::Put { name, text } => {
            let mut file = File::create(point.join(name))?;
            file.write_all(text_of(name, *text).as_bytes())?;
            close(file)
        }
        Step::Patch { name, text } => {
            let file = File::options().write(true).open(point.join(name))?;
            let text = text_of(name, *text);
            file.write_all_at(text.as_bytes(), 0)?;
            file.set_len(text.len() as u64)?;
            // From here on it is promised; `close` has nothing left to do.
            file.sync_all()?;
            drop(file);
            Ok(())
        }
        Step::Rename { from, to } => fs::rename(point.join(from), point.join(to)),
        Step::Unlink { name } => fs::remove_file(point.join(name)),
        Step::MakeFolder { name } => fs::create_dir(point.join(name)),
        Step::RemoveFolder { name } => fs::remove_dir(point.join(name)),
        Step::TakeAway { name } => fs::rename(point.join(name), backup(name)),
        Step::DropBackup { name } => fs::remove_file(backup(name)),
    }
}

/// Closes a file and says what came of it, which dropping it does not.
fn close(file: File) -> io::Result<()> {
    Ok(nix::unistd::close(file.into_raw_fd())?)
}
