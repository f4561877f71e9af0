//! The command line: what it offers, and how it ends.
//!
//! Exit codes: 0 valid, 1 invalid, 2 unknown, 64 bad usage or an unusable file. Results go to standard
//! output, progress and errors to standard error.

mod args;
mod bench;
mod bugs;
mod check;
mod cluster;
mod list;
mod live;
mod measure;
mod memory;
mod meta;
mod output;
mod replay;
mod run;
mod soak;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use thiserror::Error;

use args::{Arguments, Command};
use output::tell;

use crate::catalog::{self, Catalog};
use crate::plan::{PlanError, Scenario, load_scenario};

/// Bad usage, as `sysexits.h` has it.
const USAGE: u8 = 64;

/// What a user can get wrong.
#[derive(Debug, Error)]
enum UsageError {
    /// A file is not what it should be.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Anything else.
    #[error("{message}")]
    Other { message: String, hint: String },
}

impl UsageError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Other { message: message.into(), hint: hint.into() }
    }

    fn hint(&self) -> &str {
        match self {
            Self::Plan(error) => &error.hint,
            Self::Other { hint, .. } => hint,
        }
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(arguments) = cluster::daemon_arguments() {
        return stormglass_nodes::daemon::main(arguments);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            if usage::is_help(&error) {
                let code = if error.use_stderr() { USAGE } else { 0 };
                // A closed pipe is no reason to fail.
                drop(error.print());
                return ExitCode::from(code);
            }
            return refuse(&usage::explain(&error));
        }
    };
    let result = match arguments.command {
        Command::Cluster(arguments) => cluster::cluster(&arguments),
        Command::Bench(bench) => bench::bench(&bench),
        Command::List(list) => list::list(&list),
        Command::Run(run) => run::run(&run),
        Command::Replay(replay) => replay::replay(&replay),
        Command::Check(check) => check::check(&check),
        Command::Live(live) => live::live(&live),
        Command::LiveNode(node) => live::node(node),
        Command::LiveRedis(redis) => Ok(live::redis(&redis)),
        Command::Measure(measure) => measure::measure(&measure),
        Command::Soak(soak) => soak::soak(&soak),
        Command::Meta(meta) => meta::meta(&meta),
        Command::Bugs(bugs) if bugs.sweep => bugs::sweep(&bugs),
        Command::Bugs(_) => Ok(bugs::bugs()),
    };
    match result {
        Ok(code) => code,
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &UsageError) -> ExitCode {
    tell!("error: {error}\nhint: {}", error.hint());
    ExitCode::from(USAGE)
}

/// Real time, for people only: no result depends on it.
struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "it tells people how long they waited")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

fn current_folder() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}

fn open_catalog(arguments: &args::Catalog) -> Result<Catalog, UsageError> {
    Ok(Catalog::find(arguments.folder.as_deref(), &current_folder())?)
}

/// The scenario of a name or path.
fn load_named(argument: &str, arguments: &args::Catalog) -> Result<Scenario, UsageError> {
    let path = catalog::resolve(argument, arguments.folder.as_deref(), &current_folder())?;
    Ok(load_scenario(&path)?)
}
