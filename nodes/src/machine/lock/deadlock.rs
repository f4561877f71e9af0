//! Deadlocks: cycles in the wait-for graph, looked for when a wait is about to begin.
//!
//! # What counts
//!
//! A session that waits is taken to give nothing back until that wait ends, be it by a grant, a deadline or
//! its end. A command that would wait is refused if, on this premise, its session would wait for itself. The
//! graph's edges are *necessities*, so no refusal is in error:
//!
//! * A session that waits at a resource where it is not admitted waits for its admission there.
//! * The admission of a waiter waits for the admission of the one before it in line, if that one is not
//!   admitted; and for each session before it, holder or waiter, with which it could not be in however many
//!   others leave: an exclusive one with anybody, permits with permits that together are more than there are.
//! * An upgrade waits for all other holders, and all in its line wait for the upgrade. (A second upgrade of
//!   the same resource would wait for the first and the first for it.)
//!
//! For mutexes these are all the edges there are, so every deadlock is found the moment it would arise. For
//! semaphores they are fewer: a waiter that could be let in by *either* of two holders necessarily waits for
//! neither. If both of them wait for it, that is not told from a wait that will end; it ends at its deadline.
//! Neither is a semaphore's loss of permits a moment at which cycles are looked for.
//!
//! # Why looking then is enough
//!
//! *Lines alone cannot deadlock.* Tickets order all waiters, and in every line a waiter waits only for earlier
//! ones: among sessions that hold nothing and wait with one command each there is no cycle. A cycle needs a
//! session for which somebody waits already: by what it holds, or by standing before them. Only for such a session is
//! the graph searched; an edge to any other would be new, and begin at it.
//!
//! *Edges appear only when a wait or an upgrade begins.* A newcomer stands at the end of its lines, so no edge
//! leads to it but those that led to its session before; all that is new begins at its session, and so does a
//! search. An upgrade also adds edges from its line to its session; a cycle through one of these passes its
//! session too. It adds them even if it is granted at once, for it takes back the admission of those who have
//! come to the front beside it and wait elsewhere; so then, too, the graph is searched.
//! A grant turns a waiter into a holder of the same session, and whoever is admitted beside it stays
//! admitted; leaving only takes edges away.
//!
//! # Cost
//!
//! Whether anybody waits for a session is seen from its claims and the ends of their lines. In a search each node is
//! visited once. A waiter looks past the ones before it only until one who is not admitted and
//! asks for at least as much: what that one waits for it waits for as well. So all waiters of a mutex together
//! look at each place in line and at each holder a few times at most. Permits of many sizes can cost more.
//!
//! What a session would wait for may be most of what there is, where only few wait for that session. So those who
//! wait for it are looked for as well ([`super::behind`]), by turns and with as many steps: whichever comes to its end
//! first decides. The cost is that of the smaller side of the graph, but for a factor and for what one node waits for.
//! Where both sides are large, or somebody behind may be waited for, nothing much better is known, whence the bound:
//! beyond [`WAIT_GRAPH_STEPS_MAX`] the command is refused with [`LockError::WaitGraphTooLarge`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use super::behind::{Awaited, Behind, SearchBehind};
use super::locks::Locks;
use super::resource::{Holding, ResourceId, weight};
use super::types::{DEADLOCK_STEPS_NAMED_MAX, DeadlockStep, LockError, LockMode, WAIT_GRAPH_STEPS_MAX};
use super::waits::{Want, Wanted};
use crate::ids::{LogIndex, SessionId};
use crate::machine::service::Asker;
use crate::marks;
use crate::plant::{self, Bug};

/// Places looked at from behind, and then ahead, in the first turn. Tests take turns in all they search.
const STEPS_AT_FIRST: usize = if cfg!(test) { 1 } else { 64 };

/// What waits, or is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    /// A session.
    Session(SessionId),
    /// The admission at a resource of the waiter with this ticket.
    Admission(ResourceId, LogIndex),
}

