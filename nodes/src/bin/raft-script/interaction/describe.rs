//! Entries, messages and logs as text, in etcd's spelling where the core has the same thing.
//!
//! What has no counterpart there is named in the same manner: `MsgSnapResp` says how much of a snapshot has
//! arrived, `MsgWake` wakes a silent leader.

use std::fmt::Write;

use stormglass_nodes::ids::{LogIndex, NodeId, Term};
use stormglass_nodes::raft::membership::{MemberChange, Membership, MembershipChange};
use stormglass_nodes::raft::{Body, Entry, Message, Payload, ReadIndexAnswer, Role, SnapshotMeta};

use super::commands::SHORT_CHANGE;
use super::disk::Disk;

/// Every kind of message, by name.
pub(super) const KINDS: &[&str] = &[
    "MsgPreVote",
    "MsgPreVoteResp",
    "MsgVote",
    "MsgVoteResp",
    "MsgApp",
    "MsgAppResp",
    "MsgHeartbeat",
    "MsgHeartbeatResp",
    "MsgSnap",
    "MsgSnapResp",
    "MsgTimeoutNow",
    "MsgReadIndex",
    "MsgReadIndexResp",
    "MsgWake",
];

/// The name of a message's kind: one of [`KINDS`].
pub(super) const fn kind(body: &Body) -> &'static str {
    match body {
        Body::PreVoteRequest { .. } => "MsgPreVote",
        Body::PreVoteResponse { .. } => "MsgPreVoteResp",
        Body::VoteRequest { .. } => "MsgVote",
        Body::VoteResponse { .. } => "MsgVoteResp",
        Body::AppendRequest { .. } => "MsgApp",
        Body::AppendAccepted { .. } | Body::AppendRejected { .. } => "MsgAppResp",
        Body::Heartbeat { .. } => "MsgHeartbeat",
        Body::HeartbeatResponse { .. } => "MsgHeartbeatResp",
        Body::SnapshotChunk(_) => "MsgSnap",
        Body::SnapshotReceived { .. } => "MsgSnapResp",
        Body::TimeoutNow => "MsgTimeoutNow",
        Body::ReadIndexRequest { .. } => "MsgReadIndex",
        Body::ReadIndexResponse { .. } => "MsgReadIndexResp",
        Body::Wake => "MsgWake",
    }
}

/// A role.
pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "StateFollower",
        Role::PreCandidate => "StatePreCandidate",
        Role::Candidate => "StateCandidate",
        Role::Leader => "StateLeader",
    }
}

/// A message: who to whom, its kind, its term, the entry that it speaks of, and what else it says.
pub(super) fn message(message: &Message) -> String {
    let (from, to, term, kind) = (message.from.0, message.to.0, message.term.0, kind(&message.body));
    let place = |term: Term, index: LogIndex| format!(" Log:{}/{index}", term.0);
    let nowhere = place(Term(0), LogIndex(0));
    let rest = match &message.body {
        Body::PreVoteRequest { last_index, last_term, .. } => place(*last_term, *last_index),
        Body::VoteRequest { last_index, last_term, by_transfer, .. } => {
            place(*last_term, *last_index) + if *by_transfer { " Transfer" } else { "" }
        }
        Body::PreVoteResponse { granted, committed: (index, term) }
        | Body::VoteResponse { granted, committed: (index, term) } => {
            let rejected = if *granted { "" } else { " Rejected (Hint: 0)" };
            format!("{nowhere}{rejected} Committed:{}/{index}", term.0)
        }
        Body::AppendRequest { prev_index, prev_term, entries, commit_index } => {
            let entries: Vec<_> = entries.iter().collect();
            place(*prev_term, *prev_index) + &number("Commit", commit_index.0) + &entry_list(&entries)
        }
        Body::AppendAccepted { match_index } => place(Term(0), *match_index),
        Body::AppendRejected { prev_index, hint_index, hint_term } => {
            format!("{} Rejected (Hint: {hint_index})", place(*hint_term, *prev_index))
        }
        Body::Heartbeat { commit_index, read_round, quiesce } => {
            let quiesce = if *quiesce { " Quiesce" } else { "" };
            nowhere + &number("Commit", commit_index.0) + &number("Round", *read_round) + quiesce
        }
        Body::HeartbeatResponse { read_round, quiesced, version, priority } => {
            let quiesced = if *quiesced { " Quiesced" } else { "" };
            let version = number("Version", if *version > 1 { u64::from(*version) } else { 0 });
            let priority = number("Priority", u64::from(*priority));
            nowhere + &number("Round", *read_round) + quiesced + &version + &priority
        }
        Body::SnapshotChunk(chunk) => {
            let (begin, total) = (chunk.offset_bytes, chunk.total_bytes);
            let end = begin.saturating_add(chunk.data.len() as u64);
            format!("{nowhere}\n  Snapshot: {} Bytes:{begin}..{end}/{total}", snapshot(&chunk.meta))
        }
        Body::SnapshotReceived { index, received_bytes } => {
            format!("{} Received:{received_bytes}", place(Term(0), *index))
        }
        Body::TimeoutNow | Body::Wake => nowhere,
        Body::ReadIndexRequest { read } => format!("{nowhere} Read:{read}"),
        Body::ReadIndexResponse { read, answer: ReadIndexAnswer::Index(index) } => {
            format!("{} Read:{read}", place(Term(0), *index))
        }
        Body::ReadIndexResponse { read, answer: ReadIndexAnswer::NotLeader } => {
            format!("{nowhere} Rejected (Hint: 0) Read:{read}")
        }
        Body::ReadIndexResponse { read, answer: ReadIndexAnswer::Overloaded } => {
            format!("{nowhere} Rejected (Hint: 0) Read:{read} Overloaded")
        }
    };
    format!("{from}->{to} {kind} Term:{term}{rest}")
}

