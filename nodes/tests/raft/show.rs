//! How messages, entries and events are written in transcripts.

use stormglass_nodes::raft::membership::{MemberChange, MembershipChange, Transition};
use stormglass_nodes::raft::{
    Body, ChangeOutcome, Entry, Event, HardState, Message, Payload, ProposalOutcome, ReadIndexAnswer,
    ReadOutcome, Refusal, Role, SnapshotMeta, StoreRequest, TransferOutcome,
};

use crate::cluster::Happening;

/// An entry: index, term, content.
pub(crate) fn entry(entry: &Entry) -> String {
    let content = match &entry.payload {
        Payload::Noop => "noop".to_owned(),
        Payload::Command(command) => String::from_utf8_lossy(command).into_owned(),
        Payload::Membership(agreed) => change(&agreed.change),
        Payload::Version(version) => format!("version-{version}"),
    };
    format!("{}/{}:{content}", entry.index, entry.term)
}

/// Entries, or a dash.
pub(crate) fn entries<'a>(list: impl IntoIterator<Item = &'a Entry>) -> String {
    let shown = list.into_iter().map(entry).collect::<Vec<_>>().join(" ");
    if shown.is_empty() { "-".to_owned() } else { shown }
}

/// A change of the members, in one word: `+4,learn5,-2`.
pub(crate) fn change(change: &MembershipChange) -> String {
    if change.is_leave_joint() {
        return "leave-joint".to_owned();
    }
    let word = |change: &MemberChange| match change {
        MemberChange::AddVoter(id) => format!("+{}", id.0),
        MemberChange::AddLearner(id) => format!("learn{}", id.0),
        MemberChange::AddVoterOnceCaughtUp(id) => format!("learn+{}", id.0),
        MemberChange::Remove(id) => format!("-{}", id.0),
    };
    let transition = match change.transition {
        Transition::Auto => "",
        Transition::JointImplicit => "joint:",
        Transition::JointExplicit => "explicit:",
    };
    format!("{transition}{}", change.changes.iter().map(word).collect::<Vec<_>>().join(","))
}

fn meta(meta: &SnapshotMeta) -> String {
    format!("snapshot {}/{} {}", meta.index, meta.term, meta.membership)
}

/// Term and vote.
pub(crate) fn hard_state(state: &HardState) -> String {
    let vote = state.voted_for.map_or("nobody".to_owned(), |id| id.to_string());
    format!("{} voted {vote}", state.term)
}