/// One search, breadth first, so that the cycle it names is a shortest one.
struct Search<'a> {
    locks: &'a Locks,
    from: SessionId,
    /// Each node that was come by, with the one from which, and the resource at which that one waits.
    came_from: BTreeMap<Node, (Node, ResourceId)>,
    next: VecDeque<Node>,
    /// The places that it would take, which are in no line yet.
    newcomer: BTreeMap<(ResourceId, LogIndex), LockMode>,
    steps: usize,
}

impl Locks {
    /// Refuses an acquire that would wait, by the entry at `ticket`, with these places, and close a cycle.
    pub(super) fn check_deadlock(
        &self,
        session: SessionId,
        ticket: LogIndex,
        wants: &[Want],
    ) -> Result<(), LockError> {
        if !self.is_waited_for(session) {
            return Ok(());
        }
        let mut search = Search::new(self, session);
        let mut awaited = Awaited::new();
        for want in wants {
            if !self.resources[&want.resource].would_admit(want.mode) {
                awaited.insert(want.resource, ticket);
                search.newcomer.insert((want.resource, ticket), want.mode);
                search.edge(Node::Session(session), want.resource, Node::Admission(want.resource, ticket));
            }
        }
        search.run(awaited)
    }

    /// Whether anybody may wait for this session: somebody stands in line for what it holds, or behind it, or would
    /// upgrade beside it.
    fn is_waited_for(&self, session: SessionId) -> bool {
        let holds = self.parties.claims_of(session).into_iter().filter(|(_, claim)| claim.token().is_some());
        let by_holding = holds.map(|(id, _)| &self.resources[&id]).any(|resource| {
            let upgrades_beside = |by: Asker| by.session != session;
            !resource.line.is_empty() || resource.upgrader.is_some_and(upgrades_beside)
        });
        let mut waits = self.parties.waits_of(session);
        by_holding
            || waits.any(|(_, wait)| {
                let mut lines = wait.wanted.places().iter().map(|want| &self.resources[&want.resource].line);
                lines.any(|line| line.get_max().is_some_and(|&(last, _)| last > wait.ticket))
            })
    }

    /// Refuses an upgrade of this resource that is there as if it waited, and would close a cycle.
    pub(super) fn check_upgrade_deadlock(&self, session: SessionId, id: ResourceId) -> Result<(), LockError> {
        let waits = self.parties.waits_of(session);
        let places = waits
            .flat_map(|(_, wait)| wait.wanted.places().iter().map(move |want| (want.resource, wait.ticket)));
        // At this one it waits for holders only.
        let awaited = places.chain([(id, LogIndex(0))]).collect();
        let mut search = Search::new(self, session);
        search.session_waits(session);
        search.run(awaited)
    }
}

impl<'a> Search<'a> {
    fn new(locks: &'a Locks, from: SessionId) -> Self {
        Self {
            locks,
            from,
            came_from: BTreeMap::new(),
            next: VecDeque::new(),
            newcomer: BTreeMap::new(),
            steps: 0,
        }
    }

    /// Looks from both ends by turns, at twice as many places each time.
    fn run(mut self, awaited: Awaited) -> Result<(), LockError> {
        let mut behind = SearchBehind::new(self.locks, self.from, awaited);
        let mut steps = STEPS_AT_FIRST;
        loop {
            match behind.run_to(steps) {
                Behind::NoCycle => {
                    marks::hit("machine.deadlock_ruled_out_from_behind");
                    return Ok(());
                }
                // All depends on whom it would wait for.
                Behind::Perhaps => steps = WAIT_GRAPH_STEPS_MAX,
                Behind::Unfinished => {}
            }
            if self.run_to(steps)? {
                return Ok(());
            }
            if steps >= WAIT_GRAPH_STEPS_MAX {
                marks::hit("machine.wait_graph_too_large");
                return Err(LockError::WaitGraphTooLarge);
            }
            steps *= 2;
        }
    }

