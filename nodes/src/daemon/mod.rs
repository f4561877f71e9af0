//! A node as a process: options in, a node and its HTTP gateway until it is told to stop.
//!
//! * [`options`](self) come from flags, the environment and a file, under the same names, in this order of precedence.
//! * The process stops gracefully on SIGTERM or SIGINT: it tells load balancers that it is not ready, lets requests
//!   come to an end, hands its leadership over, and ends. A second signal ends it at once, as `kill -9` would, which is
//!   safe as well.
//! * It listens beyond loopback only with TLS, or if told so by an option whose name says what that means.
//!
//! Once it has its log and listens it says so in one line on standard output: `ready node=1 nodes=127.0.0.1:7001 http=127.0.0.1:6001`.
//! All else that it has to say is log, on standard error.
//!
//! Exit codes: 0 stopped as asked, 1 the node failed, 64 bad options. Every error is one line, and a hint.
//!
//! Deliberately absent: going to the background, process ids in files, and any reading of a clock that a result of the
//! services depends on.

mod book;
mod error;
pub mod local;
mod logging;
mod options;
mod probe;
mod run;
mod settings;
mod stop;

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

pub use error::DaemonError;
pub use options::Options;
pub use settings::{LogFormat, Settings};

/// Bad usage, as `sysexits.h` has it.
const USAGE: u8 = 64;

/// Runs the daemon with these arguments, of which the first is the program's name.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let refuse =
        |error: DaemonError| refuse(&error.with_source(&arguments, |name| env::var_os(name).is_some()));
    let options = match Options::try_parse_from(&arguments) {
        Ok(options) => options,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // A closed pipe is no reason to fail.
            drop(error.print());
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(DaemonError::of_usage(&error)),
    };
    match options.complete().and_then(Settings::from_options).and_then(run::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(error),
    }
}

fn refuse(error: &DaemonError) -> ExitCode {
    // Nobody may be listening any more.
    drop(writeln!(std::io::stderr(), "error: {error}\nhint: {}", error.hint()));
    ExitCode::from(if error.is_usage() { USAGE } else { 1 })
}
