//! What passes between the core, the network, and holder and directory.

use std::collections::{BTreeSet, VecDeque};

use super::super::probe::{Observed, Probe};
use super::super::replica::Replica;
use super::{NO_ROOM, Near, Seen};
use crate::api::ApiError;
use crate::coherence::CoherenceMessage;
use crate::env::{Env, Net};
use crate::ids::{Address, LocalTime, NodeId};
use crate::machine::Command;
use crate::marks;
use crate::raft::{Input, ReadOutcome, Role};
use crate::transport::Frame;

impl<E: Env, P: Probe> Replica<E, P> {
    /// Tells whoever watches what happened to lines. To be called whenever something may have, before anything
    /// that depends on it leaves the node, and before an entry is applied.
    pub(super) fn tell_of_lines(&mut self) {
        if P::WATCHING {
            for event in self.near.holder.take_watched() {
                self.probe.observe(Observed::Line(&event));
            }
        }
    }

    /// Tells whoever watches what has been counted, if that is news.
    fn tell_of_counts(&mut self) {
        if P::WATCHING {
            let counted = (self.near.holder.stats(), self.near.directory.stats());
            if counted != self.near.told {
                self.near.told = counted;
                let (held, directed) = (&self.near.told.0, &self.near.told.1);
                self.probe.observe(Observed::NearCounted { held, directed });
            }
        }
    }

    /// Tells holder and directory who leads, if that is news.
    pub(in crate::server) fn sync_near(&mut self) {
        let (status, now) = (self.core.status(), self.env.now());
        let leads = (status.role == Role::Leader).then_some(status.term);
        if self.near.directory.leading() != leads {
            self.near_deposed();
            if let Some(term) = leads {
                self.near.directory.elected(term, now);
                if self.near.applied_term == term {
                    self.near.directory.ready(now);
                }
            }
        }
        self.near.holder.set_leader(status.term, status.leader);
        self.tell_of_lines();
    }

    /// Whoever waits at the gate is refused: nothing of it was proposed.
    fn near_deposed(&mut self) {
        let leader = self.core.status().leader;
        self.near.directory.deposed();
        self.near.followers.clear();
        self.near.proposed.clear();
        self.near.appended.clear();
        self.near.rounds.clear();
        self.near.confirmed.clear();
        self.near.claims = super::Claims::default();
        (self.near.agreeing, self.near.agreement_refused) = (None, None);
        for gated in std::mem::take(&mut self.near.gated).into_values() {
            marks::hit("server.gated_command_refused");
            for asker in self.pending.refused(gated.id) {
                self.answer(asker, Err(ApiError::NotLeader { leader }));
            }
        }
    }

    /// Time has passed.
    pub(in crate::server) fn near_on_time(&mut self) {
        let now = self.env.now();
        self.sync_near();
        self.near.holder.tick(now);
        self.tell_of_lines();
        self.near.directory.tick(now);
        // What is too much after the bounds were set anew.
        self.make_room(NO_ROOM, &BTreeSet::new());
    }

    /// A message about lines.
    pub(in crate::server) fn on_coherence(&mut self, from: NodeId, message: CoherenceMessage) {
        self.sync_near();
        let now = self.env.now();
        self.near.holder.receive(from, message.clone(), now);
        self.tell_of_lines();
        self.near.directory.receive(from, message, now);
    }

    /// The core's answer to a read that may be a round of ours; returns whether it is.
    pub(in crate::server) fn near_read_outcome(&mut self, outcome: ReadOutcome) -> bool {
        let (ReadOutcome::Ready { id, .. } | ReadOutcome::Refused { id, .. }) = outcome;
        let Some(round) = self.near.rounds.remove(&id) else { return false };
        match outcome {
            ReadOutcome::Ready { index, .. } => {
                self.near.confirmed.insert((index, round));
            }
            ReadOutcome::Refused { .. } => self.near.directory.unconfirmed(round),
        }
        true
    }

    /// Carries out what holder and directory want. Returns whether the core was stepped: then there may be
    /// new effects.
    pub(in crate::server) fn pump_near(&mut self) -> bool {
        self.sync_near();
        self.serve_confirmed();
        let mut has_stepped = false;
        loop {
            let held = self.near.holder.take_effects();
            let directed = self.near.directory.take_effects();
            if held == Default::default() && directed == Default::default() {
                self.tell_of_counts();
                return self.seek_agreement() || has_stepped;
            }
            let mut own = VecDeque::new();
            for (to, message) in held.messages.into_iter().chain(directed.messages) {
                if to == self.near.node {
                    own.push_back(message);
                } else {
                    self.env.net().send(Address::Node(to), Frame::Coherence(message).encode());
                }
            }
            for (reader, reading) in held.answers {
                has_stepped |= reading.is_none();
                self.answer_reader(reader, reading);
            }
            for write in directed.proposable {
                has_stepped = true;
                self.release(write);
            }
            if let Some(round) = directed.round {
                has_stepped = true;
                let id = self.pending.name();
                self.near.rounds.insert(id, round);
                self.core.step(Input::Read { id }, self.env.now());
            }
            // An answer to oneself asks for none, so this comes to an end.
            for message in own {
                let (node, now) = (self.near.node, self.env.now());
                self.near.holder.receive(node, message.clone(), now);
                self.tell_of_lines();
                self.near.directory.receive(node, message, now);
            }
        }
    }

    /// Lets the members agree on the terms on which lines are granted, once somebody asks for one. Returns
    /// whether the core was stepped.
    fn seek_agreement(&mut self) -> bool {
        if !self.near.directory.wants_agreement() || self.near.agreeing.is_some() {
            return false;
        }
        let id = self.pending.name();
        self.near.agreeing = Some(id);
        let command = Command::AgreeOnNear { terms: self.near.terms, replaces: None };
        self.core.step(Input::Propose { id, command: self.encode(&command) }, self.env.now());
        true
    }

    /// Rounds whose read index is applied.
    fn serve_confirmed(&mut self) {
        while let Some(&(index, round)) = self.near.confirmed.first()
            && index <= self.applied_index
        {
            self.near.confirmed.pop_first();
            let (now, near, seen) = self.near_and_seen();
            near.directory.confirmed(round, &seen, now);
        }
    }

    /// The near-cache, and the applied state as a leader may grant it now.
    pub(super) fn near_and_seen(&mut self) -> (LocalTime, &mut Near, Seen<'_>) {
        let now = self.env.now();
        // Without a leadership nothing is granted, so the time does not matter.
        let cluster_time = self.core.cluster_time(now).unwrap_or_else(|| self.machine.time());
        (now, &mut self.near, Seen { machine: &self.machine, cluster_time })
    }
}
