//! Rounds of mounting, writing, and a kill at a random moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::plan::{CHART, LANES, Random, Tree, What, plan};
use crate::site::{Place, Site, part_of, tree_of};
use crate::writer::{OnAck, Promised, Writer};
use crate::{drive, number};

/// Until when at most a daemon lives after its drive works.
const LIFE_MAX_US: u64 = 300_000;
/// One in so many daemons is killed before its drive works.
const EARLY: u64 = 8;
/// After how many rounds a new realm is founded: history grows with every save.
const REALM_ROUNDS: u64 = 200;
/// After how many rounds everything is sent, and the whole bucket looked through.
const CHECK_ROUNDS: u64 = 50;

/// What was seen of all rounds.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) acknowledged: usize,
    pub(crate) in_doubt: usize,
}

impl Count {
    /// Takes up what the writers were promised.
    pub(crate) fn add(&mut self, promised: &[Promised]) {
        self.acknowledged += promised.iter().map(|p| p.acknowledged).sum::<usize>();
        self.in_doubt += promised.iter().filter(|p| p.trees.len() > 1).count();
    }
}

/// Runs the rounds of one way to commit to one place.
pub(crate) fn rounds(place: Place, commit: &'static str) {
    if !drive::can_mount() {
        return;
    }
    let is_long = std::env::var_os("CHARTFS_LONG").is_some();
    let rounds = number("CHARTFS_CRASH_ROUNDS").unwrap_or(if is_long { 2000 } else { 10 });
    let seed = number("CHARTFS_CRASH_SEED").unwrap_or(1);
    let (begun, mut count) = (Instant::now(), Count::default());
    let mut done = 0;
    while done < rounds {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::found(place, commit, dir.path());
        let here = REALM_ROUNDS.min(rounds - done);
        in_one_realm(&site, commit, seed.wrapping_add(done), here, &mut count);
        done += here;
        let (acknowledged, seconds) = (count.acknowledged, begun.elapsed().as_secs());
        println!(
            "{commit}, {place:?}: killed {done} times in {seconds} s, {acknowledged} steps \
             acknowledged, {} in doubt: 0 lost, 0 torn",
            count.in_doubt
        );
    }
    assert!(count.in_doubt > 0, "no daemon was killed within a step");
}

fn in_one_realm(site: &Site, commit: &str, seed: u64, rounds: u64, count: &mut Count) {
    let mut random = Random::new(seed);
    let mut tree = Tree::from([(CHART.to_owned(), What::Text(0))]);
    let mut child = site.mount().wait(site);
    for round in 1..=rounds {
        let is_cut = Arc::new(AtomicBool::new(false));
        let logs = site.logs();
        let writers = begin(site, &tree, &mut random, round, (logs.path(), &is_cut), &nothing());
        // Early moments are the more interesting ones: what follows is more of the same.
        let part = random.below(1001);
        std::thread::sleep(Duration::from_micros(LIFE_MAX_US * part * part / 1_000_000));
        is_cut.store(true, Ordering::SeqCst);
        site.kill(child);
        let promised: Vec<Promised> = writers.into_iter().map(Writer::end).collect();
        count.add(&promised);
        site.lose(commit == "remote" && round.is_multiple_of(2));
        if random.below(EARLY) == 0 {
            let mounting = site.mount();
            std::thread::sleep(Duration::from_micros(random.below(LIFE_MAX_US / 2)));
            site.kill(mounting.child);
        }
        child = site.mount().wait(site);
        tree = tree_of(site.point());
        assert_kept(&tree, &promised, round);
        site.assert_hidden_part();
        if round.is_multiple_of(CHECK_ROUNDS) || round == rounds {
            site.leave(child);
            site.check();
            assert_eq!(site.elsewhere(), tree, "what another workstation sees");
            child = site.mount().wait(site);
        }
    }
    site.leave(child);
}

pub(crate) fn nothing() -> OnAck {
    Arc::new(|| ())
}

/// Lets a writer begin in every lane, with texts that were never there.
pub(crate) fn begin(
    site: &Site,
    tree: &Tree,
    random: &mut Random,
    round: u64,
    (logs, is_cut): (&std::path::Path, &Arc<AtomicBool>),
    on_ack: &OnAck,
) -> Vec<Writer> {
    let start = |lane| {
        let before = part_of(tree, lane);
        let plan = plan(lane, before.clone(), random, round * 1000);
        Writer::start(lane, (plan, before), site.point(), logs, is_cut, on_ack.clone())
    };
    LANES.map(start).into_iter().collect()
}

/// Asserts that what is there now is what every writer was promised.
pub(crate) fn assert_kept(tree: &Tree, promised: &[Promised], round: u64) {
    for (lane, promised) in LANES.into_iter().zip(promised) {
        let now = part_of(tree, lane);
        assert!(
            promised.trees.contains(&now),
            "round {round}, {lane:?}: there is {now:#?}, which is not {promised}"
        );
    }
}
