//! `chartfs demo`: the main job on a local directory, with invented people, in one command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::doctor::lacking;
use super::matrix;
use super::out::{Out, say};
use super::report::{Exit, Failure, Outcome};
use super::session::{Session, runtime};
use crate::daemon::{self, Mount, MountOptions, Stop};
use crate::demo::realm::{Demo, POLICY, enter, found};
use crate::error::{Error, Kind, Result};
use crate::record::marks::Marks;
use crate::store::{Bucket, Location, StoreOptions};
use crate::view::{DirEntry, View};

/// The most patients that are invented.
const PATIENTS_MAX: u64 = 1000;

/// Show what chartfs does, with invented patients in a local folder
///
/// Founds a realm of two hospitals, a pharmacy board, an ethics board and patients in a folder that
/// serves as bucket, enrols eight people, files the patients' records, mounts one drive for each
/// person, and prints who opens what. The drives stay until Ctrl-C.
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// Where to make it; a new folder that is removed again when none is named
    dir: Option<PathBuf>,
    /// How many patients to invent
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    patients: u64,
    /// Unmount and leave when everything was shown
    #[arg(long)]
    exit: bool,
}

/// One person's drive.
struct Drive {
    name: &'static str,
    point: PathBuf,
    view: Arc<View>,
}

pub(super) fn run(args: &DemoArgs, session: &Session) -> Outcome {
    if args.patients == 0 || args.patients > PATIENTS_MAX {
        return Err(Error::new(Kind::Usage, "that many patients cannot be invented")
            .because(format!("1 to {PATIENTS_MAX}"))
            .into());
    }
    let missing = lacking(session);
    let temporary = if args.dir.is_none() {
        Some(tempfile::Builder::new().prefix("chartfs-demo-").tempdir().map_err(Error::from)?)
    } else {
        None
    };
    let named = args.dir.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path));
    let dir = named.ok_or_else(|| Error::new(Kind::Internal, "the demonstration has no folder"))?;
    let runtime = runtime()?;
    let demo = runtime.block_on(make(dir, args.patients))?;
    let mut out = Out::new(session.settings.color);
    show_matrix(&mut out, &demo)?;
    let folder = demo.folders[0].clone();
    let drives = runtime.block_on(enter_all(dir, demo))?;
    show_views(&mut out, &runtime, &drives, &folder)?;
    if missing.is_empty() {
        serve_all(&mut out, &runtime, drives, &folder, args.exit)
    } else {
        out.line("\nThis machine cannot mount, so no drive is shown:")?;
        missing.iter().try_for_each(|m| out.line(format_args!("  {m}")))?;
        Ok(Exit::bad(Kind::MountPoint))
    }
}

async fn make(dir: &Path, patients: u64) -> Result<Demo> {
    let bucket_dir = dir.join("bucket");
    let location = Location::Directory(std::path::absolute(&bucket_dir)?);
    let options = StoreOptions { create_directory: true, ..StoreOptions::default() };
    let bucket = Bucket::open(&location, &options).await?;
    say(format_args!("the bucket is {}", bucket_dir.display()));
    found(bucket, patients, |what| say(format_args!("  {what}"))).await
}

fn show_matrix(out: &mut Out, demo: &Demo) -> std::result::Result<(), Failure> {
    out.line(format_args!("\nWho opens what of {}:\n", demo.folders[0]))?;
    let roles = demo.roles.iter().map(|r| (r.name.to_owned(), r.attributes.clone()));
    matrix::show(out, POLICY, &demo.folders[0], roles)
}

async fn enter_all(dir: &Path, demo: Demo) -> Result<Vec<Drive>> {
    let mut drives = Vec::new();
    for role in demo.roles {
        let point = dir.join("drives").join(role.name);
        std::fs::create_dir_all(&point)?;
        let view = enter(&demo.bucket, &demo.genesis, role.credential, Marks::in_memory()).await?;
        drives.push(Drive { name: role.name, point, view });
    }
    Ok(drives)
}

/// Prints what one path says to everybody, and in full to two.
fn show_views(
    out: &mut Out,
    runtime: &tokio::runtime::Runtime,
    drives: &[Drive],
    folder: &str,
) -> std::result::Result<(), Failure> {
    let path = format!("/{folder}/record.json");
    out.line(format_args!("\nWhat {path} is to each of them:\n"))?;
    let mut rows = Vec::new();
    for drive in drives {
        let own = runtime.block_on(own_path(&drive.view, &path))?;
        let text = runtime.block_on(read(&drive.view, &own))?;
        rows.push(vec![drive.name.to_owned(), text.len().to_string(), resources(&text)]);
    }
    out.table(&["who", "bytes", "resources"], &rows)?;
    for name in ["pharmacist", "billing"] {
        let Some(drive) = drives.iter().find(|d| d.name == name) else { continue };
        let text = runtime.block_on(read(&drive.view, &path))?;
        out.line(format_args!("\n{path} as {name} reads it, the first lines:\n"))?;
        for line in String::from_utf8_lossy(&text).lines().take(24) {
            out.line(format_args!("    {line}"))?;
        }
    }
    Ok(())
}

