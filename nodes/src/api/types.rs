//! The vocabulary of the client protocol.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::coherence::{DirectoryStats, HolderStats, KeyCounts, LineState, Surrender};
use crate::ids::{LogIndex, NodeId, Term};
use crate::machine::{CacheQuery, Command, Outcome, Query};
use crate::raft::Role;
use crate::raft::membership::{Membership, MembershipChange};

/// A client's own name for one of its requests, echoed in the response. A client does not reuse one while
/// a response to it may still arrive; two clients may use the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// What it asks.
    pub body: RequestBody,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestBody {
    /// Put this command through the log. Answered with [`ResponseBody::Outcome`], by the leader only.
    Command(Command),
    /// Answer this from a state as fresh as the request (thesis 6.4). Answered with
    /// [`ResponseBody::Outcome`], by the leader only.
    Query(Query),
    /// How are you? Answered with [`ResponseBody::Status`] by every node, at once, from what it knows.
    Status,
    /// As `Query`, answered by any node that has a leader: a follower asks its leader how far it must have
    /// applied (thesis 6.4).
    QueryAnywhere(Query),
    /// Change the members. Answered with [`ResponseBody::Members`] once the change is in force, by the leader
    /// only. A joint change is in force when both halves are; the leader ends that state by itself unless
    /// told otherwise.
    ChangeMembers(MembershipChange),
    /// Hand the leadership to this node, or to whoever is furthest. Answered with
    /// [`ResponseBody::Transferred`], by the leader only.
    Transfer {
        /// To whom.
        to: Option<NodeId>,
    },
    /// As `QueryAnywhere`, and just as fresh, answered without asking anybody if the node holds a line of the
    /// near-cache.
    QueryNear(CacheQuery),
    /// Answer this from a state that was the latest no longer than so many microseconds ago, by the clock of
    /// the node asked, or else as `QueryAnywhere`. Answered with [`ResponseBody::AgedOutcome`] by any node; at
    /// once, and though it has lost its leader, if it knows its state to be as fresh as that.
    QueryWithin {
        /// The question.
        query: Query,
        /// How old the state may be.
        age_us_max: u64,
    },
    /// Say how a lock is once it has changed since it had this version. Answered with
    /// [`ResponseBody::Outcome`] by any node, from what it has applied: at once if it has seen a change, else
    /// as soon as it does, or after `wait_us` with the state as it is.
    Watch {
        /// The lock.
        resource: String,
        /// What the asker has seen: a [`LockState::version`](crate::machine::LockState::version), 0 for nothing.
        seen: LogIndex,
        /// How long to wait, up to [`WAIT_US_MAX`](crate::machine::WAIT_US_MAX).
        wait_us: u64,
    },
    /// What do you know of the lines of this key? Answered with [`ResponseBody::NearLines`] by every node, at once,
    /// from what it knows.
    NearLines {
        /// The key.
        key: String,
    },
    /// A command that may change these keys is about to go to the leader: what of them you read from your near-cache, read
    /// no more until it is done. Answered with [`ResponseBody::Surrendered`] by every node, at once, from what it knows.
    BeginWrite {
        /// The keys, at most [`SURRENDERS_MAX`](crate::coherence::SURRENDERS_MAX).
        keys: Vec<String>,
    },
    /// As `Command`, of a client whose near node has given up its lines for it: the leader does not wait for them, and
    /// grants them anew with the result.
    CommandOfHolder {
        /// The command.
        command: Command,
        /// The near node.
        holder: NodeId,
        /// What it has answered to `BeginWrite`; at most [`SURRENDERS_MAX`](crate::coherence::SURRENDERS_MAX).
        surrenders: Vec<Surrender>,
    },
}

impl RequestBody {
    /// The same without what a near node has given up for it, as every version of a node understands it.
    #[must_use]
    pub fn without_surrenders(self) -> Self {
        match self {
            Self::CommandOfHolder { command, .. } => Self::Command(command),
            other => other,
        }
    }
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The name of the request.
    pub id: RequestId,
    /// The answer, or why there is none.
    pub result: Result<ResponseBody, ApiError>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseBody {
    /// The outcome of a command or query.
    Outcome(Outcome),
    /// The node's state.
    Status(Box<NodeStatus>),
    /// The members in force.
    Members(Membership),
    /// The node leads no more.
    Transferred,
    /// The outcome of a query that may be stale.
    AgedOutcome {
        /// The outcome.
        outcome: Outcome,
        /// It comes from a state that contains whatever was committed so many microseconds before the answer,
        /// by the node's clock. No more than was asked for, unless a question to the leader took longer.
        age_us: u64,
    },
    /// The outcome of a command that an earlier attempt had put into the log. Says nothing of the lease, which
    /// this attempt has not renewed.
    Known(Outcome),
    /// What the node knows of a key's lines.
    NearLines(Box<KeyLines>),
    /// The lines that the node has given up for a write: none where it had none, or where it leads itself, for it does
    /// the same with the command when that comes.
    Surrendered(Vec<Surrender>),
}

/// What a node knows of the near-caches' lines of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLines {
    /// Its own line, if it has one whose lease runs.
    pub own: Option<LineState>,
    /// What it has counted of the key.
    pub counts: KeyCounts,
    /// Who holds the key's line as far as its directory knows, in the order of nodes; `None` if it does not lead.
    pub holders: Option<Vec<LineHolder>>,
}

/// Who holds a line, as the leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineHolder {
    /// The node.
    pub node: NodeId,
    /// In which state it was granted, or is by what the holder has said since.
    pub state: LineState,
    /// How long its lease lasts from now at most, by the leader's clock; 0 if it is over.
    pub left_us: u64,
    /// Whether it has been told to drop it and has not answered.
    pub is_invalidating: bool,
}

