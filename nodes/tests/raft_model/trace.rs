//! The shortest way to a violation, for a person to read.

use std::fmt::Write;

use stormglass_nodes::raft::{Body, Message, Role};

use crate::disk::Mark;
use crate::node::{Act, Facts};
use crate::search::{self, State, Step};
use crate::space::Space;

/// Tells how the states of these hashes follow each other, and what is broken by the last, or by a step
/// from it. Also returns how many steps that are. `space` is that of the search, and `state` its beginning.
///
/// # Panics
/// If they do not: then they are not of this search.
pub(crate) fn tell(space: &mut Space, mut state: State, what: &str, path: &[u128]) -> (String, usize) {
    let (mut told, mut steps, mut successors) = (String::new(), 0, Vec::new());
    for &wanted in &path[1..] {
        search::expand(space, &state, &mut successors);
        let next = successors.drain(..).find_map(|(step, successor)| {
            let next = successor.ok()?;
            (search::canonical(space, &next) == wanted).then_some((step, next))
        });
        let (step, next) = next.expect("one of the steps leads to the next state");
        steps += 1;
        line(&mut told, space, (steps, &step), &state, &next);
        state = next;
    }
    search::expand(space, &state, &mut successors);
    let broken = successors.into_iter().find(|(_, successor)| successor.as_ref().is_err_and(|it| it == what));
    if let Some((step, _)) = broken {
        steps += 1;
        let _ = writeln!(told, "{steps:3}. {}", step_in_words(space, &state, &step));
    }
    let _ = writeln!(told, "     {what}");
    (told, steps)
}

fn line(told: &mut String, space: &Space, (number, step): (usize, &Step), before: &State, after: &State) {
    let words = step_in_words(space, before, step);
    let at = position(space, step);
    let _ = writeln!(told, "{number:3}. {words:60} {}", node_in_words(space.facts(after.nodes[at])));
    let mut lost = before.network.to_vec();
    if let Step::Arrival { message, again: false } = step {
        lost.retain(|other| other != message);
    }
    lost.retain(|message| !after.network.contains(message));
    for message in lost {
        let _ = writeln!(told, "     lost: {}", message_in_words(space.message(message)));
    }
}

/// The position of the node that does something.
fn position(space: &Space, step: &Step) -> usize {
    match step {
        Step::Act(at, _) => *at,
        Step::Arrival { message, .. } => space.message(*message).to.0 as usize - 1,
    }
}

fn step_in_words(space: &Space, before: &State, step: &Step) -> String {
    let (at, act) = match step {
        Step::Act(at, act) => (*at, *act),
        Step::Arrival { message, again } => {
            let again = if *again { " (and may again)" } else { "" };
            return format!("{} arrives{again}", message_in_words(space.message(*message)));
        }
    };
    let id = at + 1;
    match &space.acts(before.nodes[at])[act] {
        Act::Receive(message) => message_in_words(message),
        Act::Campaign => format!("n{id} campaigns"),
        Act::Heartbeat => format!("n{id} sends heartbeats"),
        Act::Propose => format!("n{id} is given a command"),
        Act::Change(number) => format!("n{id} is asked for {:?}", space.bounds.wanted[*number].changes),
        Act::Store => format!("the store of n{id} completes"),
        Act::Crash(parts) => format!("n{id} crashes with {parts} parts stored, and starts again"),
        Act::Snapshot => format!("n{id} takes a snapshot"),
    }
}

fn node_in_words(facts: &Facts) -> String {
    let role = match facts.role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    };
    let Facts { id, term, commit, .. } = facts;
    format!("{id} {role} t{term} [{}] committed {commit} disk [{}]", log(&facts.log), log(&facts.disk))
}

/// A log by the terms of its entries; a command has a plus sign, a change an asterisk.
fn log(marks: &[Mark]) -> String {
    let word = |mark: &Mark| match mark.kind() {
        0 => format!("{}", mark.term()),
        1 => format!("{}+", mark.term()),
        _ => format!("{}*", mark.term()),
    };
    marks.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn message_in_words(message: &Message) -> String {
    let Message { from, to, term, body } = message;
    let body = match body {
        Body::AppendRequest { prev_index, prev_term, entries, commit_index } => {
            let marks: Vec<_> = entries.iter().map(Mark::of).collect();
            format!("append [{}] after {prev_index}/{prev_term}, committed {commit_index}", log(&marks))
        }
        Body::VoteRequest { last_index, last_term, .. } => format!("vote for me, {last_index}/{last_term}?"),
        Body::VoteResponse { granted, .. } => format!("vote: {granted}"),
        Body::PreVoteResponse { granted, .. } => format!("pre-vote: {granted}"),
        Body::AppendAccepted { match_index } => format!("accepted to {match_index}"),
        Body::AppendRejected { prev_index, hint_index, hint_term } => {
            format!("rejected after {prev_index}, look at {hint_index}/{hint_term}")
        }
        Body::Heartbeat { commit_index, .. } => format!("heartbeat, committed {commit_index}"),
        Body::HeartbeatResponse { .. } => "heartbeat's answer".to_owned(),
        Body::SnapshotChunk(chunk) => {
            format!("snapshot [{}], from byte {}", log(&Mark::from_bytes(&chunk.data)), chunk.offset_bytes)
        }
        other => format!("{other:?}"),
    };
    format!("{from}->{to} {term} {body}")
}
