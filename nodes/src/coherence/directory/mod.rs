//! The leader's side: who holds which line until when, and which writes may be proposed.
//!
//! One exists on every node and knows something only while that node leads. It is memory: a new leader knows
//! nothing of its predecessors' lines and recalls them (`recall`).
//!
//! Invariants, for every key of the reign's own term:
//! * While a write of the key is taken and not applied, no line of it is granted (`asks`), so its holders only
//!   grow fewer, and once there are none the write may go (`gates`).
//! * A holder is struck off only by its own word that nothing of the claim is read any more, or when the
//!   leader's clock has run for a whole lease since the question came that the claim answers.

mod asks;
mod gates;
mod lines;
mod recall;
mod stats;

use std::collections::{BTreeMap, BTreeSet};

use super::settings::Settings;
use super::types::{
    AskNumber, Claim, CoherenceBody, CoherenceMessage, Content, HolderId, Key, LineState, RoundId, WriteId,
};
use crate::ids::{LocalTime, LogIndex, NodeId, Term};
use crate::marks;
use crate::plant::{self, Bug};

use asks::Ask;
use gates::Write;
use lines::Lines;
use recall::Recall;
pub use stats::DirectoryStats;

/// The leader's applied state, as far as lines are concerned.
pub trait Lookup {
    /// What is known of a key now.
    fn look_up(&self, key: &str) -> Found;
}

/// What the applied state holds under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value, if there is one.
    pub content: Option<Content>,
    /// The last entry applied.
    pub as_of: LogIndex,
    /// How long the value lives from now on by this leader's clock; none if for ever.
    pub ttl_us: Option<u64>,
}

/// Why the directory does not take a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// This node does not lead.
    #[error("this node does not lead")]
    NotLeading,
    /// Too many writes are under way. Wait a little, then retry.
    #[error("too many writes are under way")]
    Full,
}

/// What the driver must do for the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryEffects {
    /// Messages, some of them for this node itself.
    pub messages: Vec<(NodeId, CoherenceMessage)>,
    /// Writes that may be proposed now, in the order in which they were taken unless they had to wait.
    pub proposable: Vec<WriteId>,
    /// A round of confirmation is wanted: [`Directory::confirmed`] or [`Directory::unconfirmed`] must follow.
    pub round: Option<RoundId>,
}

/// Who holds a line, for status pages and checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderView {
    /// The node and its life.
    pub holder: HolderId,
    /// In which state, as far as the leader knows.
    pub state: LineState,
    /// Until when, by the leader's clock.
    pub until: LocalTime,
    /// Whether it has been told to drop it and has not answered.
    pub is_invalidating: bool,
}

/// The directory of one node.
#[derive(Clone, Debug)]
pub struct Directory {
    settings: Settings,
    members: BTreeSet<NodeId>,
    /// When this node last learned that some node is a member no more, or when it started.
    left_at: LocalTime,
    /// Whether lines may be granted: the members have agreed on the terms.
    is_agreed: bool,
    /// The longest lease that any leader of the cluster may have granted.
    longest_lease_us: u64,
    reign: Option<Reign>,
    next_write: u64,
    next_round: u64,
    stats: DirectoryStats,
    effects: DirectoryEffects,
}

/// What a leader knows in one term.
#[derive(Clone, Debug)]
struct Reign {
    term: Term,
    /// Whether the first entry of the term is applied.
    is_ready: bool,
    recall: Option<Recall>,
    lines: Lines,
    writes: BTreeMap<WriteId, Write>,
    /// Nobody in the way of a write lapses or must be told again before.
    gates_due: Option<LocalTime>,
    /// Questions that no round covers yet.
    waiting: Vec<Ask>,
    /// Questions whose round is under way.
    confirming: BTreeMap<RoundId, Vec<Ask>>,
    /// Questions of both kinds and those that wait for a write.
    asks: usize,
}

impl Directory {
    /// The directory of a node that starts now.
    #[must_use]
    pub fn new(settings: Settings, now: LocalTime) -> Self {
        Self {
            settings,
            members: BTreeSet::new(),
            left_at: now,
            is_agreed: true,
            longest_lease_us: settings.lease_us,
            reign: None,
            next_write: 0,
            next_round: 0,
            stats: DirectoryStats::default(),
            effects: DirectoryEffects::default(),
        }
    }

    /// The members by what this node has applied: voters of both halves and learners. To be told at once when
    /// a change is applied, on every node, leader or not.
    pub fn set_members(&mut self, members: BTreeSet<NodeId>, now: LocalTime) {
        if !self.members.is_subset(&members) {
            marks::hit("coherence.member_left");
            self.left_at = now;
        }
        self.members = members;
        self.end_recall_if_answered(now);
    }

    /// What the members have agreed on by what this node has applied: whether they have agreed on the lease of
    /// its settings, and the longest on which they ever did. Without this they are taken to have agreed on it
    /// always. A node whose settings are others than those agreed on must not go on.
    pub fn set_agreement(&mut self, is_agreed: bool, longest_lease_us: u64) {
        self.is_agreed = is_agreed;
        self.longest_lease_us = longest_lease_us.max(self.settings.lease_us);
    }

