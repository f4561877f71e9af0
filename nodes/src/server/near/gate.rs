//! Commands that may change keys of the cache are proposed when the directory lets them go.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::super::probe::{Observed, Probe};
use super::super::replica::Replica;
use super::room::room_of;
use super::{Gated, Origin, keys};
use crate::api::ApiError;
use crate::coherence::{NotTaken, WriteId};
use crate::env::Env;
use crate::ids::{LogIndex, Term};
use crate::machine::{Action, Command};
use crate::marks;
use crate::raft::{Input, Refusal};

impl<E: Env, P: Probe> Replica<E, P> {
    /// Proposes a client's command, at once or when nobody reads what it may change. Without an `origin` it counts as one
    /// from this node.
    pub(in crate::server) fn propose_gated(
        &mut self,
        id: u64,
        command: &Command,
        encoded: Bytes,
        origin: Option<Origin>,
    ) {
        let changed = keys(command.cache_keys());
        self.sync_near();
        // Whoever does not lead is refused by the core, which knows the reason best.
        if changed.is_empty() || !self.leads() {
            return self.core.step(Input::Propose { id, command: encoded }, self.env.now());
        }
        let now = self.env.now();
        let room = match command {
            Command::Once { action: Action::Cache(action), .. } => {
                room_of(&self.machine, &self.near.claims, action)
            }
            _ => super::NO_ROOM,
        };
        let after = self.make_room(room, &changed);
        let near = &mut self.near;
        let origin = origin.unwrap_or_else(|| {
            (near.node, changed.iter().filter_map(|key| near.holder.begin_write(key, now)).collect())
        });
        let keys = if P::WATCHING { changed.clone() } else { BTreeSet::new() };
        self.tell_of_lines();
        let near = &mut self.near;
        match near.directory.take_write(changed.clone(), Some(origin), now) {
            Ok(write) => {
                near.claims.want(write, changed, room);
                if let Some(eviction) = after {
                    near.followers.entry(eviction).or_default().push(write);
                }
                near.gated.insert(write, Gated { id, command: encoded, keys, after, is_released: false });
            }
            Err(error) => {
                marks::hit("server.gate_full");
                let error = match error {
                    NotTaken::Full => ApiError::Overloaded,
                    NotTaken::NotLeading => ApiError::NotLeader { leader: None },
                };
                for asker in self.pending.refused(id) {
                    self.answer(asker, Err(error.clone()));
                }
            }
        }
    }

    /// The directory has let this write go: it is proposed, unless it must follow an eviction that is not.
    pub(super) fn release(&mut self, write: WriteId) {
        let Some(gated) = self.near.gated.get_mut(&write) else { return };
        gated.is_released = true;
        if gated.after.is_some_and(|eviction| self.near.gated.contains_key(&eviction)) {
            marks::hit("server.write_follows_an_eviction");
            return;
        }
        self.propose_released(write);
        for following in self.near.followers.remove(&write).unwrap_or_default() {
            if self.near.gated.get(&following).is_some_and(|gated| gated.is_released) {
                self.propose_released(following);
            }
        }
    }

    fn propose_released(&mut self, write: WriteId) {
        if let Some(Gated { id, command, keys, .. }) = self.near.gated.remove(&write) {
            if P::WATCHING
                && let Some(term) = self.near.directory.leading()
            {
                self.probe.observe(Observed::Released { keys: &keys, term });
            }
            self.near.proposed.insert(id, write);
            self.core.step(Input::Propose { id, command }, self.env.now());
        }
    }

    /// The core has appended a proposal that may be a write of ours.
    pub(in crate::server) fn near_appended(&mut self, id: u64, index: LogIndex, term: Term) {
        if let Some(write) = self.near.proposed.remove(&id) {
            self.near.appended.insert(index, (term, write));
        }
    }

    /// The core has refused a proposal that may be a write of ours; returns whether it is.
    pub(in crate::server) fn near_refused(&mut self, id: u64, reason: Refusal) -> bool {
        if self.near.agreeing == Some(id) {
            self.near.agreement_refused = Some(reason);
        }
        let Some(write) = self.near.proposed.remove(&id) else { return false };
        self.near.claims.end(write);
        let (now, near, seen) = self.near_and_seen();
        near.directory.abandoned(write, &seen, now);
        true
    }

    /// The entry at this index is applied.
    pub(in crate::server) fn near_applied(&mut self, index: LogIndex, term: Term) {
        self.near.applied_term = term;
        // There is room again.
        self.near.agreement_after(|_| true);
        if let Err(error) = self.near.check_terms(&self.machine) {
            self.failed = Some(error);
            return;
        }
        if self.near.directory.leading() == Some(term) {
            self.near.directory.ready(self.env.now());
        }
        let Some((expected, write)) = self.near.appended.remove(&index) else { return };
        self.near.claims.end(write);
        if expected == term {
            let (now, near, seen) = self.near_and_seen();
            near.directory.applied(write, &seen, now);
        }
    }
}
