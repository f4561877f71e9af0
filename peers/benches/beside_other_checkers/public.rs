//! The public histories with which such checkers are usually measured: 102 logs of a test of etcd, and those
//! of a key-value store. They come with the source of `porcupine-rs`, where cargo has put it; where that is
//! not to be found, they are left out.

use std::path::{Path, PathBuf};
use std::process::Command;

use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{foreign_registers, foreign_texts};
use stormglass_sim::history::foreign::{Format, read_kv, read_registers};

use crate::shapes::{History, Objects, Shape};

/// So many logs of etcd have operations in them; one more is empty.
const ETCD_LOGS: usize = 102;

/// One key-value log, and what it is known to be.
type KvLog = (&'static str, &'static str, Verdict);

const KV_LOGS: [KvLog; 4] = [
    ("public-kv-10-clients", "c10-ok.txt", Verdict::Valid),
    ("public-kv-10-clients-wrong", "c10-bad.txt", Verdict::Invalid),
    ("public-kv-50-clients", "c50-ok.txt", Verdict::Valid),
    ("public-kv-50-clients-wrong", "c50-bad.txt", Verdict::Invalid),
];

/// The shapes of the public files.
pub(crate) fn shapes() -> Vec<Shape> {
    let mut shapes = vec![Shape::new("public-etcd", etcd)];
    shapes
        .extend(KV_LOGS.map(|(name, file, expected)| {
            Shape::new(name, move || kv(file, expected).into_iter().collect())
        }));
    shapes
}

/// Where the files are.
fn folder() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Of every platform: cargo may have to fetch some that it never needed to build.
    let arguments = ["metadata", "--format-version", "1", "--locked"];
    let output = Command::new(cargo).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    let packages = metadata.get("packages")?.as_array()?;
    let porcupine = packages.iter().find(|package| package["name"] == "porcupine-rs")?;
    let manifest = Path::new(porcupine["manifest_path"].as_str()?);
    Some(manifest.parent()?.join("test_data")).filter(|folder| folder.is_dir())
}

fn etcd() -> Vec<History> {
    let Some(folder) = folder().and_then(|folder| folder.join("jepsen").read_dir().ok()) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = folder.flatten().map(|file| file.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    let log = |file: &PathBuf| {
        let bytes = std::fs::read(file).expect("a file that was found can be read");
        let recording = read_registers(&bytes, Format::Jepsen).ok()?;
        let objects = Objects::Registers(foreign_registers(recording, |operation| operation.process));
        Some(History { objects, expected: None })
    };
    let histories: Vec<History> = files.iter().filter_map(log).collect();
    assert_eq!(histories.len(), ETCD_LOGS, "of {} logs not all could be read that once could", files.len());
    histories
}

fn kv(file: &str, expected: Verdict) -> Option<History> {
    let bytes = std::fs::read(folder()?.join("kv").join(file)).ok()?;
    let recording = read_kv(&bytes, Format::Edn).expect("it is a history of texts");
    let objects = Objects::Texts(foreign_texts(recording, |operation| operation.process));
    Some(History { objects, expected: Some(expected) })
}
