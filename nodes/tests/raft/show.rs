//! How messages, entries and events are written in transcripts.

use stormglass_nodes::raft::{
    Body, Entry, Event, HardState, Message, Payload, ProposalOutcome, ReadOutcome, Refusal, Role,
    StoreRequest,
};

use crate::cluster::Happening;

/// An entry: index, term, content.
pub(crate) fn entry(entry: &Entry) -> String {
    let content = match &entry.payload {
        Payload::Noop => "noop".to_owned(),
        Payload::Command(command) => String::from_utf8_lossy(command).into_owned(),
    };
    format!("{}/{}:{content}", entry.index, entry.term)
}

/// Entries, or a dash.
pub(crate) fn entries(list: &[Entry]) -> String {
    if list.is_empty() {
        return "-".to_owned();
    }
    list.iter().map(entry).collect::<Vec<_>>().join(" ")
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
        Body::PreVoteRequest { last_index, last_term } => format!("pre-vote? last {last_index}/{last_term}"),
        Body::PreVoteResponse { granted } => format!("pre-vote {}", yes_no(*granted)),
        Body::VoteRequest { last_index, last_term } => format!("vote? last {last_index}/{last_term}"),
        Body::VoteResponse { granted } => format!("vote {}", yes_no(*granted)),
        Body::AppendRequest { prev_index, prev_term, entries: list, commit_index } => {
            format!("append after {prev_index}/{prev_term} commit {commit_index} [{}]", entries(list))
        }
        Body::AppendAccepted { match_index } => format!("accepted up to {match_index}"),
        Body::AppendRejected { prev_index, hint_index, hint_term } => {
            format!("rejected after {prev_index}, hint {hint_index}/{hint_term}")
        }
        Body::Heartbeat { commit_index, read_round } => {
            format!("heartbeat commit {commit_index} round {read_round}")
        }
        Body::HeartbeatResponse { read_round } => format!("heartbeat answered round {read_round}"),
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
        Event::Appended(added) => format!("appends {}", entry(added)),
        Event::Committed { index } => format!("commits {index}"),
    }
}

fn store(request: &StoreRequest) -> String {
    let mut parts = Vec::new();
    parts.extend(request.hard_state.iter().map(hard_state));
    parts.extend(request.truncate_from.map(|from| format!("truncate from {from}")));
    if !request.append.is_empty() {
        parts.push(format!("append {}", entries(&request.append)));
    }
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
        Happening::Applied(id, list) => format!("{id} applies {}", entries(list)),
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
