//! Rounds of mounting, writing, and a power cut: state, cache and bucket live on a disk that
//! forgets what was not synced.

mod disk;
mod serve;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::kill::{Count, assert_kept, begin, nothing};
use crate::plan::{CHART, Random, Tree, What};
use crate::site::{Place, Site, tree_of};
use crate::writer::{OnAck, Promised, Writer};
use crate::{drive, number};
use disk::Cut;
use serve::Mounted;

/// After how many rounds a new disk is made.
const DISK_ROUNDS: u64 = 10;
/// How many changes of the disk, or acknowledged steps, there are before the cut, at most.
const CHANGES_MAX: u64 = 400;
const STEPS_MAX: u64 = 30;
/// When the power is cut at the latest.
const LIFE_MAX: Duration = Duration::from_secs(3);

/// Runs the rounds of one way to commit to one place.
pub(crate) fn rounds(place: Place, commit: &'static str) {
    if !drive::can_mount() {
        return;
    }
    let is_long = std::env::var_os("CHARTFS_LONG").is_some();
    let rounds = number("CHARTFS_CRASH_ROUNDS").unwrap_or(if is_long { 200 } else { 5 });
    let seed = number("CHARTFS_CRASH_SEED").unwrap_or(1);
    let (begun, mut count, mut done) = (Instant::now(), Count::default(), 0);
    while done < rounds {
        let point = tempfile::tempdir().unwrap();
        let is_off = Arc::new(AtomicBool::new(false));
        let disk = Mounted::new(point.path(), &is_off);
        let site = Site::found(place, commit, point.path());
        disk.lock().sync();
        let here = DISK_ROUNDS.min(rounds - done);
        let mut random = Random::new(seed.wrapping_add(done).wrapping_mul(77));
        on_one_disk(&site, &disk, &is_off, &mut random, here, &mut count);
        done += here;
        println!(
            "{commit}, {place:?}: power cut {done} times in {} s, {} steps acknowledged, {} in \
             doubt: 0 lost, 0 torn",
            begun.elapsed().as_secs(),
            count.acknowledged,
            count.in_doubt
        );
    }
    assert!(count.acknowledged > 0, "no step was acknowledged");
}

fn on_one_disk(
    site: &Site,
    disk: &Mounted,
    is_off: &Arc<AtomicBool>,
    random: &mut Random,
    rounds: u64,
    count: &mut Count,
) {
    let mut tree = Tree::from([(CHART.to_owned(), What::Text(0))]);
    for round in 1..=rounds {
        // Now and then while the files are made.
        if random.below(3) == 0 {
            disk.lock().left = Some(random.below(60));
            let mounting = site.mount();
            wait_off(is_off);
            site.kill(mounting.child);
            cut(disk, random);
        }
        let child = site.mount().wait(site);
        let on_ack = if random.below(2) == 0 {
            disk.lock().left = Some(random.below(CHANGES_MAX));
            nothing()
        } else {
            off_after(random.below(STEPS_MAX), is_off)
        };
        let logs = site.logs();
        let writers = begin(site, &tree, random, round, (logs.path(), is_off), &on_ack);
        wait_off(is_off);
        site.kill(child);
        let promised: Vec<Promised> = writers.into_iter().map(Writer::end).collect();
        count.add(&promised);
        let how = cut(disk, random);
        let child = site.mount().wait(site);
        tree = tree_of(site.point());
        println!("round {round}: {how:?}");
        assert_kept(&tree, &promised, round);
        site.assert_hidden_part();
        site.leave(child);
        site.check();
        assert_eq!(site.elsewhere(), tree, "what another workstation sees");
        disk.lock().sync();
    }
}

/// Puts the power off when so many steps were acknowledged.
fn off_after(steps: u64, is_off: &Arc<AtomicBool>) -> OnAck {
    let (seen, is_off) = (std::sync::atomic::AtomicU64::new(0), Arc::clone(is_off));
    Arc::new(move || {
        if seen.fetch_add(1, Ordering::SeqCst) >= steps {
            is_off.store(true, Ordering::SeqCst);
        }
    })
}

fn wait_off(is_off: &AtomicBool) {
    let begun = Instant::now();
    while !is_off.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
        if begun.elapsed() > LIFE_MAX {
            is_off.store(true, Ordering::SeqCst);
        }
    }
}

fn cut(disk: &Mounted, random: &mut Random) -> Cut {
    let how = if random.below(2) == 0 { Cut::Nothing } else { Cut::Some };
    disk.lock().cut(how, random);
    how
}