    /// Goes on until it has looked at this many places in all, or at those of one node more. Whether all is looked at.
    fn run_to(&mut self, steps: usize) -> Result<bool, LockError> {
        while self.steps <= steps {
            let Some(node) = self.next.pop_front() else { return Ok(true) };
            match node {
                Node::Session(session) if session == self.from => {
                    marks::hit("machine.deadlock_refused");
                    return Err(LockError::Deadlock { cycle: self.cycle() });
                }
                Node::Session(session) => self.session_waits(session),
                Node::Admission(id, ticket) => {
                    let newcomer = self.newcomer.get(&(id, ticket)).copied();
                    let mode = newcomer.unwrap_or_else(|| self.locks.resources[&id].line[&ticket].mode);
                    self.wait_for_admission(id, ticket, mode);
                }
            }
        }
        Ok(self.next.is_empty() && self.steps <= WAIT_GRAPH_STEPS_MAX)
    }

    /// One place more; false if that is too many, and what is left of a node is not to be looked at.
    fn step(&mut self) -> bool {
        self.steps += 1;
        self.steps <= WAIT_GRAPH_STEPS_MAX
    }

    /// `waiter` waits at a resource for `node`.
    fn edge(&mut self, waiter: Node, at: ResourceId, node: Node) {
        if let Entry::Vacant(place) = self.came_from.entry(node) {
            place.insert((waiter, at));
            self.next.push_back(node);
        }
    }

    /// The edges of a session: all that its commands wait for.
    fn session_waits(&mut self, session: SessionId) {
        let node = Node::Session(session);
        let locks = self.locks;
        for (_, wait) in locks.parties.waits_of(session) {
            for &Want { resource: id, .. } in wait.wanted.places() {
                if !self.step() {
                    return;
                }
                if !locks.resources[&id].is_admitted(wait.ticket) {
                    self.edge(node, id, Node::Admission(id, wait.ticket));
                }
            }
            if let Wanted::Upgrade(id) = wait.wanted {
                self.wait_for_holders(node, id, |holder| holder != session);
            }
        }
    }

    /// The edges of an admission.
    fn wait_for_admission(&mut self, id: ResourceId, ticket: LogIndex, mode: LockMode) {
        let (node, locks) = (Node::Admission(id, ticket), self.locks);
        let resource = &locks.resources[&id];
        if let Some(upgrader) = resource.upgrader {
            self.edge(node, id, Node::Session(upgrader.session));
        }
        let mine = weight(mode);
        for (place, (&earlier, waiting)) in resource.line.range(..ticket).rev().enumerate() {
            if !self.step() {
                return;
            }
            let theirs = weight(waiting.mode);
            let is_admitted = resource.is_admitted(earlier);
            if place == 0 && !is_admitted {
                self.edge(node, id, Node::Admission(id, earlier));
            }
            if resource.conflict(mine, theirs) {
                self.edge(node, id, Node::Session(waiting.by.session));
            }
            if !is_admitted && theirs >= mine {
                return;
            }
        }
        let conflicting = |holding: &Holding| resource.conflict(mine, weight(holding.mode));
        for holding in resource.holders.values() {
            if !self.step() {
                return;
            }
            if plant::is(Bug::DeadlockMissedShared) && holding.mode == LockMode::Shared {
                continue;
            }
            if conflicting(holding) {
                self.edge(node, id, Node::Session(holding.session));
            }
        }
    }

    fn wait_for_holders(&mut self, node: Node, id: ResourceId, counts: impl Fn(SessionId) -> bool) {
        for holding in self.locks.resources[&id].holders.values() {
            if !self.step() {
                return;
            }
            let is_missed = plant::is(Bug::DeadlockMissedShared) && holding.mode == LockMode::Shared;
            if counts(holding.session) && !is_missed {
                self.edge(node, id, Node::Session(holding.session));
            }
        }
    }

    /// The way back from where the search began to where it began, or its first steps.
    fn cycle(&self) -> Vec<DeadlockStep> {
        let mut steps = Vec::new();
        let mut node = Node::Session(self.from);
        loop {
            let (before, at) = self.came_from[&node];
            if let Node::Session(session) = before {
                let resource = self.locks.resources[&at].name.to_string();
                steps.push(DeadlockStep { session, resource });
                if session == self.from {
                    break;
                }
            }
            node = before;
        }
        steps.reverse();
        steps.truncate(DEADLOCK_STEPS_NAMED_MAX);
        steps
    }
}
