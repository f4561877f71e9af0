//! Logs on standard error, for people or as JSON.
//!
//! A log that cannot be written is lost, and that is all: a pipe whose reader has gone or a disk that is full must not
//! end a node that serves.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::error::DaemonError;
use super::settings::{LogFormat, Settings};

/// Begins to log.
pub(super) fn begin(settings: &Settings) -> Result<(), DaemonError> {
    let filter = EnvFilter::try_new(&settings.log_level).map_err(|error| {
        DaemonError::usage(
            format!("--log-level {}: {error}", settings.log_level),
            "a level (error, warn, info, debug, trace), or levels by module: info,stormglass_nodes::raft=debug",
        )
    })?;
    // By default it tells of a failed write on standard error, and panics when that fails, too.
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // Whoever has set it up before, as a test that runs several daemons in one process, is content with that.
    drop(match settings.log_format {
        LogFormat::Human => logs.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    });
    Ok(())
}
