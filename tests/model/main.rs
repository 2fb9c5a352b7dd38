//! The reference model: random work of several people at several workstations, compared step by
//! step with a model that knows nothing of encryption, records or caches.
//!
//! `CHARTFS_MODEL_OPS` says how many operations to do, `CHARTFS_LONG=1` makes that a million.
//! `CHARTFS_MODEL_SEED` replays the case that a failure names, or begins there;
//! `CHARTFS_MODEL_SHRINK` says how often it is tried again to make it shorter.

#![allow(clippy::print_stdout, clippy::unwrap_used)]
#![allow(clippy::case_sensitive_file_extension_comparisons, clippy::large_enum_variant)]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod commits;
mod compare;
mod edit;
mod files;
mod known;
mod names;
mod operations;
mod record;
mod renames;
mod rights;
mod site;
mod steps;
mod text;
mod world;

use std::cell::Cell;
use std::time::Instant;

use case::{Case, DESKS, Trouble};
use chartfs::store::Bucket;
use futures::StreamExt;
use operations::Step;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use site::{Desk, Site};

/// The most operations of one case.
const CASE_STEPS: usize = 120;
/// How many cases share a realm.
const CASES_PER_SITE: u64 = 20;
/// How often a case that failed is tried again to make it shorter, at most.
const SHRINK_MAX: u32 = 300;
/// How many operations the short run has.
const SHORT_OPERATIONS: u64 = 800;
/// After how many failures a run ends.
const WRONG_MAX: usize = 20;
/// After how many steps everybody is asked at a new workstation.
const EVERYBODY_EVERY: usize = 25;

/// One case, as it is made up.
#[derive(Clone, Debug)]
struct Plan {
    /// Which workstations believe what they know, as bits.
    stale: u8,
    policy: usize,
    steps: Vec<Step>,
}

fn plans(count: usize) -> impl Strategy<Value = Plan> {
    (any::<u8>(), 0..4_usize, operations::steps(count)).prop_map(|(stale, policy, steps)| Plan {
        stale,
        policy,
        steps,
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

/// Does a case; returns how many operations meant something.
async fn run(site: &Site, desks: &[Desk], number: u64, plan: &Plan) -> Result<u64, Trouble> {
    let mut case = Case::begin(site, desks, number, plan.stale, plan.policy).await?;
    let mut count = 0;
    for (i, step) in plan.steps.iter().enumerate() {
        let done = case.step(step).await;
        count += u64::from(done.map_err(|e| format!("step {i}, {step:?}: {e}"))?);
        if i % EVERYBODY_EVERY == EVERYBODY_EVERY - 1 {
            let compared = case.compare_everybody().await;
            compared.map_err(|e| format!("after step {i}, {step:?}: {e}"))?;
        }
    }
    case.compare_everybody().await.map_err(|e| format!("at the end: {e}"))?;
    Ok(count)
}

/// Removes what cases that are over left in the bucket: memory has an end.
async fn clean(site: &Site) {
    let mut kept = site.bucket().list("h");
    let mut names = Vec::new();
    while let Some(listed) = kept.next().await {
        names.extend(listed.map(|l| l.name));
    }
    for name in names {
        site.bucket().delete(&name).await.unwrap();
    }
}

struct Stage {
    runtime: tokio::runtime::Runtime,
    site: Site,
    desks: Vec<Desk>,
    next: Cell<u64>,
}

impl Stage {
    fn new(bucket: Bucket) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let site = runtime.block_on(Site::found(bucket));
        let desks = DESKS.iter().map(|user| Desk::new(*user, false)).collect();
        Self { runtime, site, desks, next: Cell::new(0) }
    }

    fn run(&self, plan: &Plan) -> Result<u64, Trouble> {
        self.next.set(self.next.get() + 1);
        self.runtime.block_on(async {
            let done = run(&self.site, &self.desks, self.next.get(), plan).await;
            clean(&self.site).await;
            done
        })
    }
}

/// Does one case made of a seed; a failure is made as short as it gets. Returns how many operations
/// it had, or what is wrong.
fn check(stage: &Stage, seed: u64) -> Result<u64, Trouble> {
    let shrinks = number("CHARTFS_MODEL_SHRINK").and_then(|n| u32::try_from(n).ok());
    let shrinks = shrinks.unwrap_or(SHRINK_MAX);
    let config = Config {
        cases: 1,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: shrinks,
        ..Config::default()
    };
    let count = Cell::new(0);
    let done = TestRunner::new(config).run(&plans(CASE_STEPS), |plan| {
        let done = stage.run(&plan).map_err(TestCaseError::fail)?;
        count.set(done);
        Ok(())
    });
    match done {
        Ok(()) => Ok(count.get()),
        Err(TestError::Fail(why, plan)) => {
            let steps: Vec<String> = plan.steps.iter().map(|s| format!("{s:?}")).collect();
            Err(format!(
                "CHARTFS_MODEL_SEED={seed}: {why}\nstale {:#b}, policy {}\n{}",
                plan.stale,
                plan.policy,
                steps.join("\n")
            ))
        }
        Err(other) => Err(format!("CHARTFS_MODEL_SEED={seed}: {other}")),
    }
}

/// Does cases from a seed on until so many operations are done; returns how many were, and what was
/// wrong.
fn run_from(first: u64, wanted: u64) -> (u64, Vec<Trouble>) {
    let (mut done, mut seed, began) = (0, first, Instant::now());
    let (mut stage, mut wrong) = (Stage::new(Bucket::memory()), Vec::new());
    while done < wanted && wrong.len() < WRONG_MAX {
        if seed.is_multiple_of(CASES_PER_SITE) {
            stage = Stage::new(Bucket::memory());
        }
        match check(&stage, seed) {
            Ok(count) => done += count,
            Err(trouble) => {
                println!("after {done} operations: {trouble}");
                wrong.push(trouble);
            }
        }
        seed += 1;
        if seed.is_multiple_of(100) {
            let (cases, s) = (seed - first, began.elapsed().as_secs());
            println!("{done} operations of {cases} cases in {s} s, {} divergences", wrong.len());
        }
    }
    (done, wrong)
}

#[test]
fn cases_that_failed_once_hold() {
    let mut wrong = Vec::new();
    for (number, (stale, policy, steps)) in known::all().into_iter().enumerate() {
        match Stage::new(Bucket::memory()).run(&Plan { stale, policy, steps }) {
            Ok(count) => assert!(count > 0),
            Err(trouble) => wrong.push(format!("known case {number}: {trouble}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn random_work_of_several_people_gives_what_the_model_says() {
    let is_long = std::env::var_os("CHARTFS_LONG").is_some();
    let (first, count) = (number("CHARTFS_MODEL_SEED"), number("CHARTFS_MODEL_OPS"));
    let wanted = match (is_long, first) {
        (true, _) => 1_000_000,
        (false, None) => SHORT_OPERATIONS,
        // One case.
        (false, Some(_)) => 1,
    };
    let (done, wrong) = run_from(first.unwrap_or(1), count.unwrap_or(wanted));
    println!("{done} operations");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
