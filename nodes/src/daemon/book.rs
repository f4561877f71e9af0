//! Where the nodes are: names looked up when the daemon starts, and again and again afterwards.
//!
//! A host's address may change while its name stays, as that of a container does, and a name may not be known yet when
//! the first of several nodes starts. So names are looked up anew at intervals, shorter ones as long as one is missing;
//! one that is not found keeps the address that it had.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;

use super::error::DaemonError;
use crate::env::Env;
use crate::ids::NodeId;
use crate::tokio_env::TokioEnv;

/// The pause between two look-ups while all names are known, and while one is not.
const PAUSE: Duration = Duration::from_secs(10);
const PAUSE_WHILE_MISSING: Duration = Duration::from_millis(500);

/// The first address of a host and port.
pub(super) async fn look_up(address: &str) -> Option<SocketAddr> {
    tokio::net::lookup_host(address).await.ok()?.next()
}

/// The same, for an address without which there is no going on.
pub(super) async fn must_find(option: &str, address: &str) -> Result<SocketAddr, DaemonError> {
    // What names are known may change.
    look_up(address).await.ok_or_else(|| {
        DaemonError::outside(
            format!("{option} {address}: there is no such address at the moment"),
            "HOST:PORT, the host by its number or by a name that this machine can look up",
        )
    })
}

/// Looks all names up; those not found keep what `before` says of them.
pub(super) async fn look_all_up(
    names: &BTreeMap<NodeId, String>,
    before: &BTreeMap<NodeId, SocketAddr>,
) -> BTreeMap<NodeId, SocketAddr> {
    let mut found = BTreeMap::new();
    for (&node, name) in names {
        let address = look_up(name).await.or_else(|| before.get(&node).copied());
        found.extend(address.map(|address| (node, address)));
    }
    found
}

/// Keeps the address book of `env` up to date, for ever, by names that may change.
pub(super) async fn keep(
    env: TokioEnv,
    mut names: watch::Receiver<BTreeMap<NodeId, String>>,
    mut known: BTreeMap<NodeId, SocketAddr>,
) {
    loop {
        let wanted = names.borrow_and_update().clone();
        let pause = if known.len() < wanted.len() { PAUSE_WHILE_MISSING } else { PAUSE };
        let pause_us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        tokio::select! {
            biased;
            Ok(()) = names.changed() => {}
            () = env.sleep_until(env.now().plus_us(pause_us)) => {}
        }
        let wanted = names.borrow_and_update().clone();
        let found = look_all_up(&wanted, &known).await;
        if found != known {
            tracing::info!(addresses = ?found, "the nodes' addresses are others now");
            known = found;
            env.set_peers(known.clone());
        }
    }
}
