//! Questions for lines: confirmed in batches, parked while the key is written, granted or withheld.

use std::collections::BTreeSet;

use super::super::types::{
    AskNumber, Claim, CoherenceBody, HolderId, KEY_BYTES_MAX, Key, LineState, RoundId, Withheld,
};
use super::lines::Held;
use super::{Directory, Found, Lookup};
use crate::ids::{LocalTime, NodeId};
use crate::marks;

/// Questions that wait for the end of the writes of one key, at most.
const PARKED_MAX: usize = 64;

/// A question that has not been answered.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) key: Key,
    pub(super) holder: HolderId,
    pub(super) number: AskNumber,
    /// When it came, by this node's clock: not before the holder's lease began.
    pub(super) came_at: LocalTime,
}

impl Ask {
    fn claim(&self) -> Claim {
        Claim { life: self.holder.life, number: self.number }
    }
}

impl Directory {
    /// A node asks for a line.
    pub(super) fn ask(&mut self, from: NodeId, key: Key, claim: Claim, now: LocalTime) {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            marks::hit("coherence.impossible_key");
            return;
        }
        self.stats.asks += 1;
        let holder = HolderId { node: from, life: claim.life };
        let ask = Ask { key, holder, number: claim.number, came_at: now };
        let Some(reign) = &mut self.reign else { return };
        let refusal = if !reign.is_ready {
            Some(Withheld::NotReady)
        } else if reign.asks >= self.settings.asks_max || self.settings.lease_us == 0 {
            Some(Withheld::Full)
        } else {
            None
        };
        match refusal {
            Some(reason) => self.refuse(&ask, reason),
            None => {
                reign.asks += 1;
                reign.waiting.push(ask);
            }
        }
    }

    /// Lets the questions that have come share a round which begins now.
    pub(super) fn begin_round(&mut self) {
        let Some(reign) = &mut self.reign else { return };
        if reign.waiting.is_empty() || !self.is_agreed {
            return;
        }
        self.next_round += 1;
        let round = RoundId(self.next_round);
        reign.confirming.insert(round, std::mem::take(&mut reign.waiting));
        self.stats.rounds += 1;
        self.effects.round = Some(round);
    }

    /// A round that was wanted has confirmed the leadership, and the state of `lookup` is as fresh as its
    /// beginning.
    pub fn confirmed(&mut self, round: RoundId, lookup: &impl Lookup, now: LocalTime) {
        let Some(asks) = self.reign.as_mut().and_then(|reign| reign.confirming.remove(&round)) else {
            return;
        };
        for ask in asks {
            self.grant_or_park(ask, lookup, now);
        }
    }

    /// A round that was wanted will not confirm anything.
    pub fn unconfirmed(&mut self, round: RoundId) {
        let Some(asks) = self.reign.as_mut().and_then(|reign| reign.confirming.remove(&round)) else {
            return;
        };
        for ask in asks {
            self.withhold(ask, Withheld::Unconfirmed);
        }
    }

    /// Grants a confirmed question, or lets it wait for the writes of its key.
    pub(super) fn grant_or_park(&mut self, ask: Ask, lookup: &impl Lookup, now: LocalTime) {
        let Some(reign) = &mut self.reign else { return };
        let is_written = reign.lines.get(&ask.key).is_some_and(|line| !line.writes.is_empty());
        if !is_written {
            return self.grant(ask, lookup, now);
        }
        let line = reign.lines.entry(&ask.key);
        if line.parked.len() >= PARKED_MAX {
            return self.withhold(ask, Withheld::BeingWritten);
        }
        marks::hit("coherence.ask_waits_for_a_write");
        line.parked.push_back(ask);
    }

    /// After a write of these keys: whoever waited for its end.
    pub(super) fn serve_parked(&mut self, keys: &BTreeSet<Key>, lookup: &impl Lookup, now: LocalTime) {
        for key in keys {
            let Some(reign) = &mut self.reign else { return };
            if reign.lines.get(key).is_none_or(|line| !line.writes.is_empty() || line.parked.is_empty()) {
                continue;
            }
            let parked = std::mem::take(&mut reign.lines.entry(key).parked);
            reign.lines.settle(key);
            for ask in parked {
                self.grant(ask, lookup, now);
            }
        }
    }

    /// Grants a question, whose key nobody writes, from the state as it is.
    fn grant(&mut self, ask: Ask, lookup: &impl Lookup, now: LocalTime) {
        // Asked again now, when the read index of the round is applied: a new leader that does not ask this
        // node to drop its lines relies on every round since it left having shown that it has.
        if !self.members.contains(&ask.holder.node) {
            marks::hit("coherence.asker_left_meanwhile");
            return self.withhold(ask, Withheld::NotAMember);
        }
        let Some(reign) = &mut self.reign else { return };
        reign.lines.lapse(&ask.key, now);
        let before = reign.lines.get(&ask.key).and_then(|line| line.holders.get(&ask.holder)).copied();
        if before.is_some_and(|held| held.number >= ask.number) {
            marks::hit("coherence.ask_came_twice");
            reign.asks -= 1;
            return;
        }
        if before.is_none() && reign.lines.held() >= self.settings.directory_lines_max {
            reign.lines.purge(now);
            if reign.lines.held() >= self.settings.directory_lines_max {
                marks::hit("coherence.directory_full");
                return self.withhold(ask, Withheld::Full);
            }
        }
        let Found { content, as_of, ttl_us } = lookup.look_up(&ask.key);
        let lease_us = ttl_us.map_or(self.settings.lease_us, |ttl_us| ttl_us.min(self.settings.lease_us));
        if lease_us == 0 {
            return self.withhold(ask, Withheld::Expiring);
        }
        reign.asks -= 1;
        let others =
            reign.lines.holders(&ask.key).into_iter().filter(|view| view.holder != ask.holder).count();
        let exclusive = others == 0;
        let state = if exclusive { LineState::Exclusive } else { LineState::Shared };
        let until = ask.came_at.plus_us(self.settings.lease_us);
        // A renewal that gets lost leaves the holder with what it had, for as long as it had it.
        let until = before.map_or(until, |held| held.until.max(until));
        reign.lines.hold(
            &ask.key,
            ask.holder,
            Held { number: ask.number, until, state, invalidated_at: None },
        );
        if exclusive {
            self.stats.granted_exclusive += 1;
        } else {
            self.stats.granted_shared += 1;
            self.demote_others(&ask);
        }
        let claim = ask.claim();
        let grant = CoherenceBody::Grant { key: ask.key, claim, content, as_of, lease_us, exclusive };
        self.send(ask.holder.node, grant);
    }

    /// Tells a sole holder that it is not the only one any more.
    fn demote_others(&mut self, ask: &Ask) {
        let Some(reign) = &mut self.reign else { return };
        let mut told = Vec::new();
        for (holder, held) in &mut reign.lines.entry(&ask.key).holders {
            if *holder != ask.holder && held.state == LineState::Exclusive {
                held.state = LineState::Shared;
                told.push((holder.node, Claim { life: holder.life, number: held.number }));
            }
        }
        for (node, claim) in told {
            self.send(node, CoherenceBody::Demote { key: Key::clone(&ask.key), claim });
        }
    }

    /// Refuses a question that had been taken.
    pub(super) fn withhold(&mut self, ask: Ask, reason: Withheld) {
        if let Some(reign) = &mut self.reign {
            reign.asks -= 1;
        }
        self.refuse(&ask, reason);
    }

    fn refuse(&mut self, ask: &Ask, reason: Withheld) {
        self.stats.withheld += 1;
        let claim = ask.claim();
        self.send(ask.holder.node, CoherenceBody::Withheld { key: Key::clone(&ask.key), claim, reason });
    }
}
