//! `raft-script`: drives the Raft core through a script on standard input, and writes what happens to
//! standard output. `docs/raft-script.md` teaches the language.
//!
//! ```text
//! raft-script [interaction] [--compare]   nodes, messages, disks and machines, one step at a time
//! raft-script quorum [--compare]          tables of committed indexes and vote results
//! raft-script confchange [--compare]      tables of changes of the members
//! ```
//!
//! It exists to support tests: every node is the core itself, and the quorum arithmetic and the changes of
//! the members are the core's own functions. What a driver would do (a disk, a machine, a network) is done
//! here in memory, at the script's word. Exit codes: 0; 1 if `--compare` found a difference; 64 if a command
//! or an option is not understood.

mod confchange;
mod interaction;
mod quorum;
mod script;
mod transcript;

use std::io::{Read, Write};
use std::process::ExitCode;

use crate::transcript::Mode;

/// How to call it.
const USAGE: &str = "usage: raft-script [interaction|quorum|confchange] [--compare] < SCRIPT";
/// Exit code of a comparison that found a difference.
const DIFFERENT: u8 = 1;
/// Exit code of bad usage, of the program or within a script.
const MISUSED: u8 = 64;

fn main() -> ExitCode {
    let (mut mode, mut name) = (Mode::Transcript, None);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--compare" => mode = Mode::Comparison,
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            "interaction" | "quorum" | "confchange" if name.is_none() => name = Some(argument),
            _ => return refuse(&format!("cannot make sense of {argument:?}")),
        }
    }
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        return refuse(&format!("the script cannot be read: {error}"));
    }
    let report = match name.as_deref() {
        Some("quorum") => transcript::run(&text, &mut quorum::Tables, mode),
        Some("confchange") => transcript::run(&text, &mut confchange::Tables::default(), mode),
        _ => transcript::run(&text, &mut interaction::Interaction::default(), mode),
    };
    if let Err(error) = std::io::stdout().write_all(report.text.as_bytes()) {
        return refuse(&format!("the transcript cannot be written: {error}"));
    }
    if report.misuses > 0 {
        ExitCode::from(MISUSED)
    } else if report.differences > 0 {
        ExitCode::from(DIFFERENT)
    } else {
        ExitCode::SUCCESS
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("error: {why}\nhint: {USAGE}");
    ExitCode::from(MISUSED)
}
