//! Reading scenarios and schedules from files. The only place in the simulator that reads them.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it reads real files, before any run"
)]

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::validate::{self, Problem};
use super::{PlanError, Scenario, Schedule};

/// Longest file: 4 MiB. A longer one is refused before it is read.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Deepest key of a problem.
const KEY_DEPTH_MAX: usize = 8;

/// Reads a scenario; its name is the file's, without the extension.
///
/// # Errors
/// One line that says what is wrong, where, and what to do.
pub fn load_scenario(path: &Path) -> Result<Scenario, PlanError> {
    let shown = path.display().to_string();
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    parse_scenario(&shown, &name, &read_text(path)?)
}

/// Reads a schedule.
///
/// # Errors
/// One line that says what is wrong, where, and what to do.
pub fn load_schedule(path: &Path) -> Result<Schedule, PlanError> {
    parse_schedule(&path.display().to_string(), &read_text(path)?)
}

/// Reads a scenario from text. `path` is for errors.
///
/// # Errors
/// As [`load_scenario`].
pub fn parse_scenario(path: &str, name: &str, text: &str) -> Result<Scenario, PlanError> {
    let mut scenario: Scenario = decode(path, text)?;
    name.clone_into(&mut scenario.name);
    validate::scenario(&scenario).map_err(|problem| located(path, text, problem))?;
    Ok(scenario)
}

/// Reads a schedule from text. `path` is for errors.
///
/// # Errors
/// As [`load_schedule`].
pub fn parse_schedule(path: &str, text: &str) -> Result<Schedule, PlanError> {
    let schedule: Schedule = decode(path, text)?;
    validate::schedule(&schedule).map_err(|problem| located(path, text, problem))?;
    Ok(schedule)
}

fn decode<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, PlanError> {
    toml::from_str(text).map_err(|error| PlanError::from_toml(path, text, &error))
}

/// Reads a whole text file.
///
/// # Errors
/// If it is absent, unreadable, a folder, too long, or not UTF-8.
pub fn read_text(path: &Path) -> Result<String, PlanError> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| {
        let (message, hint) = match error.kind() {
            ErrorKind::NotFound => {
                ("there is no such file".to_owned(), "give a file, or a name that `stormglass list` shows")
            }
            ErrorKind::PermissionDenied => {
                ("the file may not be read".to_owned(), "check its permissions with `ls -l`")
            }
            _ => (format!("the file cannot be read: {error}"), "check that it is an ordinary file"),
        };
        PlanError::of_file(&shown, message, hint)
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        let hint = "name a file in it, such as NAME.toml";
        return Err(PlanError::of_file(&shown, "this is a folder, not a file", hint));
    }
    if !metadata.is_file() {
        return Err(PlanError::of_file(&shown, "this is not an ordinary file", "name a TOML file"));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("the file is longer than {FILE_BYTES_MAX} bytes");
        return Err(PlanError::of_file(&shown, message, "a scenario is a page of TOML; is this one?"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid_up_to = error.utf8_error().valid_up_to();
        let valid = String::from_utf8_lossy(&error.as_bytes()[..valid_up_to]);
        PlanError::at(&shown, &valid, valid.len(), "this is not UTF-8 text", "save the file as UTF-8")
    })
}

/// Finds where the problem's key stands in the file: the key itself, or the nearest table around it.
fn located(path: &str, text: &str, problem: Problem) -> PlanError {
    let offset = offset_of(text, &problem.key).unwrap_or(0);
    PlanError::at(path, text, offset, &problem.message, problem.hint)
}

fn offset_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut steps = key.split('.').take(KEY_DEPTH_MAX);
    let (name, value) =
        document.get_ref().iter().find(|(name, _)| Some(name.get_ref().as_ref()) == steps.clone().next())?;
    steps.next();
    let mut offset = name.span().start;
    let mut value = value;
    for step in steps {
        match value.get_ref() {
            DeValue::Table(table) => {
                let Some((name, inner)) = table.iter().find(|(name, _)| name.get_ref().as_ref() == step)
                else {
                    break;
                };
                offset = name.span().start;
                value = inner;
            }
            DeValue::Array(array) => {
                let Some(inner) = step.parse::<usize>().ok().and_then(|index| array.get(index)) else {
                    break;
                };
                offset = inner.span().start;
                value = inner;
            }
            _ => break,
        }
    }
    Some(offset)
}
