//! Where a history comes from, and in which format it is.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it reads the file that a user names"
)]

use std::fs::File;
use std::io::{BufReader, Chain, Cursor, Read, Take};
use std::path::{Path, PathBuf};

use super::{CheckArguments, HistoryFormat};
use crate::check::{Calm, Drift};
use crate::cli::{UsageError, output};
use crate::history::VirtualTime;
use crate::history::foreign::{self, ForeignError};
use crate::plan::load_schedule;
use crate::run;

/// A longer file is refused before it fills the memory.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// How far clocks are taken to stray of which nothing is known: what scenarios promise unless they say
/// otherwise.
const DRIFT_PPM_DEFAULT: u64 = 100;

/// What is in the file.
pub(super) enum Text {
    /// JSON lines, which need not be in memory all at once.
    Lines(Lines),
    /// A foreign format: all of it.
    Whole(HistoryFormat, Vec<u8>),
}

/// What was looked at to know the format, and what comes after it.
pub(super) type Lines = Chain<Cursor<Vec<u8>>, BufReader<Take<File>>>;

/// The file of a history.
pub(super) struct Source {
    path: PathBuf,
}

impl Source {
    /// The file of this name; of a folder, what a run left there.
    pub(super) fn find(named: &Path) -> Result<Self, UsageError> {
        let path = if named.is_dir() { named.join("history.jsonl") } else { named.to_owned() };
        let about = |what: &str| format!("{}: {what}", output::shown(&path));
        let metadata = std::fs::metadata(&path).map_err(|error| {
            UsageError::new(
                about(&error.to_string()),
                "give the file of a history, or the folder that a run left",
            )
        })?;
        if !metadata.is_file() {
            return Err(UsageError::new(about("this is not an ordinary file"), "give the file of a history"));
        }
        if metadata.len() > FILE_BYTES_MAX {
            let message =
                about(&format!("{} bytes are more than are read: {FILE_BYTES_MAX}", metadata.len()));
            return Err(UsageError::new(message, "split the history, for example by key"));
        }
        Ok(Self { path })
    }

    /// The file's text, in the format that the user names, or that it seems to have.
    pub(super) fn text(&self, arguments: &CheckArguments) -> Result<Text, UsageError> {
        let unreadable = |error: std::io::Error| self.refuse(&error.to_string(), "is it readable?");
        let file = File::open(&self.path).map_err(unreadable)?;
        let mut rest = BufReader::new(file.take(FILE_BYTES_MAX));
        let mut begin = Vec::new();
        let mut visible: Vec<u8> = Vec::new();
        let mut byte = [0];
        while visible.len() < 2 && rest.read(&mut byte).map_err(unreadable)? == 1 {
            begin.extend(byte);
            visible.extend(byte.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
        if visible.is_empty() {
            return Err(self.refuse("the file is empty", "an empty history proves nothing: record it again"));
        }
        let text = Cursor::new(begin).chain(rest);
        let named = arguments.from;
        if named == Some(HistoryFormat::Jsonl) || named.is_none() && visible == *b"{\"" {
            return Ok(Text::Lines(text));
        }
        let mut bytes = Vec::new();
        { text }.read_to_end(&mut bytes).map_err(unreadable)?;
        let seems = match named {
            Some(_) => named,
            None => foreign::Format::detect(&bytes).map(|format| match format {
                foreign::Format::Jepsen => HistoryFormat::Jepsen,
                foreign::Format::Edn => HistoryFormat::Edn,
            }),
        };
        let format = seems.ok_or_else(|| {
            self.refuse(
                "the file looks like none of the formats that are known",
                "name its format with --from: jsonl, jepsen or edn",
            )
        })?;
        Ok(Text::Whole(format, bytes))
    }

    /// How far clocks strayed, and from when on nothing disturbed the cluster: as the user says, else as the schedule
    /// and the report of the run say that left the file.
    pub(super) fn times(&self, arguments: &CheckArguments) -> Result<(Drift, Option<Calm>), UsageError> {
        let schedule = self.path.with_file_name("schedule.toml");
        let schedule = if schedule.is_file() { Some(load_schedule(&schedule)?) } else { None };
        let strayed = schedule.as_ref().map_or(DRIFT_PPM_DEFAULT, run::strayed_ppm_max);
        let ppm_max = arguments.drift_ppm.unwrap_or(strayed);
        let of_run = schedule.as_ref().and_then(|schedule| {
            let report = run::left_report(self.path.parent()?)?;
            run::calm_of(schedule, &report)
        });
        let calm = match (arguments.calm_from_ms, of_run) {
            (Some(ms), of_run) => Some(Calm {
                from: VirtualTime(ms.saturating_mul(1_000_000)),
                grace_ns: run::EXPIRY_GRACE_NS,
                slow_ppm_max: ppm_max,
                // How long sessions live is not said in a history.
                lease_us: of_run.map_or(u64::MAX, |calm| calm.lease_us),
            }),
            (None, of_run) => {
                of_run.map(|calm| Calm { slow_ppm_max: calm.slow_ppm_max.max(ppm_max), ..calm })
            }
        };
        Ok((Drift { fast_ppm_max: ppm_max }, calm))
    }

    /// The file's name as a shell takes it.
    pub(super) fn shown(&self) -> String {
        output::shown(&self.path)
    }

    /// An error about the file as a whole.
    pub(super) fn refuse(&self, message: &str, hint: &str) -> UsageError {
        UsageError::new(format!("{}: {message}", self.shown()), hint)
    }

    /// An error in a line of the file.
    pub(super) fn refuse_line(&self, error: &ForeignError) -> UsageError {
        self.refuse(&error.to_string(), &error.hint)
    }
}
