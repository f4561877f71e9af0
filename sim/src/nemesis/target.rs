//! From selectors to processes, when a fault fires.
//!
//! Deterministic: it depends on the selector, the number drawn at expansion, and the cluster's state.
//! Choices are made among *fit* processes first: those that run and are not held by another fault. Only
//! where too few are fit are others taken, so that a fault rarely falls on what is broken already.

use std::collections::BTreeSet;

use super::holds::Holds;
use super::{Process, Surface};
use crate::plan::Selector;

/// Spreads the choices of one selector's parts, and of the two ends of a one-way fault, from one pick.
const PICK_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Whom a selector selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The processes.
    pub processes: BTreeSet<Process>,
    /// Whether a leader was asked for and there was none, so that any node took its place.
    pub leaderless: bool,
}

/// Resolves a selector. `other_end` is what `others` is relative to.
#[must_use]
pub fn resolve(
    selector: &Selector,
    pick: u32,
    surface: &dyn Surface,
    is_fit: &dyn Fn(Process) -> bool,
    other_end: &BTreeSet<Process>,
) -> Resolved {
    let mut resolved = Resolved::default();
    for (position, part) in selector.parts().iter().enumerate() {
        let draw = mix(u64::from(pick), position as u64);
        let chooser = Chooser { draw, surface, is_fit };
        resolved.leaderless |= chooser.leader().is_none() && part.needs_leader();
        resolved.processes.extend(chooser.choose(part, other_end));
    }
    resolved
}

/// A process is fit if it runs and no fault holds it.
pub(super) fn is_fit(surface: &dyn Surface, holds: &Holds, process: Process) -> bool {
    let is_up = match process {
        Process::Node(node) => surface.is_up(node),
        Process::Client(_) => true,
    };
    is_up && !holds.is_held(process)
}

/// The nodes that are no members now and whose disks are not lost, by number.
pub(super) fn outsiders(surface: &dyn Surface, holds: &Holds) -> Vec<u64> {
    strangers(surface).into_iter().filter(|node| is_fit(surface, holds, Process::Node(*node))).collect()
}

fn strangers(surface: &dyn Surface) -> Vec<u64> {
    let members = surface.members().members;
    let known = [members.voters, members.outgoing, members.learners].concat();
    (1..=surface.nodes()).filter(|node| !known.contains(node)).collect()
}

/// A number that differs with every bit of both (the finalizer of SplitMix64).
fn mix(pick: u64, position: u64) -> u64 {
    let mut value = pick.wrapping_add(position.wrapping_add(1).wrapping_mul(PICK_STEP));
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The candidates that are not the other end already: a node's link to itself cannot be cut.
fn apart(candidates: Vec<Process>, other_end: &BTreeSet<Process>) -> Vec<Process> {
    candidates.into_iter().filter(|candidate| !other_end.contains(candidate)).collect()
}

struct Chooser<'a> {
    draw: u64,
    surface: &'a dyn Surface,
    is_fit: &'a dyn Fn(Process) -> bool,
}

impl Chooser<'_> {
    fn leader(&self) -> Option<Process> {
        self.surface.leader().map(Process::Node)
    }

    fn nodes(&self) -> Vec<Process> {
        self.surface.voters().into_iter().map(Process::Node).collect()
    }

    fn clients(&self) -> Vec<Process> {
        (1..=self.surface.clients()).map(Process::Client).collect()
    }

    /// Nodes that are up and belong to nothing.
    fn outsiders(&self) -> Vec<Process> {
        let candidates = strangers(self.surface).into_iter().map(Process::Node);
        candidates.filter(|process| (self.is_fit)(*process)).collect()
    }

    fn nodes_but_leader(&self) -> Vec<Process> {
        let leader = self.leader();
        self.nodes().into_iter().filter(|node| Some(*node) != leader).collect()
    }

    fn choose(&self, part: &Selector, other_end: &BTreeSet<Process>) -> Vec<Process> {
        let node_count = self.surface.voters().len();
        let majority = node_count / 2 + 1;
        let minority = node_count.saturating_sub(1) / 2;
        match part {
            Selector::Leader => {
                self.leader().map_or_else(|| self.some(self.nodes(), 1), |leader| vec![leader])
            }
            Selector::Follower => self.some(apart(self.nodes_but_leader(), other_end), 1),
            Selector::Followers => self.nodes_but_leader(),
            Selector::Any | Selector::Each => self.some(apart(self.nodes(), other_end), 1),
            Selector::All => self.nodes(),
            Selector::Minority => self.some(apart(self.nodes(), other_end), minority),
            Selector::Majority => self.some(apart(self.nodes(), other_end), majority),
            Selector::LeaderAndMinority => {
                let mut chosen = self.choose(&Selector::Leader, other_end);
                let rest = self.nodes().into_iter().filter(|node| !chosen.contains(node)).collect();
                chosen.extend(self.some(rest, minority.saturating_sub(1)));
                chosen
            }
            Selector::MajorityWithoutLeader => self.some(self.nodes_but_leader(), majority),
            Selector::Spare => self.some(self.outsiders(), 1),
            Selector::Others => self.nodes().into_iter().filter(|node| !other_end.contains(node)).collect(),
            Selector::Node(number) => vec![Process::Node(*number)],
            Selector::OneClient => self.some(self.clients(), 1),
            Selector::Clients => self.clients(),
            Selector::HalfOfClients => {
                let clients = self.clients();
                let half = clients.len().div_ceil(2);
                self.some(clients, half)
            }
            Selector::Client(number) => vec![Process::Client(*number)],
            Selector::Union(parts) => parts.iter().flat_map(|inner| self.choose(inner, other_end)).collect(),
        }
    }

    /// `count` of the candidates: fit ones first, each group in an order shuffled by the draw.
    fn some(&self, candidates: Vec<Process>, count: usize) -> Vec<Process> {
        let (mut fit, mut unfit): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|process| (self.is_fit)(*process));
        self.shuffle(&mut fit);
        self.shuffle(&mut unfit);
        fit.append(&mut unfit);
        fit.truncate(count);
        fit
    }

    fn shuffle(&self, processes: &mut [Process]) {
        for last in (1..processes.len()).rev() {
            let other = (mix(self.draw, last as u64) % (last as u64 + 1)) as usize;
            processes.swap(last, other);
        }
    }
}
