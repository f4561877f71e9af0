//! Where results go, and in which dress.
//!
//! Nothing is said by `println!`, which panics when the reader of a pipe has gone.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use stormglass_reports::terminal::{self, render_run, render_sweep};
use stormglass_reports::{Report, SweepReport, Verdict, to_json};

use super::UsageError;
use super::args::{Color, Format, Output};
use crate::history::History;
use crate::plan::Schedule;
use crate::run;

/// A line of results.
macro_rules! say {
    ($($what:tt)*) => {
        $crate::cli::output::print(&format!("{}\n", format_args!($($what)*)))
    };
}

/// A line of progress, or of what is wrong.
macro_rules! tell {
    ($($what:tt)*) => {
        $crate::cli::output::print_aside(&format!("{}\n", format_args!($($what)*)))
    };
}

pub(super) use {say, tell};

/// Prints one run's report.
pub(super) fn show_run(report: &Report, output: &Output, wall: Duration) {
    match output.format {
        Format::Json => print(&to_json(report)),
        Format::Terminal => {
            let report =
                Report { replay: pasteable(&report.replay, report.planted.is_some()), ..report.clone() };
            print(&render_run(&report, options(output.color, wall)));
        }
    }
}

/// Prints a sweep's report.
pub(super) fn show_sweep(report: &SweepReport, output: &Output, wall: Duration, planted: bool) {
    match output.format {
        Format::Json => print(&to_json(report)),
        Format::Terminal => {
            let mut report = report.clone();
            for failure in &mut report.failures {
                failure.replay = pasteable(&failure.replay, planted);
            }
            print(&render_sweep(&report, options(output.color, wall)));
        }
    }
}

/// Leaves the folder of a run that is not valid, or is to be kept, and says so.
pub(super) fn leave(
    output: &Output,
    keep: bool,
    report: &Report,
    schedule: &Schedule,
    history: &History,
) -> Result<(), UsageError> {
    if report.verdict == Verdict::Valid && !keep {
        return Ok(());
    }
    let folder = run::leave(&output.out, report, schedule, history).map_err(|error| {
        UsageError::new(error.to_string(), "name a folder that can be written with --out")
    })?;
    tell!("left {}: report.json, schedule.toml, history.jsonl", shown(&folder));
    Ok(())
}

/// A file's name as a shell takes it.
pub(super) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

pub(super) fn options(color: Color, wall: Duration) -> terminal::Options {
    let color = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    terminal::Options { color, wall: Some(wall), marks: false }
}

/// The command as the user can paste it: under `cargo run` there may be no `stormglass` on the path.
fn pasteable(command: &str, planted: bool) -> String {
    let under_cargo = std::env::var_os("CARGO").is_some() && std::env::var_os("CARGO_PKG_NAME").is_some();
    match (command.strip_prefix("stormglass "), under_cargo) {
        (Some(rest), true) if planted => format!("cargo run --release --features planted-bugs -- {rest}"),
        (Some(rest), true) => format!("cargo run --release -- {rest}"),
        _ => command.to_owned(),
    }
}

/// A reader that has gone away is no reason to fail.
pub(super) fn print(text: &str) {
    drop(io::stdout().write_all(text.as_bytes()));
}

/// The same, beside the results.
pub(super) fn print_aside(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}
