//! The folder that a run which is not valid leaves behind.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it writes real files, after the run is over"
)]

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use stormglass_reports::{Report, to_json};
use thiserror::Error;

use crate::history::{History, write_history};
use crate::plan::Schedule;

/// A longer report is not read back.
const REPORT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The folder could not be written.
#[derive(Debug, Error)]
#[error("cannot write {path}: {error}", path = path.display())]
pub struct FolderError {
    /// What could not be written.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// Writes `report.json`, `schedule.toml` and `history.jsonl` into a folder below `out` named after scenario
/// and seed, in place of what an earlier run of the same name left. Returns the folder.
///
/// Each file is written under another name first and renamed when whole, so none is ever half there.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn leave(
    out: &Path,
    report: &Report,
    schedule: &Schedule,
    history: &History,
) -> Result<PathBuf, FolderError> {
    let planted = report.planted.as_ref().map_or_else(String::new, |bug| format!("-{bug}"));
    let live = if report.live { "-live" } else { "" };
    let folder = out.join(format!("{}-{}{planted}{live}", schedule.scenario, schedule.seed));
    std::fs::create_dir_all(&folder).map_err(|error| FolderError { path: folder.clone(), error })?;
    write(&folder.join("schedule.toml"), schedule.to_toml().as_bytes())?;
    write(&folder.join("history.jsonl"), &history_bytes(history))?;
    write(&folder.join("report.json"), to_json(report).as_bytes())?;
    Ok(folder)
}

/// The report that a run left in a folder; `None` if there is none that can be read.
#[must_use]
pub fn left_report(folder: &Path) -> Option<Report> {
    let file = std::fs::File::open(folder.join("report.json")).ok()?;
    let mut bytes = Vec::new();
    file.take(REPORT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The history as it is written to `history.jsonl`.
pub(super) fn history_bytes(history: &History) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_history(history, &mut bytes).expect("memory takes any number of bytes");
    bytes
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let failed = |error| FolderError { path: path.to_owned(), error };
    let unfinished = path.with_extension("unfinished");
    std::fs::write(&unfinished, bytes).map_err(failed)?;
    std::fs::rename(&unfinished, path).map_err(failed)
}
