//! Where a history comes from, and in which format it is.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it reads the file that a user names"
)]

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{CheckArguments, HistoryFormat};
use crate::check::Drift;
use crate::cli::{UsageError, output};
use crate::history::foreign::{self, ForeignError};
use crate::plan::load_schedule;
use crate::run;

/// A longer file is refused before it fills the memory.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// How far clocks are taken to stray of which nothing is known: what scenarios promise unless they say
/// otherwise.
const DRIFT_PPM_DEFAULT: u64 = 100;

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

    /// The whole file.
    pub(super) fn read(&self) -> Result<Vec<u8>, UsageError> {
        let mut bytes = Vec::new();
        std::fs::File::open(&self.path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
            .map_err(|error| self.refuse(&error.to_string(), "is it readable?"))?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(self.refuse("the file is empty", "an empty history proves nothing: record it again"));
        }
        Ok(bytes)
    }

    /// The format that the user names, or that the file seems to have.
    pub(super) fn format(
        &self,
        bytes: &[u8],
        arguments: &CheckArguments,
    ) -> Result<HistoryFormat, UsageError> {
        if let Some(format) = arguments.from {
            return Ok(format);
        }
        let mut visible = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
        if (visible.next(), visible.next()) == (Some(&b'{'), Some(&b'"')) {
            return Ok(HistoryFormat::Jsonl);
        }
        match foreign::Format::detect(bytes) {
            Some(foreign::Format::Jepsen) => Ok(HistoryFormat::Jepsen),
            Some(foreign::Format::Edn) => Ok(HistoryFormat::Edn),
            None => Err(self.refuse(
                "the file looks like none of the formats that are known",
                "name its format with --from: jsonl, jepsen or edn",
            )),
        }
    }

    /// How far clocks strayed: as the user says, else as the schedule of the run says that left the file.
    pub(super) fn drift(&self, arguments: &CheckArguments) -> Result<Drift, UsageError> {
        let schedule = self.path.with_file_name("schedule.toml");
        let fast_ppm_max = match arguments.drift_ppm {
            Some(ppm) => ppm,
            None if schedule.is_file() => run::strayed_ppm_max(&load_schedule(&schedule)?),
            None => DRIFT_PPM_DEFAULT,
        };
        Ok(Drift { fast_ppm_max })
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
