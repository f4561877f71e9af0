//! Breadth first through every state that the bounds allow.
//!
//! # The network
//! It holds messages in no order. Any of them may arrive next; all may be lost. Since a message that is lost
//! cannot be told from one that is late, none is lost before there is no room for another: then the search
//! goes on with every choice of what is lost, the new ones not excepted. So the bound is on messages that
//! will still arrive: within it, no loss and no delay is left out.
//!
//! A message whose arrival would change nothing at its receiver is left where it is, for the same reason.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_128;

use crate::bounds::{Bounds, NODES_MAX};
use crate::invariants;
use crate::node::Act;
use crate::numbers::Numbers;
use crate::space::{HistoryNumber, MessageNumber, NodeNumber, Space};

/// Rare things of which the bounds allow so many in one run: heartbeats, crashes, duplicates, snapshots,
/// changes.
const RARE_KINDS: usize = 5;

/// The state of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) nodes: [NodeNumber; NODES_MAX],
    pub(crate) history: HistoryNumber,
    /// What is under way, sorted.
    pub(crate) network: SmallVec<[MessageNumber; 6]>,
    spent: [u8; RARE_KINDS],
}

/// What leads from one state to the next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The act of this number at the node of this position.
    Act(usize, usize),
    /// This message arrives; and may arrive again.
    Arrival { message: MessageNumber, again: bool },
}

/// What a search has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Distinct states, those that differ in names alone being one.
    pub(crate) states: usize,
    /// Steps that lead from one to another.
    pub(crate) transitions: u64,
    /// Steps from the beginning to the furthest state.
    pub(crate) depth: usize,
    /// The bound on states was met, and the search is incomplete.
    pub(crate) is_cut: bool,
    /// The longest log that was committed.
    pub(crate) committed: usize,
    /// Most terms with a leader in one run.
    pub(crate) leaders: usize,
    /// What is wrong, and the states that lead there, by their hashes.
    pub(crate) violation: Option<(String, Vec<u128>)>,
}

/// A step from a state, with the state that it leads to or what it breaks.
pub(crate) type Successor = (Step, Result<State, String>);

/// Searches; returns the state in which everything begins as well.
pub(crate) fn run(bounds: Bounds) -> (Space, State, Found) {
    let (mut space, nodes) = Space::new(bounds);
    let first = State { nodes, history: 0, network: SmallVec::new(), spent: [0; RARE_KINDS] };
    let mut search = Search { seen: Numbers::default(), parents: Vec::new(), found: Found::default() };
    search.seen.number(canonical(&space, &first));
    search.parents.push(0);
    let (mut level, mut successors) = (vec![(0, first.clone())], Vec::new());
    while !level.is_empty() {
        let mut next = Vec::new();
        for (parent, state) in &level {
            expand(&mut space, state, &mut successors);
            for (_, successor) in successors.drain(..) {
                search.meet(&mut space, *parent, successor, &mut next);
                if search.found.violation.is_some() || search.found.is_cut {
                    search.found.states = search.seen.len();
                    return (space, first, search.found);
                }
            }
        }
        search.found.depth += usize::from(!next.is_empty());
        level = next;
    }
    search.found.states = search.seen.len();
    (space, first, search.found)
}

struct Search {
    seen: Numbers,
    /// From which state each was reached first.
    parents: Vec<u32>,
    found: Found,
}

impl Search {
    fn meet(
        &mut self,
        space: &mut Space,
        parent: u32,
        successor: Result<State, String>,
        next: &mut Vec<(u32, State)>,
    ) {
        self.found.transitions += 1;
        let state = match successor {
            Ok(state) => state,
            Err(what) => return self.found.violation = Some((what, self.path_to(parent))),
        };
        let (number, is_new) = self.seen.number(canonical(space, &state));
        if !is_new {
            return;
        }
        self.parents.push(parent);
        if let Err(what) = judge(space, &state) {
            return self.found.violation = Some((what, self.path_to(number)));
        }
        self.note(space, &state);
        self.found.is_cut = self.seen.len() > space.bounds.states as usize;
        next.push((number, state));
    }

    fn note(&mut self, space: &Space, state: &State) {
        let (history, found) = (space.history(state.history), &mut self.found);
        found.committed = found.committed.max(history.committed.len());
        found.leaders = found.leaders.max(history.leaders());
    }

    fn path_to(&self, mut number: u32) -> Vec<u128> {
        let mut path = vec![self.seen.key(number)];
        while number != 0 {
            number = self.parents[number as usize];
            path.push(self.seen.key(number));
        }
        path.reverse();
        path
    }
}

/// The hash of a state: the same for all that differ in names alone.
pub(crate) fn canonical(space: &Space, state: &State) -> u128 {
    let permutations = space.permutations();
    let renamed = |permutation: usize| {
        let mut nodes = state.nodes;
        for (at, &node) in state.nodes[..space.bounds.ids().count()].iter().enumerate() {
            nodes[permutations[permutation][at] as usize] = space.node_image(permutation, node);
        }
        nodes
    };
    let mut least = state.nodes;
    let mut which: SmallVec<[usize; 6]> = SmallVec::from_slice(&[0]);
    for permutation in 1..permutations.len() {
        let nodes = renamed(permutation);
        if nodes < least {
            (least, which) = (nodes, SmallVec::from_slice(&[permutation]));
        } else if nodes == least {
            which.push(permutation);
        }
    }
    let rest = |&permutation: &usize| {
        let mut network = state.network.clone();
        if permutation != 0 {
            network.iter_mut().for_each(|message| *message = space.message_image(permutation, *message));
            network.sort_unstable();
        }
        (space.history_image(permutation, state.history), network)
    };
    let (history, network) = which.iter().map(rest).min().expect("there is at least one way");
    let mut bytes: SmallVec<[u8; 128]> = SmallVec::new();
    least
        .iter()
        .chain([&history])
        .chain(&network)
        .for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    bytes.extend_from_slice(&state.spent);
    xxh3_128(&bytes)
}