/// A role as a word.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// A message with its route.
pub(crate) fn message(message: &Message) -> String {
    let says = match &message.body {
        Body::PreVoteRequest { last_index, last_term, .. } => {
            format!("pre-vote? last {last_index}/{last_term}")
        }
        Body::PreVoteResponse { granted, .. } => format!("pre-vote {}", yes_no(*granted)),
        Body::VoteRequest { last_index, last_term, by_transfer, .. } => {
            let why = if *by_transfer { " by transfer" } else { "" };
            format!("vote? last {last_index}/{last_term}{why}")
        }
        Body::VoteResponse { granted, .. } => format!("vote {}", yes_no(*granted)),
        Body::AppendRequest { prev_index, prev_term, entries: list, commit_index } => {
            format!("append after {prev_index}/{prev_term} commit {commit_index} [{}]", entries(list))
        }
        Body::AppendAccepted { match_index } => format!("accepted up to {match_index}"),
        Body::AppendRejected { prev_index, hint_index, hint_term } => {
            format!("rejected after {prev_index}, hint {hint_index}/{hint_term}")
        }
        Body::Heartbeat { commit_index, read_round, quiesce } => {
            let wish = if *quiesce { ", silence?" } else { "" };
            format!("heartbeat commit {commit_index} round {read_round}{wish}")
        }
        Body::HeartbeatResponse { read_round, quiesced, version, priority } => {
            let silent = if *quiesced { ", silent" } else { "" };
            let version = if *version > 1 { format!(", version {version}") } else { String::new() };
            let priority = if *priority > 0 { format!(", priority {priority}") } else { String::new() };
            format!("heartbeat answered round {read_round}{silent}{version}{priority}")
        }
        Body::SnapshotChunk(chunk) => {
            let end = chunk.offset_bytes + chunk.data.len() as u64;
            format!("{} bytes {}..{end} of {}", meta(&chunk.meta), chunk.offset_bytes, chunk.total_bytes)
        }
        Body::SnapshotReceived { index, received_bytes } => {
            format!("snapshot {index} received {received_bytes} bytes")
        }
        Body::TimeoutNow => "campaign now".to_owned(),
        Body::ReadIndexRequest { .. } => "read index?".to_owned(),
        Body::ReadIndexResponse { answer: ReadIndexAnswer::Index(index), .. } => {
            format!("read index {index}")
        }
        Body::ReadIndexResponse { answer: ReadIndexAnswer::NotLeader, .. } => "no read index".to_owned(),
        Body::ReadIndexResponse { answer: ReadIndexAnswer::Overloaded, .. } => {
            "no read index, overloaded".to_owned()
        }
        Body::Wake => "wake".to_owned(),
    };
    format!("{}->{} {} {says}", message.from, message.to, message.term)
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn refusal(reason: Refusal) -> String {
    match reason {
        Refusal::NotLeader { leader: Some(leader) } => format!("not leader, try {leader}"),
        Refusal::NotLeader { leader: None } => "not leader, none known".to_owned(),
        Refusal::Overloaded => "overloaded".to_owned(),
        Refusal::Transferring { to } => format!("handing over to {to}"),
        Refusal::ChangePending => "another change is pending".to_owned(),
        Refusal::NoSuchVoter => "no such voter".to_owned(),
    }
}

fn event(event: &Event) -> String {
    match event {
        Event::RoleChanged { role: now, term, leader } => {
            let leader = leader.map_or("nobody".to_owned(), |id| id.to_string());
            format!("is {} in {term}, leader {leader}", role(*now))
        }
        Event::Voted { term, candidate } => format!("votes for {candidate} in {term}"),
        Event::Truncated { from } => format!("truncates from {from}"),
        Event::Appended(added) => format!("appends {}", entries(added)),
        Event::Committed { index } => format!("commits {index}"),
        Event::MembershipChanged { index, membership } => format!("goes by {membership} from {index} on"),
        Event::SnapshotReceived { meta: received } => format!("replaces its log by {}", meta(received)),
        Event::Compacted { to } => format!("forgets up to {to}"),
        Event::VersionRaised { version } => format!("speaks version {version}"),
    }
}

fn store(request: &StoreRequest) -> String {
    let mut parts = Vec::new();
    parts.extend(request.hard_state.iter().map(hard_state));
    if let Some(write) = &request.snapshot {
        let log = if write.replaces_log { " in place of its log" } else { "" };
        parts.push(format!("{}{log}", meta(&write.snapshot.meta)));
    }
    parts.extend(request.truncate_from.map(|from| format!("truncate from {from}")));
    if !request.append.is_empty() {
        parts.push(format!("append {}", entries(&request.append)));
    }
    parts.extend(request.compact_to.map(|to| format!("forget up to {to}")));
    format!("#{} {}", request.token.0, parts.join(", "))
}

/// A line of a transcript.
pub(crate) fn happening(happening: &Happening) -> String {
    match happening {
        Happening::Event(id, what) => format!("{id} {}", event(what)),
        Happening::Sent(sent, ..) => message(sent),
        Happening::Waits(token, held) => format!("{} holds until #{}: {}", held.from, token.0, message(held)),
        Happening::StoreBegan(id, request) => format!("{id} stores {}", store(request)),
        Happening::StoreEnded(id, token) => format!("{id} stored #{}", token.0),
        Happening::Applied(id, list, _) => format!("{id} applies {}", entries(list)),
        Happening::Installed(id, index, _) => format!("{id} installs the snapshot of {index}"),
        Happening::Change(id, ChangeOutcome::Appended { id: name, index, term }) => {
            format!("{id} change {name}: appended at {index}/{term}")
        }
        Happening::Change(id, ChangeOutcome::Refused { id: name, reason }) => {
            format!("{id} change {name}: refused, {}", refusal(*reason))
        }
        Happening::Change(id, ChangeOutcome::Impossible { id: name, reason }) => {
            format!("{id} change {name}: impossible, {reason}")
        }
        Happening::Transfer(id, TransferOutcome::Done) => format!("{id} transfer: done"),
        Happening::Transfer(id, TransferOutcome::TimedOut) => format!("{id} transfer: timed out"),
        Happening::Transfer(id, TransferOutcome::Refused(reason)) => {
            format!("{id} transfer: refused, {}", refusal(*reason))
        }
        Happening::Proposal(id, ProposalOutcome::Appended { id: name, index, term }) => {
            format!("{id} proposal {name}: appended at {index}/{term}")
        }
        Happening::Proposal(id, ProposalOutcome::Refused { id: name, reason }) => {
            format!("{id} proposal {name}: refused, {}", refusal(*reason))
        }
        Happening::ReadBegan(id, read) => format!("{id} read {read}: asked"),
        Happening::Read(id, ReadOutcome::Ready { id: read, index }) => {
            format!("{id} read {read}: ready at {index}")
        }
        Happening::Read(id, ReadOutcome::Refused { id: read, reason }) => {
            format!("{id} read {read}: refused, {}", refusal(*reason))
        }
        Happening::Crashed(id) => format!("{id} crashed"),
        Happening::Started(id) => format!("{id} started"),
    }
}
