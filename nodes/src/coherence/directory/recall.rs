//! The recall of all lines of earlier terms, before the first write of a new leader.
//!
//! It ends with an answer from every member, or when the longest lease has run since the election by this
//! leader's clock; in any case not before the first entry of the term is applied, for only then this leader knows
//! what the longest lease is, and that its own settings are those agreed on. Why an election's time bounds the lines of earlier terms: a line is granted only after a
//! round that began after its holder asked; whoever answered that round knew of no later term; so this
//! leader's majority came together after the holder had asked, and that is when its lease begins.
//!
//! An answer from every member suffices only if no node has left recently: one that left may hold a line,
//! granted before, and is not asked. See `docs/cache-coherence.md`.

use std::collections::BTreeSet;

use super::super::types::CoherenceBody;
use super::Directory;
use crate::ids::{LocalTime, NodeId};
use crate::marks;

/// A recall under way.
#[derive(Clone, Debug)]
pub(super) struct Recall {
    began_at: LocalTime,
    sent_at: LocalTime,
    answered: BTreeSet<NodeId>,
}

impl Recall {
    pub(super) const fn new(now: LocalTime) -> Self {
        Self { began_at: now, sent_at: now, answered: BTreeSet::new() }
    }
}

impl Directory {
    /// Tells every member that has not answered.
    pub(super) fn send_recalls(&mut self, now: LocalTime) {
        let Some(recall) = self.reign.as_mut().and_then(|reign| reign.recall.as_mut()) else { return };
        recall.sent_at = now;
        let silent: Vec<NodeId> = self.members.difference(&recall.answered).copied().collect();
        for node in silent {
            self.send(node, CoherenceBody::Recall);
        }
    }

    pub(super) fn recalled(&mut self, from: NodeId, now: LocalTime) {
        if let Some(recall) = self.reign.as_mut().and_then(|reign| reign.recall.as_mut()) {
            // Bounded: only those who are asked are remembered.
            if self.members.contains(&from) {
                recall.answered.insert(from);
            }
            self.end_recall_if_answered(now);
        }
    }

    pub(super) fn tick_recall(&mut self, now: LocalTime) {
        let Some(recall) = self.reign.as_ref().and_then(|reign| reign.recall.as_ref()) else { return };
        if now >= recall.sent_at.plus_us(self.settings.resend_us) {
            self.send_recalls(now);
        }
        self.end_recall_if_over(now);
    }

    pub(super) fn recall_deadline(&self) -> Option<LocalTime> {
        let reign = self.reign.as_ref()?;
        let recall = reign.recall.as_ref()?;
        let over = Some(recall.began_at.plus_us(self.longest_lease_us)).filter(|_| reign.is_ready);
        over.into_iter().chain([recall.sent_at.plus_us(self.settings.resend_us)]).min()
    }

    /// Ends the recall if the longest lease has run since the election, or every member has answered.
    pub(super) fn end_recall_if_over(&mut self, now: LocalTime) {
        let Some(reign) = &self.reign else { return };
        let Some(recall) = &reign.recall else { return };
        if reign.is_ready && now >= recall.began_at.plus_us(self.longest_lease_us) {
            marks::hit("coherence.recall_waited_out");
            self.stats.recalls_waited_out += 1;
            return self.end_recall();
        }
        self.end_recall_if_answered(now);
    }

    /// Ends the recall if every member has answered, the members being known for certain (so the first entry
    /// of the term is applied) and none having left within a lease.
    pub(super) fn end_recall_if_answered(&mut self, now: LocalTime) {
        let Some(reign) = &self.reign else { return };
        let Some(recall) = &reign.recall else { return };
        let is_settled = now >= self.left_at.plus_us(self.longest_lease_us);
        if reign.is_ready && is_settled && self.members.is_subset(&recall.answered) {
            marks::hit("coherence.recall_answered");
            self.stats.recalls_answered += 1;
            self.end_recall();
        }
    }

    fn end_recall(&mut self) {
        if let Some(reign) = &mut self.reign {
            reign.recall = None;
            self.release_clear_writes();
        }
    }
}
