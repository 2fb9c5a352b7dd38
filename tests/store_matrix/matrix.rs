//! All cells of the table. A short run is part of the tests; `CHARTFS_LONG=1` makes many rounds
//! (`CHARTFS_ROUNDS`) of every cell, or of those of one kind of request (`CHARTFS_KIND`). A problem
//! names its seed; `CHARTFS_SEED` runs that round again.

use std::io::Write;

use futures::StreamExt;

use crate::cells::{FAULTS, KINDS, applies, is_left_out};
use crate::round::{Report, Round};
use crate::template::Template;

/// Numbers that are the same in every run (Knuth's MMIX generator, its upper half).
#[derive(Clone)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) % limit
    }
}

/// Prints where it can be seen when the test passes.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// The rounds of a run.
fn rounds_of(has_journal: bool) -> Vec<Round> {
    let is_long = std::env::var_os("CHARTFS_LONG").is_some();
    let rounds = if is_long { number("CHARTFS_ROUNDS").unwrap_or(25) } else { 1 };
    let only = number("CHARTFS_SEED");
    let only_kind = std::env::var_os("CHARTFS_KIND");
    let mut work = Vec::new();
    for (row, kind) in KINDS.iter().enumerate() {
        for (column, fault) in FAULTS.iter().enumerate() {
            // Reads, listings and removals do not go through the journal.
            let is_write = matches!(*kind, "create" | "update" | "put");
            if !applies(kind, fault)
                || !is_long && is_left_out(kind, fault)
                || has_journal && !is_write
                || only_kind.as_ref().is_some_and(|only| only != kind)
            {
                continue;
            }
            for round in 0..rounds {
                let seed = (row * 1_000_000 + column * 10_000) as u64 + round;
                if only.is_none_or(|only| only == seed) {
                    work.push(Round { kind, fault, seed, is_long, has_journal });
                }
            }
        }
    }
    work
}

async fn run(work: Vec<Round>) {
    let template = &Template::found().await;
    let under_way = work.into_iter().map(|round| round.run(template));
    let mut reports: Vec<Report> =
        futures::stream::iter(under_way).buffer_unordered(24).collect().await;
    reports.sort_by_key(|r| r.round.seed);
    table(&reports);
    let problems: Vec<_> = reports.iter().flat_map(|r| &r.problems).collect();
    for problem in &problems {
        say(&format!("PROBLEM {problem}"));
    }
    assert!(problems.is_empty(), "{} problems", problems.len());
    for r in reports.chunk_by(|a, b| a.cell() == b.cell()) {
        let is_struck = r.iter().any(|r| r.hits > 0);
        assert!(is_struck || number("CHARTFS_SEED").is_some(), "nothing met {:?}", r[0].cell());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_meets_every_fault_and_nothing_acknowledged_is_lost() {
    run(rounds_of(false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_journal_acknowledged_reaches_the_bucket_through_every_fault() {
    run(rounds_of(true)).await;
}

/// Prints what happened: for every cell how often the fault struck, how many operations were
/// acknowledged of how many, and how many conflict copies were made.
fn table(reports: &[Report]) {
    say("request        fault             struck  acknowledged  copies  tries");
    for cell in reports.chunk_by(|a, b| a.cell() == b.cell()) {
        let sum = |f: fn(&Report) -> u64| cell.iter().map(f).sum::<u64>();
        let (kind, fault) = cell[0].cell();
        say(&format!(
            "{kind:<14} {fault:<17} {:>6} {:>7}/{:<6} {:>6} {:>6}",
            sum(|r| r.hits),
            sum(|r| r.acknowledged),
            sum(|r| r.operations),
            sum(|r| r.copies),
            cell.iter().map(|r| r.tries_max).max().unwrap_or_default(),
        ));
    }
    let sum = |f: fn(&Report) -> u64| reports.iter().map(f).sum::<u64>();
    say(&format!(
        "{} rounds: {} faults, {} requests, {} of {} operations acknowledged, {} conflict copies, \
         at most {} equal writes and {} reads of one object in one operation, {} problems",
        reports.len(),
        sum(|r| r.hits),
        sum(|r| r.requests),
        sum(|r| r.acknowledged),
        sum(|r| r.operations),
        sum(|r| r.copies),
        reports.iter().map(|r| r.tries_max).max().unwrap_or_default(),
        reports.iter().map(|r| r.reads_max).max().unwrap_or_default(),
        sum(|r| r.problems.len() as u64),
    ));
}
