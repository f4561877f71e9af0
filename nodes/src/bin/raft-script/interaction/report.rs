//! What a core asks for, what its disk and its machine do, and what it tells of itself, as text.

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::{
    Entry, Event, Message, ReadOutcome, Refusal, Role, Snapshot, StoreRequest, StoreToken, TransferOutcome,
};

use super::describe;
use super::node::Ready;
use super::output::Level;

/// What `process-ready` takes from a core. With asynchronous storage the disk's and the machine's work is
/// shown as messages to them, else by its parts.
pub(super) fn ready(id: NodeId, ready: &Ready, is_async: bool) -> String {
    let mut lines = Vec::new();
    if let Some((leader, role)) = ready.soft_state {
        lines.push(format!("Lead:{} State:{}", leader.map_or(0, |leader| leader.0), describe::role(role)));
    }
    ready.stores.iter().for_each(|request| lines.extend(parts(request)));
    let answered = ready.reads.iter().filter_map(|read| match read {
        ReadOutcome::Ready { id, index } => Some(format!("{{{index} [{id}]}}")),
        ReadOutcome::Refused { .. } => None,
    });
    let answered: Vec<_> = answered.collect();
    if !answered.is_empty() {
        lines.push(format!("ReadStates [{}]", answered.join(" ")));
    }
    for snapshot in &ready.installs {
        lines.push(format!("Install {}", describe::snapshot(&snapshot.meta)));
    }
    if !ready.committed.is_empty() {
        lines.push("CommittedEntries:".to_owned());
        lines.extend(ready.committed.iter().map(describe::entry));
    }
    let messages = messages(id, ready, is_async);
    if !messages.is_empty() {
        lines.push("Messages:".to_owned());
        lines.extend(messages);
    }
    if lines.is_empty() {
        return "<empty Ready>".to_owned();
    }
    format!("Ready MustSync={}:\n{}", !ready.stores.is_empty(), lines.join("\n"))
}

/// The parts of a store request, in the order in which they become durable.
fn parts(request: &StoreRequest) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(hard_state) = request.hard_state {
        let vote = hard_state.voted_for.map_or_else(String::new, |vote| format!(" Vote:{}", vote.0));
        lines.push(format!("HardState Term:{}{vote}", hard_state.term.0));
    }
    if let Some(write) = &request.snapshot {
        let replaces = if write.replaces_log { " ReplacesLog" } else { "" };
        lines.push(format!("Snapshot {}{replaces}", describe::snapshot(&write.snapshot.meta)));
    }
    if let Some(from) = request.truncate_from {
        lines.push(format!("Truncate From:{from}"));
    }
    if !request.append.is_empty() {
        lines.push("Entries:".to_owned());
        lines.extend(request.append.iter().map(describe::entry));
    }
    if let Some(to) = request.compact_to {
        lines.push(format!("Compact To:{to}"));
    }
    lines
}

fn messages(id: NodeId, ready: &Ready, is_async: bool) -> Vec<String> {
    let mut lines: Vec<_> = ready.messages.iter().map(describe::message).collect();
    if is_async {
        for request in &ready.stores {
            let responses: Vec<_> = ready.held.iter().filter(|(token, _)| *token == request.token).collect();
            let responses: Vec<_> = responses.into_iter().map(|(_, message)| message).collect();
            lines.push(append_work(id, request, Some(&responses)));
        }
        if !ready.installs.is_empty() || !ready.committed.is_empty() {
            lines.push(apply_work(id, &ready.installs, &ready.committed));
        }
    }
    let is_shown =
        |token: &StoreToken| is_async && ready.stores.iter().any(|request| request.token == *token);
    for (token, message) in ready.held.iter().filter(|(token, _)| !is_shown(token)) {
        lines.push(format!("{} (once Store:{} is durable)", describe::message(message), token.0));
    }
    lines
}