/// A number that is only worth a word if it is not 0.
fn number(name: &str, value: u64) -> String {
    if value == 0 { String::new() } else { format!(" {name}:{value}") }
}

/// An entry.
pub(super) fn entry(entry: &Entry) -> String {
    let (name, content) = match &entry.payload {
        Payload::Noop => ("EntryNormal", "\"\"".to_owned()),
        Payload::Command(command) => match std::str::from_utf8(command) {
            Ok(text) => ("EntryNormal", format!("{text:?}")),
            Err(_) => ("EntryNormal", format!("\"{}\"", command.escape_ascii())),
        },
        Payload::Membership(agreed) if agreed.change.context == SHORT_CHANGE => {
            ("EntryConfChange", changes(&agreed.change))
        }
        Payload::Membership(agreed) => ("EntryConfChangeV2", changes(&agreed.change)),
        Payload::Version(version) => ("EntryVersion", version.to_string()),
    };
    format!("{}/{} {name} {content}", entry.term.0, entry.index).trim_end().to_owned()
}

fn changes(change: &MembershipChange) -> String {
    let word = |change: &MemberChange| match change {
        MemberChange::AddVoter(id) => format!("v{}", id.0),
        MemberChange::AddLearner(id) => format!("l{}", id.0),
        MemberChange::AddVoterOnceCaughtUp(id) => format!("p{}", id.0),
        MemberChange::Remove(id) => format!("r{}", id.0),
    };
    change.changes.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Entries within a message: one on its line, several on lines of their own.
pub(super) fn entry_list(entries: &[&Entry]) -> String {
    match entries {
        [] => String::new(),
        [only] => format!(" Entries:[{}]", entry(only)),
        several => {
            let lines: String = several.iter().map(|one| format!("\n  {}", entry(one))).collect();
            format!(" Entries:[{lines}\n]")
        }
    }
}

/// What a snapshot stands for.
pub(super) fn snapshot(meta: &SnapshotMeta) -> String {
    let list = |ids: &[NodeId]| ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(" ");
    let Membership { voters, outgoing, learners, learners_next, promotable, auto_leave } = &meta.membership;
    let mut text = format!(
        "Index:{} Term:{} ConfState:Voters:[{}] VotersOutgoing:[{}] Learners:[{}] LearnersNext:[{}] \
         AutoLeave:{auto_leave}",
        meta.index,
        meta.term.0,
        list(voters),
        list(outgoing),
        list(learners),
        list(learners_next)
    );
    if !promotable.is_empty() {
        write!(text, " Promotable:[{}]", list(promotable)).expect("strings can be written to");
    }
    text
}

/// The log that a disk holds.
pub(super) fn durable_log(disk: &Disk) -> String {
    if disk.entries.is_empty() {
        return format!("log is empty: first index={}, last index={}", disk.base.next(), disk.base);
    }
    disk.entries.iter().map(entry).collect::<Vec<_>>().join("\n")
}
