//! The vocabulary of the core: entries, messages, inputs and effects.
//!
//! Messages and entries go over the wire and to disk in versioned frames (`transport`, `storage`), so a
//! later version may add variants at the end of each enum; it never reorders them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Term};

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its position, from 1, without gaps.
    pub index: LogIndex,
    /// The term of the leader that created it.
    pub term: Term,
    /// The leader's stamp: never less than that of the entry before it.
    pub time: ClusterTime,
    /// What it carries.
    pub payload: Payload,
}

impl Entry {
    /// Bytes that count against the bounds of batches and of what is in flight: payload plus a flat
    /// allowance for the header.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        const HEADER_BYTES: usize = 32;
        HEADER_BYTES
            + match &self.payload {
                Payload::Noop => 0,
                Payload::Command(command) => command.len(),
            }
    }
}

/// What an entry carries. (Configuration changes will be a variant of their own.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: the entry with which each leader opens its term (thesis 6.4).
    Noop,
    /// A command for the machine, opaque to the core.
    Command(Bytes),
}

/// What must survive a restart besides the log (Raft paper, Figure 2, "persistent state"). Always written
/// as one record: a term without its vote, or a vote without its term, would be a different promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term that this node has seen.
    pub term: Term,
    /// The candidate that received its vote in that term.
    pub voted_for: Option<NodeId>,
}

/// A message between two cores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's term; in a pre-vote request, the term that it would campaign in.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Would you vote for me? Changes nothing at the receiver (thesis 9.6).
    PreVoteRequest {
        /// Index of the candidate's last entry.
        last_index: LogIndex,
        /// Term of the candidate's last entry.
        last_term: Term,
    },
    /// The answer. Granted, it bears the term asked about; refused, the voter's own.
    PreVoteResponse {
        /// Whether the vote would be given.
        granted: bool,
    },
    /// Vote for me (Figure 2, RequestVote).
    VoteRequest {
        /// Index of the candidate's last entry.
        last_index: LogIndex,
        /// Term of the candidate's last entry.
        last_term: Term,
    },
    /// The answer.
    VoteResponse {
        /// Whether the vote was given.
        granted: bool,
    },
    /// Append these entries (Figure 2, AppendEntries). Empty, it is a probe.
    AppendRequest {
        /// Index of the entry before the first of `entries`.
        prev_index: LogIndex,
        /// Term of that entry.
        prev_term: Term,
        /// Consecutive entries from `prev_index + 1`.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit_index: LogIndex,
    },
    /// All of that append is durable here: the log matches the leader's up to `match_index`, which is the
    /// tail of the message answered, never the end of a longer log.
    AppendAccepted {
        /// Index of the last entry of the message answered.
        match_index: LogIndex,
    },
    /// The append did not fit: there was no entry of `prev_term` at `prev_index`.
    AppendRejected {
        /// The `prev_index` of the message answered, to tell stale answers apart.
        prev_index: LogIndex,
        /// Where the leader should look next: no entry after this index can match.
        hint_index: LogIndex,
        /// The term of the follower's entry at `hint_index`; the leader may skip its own later terms.
        hint_term: Term,
    },
    /// I lead (an append without the consistency check).
    Heartbeat {
        /// The leader's commit index, already clamped to what the receiver is known to hold.
        commit_index: LogIndex,
        /// The leader's own counter of read rounds (never a client's context).
        read_round: u64,
    },
    /// The answer.
    HeartbeatResponse {
        /// The round of the heartbeat answered.
        read_round: u64,
    },
}

/// Names one store request. Rises by one; completions are matched by it and by nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreToken(pub u64);

/// What happens to the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed: see [`super::Core::deadline`].
    Tick,
    /// A message arrived. It may be late, doubled, out of order, or from a node of another age.
    Receive(Message),
    /// A client's command to be appended. `id` is the driver's own, echoed in [`ProposalOutcome`].
    Propose {
        /// The driver's name for it.
        id: u64,
        /// The command.
        command: Bytes,
    },
    /// A linearizable read is wanted. `id` is the driver's own, echoed in [`ReadOutcome`].
    Read {
        /// The driver's name for it.
        id: u64,
    },
    /// The store request of this token is durable.
    Stored(StoreToken),
    /// The machine has applied every entry up to this index.
    Applied(LogIndex),
}

/// Everything that the driver must do after one or more steps, and in which order:
///
/// 1. send `messages` (they depend on nothing that is not durable already);
/// 2. start `store`, if any, and feed [`Input::Stored`] back when it is durable;
/// 3. keep each of `messages_after` until the store of its token is durable, then send it;
/// 4. apply `committed`, in order, then feed [`Input::Applied`] back;
/// 5. answer `proposals` and `reads`; report `events`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What to make durable. There is never more than one request at a time without its completion.
    pub store: Option<StoreRequest>,
    /// Messages that may leave now.
    pub messages: Vec<Message>,
    /// Messages that must not leave before the store of their token is durable. The token may be that of
    /// a request which is yet to come.
    pub messages_after: Vec<(StoreToken, Message)>,
    /// Entries that are committed and durable here, to be applied in this order.
    pub committed: Vec<Entry>,
    /// What became of proposals.
    pub proposals: Vec<ProposalOutcome>,
    /// What became of reads.
    pub reads: Vec<ReadOutcome>,
    /// What happened, for observers.
    pub events: Vec<Event>,
}

