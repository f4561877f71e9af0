//! Our nodes as a program of the world: what they are, how they are bounded, and how they are watched.

use std::future::Future;
use std::pin::Pin;

use rand::RngExt;
use stormglass_nodes::coherence::{DirectoryStats, HolderStats};
use stormglass_nodes::env::StreamAddress;
use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::membership::Membership;
use stormglass_nodes::raft::{self, Entry, Payload, Role, SnapshotMeta};
use stormglass_nodes::server::{self, NodeConfig, NodeError, Observed, Probe};
use stormglass_nodes::storage::{RedisConfig, StorageError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::lines;
use super::operator::Desk;
use crate::history::{Change, LogSlot, MembersSeen, NodeEvent, NodeRole, SnapshotSeen};
use crate::nemesis::Surface;
use crate::plan::{Appendfsync, Schedule, StorageSpec};
use crate::rng::Streams;
use crate::world::redis::{self, AppendFsync};
use crate::world::{NearCounts, SimEnv, World};

/// The cluster that simulated nodes belong to. Any number would do.
const CLUSTER: u64 = 1;

/// By how much logs grow at a time. Less than on a real disk: a run writes little, so files grow in every
/// run, and the zeros that a start reads and checks are few.
const PREALLOCATE_BYTES: u64 = 64 * 1024;

/// How long a node waits for an answer of its Redis before it asks over another connection, in microseconds: well above
/// what a sync takes, or, where the Redis syncs each second, the wait for one.
const REDIS_ANSWER_WITHIN_US: u64 = 1_000_000;
const REDIS_ANSWER_WITHIN_US_EVERYSEC: u64 = 3_000_000;

/// Starts the Redis servers, if the nodes keep their logs in any.
pub(super) fn start_redis(world: &World, schedule: &Schedule) {
    let policy = match schedule.storage.appendfsync {
        Appendfsync::Always => AppendFsync::Always,
        Appendfsync::Everysec => AppendFsync::EverySecond,
    };
    for number in 1..=schedule.storage.servers(schedule.cluster.nodes_in_all()) {
        let server = world.service(number);
        world.set_program(server, move |env| Box::pin(redis::serve(env, policy)));
        world.start(server);
    }
}

/// How a node uses the Redis at this address. It waits for it for ever: each fault ends.
pub(super) fn redis_at(address: StreamAddress, storage: &StorageSpec) -> RedisConfig {
    RedisConfig {
        open_within_us: u64::MAX,
        answer_within_us: match storage.appendfsync {
            Appendfsync::Always => REDIS_ANSWER_WITHIN_US,
            Appendfsync::Everysec => REDIS_ANSWER_WITHIN_US_EVERYSEC,
        },
        // Nobody listens, and what a cut holds up is to be requests of the store.
        publishes_events: false,
        ..RedisConfig::new(address)
    }
}

/// The program of node `id`.
pub(super) fn node(
    world: World,
    id: u64,
    schedule: &Schedule,
    desk: Desk,
) -> impl Fn(SimEnv) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static {
    let mut config = configured(id, schedule);
    config.redis = world.redis_of(id).map(|server| redis_at(world.address_of(server), &schedule.storage));
    move |env| {
        let mut config = config.clone();
        config.raft.version = desk.version_of(id).unwrap_or(config.raft.version);
        let start = world.statistics().starts;
        let probe = WorldProbe { world: world.clone(), node: id, start, version_max: config.raft.version };
        let switch = desk.new_switch(id);
        let is_emptied = world.redis_of(id).is_some_and(|server| world.was_emptied(server));
        let world = world.clone();
        Box::pin(async move {
            // A node that refuses to start or stops by itself is a finding: the disks of this world lose
            // only what a correct node never relies on.
            match server::run_until(env, config, probe, switch.notified()).await {
                Ok(()) => {}
                // It must: this is what an emptied Redis is for.
                Err(NodeError::Storage(StorageError::Forgot { .. })) if is_emptied => world.note_refusal(id),
                Err(error) => panic!("node {id} stopped: {error}"),
            }
        })
    }
}

/// How node `id` runs. Spares know of no cluster.
pub(super) fn configured(id: u64, schedule: &Schedule) -> NodeConfig {
    let cluster = &schedule.cluster;
    let founders = if id <= cluster.nodes { cluster.nodes } else { 0 };
    let mut config = NodeConfig::new(CLUSTER, NodeId(id), (1..=founders).map(NodeId).collect());
    config.raft.election_timeout_us = schedule.election.timeout_ms.min_ms * 1_000;
    config.raft.election_timeout_us_max = schedule.election.timeout_ms.max_ms * 1_000;
    config.wal.preallocate_bytes = PREALLOCATE_BYTES;
    config.raft.heartbeat_interval_us = schedule.election.heartbeat_ms * 1_000;
    if Streams::new(schedule.seed).stream("bounds").random_bool(0.5) {
        tighten(&mut config);
    }
    let place = (id - 1) as usize;
    config.raft.priority = schedule.election.priorities.get(place).copied().unwrap_or(0);
    config.raft.version = cluster.versions.get(place).copied().unwrap_or(1);
    config.raft.quiesce_after_intervals = cluster.quiesce_after_intervals;
    config.raft.lease_drift_ppm_max = schedule.reads.lease_drift_ppm;
    config.near.drift_ppm_max = apart_ppm_max(schedule.clocks.drift_ppm_max);
    config.near.lease_us = schedule.reads.near_lease_ms.map_or(config.near.lease_us, |ms| ms * 1_000);
    let lines_max = schedule.reads.near_lines_max.and_then(|lines| usize::try_from(lines).ok());
    config.near.lines_max = lines_max.unwrap_or(config.near.lines_max);
    let snapshots = &schedule.snapshots;
    config.snapshot_every_entries = snapshots.every_entries.unwrap_or(config.snapshot_every_entries);
    config.raft.trailing_entries = snapshots.trailing_entries.unwrap_or(config.raft.trailing_entries);
    config
}

/// By how much the fastest of two clocks may run faster than the other, if each is off by so much at most.
fn apart_ppm_max(ppm: u64) -> u32 {
    const MILLION: u64 = 1_000_000;
    let apart_ppm = (2 * ppm * MILLION).div_ceil(MILLION.saturating_sub(ppm).max(1));
    u32::try_from(apart_ppm).unwrap_or(u32::MAX)
}

/// Bounds so small that a run of a minute reaches them: several segments of the log, snapshots every few
/// seconds of which followers miss some, appends that carry a few entries each, full windows. Production's
/// are beyond any run. Each seed has the ones or the others.
const fn tighten(config: &mut NodeConfig) {
    config.wal.segment_bytes = 32 * 1024;
    config.wal.preallocate_bytes = 4 * 1024;
    config.raft.append_bytes_max = 512;
    config.raft.inflight_messages_max = 8;
    config.raft.inflight_bytes_max = 4 * 1024;
    config.frames_per_turn_max = 4;
    config.snapshot_every_entries = 50;
    config.raft.trailing_entries = 10;
    config.near.lines_max = 2;
}

/// Reports what a node does to the world.
#[derive(Clone)]
struct WorldProbe {
    world: World,
    node: u64,
    /// Which start of a process this is, of all.
    start: u64,
    /// The latest version that the node's program speaks.
    version_max: u16,
}

impl Probe for WorldProbe {
    const WATCHING: bool = true;

    fn observe(&self, observed: Observed<'_>) {
        if let Observed::NearCounted { held, directed } = observed {
            return self.world.note_near(self.node, self.start, counts_of(held, directed));
        }
        events_of(self.version_max, observed, |event| self.world.record_event(self.node, event));
    }
}

/// What was observed of a node whose program speaks up to `version_max`, as the checks know it.
pub(super) fn events_of(version_max: u16, observed: Observed<'_>, mut report: impl FnMut(NodeEvent)) {
    // A run of entries is reported one by one, as the checks follow it.
    if let Observed::Raft(raft::Event::Appended(entries)) = observed {
        for entry in entries {
            report(NodeEvent::Appended { index: entry.index.0, slot: slot(entry) });
        }
        return;
    }
    if let Some(event) = event_of(version_max, observed) {
        report(event);
    }
}

fn event_of(version_max: u16, observed: Observed<'_>) -> Option<NodeEvent> {
    Some(match observed {
        Observed::Recovered(recovered) => NodeEvent::Started {
            version: version_max,
            term: recovered.hard_state.term.0,
            voted_for: recovered.hard_state.voted_for.map(|node| node.0),
            snapshot: recovered.snapshot.as_ref().map(|snapshot| snapshot_of(&snapshot.meta)),
            log: recovered.entries.iter().map(slot).collect(),
        },
        Observed::WriteBegan => NodeEvent::WriteBegan,
        Observed::Durable { hard_state, last_index } => NodeEvent::Durable {
            term: hard_state.term.0,
            voted_for: hard_state.voted_for.map(|node| node.0),
            last_index: last_index.0,
        },
        Observed::Acknowledges { term, match_index } => {
            NodeEvent::Acknowledges { term: term.0, index: match_index.0 }
        }
        Observed::Installed { meta, state } => NodeEvent::Installed { index: meta.index.0, state },
        Observed::Applied { entry, state } => {
            NodeEvent::Applied { index: entry.index.0, slot: slot(entry), state }
        }
        Observed::Line(event) => NodeEvent::Line { line: lines::seen(event) },
        Observed::Released { keys, term } => NodeEvent::Line { line: lines::released(keys, term) },
        Observed::KeyChanged { key, index } => NodeEvent::Line { line: lines::changed(key, index) },
        Observed::Raft(event) => match event {
            raft::Event::RoleChanged { role, term, .. } => {
                NodeEvent::RoleChanged { role: role_of(*role), term: term.0 }
            }
            raft::Event::Voted { term, candidate } => {
                NodeEvent::Voted { term: term.0, candidate: candidate.0 }
            }
            raft::Event::Truncated { from } => NodeEvent::Truncated { from: from.0 },
            raft::Event::Committed { index } => NodeEvent::Committed { index: index.0 },
            raft::Event::MembershipChanged { index, membership } => {
                NodeEvent::MembershipChanged { index: index.0, members: members_of(membership) }
            }
            raft::Event::SnapshotReceived { meta } => {
                NodeEvent::SnapshotReceived { snapshot: snapshot_of(meta) }
            }
            raft::Event::Compacted { to } => NodeEvent::Compacted { to: to.0 },
            raft::Event::VersionRaised { version } => NodeEvent::VersionRaised { version: *version },
            raft::Event::Appended(_) => return None,
        },
        // No check goes by what a node counts of itself.
        Observed::NearCounted { .. } => return None,
    })
}

fn counts_of(held: &HolderStats, directed: &DirectoryStats) -> NearCounts {
    NearCounts {
        hits: held.hits,
        misses: held.misses,
        joined: held.joined,
        asks: held.asks,
        renewals: held.renewals,
        grants: held.grants,
        rounds: directed.rounds,
        invalidations: held.invalidations,
        recalls: held.recalls,
        evictions: held.evicted,
        writes_held_back: directed.writes_held_back,
        surrenders: held.surrenders,
    }
}

fn snapshot_of(meta: &SnapshotMeta) -> SnapshotSeen {
    SnapshotSeen { index: meta.index.0, term: meta.term.0, members: members_of(&meta.membership) }
}

fn members_of(membership: &Membership) -> MembersSeen {
    let ids = |list: &[NodeId]| list.iter().map(|id| id.0).collect();
    let Membership { voters, outgoing, learners, .. } = membership;
    MembersSeen { voters: ids(voters), outgoing: ids(outgoing), learners: ids(learners) }
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
        Payload::Membership(_) | Payload::Version(_) => {
            let bytes = postcard::to_stdvec(&entry.payload).expect("entries serialize");
            xxh3_64_with_seed(&bytes, when)
        }
    };
    let change = match &entry.payload {
        Payload::Noop | Payload::Command(_) => None,
        Payload::Membership(_) => Some(Change::Members),
        Payload::Version(_) => Some(Change::Version),
    };
    LogSlot { term: entry.term.0, digest, change }
}

#[cfg(test)]
mod tests {
    use stormglass_nodes::machine::NEWEST_VERSION;

    use crate::plan::VERSION_MAX;

    #[test]
    fn a_scenario_may_name_every_version_that_there_is() {
        assert_eq!(VERSION_MAX, NEWEST_VERSION);
    }
}
