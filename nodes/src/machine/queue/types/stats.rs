//! What a topic has counted, and the identity between its counts.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::TopicSettings;

/// What happened to a topic's messages since the topic was made. None of these ever goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicTotals {
    /// Messages enqueued here by producers.
    pub enqueued: u64,
    /// Messages moved here from another topic: given up there, or redriven from there.
    pub moved_in: u64,
    /// Messages moved to another topic: given up here, or redriven from here.
    pub moved_out: u64,
    /// Deliveries, redeliveries included.
    pub delivered: u64,
    /// Deliveries of messages that had been delivered before, in this topic or another.
    pub redelivered: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Deliveries rejected.
    pub rejected: u64,
    /// Deliveries whose lease ran out.
    pub lease_expired: u64,
    /// Messages whose time to live ran out.
    pub expired: u64,
    /// Messages purged.
    pub purged: u64,
    /// Messages given up, whether they were moved or stayed in the topic's own list.
    pub dead_lettered: u64,
    /// Messages brought back from the dead: out of the topic's own list, or out of this topic to that where
    /// they came from.
    pub redriven: u64,
}

/// A topic's rates are means over so many whole seconds of cluster time.
pub const RATE_WINDOW_S: u64 = 10;

/// What a topic counted in the last [`RATE_WINDOW_S`] whole seconds; the second that runs is not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRecent {
    /// Messages enqueued by producers.
    pub enqueued: u64,
    /// Deliveries, redeliveries included.
    pub delivered: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
}

impl TopicRecent {
    /// One of the counts as a mean rate per second.
    #[must_use]
    pub fn per_second(count: u64) -> f64 {
        count as f64 / RATE_WINDOW_S as f64
    }
}

/// A topic at one moment. What is overdue and has not been ended is counted where it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicStats {
    /// Messages neither delayed, in flight nor dead.
    pub ready: u64,
    /// Those of them that nothing holds back: the rest wait for their groups' turn.
    pub deliverable: u64,
    /// Messages that become ready when their delay is over.
    pub delayed: u64,
    /// Messages delivered whose lease runs.
    pub in_flight: u64,
    /// Messages in the topic's own list of the dead.
    pub dead: u64,
    /// Payloads, headers and groups of all messages held.
    pub bytes: u64,
    /// How long ago the oldest deliverable message was enqueued, in microseconds.
    pub oldest_ready_us: Option<u64>,
    /// Commands that wait for messages.
    pub waiting: u64,
    /// Open sessions that have asked for messages.
    pub consumers: u64,
    /// What happened so far.
    pub totals: TopicTotals,
    /// What happened lately.
    pub recent: TopicRecent,
    /// How the topic behaves.
    pub settings: TopicSettings,
}

/// The counts of a topic contradict each other: messages were lost or made up.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{came} messages came to the topic, and {accounted} are accounted for")]
pub struct Imbalance {
    /// Messages that came.
    pub came: u64,
    /// Messages that are there or have left in one of the ways there are.
    pub accounted: u64,
}

impl TopicTotals {
    /// Whether every message that came is among those `held` or has left: the accounting identity
    /// `enqueued + moved_in = held + acknowledged + expired + purged + moved_out`.
    ///
    /// # Errors
    ///
    /// [`Imbalance`] with both sides, if they differ.
    pub fn check_accounts(&self, held: u64) -> Result<(), Imbalance> {
        let sum = |terms: &[u64]| terms.iter().fold(0_u64, |sum, &term| sum.saturating_add(term));
        let came = sum(&[self.enqueued, self.moved_in]);
        let accounted = sum(&[held, self.acknowledged, self.expired, self.purged, self.moved_out]);
        if came == accounted { Ok(()) } else { Err(Imbalance { came, accounted }) }
    }
}

impl TopicStats {
    /// Messages held, in whatever state.
    #[must_use]
    pub fn depth(&self) -> u64 {
        [self.ready, self.delayed, self.in_flight, self.dead].into_iter().fold(0, u64::saturating_add)
    }

    /// The accounting identity, which holds in every state of every topic: each message that was enqueued
    /// or moved in is ready, delayed, in flight or dead, or was acknowledged, expired, purged or moved out.
    ///
    /// # Errors
    ///
    /// [`Imbalance`] with both sides, if they differ.
    pub fn check_accounts(&self) -> Result<(), Imbalance> {
        self.totals.check_accounts(self.depth())
    }
}