impl Effects {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { store, messages, messages_after, committed, proposals, reads, events } = self;
        store.is_none()
            && messages.is_empty()
            && messages_after.is_empty()
            && committed.is_empty()
            && proposals.is_empty()
            && reads.is_empty()
            && events.is_empty()
    }

    /// Forgets everything but the buffers, for [`super::Core::effects_into`].
    pub fn clear(&mut self) {
        let Self { store, messages, messages_after, committed, proposals, reads, events } = self;
        *store = None;
        messages.clear();
        messages_after.clear();
        committed.clear();
        proposals.clear();
        reads.clear();
        events.clear();
    }
}

/// One atomic unit of durable change: after a crash either none of it or a prefix of it (hard state first,
/// then truncation, then entries in order) may be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    /// Its name.
    pub token: StoreToken,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// Drop every entry from this index on, before appending.
    pub truncate_from: Option<LogIndex>,
    /// Entries to append; the first follows the (truncated) end of the log.
    pub append: Vec<Entry>,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalOutcome {
    /// It was appended to this leader's log. It will commit at exactly this position and term, or never.
    Appended {
        /// The driver's name for it.
        id: u64,
        /// Its position.
        index: LogIndex,
        /// Its term.
        term: Term,
    },
    /// It was not appended and never will be.
    Refused {
        /// The driver's name for it.
        id: u64,
        /// Why.
        reason: Refusal,
    },
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// A state that has applied `index` is fresh enough to answer.
    Ready {
        /// The driver's name for it.
        id: u64,
        /// The read index (thesis 6.4).
        index: LogIndex,
    },
    /// It will not be answered here.
    Refused {
        /// The driver's name for it.
        id: u64,
        /// Why.
        reason: Refusal,
    },
}

/// Why the core refuses. Always definite: nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This node does not lead; `leader` is whom it believes to.
    NotLeader {
        /// The leader it knows of.
        leader: Option<NodeId>,
    },
    /// Too many bytes are appended but not committed, or too many reads wait.
    Overloaded,
}

/// What a node is at the moment (Raft paper 5.1; pre-candidate: thesis 9.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// What happened inside, in order, for observers: invariant checks, logs, transcripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Role or term changed.
    RoleChanged {
        /// The role now.
        role: Role,
        /// The term now.
        term: Term,
        /// The leader it knows of now.
        leader: Option<NodeId>,
    },
    /// A vote was given in the current term (to itself, too).
    Voted {
        /// The term.
        term: Term,
        /// For whom.
        candidate: NodeId,
    },
    /// Entries from this index on left the log (in memory; the disk follows).
    Truncated {
        /// The first index that left.
        from: LogIndex,
    },
    /// An entry entered the log (in memory; the disk follows).
    Appended(Entry),
    /// The commit index rose.
    Committed {
        /// The commit index now.
        index: LogIndex,
    },
}

/// How the core behaves. All times in microseconds of the local clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// All voters, this node included. 1 or more.
    pub voters: Vec<NodeId>,
    /// Least election timeout, and the time for which a leader is believed to live after it was last heard
    /// (thesis 9.3: well above a round trip and a disk sync). Default 300 ms.
    pub election_timeout_us: u64,
    /// Election timeouts are drawn evenly from the least up to this, which is excluded. Default 600 ms.
    pub election_timeout_us_max: u64,
    /// A leader sends heartbeats this often; well below the election timeout. Default 50 ms.
    pub heartbeat_interval_us: u64,
    /// Entries of one append message weigh at most this many bytes, or are one. Default 256 KiB.
    pub append_bytes_max: usize,
    /// Append messages on the way to one follower, at most. Default 64.
    pub inflight_messages_max: usize,
    /// Bytes of entries on the way to one follower, at most. Default 4 MiB.
    pub inflight_bytes_max: usize,
    /// Bytes of entries appended here as leader but not committed, at most. Default 16 MiB.
    pub uncommitted_bytes_max: usize,
    /// Reads that wait for their confirmation, at most. Default 16384.
    pub pending_reads_max: usize,
}

impl Config {
    /// The defaults for one node of a cluster.
    #[must_use]
    pub fn new(id: NodeId, voters: Vec<NodeId>) -> Self {
        Self {
            id,
            voters,
            election_timeout_us: 300_000,
            election_timeout_us_max: 600_000,
            heartbeat_interval_us: 50_000,
            append_bytes_max: 256 * 1024,
            inflight_messages_max: 64,
            inflight_bytes_max: 4 * 1024 * 1024,
            uncommitted_bytes_max: 16 * 1024 * 1024,
            pending_reads_max: 16_384,
        }
    }
}

/// The durable state that a core starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The whole log, from index 1, without gaps.
    pub entries: Vec<Entry>,
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
    /// Its last entry.
    pub last_index: LogIndex,
    /// What it knows to be committed.
    pub commit_index: LogIndex,
    /// What its machine has applied.
    pub applied_index: LogIndex,
    /// When it last heard from the leader of its term.
    pub leader_contact: Option<LocalTime>,
}
