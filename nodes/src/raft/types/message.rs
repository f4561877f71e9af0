//! What cores say to each other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entry::SnapshotMeta;
use crate::ids::{LogIndex, NodeId, Term};
use crate::raft::entries::Entries;

/// A message between two cores.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Body {
    /// Would you vote for me? Changes nothing at the receiver (thesis 9.6).
    PreVoteRequest {
        /// Index of the candidate's last entry.
        last_index: LogIndex,
        /// Term of the candidate's last entry.
        last_term: Term,
        /// The last entry that the candidate knows to be committed: index and term. A voter that holds it
        /// learns so of changes of the members without which it would take itself for a learner still.
        committed: (LogIndex, Term),
    },
    /// The answer. Granted, it bears the term asked about; refused, the voter's own.
    PreVoteResponse {
        /// Whether the vote would be given.
        granted: bool,
        /// The last entry that the voter knows to be committed: index and term. A candidate that holds it
        /// learns so of changes of the members without which it could not be elected.
        committed: (LogIndex, Term),
    },
    /// Vote for me (Figure 2, RequestVote).
    VoteRequest {
        /// Index of the candidate's last entry.
        last_index: LogIndex,
        /// Term of the candidate's last entry.
        last_term: Term,
        /// The leader itself asked for this campaign (thesis 3.10), so that its being alive is no reason
        /// to refuse.
        by_transfer: bool,
        /// As in [`Body::PreVoteRequest`].
        committed: (LogIndex, Term),
    },
    /// The answer.
    VoteResponse {
        /// Whether the vote was given.
        granted: bool,
        /// As in [`Body::PreVoteResponse`].
        committed: (LogIndex, Term),
    },
    /// Append these entries (Figure 2, AppendEntries). Empty, it is a probe.
    AppendRequest {
        /// Index of the entry before the first of `entries`.
        prev_index: LogIndex,
        /// Term of that entry.
        prev_term: Term,
        /// Consecutive entries from `prev_index + 1`.
        entries: Entries,
        /// The leader's commit index.
        commit_index: LogIndex,
    },
    /// All of that append is durable here: the log matches the leader's up to `match_index`, which is the
    /// tail of the message answered, never the end of a longer log. It answers the last chunk of a snapshot
    /// too, once the snapshot is durable.
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
        /// There is nothing to do: the leader would fall silent, and so may the receiver.
        quiesce: bool,
    },
    /// The answer.
    HeartbeatResponse {
        /// The round of the heartbeat answered.
        read_round: u64,
        /// The receiver agrees to fall silent, and waits for no further heartbeat.
        quiesced: bool,
        /// The latest version that the sender speaks.
        version: u16,
        /// How much the sender is wanted as leader: see [`super::Config::priority`].
        priority: u8,
    },
    /// A piece of a snapshot (Figure 13 of the paper's extended version, InstallSnapshot).
    SnapshotChunk(Box<SnapshotChunk>),
    /// The receiver holds this much of that snapshot, from its beginning and without gaps.
    SnapshotReceived {
        /// The snapshot's last entry.
        index: LogIndex,
        /// How many bytes of it.
        received_bytes: u64,
    },
    /// Campaign now, without waiting for a timeout (thesis 3.10).
    TimeoutNow,
    /// A follower asks for a read index on behalf of its own clients (thesis 6.4).
    ReadIndexRequest {
        /// The sender's own counter.
        read: u64,
    },
    /// The answer.
    ReadIndexResponse {
        /// The number of the request answered.
        read: u64,
        /// What the receiver of the request says.
        answer: ReadIndexAnswer,
    },
    /// A follower of a silent group has something to do: lead aloud again.
    Wake,
}

/// What a node answers that is asked for a read index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReadIndexAnswer {
    /// The read index (thesis 6.4).
    Index(LogIndex),
    /// It does not lead, or leads no more.
    NotLeader,
    /// It leads, and as many reads wait as may: see [`super::Config::pending_reads_max`].
    Overloaded,
}

/// A piece of a snapshot. Each names the whole of which it is a part, so that any of them may be lost,
/// doubled, or come from another leader that has the same snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotChunk {
    /// What the whole stands for.
    pub meta: SnapshotMeta,
    /// Length of the whole.
    pub total_bytes: u64,
    /// Hash (xxh3, 64 bits) of the whole.
    pub checksum: u64,
    /// Where this piece begins.
    pub offset_bytes: u64,
    /// The piece.
    pub data: Bytes,
}