/// Everything that may happen next.
pub(crate) fn expand(space: &mut Space, state: &State, successors: &mut Vec<Successor>) {
    for at in 0..space.bounds.ids().count() {
        let node = state.nodes[at];
        for number in 0..space.acts(node).len() {
            let Some(spent) = spend(&space.bounds, state.spent, rare_kind(&space.acts(node)[number])) else {
                continue;
            };
            let outcome = space.act(node, number);
            let before = State { spent, ..state.clone() };
            follow(space, &before, at, outcome, &Step::Act(at, number), successors);
        }
    }
    for (place, &message) in state.network.iter().enumerate() {
        if place > 0 && state.network[place - 1] == message {
            continue;
        }
        let at = space.message(message).to.0 as usize - 1;
        let outcome = space.receive(state.nodes[at], message);
        if let Some(spent) = spend(&space.bounds, state.spent, Some(2)) {
            let before = State { spent, ..state.clone() };
            follow(space, &before, at, outcome, &Step::Arrival { message, again: true }, successors);
        }
        let mut before = state.clone();
        before.network.remove(place);
        follow(space, &before, at, outcome, &Step::Arrival { message, again: false }, successors);
    }
}

const fn rare_kind(act: &Act) -> Option<usize> {
    match act {
        Act::Heartbeat => Some(0),
        Act::Crash(_) => Some(1),
        Act::Snapshot => Some(3),
        Act::Change(_) => Some(4),
        Act::Receive(_) | Act::Campaign | Act::Propose | Act::Store => None,
    }
}

/// What is spent after one more of this kind; `None` if the bounds allow no more.
fn spend(bounds: &Bounds, mut spent: [u8; RARE_KINDS], kind: Option<usize>) -> Option<[u8; RARE_KINDS]> {
    let Some(kind) = kind else { return Some(spent) };
    let most = [bounds.heartbeats, bounds.crashes, bounds.duplicates, bounds.snapshots, bounds.changes];
    spent[kind] += 1;
    (spent[kind] <= most[kind]).then_some(spent)
}

/// Adds what becomes of `state` when the node at a position does what `outcome` says.
fn follow(
    space: &mut Space,
    state: &State,
    at: usize,
    outcome: u32,
    step: &Step,
    successors: &mut Vec<Successor>,
) {
    let from = state.nodes[at];
    let outcome = space.outcome(outcome);
    if outcome.node == from && outcome.sent.is_empty() && outcome.violation.is_none() {
        return;
    }
    if let Some(violation) = &outcome.violation {
        successors.push((step.clone(), Err(violation.clone())));
        return;
    }
    let mut after = state.clone();
    after.nodes[at] = outcome.node;
    let (before, now) = (space.facts(from), space.facts(outcome.node));
    match space.history(state.history).after(before, now, &outcome.out) {
        Err(what) => return successors.push((step.clone(), Err(what))),
        Ok(history) => {
            let acknowledged = outcome.sent.iter().try_for_each(|&message| {
                let message = space.message(message);
                let leader = space.facts(after.nodes[message.to.0 as usize - 1]);
                invariants::of_acknowledgement(message, now, leader)
            });
            if let (true, Err(what)) = (space.bounds.strict, acknowledged) {
                return successors.push((step.clone(), Err(what)));
            }
            after.network.extend_from_slice(&outcome.sent);
            if let Some(history) = history {
                after.history = space.history_number(history);
            }
        }
    }
    after.network.sort_unstable();
    lose(after, space.bounds.messages, |state| successors.push((step.clone(), Ok(state))));
}

/// Every choice of `room` messages that are left.
fn lose(state: State, room: usize, mut found: impl FnMut(State)) {
    let count = state.network.len();
    if count <= room {
        return found(state);
    }
    let mut last: Option<SmallVec<[MessageNumber; 6]>> = None;
    for kept in 0u32..1 << count {
        if kept.count_ones() as usize != room {
            continue;
        }
        let chosen = (0..count).filter(|at| kept & 1 << at != 0).map(|at| state.network[at]);
        let network: SmallVec<_> = chosen.collect();
        if last.as_ref() != Some(&network) {
            found(State { network: network.clone(), ..state.clone() });
            last = Some(network);
        }
    }
}

/// Judges a state.
fn judge(space: &mut Space, state: &State) -> Result<(), String> {
    let count = space.bounds.ids().count();
    let mut holds = [false; NODES_MAX];
    for (at, holds) in holds[..count].iter_mut().enumerate() {
        *holds = space.judge_past(state.nodes[at], state.history)?;
        for other in at..count {
            space.judge_pair(state.nodes[at], state.nodes[other])?;
        }
    }
    if !space.bounds.strict {
        return Ok(());
    }
    invariants::of_quorum(space.history(state.history), |id| holds[id.0 as usize - 1])
}