/// A store request as a message to the disk; with what leaves when it is durable, if asked for.
pub(super) fn append_work(id: NodeId, request: &StoreRequest, responses: Option<&[&Message]>) -> String {
    let hard_state = request.hard_state.unwrap_or_default();
    let mut text = format!("{}->AppendThread MsgStorageAppend Store:{}", id.0, request.token.0);
    if request.hard_state.is_some() {
        text.push_str(&format!(" Term:{}", hard_state.term.0));
        text.push_str(&hard_state.voted_for.map_or_else(String::new, |vote| format!(" Vote:{}", vote.0)));
    }
    text.push_str(&request.truncate_from.map_or_else(String::new, |from| format!(" Truncate:{from}")));
    text.push_str(&describe::entry_list(&request.append.iter().collect::<Vec<_>>()));
    text.push_str(&request.compact_to.map_or_else(String::new, |to| format!(" Compact:{to}")));
    if let Some(write) = &request.snapshot {
        text.push_str(&format!("\n  Snapshot: {}", describe::snapshot(&write.snapshot.meta)));
    }
    if let Some(responses) = responses {
        let own = append_done(id, request);
        let lines = responses.iter().map(|message| describe::message(message)).chain([own]);
        let lines: String = lines.map(|line| format!("\n  {line}")).collect();
        text.push_str(&format!(" Responses:[{lines}\n]"));
    }
    text
}

/// The disk's answer to the core.
pub(super) fn append_done(id: NodeId, request: &StoreRequest) -> String {
    format!("AppendThread->{} MsgStorageAppendResp Store:{}", id.0, request.token.0)
}

/// What the machine is to do, as a message to it.
pub(super) fn apply_work(id: NodeId, installs: &[Snapshot], entries: &[Entry]) -> String {
    format!("{}->ApplyThread MsgStorageApply{}", id.0, work(installs, entries))
}

/// The machine's answer to the core.
pub(super) fn apply_done(id: NodeId, installs: &[Snapshot], entries: &[Entry]) -> String {
    format!("ApplyThread->{} MsgStorageApplyResp{}", id.0, work(installs, entries))
}

fn work(installs: &[Snapshot], entries: &[Entry]) -> String {
    let entries = describe::entry_list(&entries.iter().collect::<Vec<_>>());
    let installs =
        installs.iter().map(|snapshot| format!("\n  Install: {}", describe::snapshot(&snapshot.meta)));
    entries + &installs.collect::<String>()
}

/// What an event is worth saying, and how important it is. What a transcript shows anyhow is not said twice.
pub(super) fn event(id: NodeId, event: &Event) -> Option<(Level, String)> {
    let id = id.0;
    let line = match event {
        Event::RoleChanged { role, term, leader } => {
            let leader = leader.map_or_else(String::new, |leader| format!(", leader {}", leader.0));
            let role = match role {
                Role::Follower => "follower",
                Role::PreCandidate => "pre-candidate",
                Role::Candidate => "candidate",
                Role::Leader => return Some((Level::Info, format!("{id} became leader at term {}", term.0))),
            };
            format!("{id} became {role} at term {}{leader}", term.0)
        }
        Event::Voted { term, candidate } => {
            format!("{id} cast its vote for {} at term {}", candidate.0, term.0)
        }
        Event::Truncated { from } => format!("{id} truncated its log from index {from}"),
        Event::MembershipChanged { membership, .. } => format!("{id} switched to configuration {membership}"),
        Event::SnapshotReceived { meta } => {
            format!("{id} restored snapshot [index: {}, term: {}]", meta.index, meta.term.0)
        }
        Event::VersionRaised { version } => format!("{id} raised the version to {version}"),
        Event::Compacted { to } => {
            return Some((Level::Debug, format!("{id} forgot its log up to index {to}")));
        }
        Event::Appended(_) | Event::Committed { .. } => return None,
    };
    Some((Level::Info, line))
}

/// How a transfer ended.
pub(super) fn transfer(id: NodeId, outcome: TransferOutcome) -> String {
    let id = id.0;
    match outcome {
        TransferOutcome::Done => format!("{id} has handed over"),
        TransferOutcome::TimedOut => format!("{id} gives up handing over"),
        TransferOutcome::Refused(reason) => format!("{id} does not hand over: {}", refusal(reason)),
    }
}

/// Why a core refuses.
pub(super) fn refusal(reason: Refusal) -> String {
    match reason {
        Refusal::NotLeader { leader: Some(leader) } => format!("not the leader, which is {}", leader.0),
        Refusal::NotLeader { leader: None } => "not the leader, and none is known".to_owned(),
        Refusal::Overloaded => "too much is under way".to_owned(),
        Refusal::Transferring { to } => format!("the leadership is being handed to {}", to.0),
        Refusal::ChangePending => {
            "another change is under way, or nothing is committed in this term".to_owned()
        }
        Refusal::NoSuchVoter => "there is no such voter".to_owned(),
    }
}
