//! `chartfs import` into an inbox: files are recognised, and filed into the patients' folders.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Semaphore;

use super::import::{Imported, Item};
use super::out::say;
use super::report::three_lines;
use crate::error::{Error, Kind, Result};
use crate::view::{Intake, View};

/// How many files are filed at the same time.
const FILES_AT_ONCE: usize = 8;
/// How much of them is in memory at the same time, in KiB: a file that is longer waits for all of
/// it.
const BUDGET_KIB: u32 = 64 << 10;
/// How often a line tells how far it is, where there is no terminal for a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How far an import is: a bar on a terminal, else a line from time to time.
pub(super) struct Progress {
    bar: ProgressBar,
    line: Option<Instant>,
    files: u64,
    all: u64,
}

impl Progress {
    pub(super) fn new(files: u64, bytes: u64) -> Self {
        let bar = ProgressBar::new(bytes);
        let template = "{msg} files {bytes}/{total_bytes} {wide_bar} {bytes_per_sec} {eta} left";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
        let line = (!std::io::stderr().is_terminal()).then(Instant::now);
        let progress = Self { bar, line, files: 0, all: files };
        progress.bar.set_message(format!("0/{files}"));
        progress
    }

    pub(super) fn done(&mut self, bytes: u64) {
        self.files += 1;
        self.bar.set_message(format!("{}/{}", self.files, self.all));
        self.bar.inc(bytes);
        let Some(last) = self.line.filter(|last| last.elapsed() >= LINE_INTERVAL) else { return };
        let (done, of) = (self.bar.position() >> 20, self.bar.length().unwrap_or(0) >> 20);
        say(format_args!("{} of {} files, {done} of {of} MiB", self.files, self.all));
        self.line = Some(last + LINE_INTERVAL.max(last.elapsed()));
    }

    /// Tells what is wrong with a file.
    pub(super) fn note(&self, from: &Path, e: &Error) {
        self.bar.suspend(|| say(format_args!("{}\n{}", from.display(), three_lines(e).trim_end())));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Finds out whose the patients' folders are that are there already.
pub(super) async fn learn(view: &View, intake: &Intake) -> Result<()> {
    let bar = ProgressBar::new_spinner();
    let learnt = view.learn_patients(intake, |so_far| {
        bar.set_message(format!("{} patients known", so_far.known));
        bar.tick();
    });
    let learnt = learnt.await?;
    bar.finish_and_clear();
    say(format_args!(
        "{} patients known, {} folders name nobody that can be read, {} are in doubt",
        learnt.known, learnt.unknown, learnt.doubtful
    ));
    Ok(())
}

/// Files everything and tells what could not be; returns the class of the first failure.
pub(super) async fn take_all(
    view: &View,
    intake: &Arc<Intake>,
    items: &[Item],
    progress: &mut Progress,
    sum: &mut Imported,
) -> Option<Kind> {
    let budget = Semaphore::new(BUDGET_KIB as usize);
    let mut first = None;
    let files = items.iter().filter(|i| !i.is_folder);
    let mut done = futures::stream::iter(files)
        .map(|item| {
            let budget = &budget;
            async move {
                let kib = u32::try_from(item.len_bytes >> 10).unwrap_or(BUDGET_KIB) + 1;
                // Nobody closes the semaphore.
                let _turn = budget.acquire_many(kib.min(BUDGET_KIB)).await;
                (item, take(view, intake, item).await)
            }
        })
        .buffer_unordered(FILES_AT_ONCE);
    while let Some((item, taken)) = done.next().await {
        progress.done(item.len_bytes);
        match taken {
            Ok(taken) => {
                sum.created += taken.created;
                sum.changed += taken.changed;
                sum.unchanged += taken.unchanged;
                sum.failed += taken.failed;
                if taken.failed > 0 {
                    first.get_or_insert(Kind::Usage);
                }
            }
            Err(e) => {
                sum.failed += 1;
                progress.note(&item.from, &e);
                first.get_or_insert(e.kind());
            }
        }
    }
    first
}

async fn take(view: &View, intake: &Intake, item: &Item) -> Result<crate::view::Taken> {
    let source = std::fs::File::open(&item.from)?;
    let name = item.to.last().ok_or_else(|| Error::new(Kind::Usage, "the file has no name"))?;
    view.take_in(intake, name, source).await
}
