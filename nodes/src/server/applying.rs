//! What is committed takes effect here: entries on the machine, snapshots in its place.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::NodeError;
use super::pending::Asker;
use super::probe::{Observed, Probe};
use super::replica::Replica;
use super::under_way::CommandName;
use crate::api::{ApiError, ResponseBody};
use crate::env::Env;
use crate::ids::{ClusterTime, LogIndex};
use crate::machine::{Action, Command, Machine, MachineError, MachineEvent, Outcome, Reply, RestoreError};
use crate::marks;
use crate::plant::{self, Bug};
use crate::raft::{Entries, Entry, Input, Payload, Snapshot};

/// Every how many entries the machine's whole state enters the state hash.
const DIGEST_INTERVAL: u64 = 64;
/// A snapshot's data begin with the state hash, then comes the machine's own format.
pub(super) const STATE_HASH_BYTES: usize = 8;

/// The machine and the state hash that a snapshot holds.
pub(super) fn restore(snapshot: &Snapshot) -> Result<(Machine, u64), NodeError> {
    let Some((hash, machine)) = snapshot.data.split_first_chunk::<STATE_HASH_BYTES>() else {
        return Err(NodeError::Snapshot(RestoreError::Damaged("it is cut short")));
    };
    Ok((Machine::restore(machine)?, u64::from_le_bytes(*hash)))
}

impl<E: Env, P: Probe> Replica<E, P> {
    /// Applies entries, and tells the core.
    pub(super) fn apply_all(&mut self, entries: &Entries) {
        if entries.is_empty() {
            return;
        }
        for entry in entries {
            self.apply(entry);
        }
        self.applied_at = self.env.now();
        let is_behind = self.machine.is_behind() && self.tick_index <= self.applied_index;
        if self.tick_refused.take().is_some() || is_behind {
            // More is due than one entry ends, or the last tick was not taken: the next one follows at once.
            self.ticked_at = ClusterTime(0);
        }
        self.core.step(Input::Applied(self.applied_index), self.env.now());
        for (asker, is_its_entry) in
            self.pending.changed(self.applied_index, |index| self.core.term_of(index))
        {
            let members = self.core.membership().clone();
            let answer =
                if is_its_entry { Ok(ResponseBody::Members(members)) } else { Err(ApiError::LeadershipLost) };
            self.answer(asker, answer);
        }
    }