/// Returns the path of a record; for whom it has no such name, that of the longest file of the first
/// folder.
async fn own_path(view: &View, path: &str) -> Result<String> {
    if view.resolve(path).await.is_ok() {
        return Ok(path.to_owned());
    }
    let none = || Error::new(Kind::Internal, "the demonstration has no folder");
    let name = |entry: &DirEntry| String::from_utf8_lossy(&entry.name).into_owned();
    let folder = view.list_path("/").await?.first().map(name).ok_or_else(none)?;
    let files = view.list_path(&folder).await?;
    let file = files.iter().max_by_key(|e| e.attr.size_bytes).map(name).ok_or_else(none)?;
    Ok(format!("/{folder}/{file}"))
}

async fn read(view: &View, path: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    view.read_path(path, |piece| {
        text.extend_from_slice(&piece);
        Ok(())
    })
    .await?;
    Ok(text)
}

/// Counts the resources of a bundle by type.
fn resources(bundle: &[u8]) -> String {
    let bundle: serde_json::Value = serde_json::from_slice(bundle).unwrap_or_default();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in bundle["entry"].as_array().into_iter().flatten() {
        *counts.entry(entry["resource"]["resourceType"].as_str().unwrap_or("?")).or_default() += 1;
    }
    let counted = counts
        .iter()
        .map(|(kind, n)| if *n == 1 { (*kind).to_owned() } else { format!("{n} {kind}") });
    counted.collect::<Vec<_>>().join(", ")
}

/// Mounts every drive, waits for the end, and takes all of them off again.
fn serve_all(
    out: &mut Out,
    runtime: &tokio::runtime::Runtime,
    drives: Vec<Drive>,
    folder: &str,
    exits: bool,
) -> Outcome {
    let stop = Stop::new();
    daemon::stop_on_signals(&stop)?;
    let points: Vec<PathBuf> = drives.iter().map(|d| d.point.clone()).collect();
    let (ready, mounted) = std::sync::mpsc::channel();
    let problem = std::thread::scope(|scope| {
        let served: Vec<_> = drives
            .into_iter()
            .map(|drive| {
                let (ready, stop) = (ready.clone(), &stop);
                scope.spawn(move || serve(drive, runtime, stop, &ready))
            })
            .collect();
        drop(ready);
        // A mount that fails drops its end of the channel, and the others are taken off.
        let count = mounted.iter().take(points.len()).count();
        let mut problem =
            if count == points.len() { show_drives(out, &points, folder, exits) } else { Ok(()) };
        if exits || count < points.len() || problem.is_err() {
            stop.ask();
        }
        for thread in served {
            let result = thread
                .join()
                .unwrap_or_else(|_| Err(Error::new(Kind::Internal, "a drive ended unexpectedly")));
            problem = problem.and(result.map_err(Failure::from));
        }
        problem
    });
    problem.map(|()| Exit::DONE)
}

fn serve(
    drive: Drive,
    runtime: &tokio::runtime::Runtime,
    stop: &Stop,
    ready: &std::sync::mpsc::Sender<()>,
) -> Result<()> {
    let mount = Mount {
        view: drive.view,
        point: drive.point,
        source_label: format!("chartfs-demo-{}", drive.name),
        options: MountOptions::default(),
    };
    let result = daemon::serve(mount, runtime.handle(), stop, || {
        // The receiver is gone only when the demonstration is over.
        let _ = ready.send(());
    });
    if result.is_err() {
        stop.ask();
    }
    result
}

fn show_drives(
    out: &mut Out,
    points: &[PathBuf],
    folder: &str,
    exits: bool,
) -> std::result::Result<(), Failure> {
    out.line("\nThe drives are mounted:\n")?;
    for point in points {
        let file = point.join(folder).join("record.json");
        if !file.exists() {
            out.line(format_args!("        under pseudonyms  {}", point.display()))?;
            continue;
        }
        let size = std::fs::metadata(&file).map_err(Error::from)?.len();
        out.line(format_args!("  {size:>8} bytes  {}", file.display()))?;
    }
    if exits {
        return Ok(());
    }
    let drives = points[0].parent().unwrap_or(&points[0]).display();
    out.line("\nIn another terminal, look at them, and save something:\n")?;
    out.line(format_args!("  ls -l {drives}/*/{folder}/"))?;
    out.line(format_args!(
        "  diff {drives}/pharmacist/{folder}/record.json {drives}/billing/{folder}/record.json"
    ))?;
    out.line(format_args!("  cd {drives}/pharmacist/{folder}"))?;
    out.line("  jq '(.entry[].resource | select(.resourceType == \"MedicationRequest\")).status = \"stopped\"' record.json > new && mv new record.json")?;
    out.line("  sed -i s/low/high/ record.json      # refused: it touches what the pharmacist may not write")?;
    out.line(format_args!("  getfattr -n user.chartfs.sections {drives}/*/{folder}/record.json"))?;
    out.line("\nCtrl-C unmounts them and ends the demonstration.")
}
