//! How a core behaves, what it starts from, and what it tells of itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, HardState, Snapshot};
use crate::ids::{LocalTime, LogIndex, NodeId, Term};
use crate::raft::membership::Membership;

/// How the core behaves. All times in microseconds of the local clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The members of a cluster that begins, this node included; what the log or a snapshot says of them
    /// counts for more. None for a node that is to be added to a cluster which exists: it waits until a
    /// leader calls.
    pub members: Arc<Membership>,
    /// Least election timeout, and the time for which a leader is believed to live after it was last heard
    /// (thesis 9.3: well above a round trip and a disk sync). Default 300 ms.
    pub election_timeout_us: u64,
    /// Election timeouts are drawn evenly from the least up to this, which is excluded. Default 600 ms.
    pub election_timeout_us_max: u64,
    /// A leader sends heartbeats this often; well below the election timeout. Default 50 ms.
    pub heartbeat_interval_us: u64,
    /// Ask whether one would be elected before campaigning (thesis 9.6). Default yes.
    pub pre_vote: bool,
    /// A leader that hears from no quorum for an election timeout steps down, and a node that hears a leader
    /// refuses its vote to others (thesis 4.2.3, 6.2). Default yes.
    pub check_quorum: bool,
    /// Entries of one append message weigh at most this many bytes, or are one; pieces of a snapshot are at
    /// most this long. Default 256 KiB.
    pub append_bytes_max: usize,
    /// Append messages, or pieces of a snapshot, on the way to one follower, at most. Default 64.
    pub inflight_messages_max: usize,
    /// Bytes of entries on the way to one follower, at most. Default 4 MiB.
    pub inflight_bytes_max: usize,
    /// Bytes of entries appended here as leader but not committed, at most. Default 16 MiB.
    pub uncommitted_bytes_max: usize,
    /// Reads that wait for their confirmation, at most. Default 16384.
    pub pending_reads_max: usize,
    /// A snapshot that is longer is not accepted from a leader: who needs one never catches up then. Default 1 TiB,
    /// more than any state that fits into memory: what arrives is kept there until it is whole.
    pub snapshot_bytes_max: u64,
    /// Entries before a snapshot that stay in the log for followers which are a little behind. Default 1024.
    pub trailing_entries: u64,
    /// And their bytes, at most: what is before them is forgotten even if they are fewer. Default 16 MiB.
    pub trailing_bytes: usize,
    /// A learner that is to be promoted is, once it lacks at most this many entries. Default 64.
    pub promotion_lag_entries: u64,
    /// Reads are answered without a round while a quorum cannot have elected anybody else, provided that
    /// no clock of the cluster runs faster than another by more than this, in parts per million (thesis
    /// 6.4.1). All members must have the same setting. Default none: every read takes a round.
    pub lease_drift_ppm_max: Option<u32>,
    /// A leader whose own write takes longer than this steps down: it cannot do its work. Default 2 s.
    pub store_stall_us_max: u64,
    /// How much this node is wanted as leader. A leader hands over to a voter of a higher priority once that
    /// one has caught up. All the same by default, 0: no preference.
    pub priority: u8,
    /// After so many heartbeat intervals in which there was nothing to do, the group falls silent until
    /// there is. Default none: it never does.
    pub quiesce_after_intervals: Option<u32>,
    /// The latest version of the formats that this node speaks. The cluster's version is raised when every
    /// member has told the leader of a later one. 1 or more; default 1.
    pub version: u16,
}

impl Config {
    /// The defaults for one node of a cluster.
    #[must_use]
    pub fn new(id: NodeId, voters: Vec<NodeId>) -> Self {
        Self {
            id,
            members: Arc::new(Membership::new(voters, Vec::new())),
            election_timeout_us: 300_000,
            election_timeout_us_max: 600_000,
            heartbeat_interval_us: 50_000,
            pre_vote: true,
            check_quorum: true,
            append_bytes_max: 256 * 1024,
            inflight_messages_max: 64,
            inflight_bytes_max: 4 * 1024 * 1024,
            uncommitted_bytes_max: 16 * 1024 * 1024,
            pending_reads_max: 16_384,
            snapshot_bytes_max: 1 << 40,
            trailing_entries: 1024,
            trailing_bytes: 16 * 1024 * 1024,
            promotion_lag_entries: 64,
            lease_drift_ppm_max: None,
            store_stall_us_max: 2_000_000,
            priority: 0,
            quiesce_after_intervals: None,
            version: 1,
        }
    }
}

/// The durable state that a core starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The latest snapshot.
    pub snapshot: Option<Snapshot>,
    /// The log after that snapshot (from index 1 if there is none), without gaps.
    pub entries: Vec<Entry>,
}

impl Recovered {
    /// The last entry of the log, or the last that the snapshot covers.
    #[must_use]
    pub fn last_index(&self) -> LogIndex {
        let base = self.snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.meta.index);
        self.entries.last().map_or(base, |entry| entry.index)
    }
}

/// What a node is at the moment (Raft paper 5.1; pre-candidate: thesis 9.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Follows a leader or waits for one.
    #[default]
    Follower,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// What a core knows of itself, for status pages, redirects and checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Its vote in that term.
    pub voted_for: Option<NodeId>,
    /// The leader that it knows of.
    pub leader: Option<NodeId>,
    /// The first entry that its log in memory holds, or would.
    pub first_index: LogIndex,
    /// Its last entry.
    pub last_index: LogIndex,
    /// What it knows to be committed.
    pub commit_index: LogIndex,
    /// What its machine has applied.
    pub applied_index: LogIndex,
    /// When it last heard from the leader of its term.
    pub leader_contact: Option<LocalTime>,
    /// The node to which it is handing its leadership.
    pub transfer_to: Option<NodeId>,
    /// Whether it has fallen silent because there is nothing to do.
    pub is_quiescent: bool,
    /// The version that the cluster speaks, as far as this node has applied.
    pub version: u16,
}

/// How a leader sends to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerMode {
    /// One append at a time: where the logs part is not known.
    Probe,
    /// Appends are sent on without waiting.
    Replicate,
    /// The peer is sent the snapshot whose last entry this is.
    Snapshot(LogIndex),
}

/// What a node knows of one peer; of use where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Its log is known to match up to here, durably.
    pub match_index: LogIndex,
    /// The next entry to send it.
    pub next_index: LogIndex,
    /// How.
    pub mode: PeerMode,
    /// Nothing may be sent to it before it answers.
    pub is_paused: bool,
    /// Append messages on their way to it.
    pub inflight_messages: usize,
    /// It does not vote.
    pub is_learner: bool,
    /// When it last answered.
    pub last_contact: LocalTime,
}
