//! Our nodes as a program of the world: what they are, how they are bounded, and how they are watched.

use std::future::Future;
use std::pin::Pin;

use rand::RngExt;
use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::{self, Entry, Payload, Role};
use stormglass_nodes::server::{self, NodeConfig, Observed, Probe};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::history::{LogSlot, NodeEvent, NodeRole};
use crate::plan::Schedule;
use crate::rng::Streams;
use crate::world::{SimEnv, World};

/// The cluster that simulated nodes belong to. Any number would do.
const CLUSTER: u64 = 1;

/// By how much logs grow at a time. Less than on a real disk: a run writes little, so files grow in every
/// run, and the zeros that a start reads and checks are few.
const PREALLOCATE_BYTES: u64 = 64 * 1024;

/// The program of node `id`.
pub(super) fn node(
    world: World,
    id: u64,
    schedule: &Schedule,
) -> impl Fn(SimEnv) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static {
    let voters = (1..=schedule.cluster.nodes).map(NodeId).collect();
    let mut config = NodeConfig::new(CLUSTER, NodeId(id), voters);
    config.raft.election_timeout_us = schedule.election.timeout_ms.min_ms * 1_000;
    config.raft.election_timeout_us_max = schedule.election.timeout_ms.max_ms * 1_000;
    config.wal.preallocate_bytes = PREALLOCATE_BYTES;
    config.raft.heartbeat_interval_us = schedule.election.heartbeat_ms * 1_000;
    if Streams::new(schedule.seed).stream("bounds").random_bool(0.5) {
        tighten(&mut config);
    }
    move |env| {
        let probe = WorldProbe { world: world.clone(), node: id };
        let config = config.clone();
        Box::pin(async move {
            // A node that refuses to start or stops by itself is a finding: the disks of this world lose
            // only what a correct node never relies on.
            let Err(error) = server::run(env, config, probe).await;
            panic!("node {id} stopped: {error}");
        })
    }
}

/// Bounds so small that a run of a minute reaches them: several segments of the log, appends that carry a
/// few entries each, full windows. Production's are beyond any run. Each seed has the ones or the others.
const fn tighten(config: &mut NodeConfig) {
    config.wal.segment_bytes = 32 * 1024;
    config.wal.preallocate_bytes = 4 * 1024;
    config.raft.append_bytes_max = 512;
    config.raft.inflight_messages_max = 8;
    config.raft.inflight_bytes_max = 4 * 1024;
    config.frames_per_turn_max = 4;
}

/// Reports what a node does to the world.
#[derive(Clone)]
struct WorldProbe {
    world: World,
    node: u64,
}

impl Probe for WorldProbe {
    const WATCHING: bool = true;

    fn observe(&self, observed: Observed<'_>) {
        self.world.record_event(self.node, event_of(observed));
    }
}

fn event_of(observed: Observed<'_>) -> NodeEvent {
    match observed {
        Observed::Recovered(recovered) => NodeEvent::Started {
            term: recovered.hard_state.term.0,
            voted_for: recovered.hard_state.voted_for.map(|node| node.0),
            log: recovered.entries.iter().map(slot).collect(),
        },
        Observed::Durable { hard_state, last_index } => NodeEvent::Durable {
            term: hard_state.term.0,
            voted_for: hard_state.voted_for.map(|node| node.0),
            last_index: last_index.0,
        },
        Observed::Applied { entry, state } => {
            NodeEvent::Applied { index: entry.index.0, slot: slot(entry), state }
        }
        Observed::Raft(event) => match event {
            raft::Event::RoleChanged { role, term, .. } => {
                NodeEvent::RoleChanged { role: role_of(*role), term: term.0 }
            }
            raft::Event::Voted { term, candidate } => {
                NodeEvent::Voted { term: term.0, candidate: candidate.0 }
            }
            raft::Event::Truncated { from } => NodeEvent::Truncated { from: from.0 },
            raft::Event::Appended(entry) => NodeEvent::Appended { index: entry.index.0, slot: slot(entry) },
            raft::Event::Committed { index } => NodeEvent::Committed { index: index.0 },
        },
    }
}

/// A pre-candidate has not left its term and asks for nothing binding: to the checks it still follows.
fn role_of(role: Role) -> NodeRole {
    match role {
        Role::Follower | Role::PreCandidate => NodeRole::Follower,
        Role::Candidate => NodeRole::Candidate,
        Role::Leader => NodeRole::Leader,
    }
}

fn slot(entry: &Entry) -> LogSlot {
    let when = xxh3_64_with_seed(&entry.time.0.to_le_bytes(), entry.term.0);
    let digest = match &entry.payload {
        Payload::Noop => when,
        Payload::Command(command) => xxh3_64_with_seed(command, when),
    };
    LogSlot { term: entry.term.0, digest }
}
