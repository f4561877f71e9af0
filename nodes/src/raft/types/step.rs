//! What happens to a core, and what it asks for in return.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entry::{HardState, Snapshot, SnapshotMeta};
use super::message::Message;
use super::settings::Role;
use crate::ids::{LogIndex, NodeId, Term};
use crate::raft::entries::Entries;
use crate::raft::membership::{Membership, MembershipChange, MembershipError};

/// Names one store request. Rises by one; completions are matched by it and by nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreToken(pub u64);

/// What happens to the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed: see [`crate::raft::Core::deadline`].
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
    /// A linearizable read is wanted of a leader. `id` is the driver's own, echoed in [`ReadOutcome`].
    Read {
        /// The driver's name for it.
        id: u64,
    },
    /// The same of any node: a follower asks its leader for the read index.
    ReadAnywhere {
        /// The driver's name for it.
        id: u64,
    },
    /// The members are to be changed. `id` is the driver's own, echoed in [`ChangeOutcome`].
    ChangeMembership {
        /// The driver's name for it.
        id: u64,
        /// The change.
        change: MembershipChange,
    },
    /// Hand the leadership to this node, or to whoever is furthest (thesis 3.10).
    Transfer {
        /// To whom.
        to: Option<NodeId>,
    },
    /// Behave as if the election timeout had passed. For tests and scripts; safe at any time.
    Campaign,
    /// Send heartbeats now, whatever the clock says, if this node leads. For tests and scripts.
    Heartbeat,
    /// The store request of this token is durable.
    Stored(StoreToken),
    /// The machine has applied every entry up to this index.
    Applied(LogIndex),
    /// The machine's state after the entry of `meta`, which [`crate::raft::Core::snapshot_meta`] gave when the
    /// machine was there.
    SnapshotTaken(Box<Snapshot>),
    /// The network says that this peer cannot be reached at present: what was on its way is lost.
    Unreachable(NodeId),
    /// The driver has sent [`Effects::install`] to the machine, which is now in that state.
    Installed(LogIndex),
}

/// Everything that the driver must do after one or more steps, and in which order:
///
/// 1. send `messages` (they depend on nothing that is not durable already);
/// 2. start `store`, if any, and feed [`Input::Stored`] back when it is durable;
/// 3. keep each of `messages_after` until the store of its token is durable, then send it;
/// 4. put the machine into the state of `install`, if any, then feed [`Input::Installed`] back;
/// 5. apply `committed`, in order, then feed [`Input::Applied`] back;
/// 6. answer `proposals`, `changes`, `reads` and `transfers`; report `events`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What to make durable. There is never more than one request at a time without its completion.
    pub store: Option<StoreRequest>,
    /// Messages that may leave now.
    pub messages: Vec<Message>,
    /// Messages that must not leave before the store of their token is durable. The token may be that of
    /// a request which is yet to come.
    pub messages_after: Vec<(StoreToken, Message)>,
    /// A snapshot that a leader sent, durable here: it takes the machine's place. It is beyond everything
    /// applied before, and `committed` goes on after it.
    pub install: Option<Box<Snapshot>>,
    /// Entries that are committed and durable here, to be applied in this order.
    pub committed: Entries,
    /// What became of proposals.
    pub proposals: Vec<ProposalOutcome>,
    /// What became of changes of the members.
    pub changes: Vec<ChangeOutcome>,
    /// What became of reads.
    pub reads: Vec<ReadOutcome>,
    /// What became of transfers, in the order in which it was decided.
    pub transfers: Vec<TransferOutcome>,
    /// What happened, for observers.
    pub events: Vec<Event>,
}

impl Effects {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            store,
            messages,
            messages_after,
            install,
            committed,
            proposals,
            changes,
            reads,
            transfers,
            events,
        } = self;
        store.is_none()
            && messages.is_empty()
            && messages_after.is_empty()
            && install.is_none()
            && committed.is_empty()
            && proposals.is_empty()
            && changes.is_empty()
            && reads.is_empty()
            && transfers.is_empty()
            && events.is_empty()
    }

    /// Forgets everything but the buffers, for [`crate::raft::Core::effects_into`].
    pub fn clear(&mut self) {
        let Self {
            store,
            messages,
            messages_after,
            install,
            committed,
            proposals,
            changes,
            reads,
            transfers,
            events,
        } = self;
        *store = None;
        messages.clear();
        messages_after.clear();
        *install = None;
        committed.clear();
        proposals.clear();
        changes.clear();
        reads.clear();
        transfers.clear();
        events.clear();
    }
}

/// One atomic unit of durable change: after a crash either none of it or a prefix of it (hard state first,
/// then the snapshot, then truncation, then entries in order) may be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    /// Its name.
    pub token: StoreToken,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// A snapshot to be kept in place of any earlier one.
    pub snapshot: Option<Box<SnapshotWrite>>,
    /// Drop every entry from this index on, before appending.
    pub truncate_from: Option<LogIndex>,
    /// Entries to append; the first follows the (truncated) end of the log.
    pub append: Entries,
    /// Entries up to here are covered by a snapshot that is durable already, and may be forgotten, now or
    /// later. Nothing waits for it.
    pub compact_to: Option<LogIndex>,
}

impl StoreRequest {
    /// A request that asks for nothing.
    #[must_use]
    pub fn empty(token: StoreToken) -> Self {
        Self {
            token,
            hard_state: None,
            snapshot: None,
            truncate_from: None,
            append: Entries::new(),
            compact_to: None,
        }
    }
}

/// A snapshot on its way to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotWrite {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The log does not lead up to the snapshot, or contradicts it: all of it goes, in the same atomic unit,
    /// and begins anew behind the snapshot. Otherwise the entries after the snapshot stay.
    pub replaces_log: bool,
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

/// What became of a change of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It was appended to this leader's log, and is in force once the entry at this position is applied.
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
    /// It was not appended: it makes no sense of the members as they are.
    Impossible {
        /// The driver's name for it.
        id: u64,
        /// Why.
        reason: MembershipError,
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

/// What became of a transfer of the leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferOutcome {
    /// Another node leads, or this one has stepped down for it.
    Done,
    /// The target did not take over within an election timeout, or this node gave up leading for another
    /// reason first.
    TimedOut,
    /// It was not tried.
    Refused(Refusal),
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
    /// The leadership is being handed over; ask again in a moment.
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// Another change of the members is under way, or this leader has not yet committed in its term.
    ChangePending,
    /// There is no such voter to hand the leadership to.
    NoSuchVoter,
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
    /// Entries entered the log (in memory; the disk follows).
    Appended(Entries),
    /// The commit index rose.
    Committed {
        /// The commit index now.
        index: LogIndex,
    },
    /// These members are in force now.
    MembershipChanged {
        /// The entry, or the last entry of the snapshot, that brought them.
        index: LogIndex,
        /// The members.
        membership: Arc<Membership>,
    },
    /// A leader's snapshot took the place of the whole log (in memory; the disk follows).
    SnapshotReceived {
        /// What it stands for.
        meta: Box<SnapshotMeta>,
    },
    /// Entries up to this index, covered by a durable snapshot, left the log in memory.
    Compacted {
        /// The last index that left.
        to: LogIndex,
    },
    /// The cluster speaks this version from now on.
    VersionRaised {
        /// The version.
        version: u16,
    },
}