    /// Whether questions wait for the members to agree.
    #[must_use]
    pub fn wants_agreement(&self) -> bool {
        !self.is_agreed && self.reign.as_ref().is_some_and(|reign| !reign.waiting.is_empty())
    }

    /// This node has been elected. Every line of earlier terms is recalled before a write may be proposed.
    pub fn elected(&mut self, term: Term, now: LocalTime) {
        // Also if the settings switch it off: until the first entry of the term is applied, who knows whether
        // they are those that the others go by.
        let recall = (!plant::is(Bug::CacheDirectoryLostOnFailover)).then(|| Recall::new(now));
        self.reign = Some(Reign {
            term,
            is_ready: false,
            recall,
            lines: Lines::default(),
            writes: BTreeMap::new(),
            gates_due: None,
            waiting: Vec::new(),
            confirming: BTreeMap::new(),
            asks: 0,
        });
        self.effects = DirectoryEffects::default();
        self.send_recalls(now);
        self.end_recall_if_answered(now);
    }

    /// This node does not lead any more. Returns the writes that were never proposable, which the driver
    /// refuses as definite.
    pub fn deposed(&mut self) -> Vec<WriteId> {
        self.effects = DirectoryEffects::default();
        let Some(reign) = self.reign.take() else { return Vec::new() };
        let held_back = reign.writes.into_iter().filter(|(_, write)| !write.is_released);
        held_back.map(|(id, _)| id).collect()
    }

    /// The first entry of the term is applied: lines may be granted.
    pub fn ready(&mut self, now: LocalTime) {
        if let Some(reign) = &mut self.reign
            && !reign.is_ready
        {
            reign.is_ready = true;
            self.end_recall_if_over(now);
        }
    }

    /// A message arrived, perhaps late or twice, from a node that may be no member.
    pub fn receive(&mut self, from: NodeId, message: CoherenceMessage, now: LocalTime) {
        if self.reign.as_ref().is_none_or(|reign| reign.term != message.term) {
            marks::hit("coherence.message_of_another_term");
            return;
        }
        match message.body {
            CoherenceBody::Ask { key, claim } => self.ask(from, key, claim, now),
            CoherenceBody::Invalidated { key, claim } => self.given_up(from, &key, claim),
            CoherenceBody::Evicted { key, claim } => {
                self.stats.evictions_told += 1;
                if plant::is(Bug::CacheEvictDropsInvalidate) {
                    let any = Claim { number: AskNumber(u64::MAX), ..claim };
                    return self.given_up(from, &key, any);
                }
                self.given_up(from, &key, claim);
            }
            CoherenceBody::Recalled => self.recalled(from, now),
            // These are for holders.
            CoherenceBody::Grant { .. }
            | CoherenceBody::Withheld { .. }
            | CoherenceBody::Invalidate { .. }
            | CoherenceBody::Demote { .. }
            | CoherenceBody::Recall => {}
        }
    }

    /// When [`Directory::tick`] is due: none if nothing waits for time to pass.
    #[must_use]
    pub fn deadline(&self) -> Option<LocalTime> {
        let reign = self.reign.as_ref()?;
        reign.gates_due.into_iter().chain(self.recall_deadline()).min()
    }

    /// Time has passed: leases end, and what was not answered is repeated.
    pub fn tick(&mut self, now: LocalTime) {
        self.tick_recall(now);
        self.tick_gates(now);
    }

    /// Takes what is to be done. Questions that have come by now share one round.
    pub fn take_effects(&mut self) -> DirectoryEffects {
        self.begin_round();
        std::mem::take(&mut self.effects)
    }

    /// The term that this node leads, as far as the directory has been told.
    #[must_use]
    pub fn leading(&self) -> Option<Term> {
        self.reign.as_ref().map(|reign| reign.term)
    }

    /// Counters over the whole life of the process.
    #[must_use]
    pub fn stats(&self) -> DirectoryStats {
        let mut stats = self.stats;
        if let Some(reign) = &self.reign {
            stats.lines = reign.lines.held() as u64;
            stats.writes_under_way = reign.writes.len() as u64;
            stats.is_recalling = reign.recall.is_some();
        }
        stats
    }

    /// Whether lines of earlier terms may still be read somewhere, so that writes wait.
    #[must_use]
    pub fn is_recalling(&self) -> bool {
        self.reign.as_ref().is_some_and(|reign| reign.recall.is_some())
    }

    /// Who holds a key's line, in the order of nodes.
    #[must_use]
    pub fn holders(&self, key: &str) -> Vec<HolderView> {
        self.reign.as_ref().map_or_else(Vec::new, |reign| reign.lines.holders(key))
    }

    fn send(&mut self, to: NodeId, body: CoherenceBody) {
        if let Some(reign) = &self.reign {
            self.effects.messages.push((to, CoherenceMessage { term: reign.term, body }));
        }
    }

    /// A holder's own word that nothing of this claim is read there any more.
    fn given_up(&mut self, from: NodeId, key: &Key, claim: Claim) {
        let Some(reign) = &mut self.reign else { return };
        let holder = HolderId { node: from, life: claim.life };
        if reign.lines.give_up(key, holder, claim.number) {
            self.stats.given_up += 1;
            self.open_gate_if_clear(key);
        }
    }
}
