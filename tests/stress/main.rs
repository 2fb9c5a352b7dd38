//! Many processes in the same folders, over one mount and over two mounts of one bucket, and a
//! checker that knows what each of them was told.
//!
//! Without arguments a short run, as a test. `--seconds N` runs each case for that long,
//! `--processes N` with as many processes, `--seed N` with other random numbers:
//! `cargo test --release --test stress -- --seconds 600`. The same binary is also the worker.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../drive/mod.rs"]
mod drive;
mod check;
mod daemons;
mod text;
mod worker;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daemons::Bucket;

/// Case and number of mounts.
const CASES: [(&str, usize); 2] =
    [("many_processes_over_one_mount_lose_nothing", 1), ("and_over_two_mounts_of_a_bucket", 2)];
/// How many steps each process of the short run takes.
const STEPS: u64 = 100;

/// How much is done.
struct Size {
    seconds: Option<u64>,
    processes: u64,
    seed: u64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "worker") {
        return worker::run(&args[1..]);
    }
    let listing = args.iter().any(|a| a == "--list");
    if listing && args.iter().any(|a| a == "--ignored") {
        return;
    }
    let number = |flag: &str| {
        let at = args.iter().position(|a| a == flag)?;
        Some(args.get(at + 1)?.parse().expect("a number"))
    };
    let size = Size {
        seconds: number("--seconds"),
        processes: number("--processes").unwrap_or(8),
        seed: number("--seed").unwrap_or(1),
    };
    let wanted: Vec<&String> =
        args.iter().filter(|a| !a.starts_with('-') && a.parse::<u64>().is_err()).collect();
    for (name, mounts) in CASES {
        if listing {
            println!("{name}: test");
        } else if wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str())) {
            if drive::can_mount() {
                case(mounts, &size);
            }
            println!("test {name} ... ok");
        }
    }
}

/// One run: founds, mounts, works, unmounts, checks.
fn case(mounts: usize, size: &Size) {
    let bucket = Bucket::found();
    let mut daemons = vec![bucket.mount(0)];
    worker::prepare(daemons[0].point());
    // The others see from the start what all processes start from.
    daemons.extend((1..mounts).map(|i| bucket.mount(i)));
    let started = Instant::now();
    let mut workers: Vec<Child> = (0..size.processes)
        .map(|id| {
            let mount = usize::try_from(id).unwrap() % mounts;
            Command::new(std::env::current_exe().unwrap())
                .args(["worker", &id.to_string(), &mount.to_string()])
                .arg(daemons[mount].point())
                .arg(bucket.log(id))
                .arg((size.seed * 1000 + id).to_string())
                .args([size.seconds.map_or(0, |_| u64::MAX).max(STEPS).to_string()])
                .arg(size.seconds.unwrap_or(u64::MAX >> 1).to_string())
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut seconds = 0;
    while workers.iter_mut().any(|w| w.try_wait().unwrap().is_none()) {
        for daemon in &mut daemons {
            daemon.sample();
        }
        if seconds % 30 == 29 {
            println!("after {} s", started.elapsed().as_secs());
            daemons.iter().for_each(daemons::Daemon::print);
        }
        seconds += 1;
        std::thread::sleep(Duration::from_secs(1));
    }
    let all_well = workers.iter_mut().all(|w| w.wait().unwrap().success());
    println!(
        "{mounts} mount(s), {} processes, {:.1} s",
        size.processes,
        started.elapsed().as_secs_f64()
    );
    for daemon in daemons {
        daemon.print();
        daemon.end();
    }
    let logs = (0..size.processes).map(|id| bucket.log(id));
    check::check(&bucket, mounts, logs);
    assert!(all_well, "a process found something wrong, see above");
}