/// Why a node has no answer, and with it what the client may do.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiError {
    /// Definite. This node does not lead and did nothing. Ask `leader`, or, if it is unknown, another node.
    #[error("this node does not lead; the leader is {}", leader_name(*.leader))]
    NotLeader {
        /// The leader that it knows of.
        leader: Option<NodeId>,
    },
    /// Definite. This node has too much to do and did nothing. Wait a little, then retry.
    #[error("this node has too many requests under way")]
    Overloaded,
    /// Indefinite. The command was proposed, but the node lost its leadership before it was known to be
    /// committed. Retry with the same session and sequence number to learn the outcome.
    #[error("the leader stepped down before the outcome was known")]
    LeadershipLost,
    /// Indefinite. The node is going down; whether it proposed the command first, it does not say. As
    /// [`ApiError::LeadershipLost`], and elsewhere.
    #[error("this node is stopping")]
    Stopping,
    /// Definite. This version does not know what it was asked. Retrying is of no use.
    #[error("not supported by this node: {0}")]
    Unsupported(String),
    /// Definite. The leadership is being handed over. Wait a little, then retry.
    #[error("the leadership is being handed over to {to}")]
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// Definite. Another change of the members is under way, or the leader is too new. Wait a little, then
    /// retry.
    #[error("another change of the members is under way, or the leader has not committed anything yet")]
    ChangePending,
    /// Definite. The change makes no sense of the members as they are.
    #[error("the members cannot be changed so: {0}")]
    ImpossibleChange(String),
    /// The leadership was not handed over: there is no such voter, or it did not take over in time.
    #[error("the leadership was not handed over: {0}")]
    NotTransferred(String),
}

impl ApiError {
    /// Whether the copy of the request that this answers had no effect and never will. It speaks of no
    /// other copy: of an earlier attempt, or one that the network made, nothing is known, so a client that
    /// sent a command more than once, or over a network that may double it, must not conclude from this
    /// alone that the command failed.
    #[must_use]
    pub const fn is_definite(&self) -> bool {
        match self {
            Self::NotLeader { .. }
            | Self::Overloaded
            | Self::Unsupported(_)
            | Self::Transferring { .. }
            | Self::ChangePending
            | Self::ImpossibleChange(_) => true,
            Self::LeadershipLost | Self::Stopping | Self::NotTransferred(_) => false,
        }
    }
}

fn leader_name(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "unknown".to_owned(), |leader| leader.to_string())
}

/// What a node knows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node.
    pub id: NodeId,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// The leader that it knows of.
    pub leader: Option<NodeId>,
    /// Its vote in that term.
    pub voted_for: Option<NodeId>,
    /// How long ago it last heard from the leader of its term, by its own clock; `None` if never, and at a leader.
    pub leader_silent_us: Option<u64>,
    /// When its timer runs out next, from now: the election timeout, or a leader's next heartbeat. `None` if it waits
    /// for no time.
    pub timer_us: Option<u64>,
    /// What it knows to be committed.
    pub commit_index: LogIndex,
    /// What its machine has applied.
    pub applied_index: LogIndex,
    /// Its last log entry.
    pub last_index: LogIndex,
    /// The first log entry that it holds in memory, or would.
    pub first_index: LogIndex,
    /// The last entry that its latest snapshot covers; 0 without one.
    pub snapshot_index: LogIndex,
    /// The members that it goes by.
    pub members: Membership,
    /// The version that it takes the cluster to speak.
    pub version: u16,
    /// What clients were told here of messages.
    pub traffic: QueueTraffic,
    /// What its near-cache does.
    pub near: Box<HolderStats>,
    /// What its directory of near-caches does, while it leads.
    pub directory: Box<DirectoryStats>,
}

/// Messages that were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    /// Taken into a topic.
    pub enqueued: u64,
    /// Handed to a consumer.
    pub delivered: u64,
    /// Removed by their consumer's word.
    pub acknowledged: u64,
}

impl QueueCounts {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            enqueued: self.enqueued + other.enqueued,
            delivered: self.delivered + other.delivered,
            acknowledged: self.acknowledged + other.acknowledged,
        }
    }
}

/// What clients were told of messages by one node since it started. An answer that was given twice, because
/// the first was lost, counts twice; a topic's own statistics do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueTraffic {
    /// How long the node has run, by its own clock.
    pub uptime_us: u64,
    /// Since it started.
    pub total: QueueCounts,
    /// In the last `recent_s` seconds.
    pub recent: QueueCounts,
    /// 1 to 10.
    pub recent_s: u64,
}

impl QueueTraffic {
    /// A recent count as a rate per second.
    #[must_use]
    pub fn per_second(&self, recent: u64) -> f64 {
        recent as f64 / self.recent_s.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_that_precede_any_proposal_are_definite() {
        assert!(ApiError::NotLeader { leader: None }.is_definite());
        assert!(ApiError::Overloaded.is_definite());
        assert!(ApiError::Unsupported("x".to_owned()).is_definite());
        assert!(!ApiError::LeadershipLost.is_definite());
        assert!(!ApiError::Stopping.is_definite());
    }

    #[test]
    fn not_leader_names_the_leader_or_says_that_it_is_unknown() {
        let known = ApiError::NotLeader { leader: Some(NodeId(2)) };
        assert_eq!(known.to_string(), "this node does not lead; the leader is n2");
        let unknown = ApiError::NotLeader { leader: None };
        assert_eq!(unknown.to_string(), "this node does not lead; the leader is unknown");
    }
}
