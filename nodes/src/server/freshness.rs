//! Reads that may be stale within a bound: how old the applied state may be, by this node's own clock.
//!
//! A read that arrived here at local time `t`, was confirmed, and whose read index is applied, proves that the
//! applied state contains whatever was committed by `t` (Raft thesis 6.4). The state only grows, by entries or
//! by an installed snapshot, so that stays true: what was proved last, by the latest such `t`, bounds the
//! age of every later answer by the time since then.
//!
//! The age is measured by one clock that may run slow: within a drift of `d` of true time the true age is at
//! most `age / (1 - d)`.

use super::pending::Asker;
use super::probe::Probe;
use super::replica::Replica;
use crate::api::ResponseBody;
use crate::env::Env;
use crate::ids::LocalTime;
use crate::machine::Query;
use crate::marks;
use crate::raft::Input;

/// By when everything committed is known to be applied here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Freshness {
    as_of: Option<LocalTime>,
}

impl Freshness {
    /// A read that had arrived at `asked_at` may be answered.
    pub(super) fn proved(&mut self, asked_at: LocalTime) {
        self.as_of = self.as_of.max(Some(asked_at));
    }

    /// No more than this many microseconds have passed since the state was the latest; unknown before the
    /// first proof.
    pub(super) fn age_us(&self, now: LocalTime) -> Option<u64> {
        Some(now.since_us(self.as_of?))
    }
}

impl<E: Env, P: Probe> Replica<E, P> {
    /// Answers from a state that is no older than `age_us_max`, or else from one that is no older than the
    /// question.
    pub(super) fn query_within(&mut self, asker: Asker, query: Query, age_us_max: u64) {
        if let Some(age_us) = self.freshness.age_us(self.env.now()).filter(|&age_us| age_us <= age_us_max) {
            marks::hit("server.read_within_its_age");
            return self.answer_aged(asker, &query, age_us);
        }
        let id = self.pending.read_with_age(asker, query, self.env.now());
        self.core.step(Input::ReadAnywhere { id }, self.env.now());
    }

    /// Answers the reads that await no more than what is applied.
    pub(super) fn answer_reads(&mut self) {
        while let Some(read) = self.pending.next_answerable(self.applied_index) {
            self.freshness.proved(read.since);
            let age_us = self.freshness.age_us(self.env.now());
            match age_us.filter(|_| read.tells_age) {
                Some(age_us) => self.answer_aged(read.asker, &read.query, age_us),
                None => {
                    let outcome = self.look_up(&read.query);
                    self.answer(read.asker, Ok(ResponseBody::Outcome(outcome)));
                }
            }
        }
    }

    fn answer_aged(&self, asker: Asker, query: &Query, age_us: u64) {
        let outcome = self.look_up(query);
        self.answer(asker, Ok(ResponseBody::AgedOutcome { outcome, age_us }));
    }
}
