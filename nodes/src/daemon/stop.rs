//! When the daemon is to stop, and when it is to read its addresses anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::error::DaemonError;
use super::options::Options;
use super::settings::addresses_of;
use crate::ids::NodeId;

/// The signals, taken over from their default actions.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    stops_with_stdin: bool,
}

impl Signals {
    pub(super) fn take(stops_with_stdin: bool) -> Result<Self, DaemonError> {
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            stops_with_stdin,
        })
    }

    /// Returns at the next signal.
    pub(super) async fn signal(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Returns when the daemon is to stop; says why.
    pub(super) async fn stop(&mut self) -> &'static str {
        let stdin_ends = stdin_ends(self.stops_with_stdin);
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = stdin_ends => "the end of standard input",
        }
    }
}

/// Tells of the addresses of the file, read anew, at each SIGHUP.
pub(super) async fn read_anew(
    id: NodeId,
    file: Option<PathBuf>,
    renewed: watch::Sender<BTreeMap<NodeId, String>>,
) {
    let Ok(mut hang_up) = signal(SignalKind::hangup()) else { return };
    while hang_up.recv().await.is_some() {
        let Some(file) = &file else {
            tracing::warn!(
                "SIGHUP: there is nothing to read anew: --cluster is not given by a --config file, but by a flag or a \
                 variable, which counts for more"
            );
            continue;
        };
        match addresses_in(id, file).await {
            Ok(addresses) => {
                // Whoever reads that line finds them in force.
                renewed.send_replace(addresses.clone());
                tracing::info!(?addresses, "read --cluster anew");
            }
            Err(error) => {
                tracing::error!(%error, hint = error.hint(), "SIGHUP: the addresses stay as they are")
            }
        }
    }
}

async fn addresses_in(id: NodeId, file: &Path) -> Result<BTreeMap<NodeId, String>, DaemonError> {
    let wrong = |why: String| {
        DaemonError::usage(format!("{}: {why}", file.display()), "mend the file, then send SIGHUP again")
    };
    let text = tokio::fs::read_to_string(file).await.map_err(|error| wrong(error.to_string()))?;
    let options = Options::of_file(&text).map_err(wrong)?;
    let addresses = addresses_of(&options.cluster.ok_or_else(|| wrong("it has no `cluster`".to_owned()))?)?;
    if !addresses.contains_key(&id) {
        return Err(wrong(format!("its `cluster` does not say where this node, {}, is", id.0)));
    }
    Ok(addresses)
}

fn take(kind: SignalKind) -> Result<Signal, DaemonError> {
    signal(kind).map_err(|error| {
        DaemonError::outside(
            format!("cannot listen for signals: {error}"),
            "look at what restricts this process",
        )
    })
}

async fn stdin_ends(matters: bool) {
    if !matters {
        return std::future::pending().await;
    }
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 256];
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
}