    /// A leader's snapshot, durable here, takes the machine's place. Nobody waits for an entry that it
    /// covers: only a leader's clients wait, and a leader is sent none.
    pub(super) fn install(&mut self, snapshot: &Snapshot) {
        marks::hit("server.snapshot_installed");
        match restore(snapshot) {
            Ok((machine, state_hash)) => {
                self.machine = machine;
                self.failed = self.near.check_terms(&self.machine).err();
                self.watches.is_due = true;
                self.state_hash = state_hash;
                self.applied_index = snapshot.meta.index;
                self.applied_at = self.env.now();
                self.snapshots.installed(snapshot.meta.index);
                self.near.set_members(&snapshot.meta.membership, self.env.now());
                self.probe.observe(Observed::Installed { meta: &snapshot.meta, state: state_hash });
                self.core.step(Input::Installed(snapshot.meta.index), self.env.now());
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// The cluster speaks this version from now on; so must this program.
    pub(super) fn on_version(&mut self, version: u16) {
        if version > self.version_max {
            marks::hit("server.too_old_for_the_cluster");
            self.failed = Some(NodeError::TooOld { cluster: version, own: self.version_max });
        }
    }

    fn apply(&mut self, entry: &Entry) {
        assert_eq!(entry.index, self.applied_index.next(), "entries are applied in order, each once");
        if plant::is(Bug::LockWaiterLostOnFailover) && matches!(entry.payload, Payload::Noop) {
            self.machine.forget_lock_waits();
        }
        let (name, outcome, events) = match &entry.payload {
            Payload::Noop | Payload::Membership(_) | Payload::Version(_) => {
                self.apply_command(entry, Ok(Command::Tick))
            }
            Payload::Command(bytes) => self.apply_command(entry, Command::decode(bytes)),
        };
        self.applied_index = entry.index;
        self.snapshots.applied(entry);
        if let Payload::Membership(agreed) = &entry.payload {
            self.near.set_members(&agreed.after, self.env.now());
        }
        if P::WATCHING {
            for event in &events {
                if let MachineEvent::Cache(event) = event {
                    let (key, index) = (event.key(), entry.index);
                    self.probe.observe(Observed::KeyChanged { key, index });
                }
            }
        }
        self.near_applied(entry.index, entry.term);
        if self.events.is_wanted() && self.leads() {
            self.events.announce(entry.index, &events);
        }
        if P::WATCHING {
            self.state_hash = self.hash_after(entry.index, &outcome, &events);
            self.probe.observe(Observed::Applied { entry, state: self.state_hash });
        }
        self.answer_askers(entry, name, outcome);
        for event in events {
            if let MachineEvent::Completed { session, sequence, outcome } = event
                && let Some((asker, renews)) = self.pending.completed(session, sequence)
            {
                if renews {
                    self.answer_outcome(asker, outcome);
                } else {
                    self.answer_known(asker, outcome);
                }
            }
        }
    }

    /// Tells those who wait for this entry, and who has joined them, what came of it.
    fn answer_askers(&mut self, entry: &Entry, name: Option<CommandName>, outcome: Outcome) {
        let joined = name.and_then(|name| self.pending.under_way.applied(name));
        let asker = match self.pending.applied(entry.index, entry.term) {
            Some((asker, true)) => Some(asker),
            Some((asker, false)) => {
                self.answer(asker, Err(ApiError::LeadershipLost));
                None
            }
            None => None,
        };
        match (&outcome, name) {
            (Ok(Reply::Waiting { .. }), Some(CommandName::Once(session, sequence))) => {
                if let Some(latest) = joined.or(asker) {
                    self.pending.queue(session, sequence, latest, joined.is_none());
                }
            }
            _ => {
                let known = joined.map(|joined| (joined, outcome.clone()));
                match (asker, known) {
                    (Some(asker), known) => {
                        self.answer_outcome(asker, outcome);
                        if let Some((joined, outcome)) = known {
                            self.answer(joined, Ok(ResponseBody::Known(outcome)));
                        }
                    }
                    (None, Some((joined, outcome))) => self.answer_known(joined, outcome),
                    (None, None) => {}
                }
            }
        }
    }

    fn answer_outcome(&mut self, asker: Asker, outcome: Outcome) {
        self.traffic.answered(&outcome, self.env.now());
        self.answer(asker, Ok(ResponseBody::Outcome(outcome)));
    }

    /// As [`Replica::answer_outcome`], to an attempt that has put no entry into the log, and renewed nothing.
    pub(super) fn answer_known(&mut self, asker: Asker, outcome: Outcome) {
        self.traffic.answered(&outcome, self.env.now());
        self.answer(asker, Ok(ResponseBody::Known(outcome)));
    }

    /// Applies a command; one that this version cannot read changes nothing but the time, on every node.
    fn apply_command(
        &mut self,
        entry: &Entry,
        command: Result<Command, MachineError>,
    ) -> (Option<CommandName>, Outcome, Vec<MachineEvent>) {
        let (command, refused) = match command {
            Ok(command) => (command, None),
            Err(error) => (Command::Tick, Some(error)),
        };
        let applied = self.machine.apply(entry.index, self.stamp_of(entry), &command);
        let is_about_locks = matches!(command, Command::Once { action: Action::Lock(_), .. });
        self.watches.is_due |= is_about_locks || !applied.events.is_empty();
        (CommandName::of(&command), refused.map_or(applied.outcome, Err), applied.events)
    }

    /// The only time that the machine is ever told.
    fn stamp_of(&self, entry: &Entry) -> ClusterTime {
        if plant::is(Bug::ApplyReadsClock) {
            return ClusterTime(self.env.now().0).max(self.machine.time());
        }
        entry.time
    }

    fn hash_after(&mut self, index: LogIndex, outcome: &Outcome, events: &[MachineEvent]) -> u64 {
        let mut bytes = std::mem::take(&mut self.hashed);
        bytes.clear();
        bytes = postcard::to_extend(&(outcome, events), bytes).expect("outcomes and events serialize");
        if index.0.is_multiple_of(DIGEST_INTERVAL) {
            bytes.extend_from_slice(&self.machine.digest().to_le_bytes());
        }
        let hash = xxh3_64_with_seed(&bytes, self.state_hash);
        self.hashed = bytes;
        hash
    }
}
