//! What happens to locks, queues and the cache, told to whoever listens at the node's Redis.
//!
//! The leader announces each event when it applies the entry that caused it, on `stormglass:CLUSTER:events:lock`,
//! `…:queue` and `…:cache`, as one JSON object: `{"node": 2, "index": 41, "event": {"Granted": {…}}}`. The index is
//! the entry's; events of one entry have the same.
//!
//! At most once, and nothing more: an announcement is dropped while the Redis is away or too slow, a leader that is
//! deposed may leave some out or have announced what a successor applies too, and two leaders of different terms
//! may overlap. Who needs to know asks the cluster. Nodes never listen.

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

use super::NodeConfig;
use crate::api::RESERVED_LOCKS;
use crate::env::Env;
use crate::ids::LogIndex;
use crate::machine::{ForcedRelease, LockEvent, MachineEvent};
use crate::marks;
use crate::storage::redis::{Announcement, publish};

/// Announcements that wait to be sent; a further one is dropped.
const WAITING_MAX: usize = 1_024;

/// The channels on which the nodes of a cluster announce events, as a pattern for `PSUBSCRIBE`.
#[must_use]
pub fn channels(cluster: u64) -> String {
    format!("stormglass:{cluster}:events:*")
}

/// Where a node announces events, if it does.
pub(super) struct Events {
    cluster: u64,
    node: u64,
    queue: Option<mpsc::Sender<Announcement>>,
}

#[derive(Serialize)]
struct Told<'a, T> {
    node: u64,
    index: u64,
    event: &'a T,
}

impl Events {
    /// Begins to announce, if the node keeps its log in a Redis and is to.
    pub(super) fn start<E: Env>(env: &E, config: &NodeConfig) -> Self {
        let queue = config.redis.as_ref().filter(|redis| redis.publishes_events).map(|redis| {
            let (sender, queue) = mpsc::channel(WAITING_MAX);
            env.spawn("events", publish(env.clone(), redis.clone(), queue));
            sender
        });
        Self { cluster: config.identity.cluster, node: config.identity.node.0, queue }
    }

    /// Whether anything is announced.
    pub(super) const fn is_wanted(&self) -> bool {
        self.queue.is_some()
    }

    /// Announces what an entry caused.
    pub(super) fn announce(&self, index: LogIndex, events: &[MachineEvent]) {
        for event in events {
            match event {
                MachineEvent::Lock(event) if is_a_gateways(event) => {}
                MachineEvent::Lock(event) => self.tell("lock", index, event),
                MachineEvent::Queue(event) => self.tell("queue", index, event),
                MachineEvent::Cache(event) => self.tell("cache", index, event),
                MachineEvent::Completed { .. } | MachineEvent::SessionEnded { .. } => {}
            }
        }
    }

    fn tell(&self, what: &str, index: LogIndex, event: &impl Serialize) {
        let Some(queue) = &self.queue else { return };
        let told = Told { node: self.node, index: index.0, event };
        let Ok(message) = serde_json::to_vec(&told).map(Bytes::from) else { return };
        let channel = format!("stormglass:{}:events:{what}", self.cluster);
        if queue.try_send(Announcement { channel, message }).is_err() {
            marks::hit("server.event_dropped");
        }
    }
}

/// Whether the lock is one by which gateways find sessions again: its name is no business of anybody else.
fn is_a_gateways(event: &LockEvent) -> bool {
    let (LockEvent::Granted { resource, .. }
    | LockEvent::Released { resource, .. }
    | LockEvent::Semaphore { resource, .. }
    | LockEvent::Forced(ForcedRelease { resource, .. })) = event;
    resource.starts_with(RESERVED_LOCKS)
}
