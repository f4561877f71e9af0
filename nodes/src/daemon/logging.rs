//! Logs on standard error, for people or as JSON.
//!
//! A log that cannot be written is lost, and that is all: a pipe whose reader has gone or a disk that is full must not
//! end a node that serves.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::error::DaemonError;
use super::settings::{LogFormat, Settings};

/// Begins to log.
pub(super) fn begin(settings: &Settings) -> Result<(), DaemonError> {
    let filter = filter(&settings.log_level)?;
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

/// What a text lets through.
fn filter(level: &str) -> Result<EnvFilter, DaemonError> {
    let refused = |why: &str| {
        DaemonError::usage(
            format!("--log-level {level}: {why}"),
            "a level (error, warn, info, debug, trace), or levels by module: info,stormglass_nodes::raft=debug",
        )
    };
    // A name by itself would be a module's, of which all is logged, and nothing of the others.
    let is_level = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    if let Some(part) = level.split(',').map(str::trim).find(|part| part.is_empty() || !is_level(part)) {
        return Err(refused(&format!("{part:?} is no level")));
    }
    EnvFilter::try_new(level).map_err(|error| refused(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn a_level_is_a_level() {
        for level in
            ["info", "WARN", "off", "info,stormglass_nodes::raft=debug", "stormglass_nodes=trace, warn"]
        {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["", "verbose", "info,", "info,stormglass_nodes", "stormglass_nodes=loud"] {
            let error = filter(level).expect_err(level).to_string();
            assert!(error.starts_with("--log-level"), "{error}");
        }
    }
}
