//! One node: the core itself, its disk, its machine, and a driver that obeys the core's contract.
//!
//! The clock stands still. Elections, heartbeats and the completion of stores are acts that the search
//! chooses; a node that crashes starts again at once, since one that is down for long cannot be told from
//! one whose messages are late.

use std::hash::{Hash, Hasher};

use bytes::Bytes;
use stormglass_nodes::ids::{LocalTime, LogIndex, NodeId};
use stormglass_nodes::raft::membership::Membership;
use stormglass_nodes::raft::{
    Body, Core, Effects, Event, HardState, Input, Message, Role, Snapshot, StoreRequest, StoreToken,
};

use crate::bounds::Bounds;
use crate::disk::{Disk, Mark};
use crate::numbers::hash_of;

/// The clock, which stands still.
const NOW: LocalTime = LocalTime(0);
/// Feeds what the model does not depend on: timeouts, and numbers that only have to be new.
const SEED: u64 = 1;

/// Times that a core asks for something more before one act of its driver is done, at most.
const SETTLE_ROUNDS_MAX: usize = 32;
/// Messages that a node sends by one act, at most.
pub(crate) const SENT_MAX: usize = 16;

/// What a node may do, or what may happen to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A message arrives.
    Receive(Box<Message>),
    /// Its election timeout passes.
    Campaign,
    /// As leader: its heartbeat interval passes.
    Heartbeat,
    /// A client proposes a command.
    Propose,
    /// The change of this number is asked for.
    Change(usize),
    /// The store that is out is durable.
    Store,
    /// It loses all but its disk, and this many parts of the store that is out; and starts again.
    Crash(usize),
    /// It takes a snapshot of its machine.
    Snapshot,
}

/// What a step has let out.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// Messages sent.
    pub(crate) sent: Vec<Message>,
    /// What it committed last as leader, and whom it counted.
    pub(crate) decided: Option<(usize, Membership)>,
    /// A promise that left before it was durable.
    pub(crate) broken_promise: Option<String>,
    /// Entries were cut from the log.
    pub(crate) has_truncated: bool,
    /// A leader's snapshot took the machine's place.
    pub(crate) has_installed: bool,
    /// The node asked for ever more.
    pub(crate) is_restless: bool,
}

/// What a node shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) id: NodeId,
    pub(crate) role: Role,
    pub(crate) term: u64,
    pub(crate) voted_for: Option<NodeId>,
    /// The log in memory.
    pub(crate) log: Vec<Mark>,
    pub(crate) commit: usize,
    /// What its machine has applied.
    pub(crate) applied: Vec<Mark>,
    /// Term and vote on disk.
    pub(crate) durable: HardState,
    /// The log on disk.
    pub(crate) disk: Vec<Mark>,
    pub(crate) membership: Membership,
    /// Parts of the store that is out.
    pub(crate) parts_out: usize,
    /// What the snapshot on disk covers.
    pub(crate) covered: usize,
    /// A peer of which it believes to know more than it sends.
    pub(crate) is_match_beyond_next: bool,
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    core: Core,
    disk: Disk,
    machine: Vec<Mark>,
    storing: Option<StoreRequest>,
    waiting: Vec<(StoreToken, Message)>,
    stored: StoreToken,
    /// Role and members by the core's own account of what happened.
    role: Role,
    membership: Membership,
}

impl Node {
    /// A node with an empty disk.
    pub(crate) fn new(bounds: &Bounds, id: NodeId) -> Self {
        Self::started(bounds, id, Disk::default(), &mut Out::default())
    }

    fn started(bounds: &Bounds, id: NodeId, disk: Disk, out: &mut Out) -> Self {
        let core = Core::new(bounds.config(id), disk.recovered(), SEED, NOW);
        let snapshot = disk.snapshot.as_ref();
        let machine = snapshot.map(|snapshot| Mark::from_bytes(&snapshot.data)).unwrap_or_default();
        let mut node = Self {
            core,
            disk,
            machine,
            storing: None,
            waiting: Vec::new(),
            stored: StoreToken(0),
            role: Role::Follower,
            membership: Membership::default(),
        };
        node.settle(bounds, out);
        node
    }

    /// Does one act, and everything that the core asks for in return.
    pub(crate) fn step(&mut self, bounds: &Bounds, act: &Act) -> Out {
        let mut out = Out::default();
        let input = match act {
            Act::Receive(message) => Input::Receive(Message::clone(message)),
            Act::Campaign => Input::Campaign,
            Act::Heartbeat => Input::Heartbeat,
            Act::Propose => Input::Propose { id: 0, command: Bytes::from_static(b"+") },
            Act::Change(number) => Input::ChangeMembership { id: 0, change: bounds.wanted[*number].clone() },
            Act::Snapshot => {
                let (meta, data) = (self.core.snapshot_meta(), Bytes::from(Mark::to_bytes(&self.machine)));
                assert_eq!(
                    meta.index.0,
                    self.machine.len() as u64,
                    "the core knows what the machine has applied"
                );
                Input::SnapshotTaken(Box::new(Snapshot { meta, data }))
            }
            Act::Store => {
                self.complete_store(bounds, &mut out);
                self.settle(bounds, &mut out);
                return out;
            }
            Act::Crash(parts) => {
                if let Some(request) = self.storing.take() {
                    self.disk.write(&request, *parts);
                }
                *self =
                    Self::started(bounds, self.core.status().id, std::mem::take(&mut self.disk), &mut out);
                return out;
            }
        };
        self.core.step(input, NOW);
        self.settle(bounds, &mut out);
        out
    }

    /// Does what the core asks for until it asks for nothing more.
    fn settle(&mut self, bounds: &Bounds, out: &mut Out) {
        for _ in 0..SETTLE_ROUNDS_MAX {
            let effects = self.core.effects();
            if effects.is_empty() {
                return;
            }
            self.note(&effects.events, out);
            self.carry_out(effects, bounds, out);
            if !bounds.stores_wait && self.storing.is_some() {
                self.complete_store(bounds, out);
            }
        }
        out.is_restless = true;
    }

    /// Notes what this node has committed as leader, and whom it went by then: nobody else may decide.
    fn note(&mut self, events: &[Event], out: &mut Out) {
        for event in events {
            match event {
                Event::RoleChanged { role, .. } => self.role = *role,
                Event::MembershipChanged { membership, .. } => {
                    self.membership = Membership::clone(membership);
                }
                Event::Committed { index } if self.role == Role::Leader => {
                    out.decided = Some((index.0 as usize, self.membership.clone()));
                }
                Event::Truncated { .. } => out.has_truncated = true,
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, effects: Effects, bounds: &Bounds, out: &mut Out) {
        effects.messages.into_iter().for_each(|message| self.send(message, bounds, out));
        if let Some(request) = effects.store {
            let before = self.storing.replace(request);
            assert!(before.is_none(), "one store request at a time");
        }
        for (token, message) in effects.messages_after {
            if token <= self.stored {
                self.send(message, bounds, out);
            } else {
                self.waiting.push((token, message));
            }
        }
        if let Some(snapshot) = effects.install {
            self.machine = Mark::from_bytes(&snapshot.data);
            out.has_installed = true;
            self.core.step(Input::Installed(snapshot.meta.index), NOW);
        }
        if let Some(last) = effects.committed.last() {
            for entry in &effects.committed {
                assert_eq!(
                    entry.index.0,
                    self.machine.len() as u64 + 1,
                    "entries are applied in order, once"
                );
                self.machine.push(Mark::of(entry));
            }
            self.core.step(Input::Applied(last.index), NOW);
        }
    }

    fn complete_store(&mut self, bounds: &Bounds, out: &mut Out) {
        let Some(request) = self.storing.take() else { return };
        self.disk.write(&request, usize::MAX);
        self.stored = request.token;
        let (ready, waiting) = self.waiting.drain(..).partition(|(token, _)| *token <= request.token);
        self.waiting = waiting;
        let ready: Vec<(StoreToken, Message)> = ready;
        ready.into_iter().for_each(|(_, message)| self.send(message, bounds, out));
        self.core.step(Input::Stored(request.token), NOW);
    }

    /// Lets a message out, and looks whether the disk bears out what it promises.
    fn send(&self, message: Message, bounds: &Bounds, out: &mut Out) {
        if bounds.strict
            && let Some(promise) = self.broken_promise(&message)
        {
            out.broken_promise = Some(promise);
        }
        out.sent.push(message);
    }

    fn broken_promise(&self, message: &Message) -> Option<String> {
        let (disk, term) = (&self.disk.hard_state, message.term);
        let voted = |candidate| disk.term > term || (disk.term == term && disk.voted_for == Some(candidate));
        let is_kept = match message.body {
            Body::VoteResponse { granted: true, .. } => voted(message.to),
            Body::VoteRequest { .. } => voted(message.from),
            Body::AppendAccepted { match_index } => {
                disk.term >= term && match_index.0 as usize <= self.disk.marks().len()
            }
            _ => true,
        };
        (!is_kept).then(|| format!("{} sends {:?} in {term}, has {disk:?}", message.from, message.body))
    }

    /// The same for all nodes that will answer the same acts alike.
    pub(crate) fn fingerprint(&self) -> u128 {
        hash_of(|state| {
            self.core.status().id.hash(state);
            self.core.fingerprint(state);
            (&self.disk, &self.machine).hash(state);
            self.storing.is_some().hash(state);
            if let Some(request) = &self.storing {
                let StoreRequest { token, hard_state, snapshot, truncate_from, append, compact_to } = request;
                (token.0 - self.stored.0, hard_state, truncate_from, append, compact_to).hash(state);
                snapshot.as_ref().map(|write| (&write.snapshot, write.replaces_log)).hash(state);
            }
            state.write_usize(self.waiting.len());
            for (token, message) in &self.waiting {
                (token.0 - self.stored.0, message).hash(state);
            }
        })
    }

    /// What there is to see.
    pub(crate) fn facts(&self) -> Facts {
        let status = self.core.status();
        let mark = |index| self.core.entry(LogIndex(index)).map_or(Mark::COVERED, Mark::of);
        let mut log: Vec<_> = (1..=status.last_index.0).map(mark).collect();
        // What memory no longer holds is in the machine.
        for (mark, &applied) in log.iter_mut().zip(&self.machine) {
            if *mark == Mark::COVERED {
                *mark = applied;
            }
        }
        Facts {
            id: status.id,
            role: status.role,
            term: status.term.0,
            voted_for: status.voted_for,
            log,
            commit: status.commit_index.0 as usize,
            applied: self.machine.clone(),
            durable: self.disk.hard_state,
            disk: self.disk.marks(),
            membership: self.core.membership().clone(),
            parts_out: self.storing.as_ref().map_or(0, Disk::parts),
            covered: self.disk.snapshot.as_ref().map_or(0, |snapshot| snapshot.meta.index.0 as usize),
            is_match_beyond_next: self.core.peers().iter().any(|peer| peer.match_index >= peer.next_index),
        }
    }
}
