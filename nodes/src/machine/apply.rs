//! The machine itself: it ties the sessions and the services together, one entry at a time.

use std::io;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::LockAction;
use super::cache::{CacheQuery, CacheReply, Caches, Room, VICTIMS_MAX, Versioned, Victim};
use super::limits::{Limits, Pace};
use super::lock::Locks;
use super::queue::{QueueQuery, Queues};
use super::remembered::Remembered;
use super::service::{Asker, Moment, Out, Service};
use super::session::{Awaiting, Sessions, check_numbers};
use super::types::{
    Action, Command, LEASE_US_MAX, LEASE_US_MIN, MachineError, MachineEvent, NearTerms, Opener, Outcome,
    Query, Reply, SessionState,
};
use crate::ids::{ClusterTime, LogIndex, Sequence, SessionId};
use crate::marks;
use crate::plant::{self, Bug};

/// What an entry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The answer to the entry's own command.
    pub outcome: Outcome,
    /// What else happened, in order; what was due before the command comes first.
    pub events: Vec<MachineEvent>,
}

/// The replicated state: a function of the entries applied so far and of nothing else. A clone costs the
/// same however large the state is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// The last entry applied.
    pub(super) index: LogIndex,
    /// Its stamp.
    pub(super) time: ClusterTime,
    pub(super) sessions: Sessions,
    pub(super) locks: Locks,
    pub(super) queues: Queues,
    pub(super) caches: Caches,
    pub(super) near: NearAgreement,
    #[serde(skip)]
    pub(super) pace: Pace,
}

/// On which terms the near-caches have agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NearAgreement {
    pub(super) terms: Option<NearTerms>,
    /// The longest lease that was ever agreed on: what a new leader waits for.
    pub(super) longest_lease_us: u64,
}

impl Machine {
    /// The state before the first entry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with other bounds than the public ones.
    pub(super) fn with_limits(limits: Limits) -> Self {
        Self {
            sessions: Sessions::within(limits.sessions),
            locks: Locks::within(limits.lock),
            queues: Queues::within(limits.queue),
            caches: Caches::within(limits.cache),
            pace: Pace(limits.ends),
            ..Self::default()
        }
    }

    /// Applies the entry at `index`, stamped `time`. An entry without a command is applied as
    /// [`Command::Tick`].
    ///
    /// # Panics
    ///
    /// If `index` does not follow the last one applied, or `time` is less than the last stamp: the log
    /// promises both.
    pub fn apply(&mut self, index: LogIndex, time: ClusterTime, command: &Command) -> Applied {
        assert!(index == self.index.next(), "entry {index} applied after {}", self.index);
        assert!(time >= self.time, "stamp {time} applied after {}", self.time);
        self.index = index;
        self.time = time;
        let mut out = Out::with(self.pace.0);
        self.expire(&mut out);
        let outcome = match command {
            Command::Tick => Ok(Reply::Done),
            Command::OpenSession { lease_us } => self.open_session(*lease_us, None),
            Command::OpenSessionOnce { lease_us, opener } => self.open_session(*lease_us, Some(*opener)),
            Command::KeepAlive { session } => self.keep_alive(*session),
            Command::CloseSession { session } => Ok(self.close_session(*session, &mut out)),
            Command::Once { session, sequence, lowest_open, open_below, action } => {
                let by = Asker { session: *session, sequence: *sequence };
                self.once(by, (*lowest_open, open_below), action, &mut out)
            }
            Command::Evict { victims } => self.evict(victims, &mut out),
            Command::AgreeOnNear { terms, replaces } => self.agree_on_near(*terms, *replaces),
        };
        self.sessions.settle(&mut out.completions);
        Applied { outcome, events: out.events }
    }

    /// Answers a question from the state as it is.
    ///
    /// # Errors
    ///
    /// [`MachineError::InvalidArgument`] for a name that no command could have used.
    pub fn query(&self, query: &Query) -> Outcome {
        self.query_at(query, self.time)
    }

    /// As [`Machine::query`], where it is known how late it is: ages and rates are told as of `now`, or of the
    /// last stamp if that is later. Entries alone end what is over, so nothing else depends on it.
    ///
    /// # Errors
    ///
    /// As [`Machine::query`].
    pub fn query_at(&self, query: &Query, now: ClusterTime) -> Outcome {
        match query {
            Query::Lock(query) => self.locks.query(self.time, query),
            Query::Queue(query @ QueueQuery::Stats { .. }) => self.queues.query(self.time.max(now), query),
            Query::Cache(query @ CacheQuery::Expiry { .. }) => {
                let mut answer = self.caches.query(self.time, query);
                if let Ok(Reply::Cache(CacheReply::Expiry { now: as_of, .. })) = &mut answer {
                    *as_of = self.time.max(now);
                }
                answer
            }
            Query::Queue(query) => self.queues.query(self.time, query),
            Query::Cache(query) => self.caches.query(self.time, query),
            Query::Session { session } => Ok(Reply::Session(self.session_state(*session))),
        }
    }

    fn session_state(&self, id: SessionId) -> SessionState {
        match self.sessions.open.get(&id) {
            Some(session) if session.deadline <= self.time => SessionState::Overdue,
            Some(session) => {
                let locks = Box::new(self.locks.of_session(id));
                SessionState::Open { lease_us: session.lease_us, locks }
            }
            None => SessionState::NotOpen,
        }
    }

    /// The index of the last entry applied: 0 before the first.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        self.index
    }

    /// The stamp of the last entry applied: 0 before the first.
    #[must_use]
    pub fn time(&self) -> ClusterTime {
        self.time
    }

    /// What a retry of this command would be answered now: nothing if the session is not open, or never
    /// applied it, or has let go of it.
    #[must_use]
    pub fn outcome_of(&self, session: SessionId, sequence: Sequence) -> Option<Outcome> {
        let remembered = self.sessions.open.get(&session)?.outcome(sequence)?;
        Some(self.recall(&remembered))
    }

    /// The value of a key of the cache and the stamp at which it ends, if it does not live for ever.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<(Versioned, Option<ClusterTime>)> {
        self.caches.find(self.time, key)
    }

    /// The terms on which the near-caches have agreed, if they have.
    #[must_use]
    pub fn near_terms(&self) -> Option<NearTerms> {
        self.near.terms
    }

    /// The longest lease of lines that was ever agreed on, in microseconds; 0 if none was.
    #[must_use]
    pub fn longest_near_lease_us(&self) -> u64 {
        self.near.longest_lease_us
    }

    /// The keys of the cache that must go so that there is `wanted` room once `leaving` has gone, in the order
    /// of its policy, at most [`VICTIMS_MAX`]; those that `is_spared` are passed over. None if the policy is to
    /// refuse.
    #[must_use]
    pub fn victims(&self, wanted: Room, leaving: Room, is_spared: impl Fn(&str) -> bool) -> Vec<Victim> {
        self.caches.victims(wanted, leaving, is_spared)
    }

    /// The bytes with which a key of the cache counts against its bound; 0 if it has no value.
    #[must_use]
    pub fn weight_bytes(&self, key: &str) -> u64 {
        self.caches.weight_bytes(key)
    }

    /// The earliest time at which something ends by itself. The leader proposes [`Command::Tick`] once
    /// cluster time reaches it, so that it takes effect though no other command comes.
    #[must_use]
    pub fn next_deadline(&self) -> Option<ClusterTime> {
        let services = [self.locks.next_deadline(), self.queues.next_deadline(), self.caches.next_deadline()];
        services.into_iter().chain([self.sessions.next_deadline()]).flatten().min()
    }

    /// Whether something is due at the last stamp that the entries so far had no room to end. The leader then
    /// proposes [`Command::Tick`] at once.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline <= self.time)
    }

    /// Whether anything about a lock has changed since it had this version (see
    /// [`LockState::version`](super::LockState::version)): what a watch asks after each apply. May say yes in
    /// vain about a lock that nobody holds or awaits, never no in error.
    #[must_use]
    pub fn lock_changed_since(&self, resource: &str, version: LogIndex) -> bool {
        self.locks.changed_since(resource, version)
    }

    /// Forgets all who stand in line for a lock, and tells nobody: what a planted bug does.
    pub(crate) fn forget_lock_waits(&mut self) {
        self.locks.forget_waits(self.moment());
    }

    /// XXH3 over the whole state in a canonical order: equal on all nodes that applied the same entries.
    /// Costs time in proportion to the state.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let written = postcard::to_io(self, HashWriter(Xxh3::new()));
        written.expect("the state is plain data, and a hash takes any length").0.digest()
    }

    fn moment(&self) -> Moment {
        Moment { index: self.index, time: self.time }
    }

    /// Ends what is due, as far as there is room: sessions first, then what is due in each service.
    fn expire(&mut self, out: &mut Out) {
        while self.sessions.next_deadline().is_some_and(|end| end <= self.time)
            && out.may_end()
            && let Some(session) = self.sessions.take_expired(self.time)
        {
            marks::hit("machine.session_expired");
            self.tell_ended(session, true, out);
        }
        self.expire_services(out);
    }

    /// Lets the services end what is due and serve whoever may be served now.
    fn expire_services(&mut self, out: &mut Out) {
        let at = self.moment();
        self.locks.expire(at, out);
        self.queues.expire(at, out);
        self.caches.expire(at, out);
        self.sessions.settle(&mut out.completions);
    }

    /// Tells the services of a session that has been taken out of the table.
    fn tell_ended(&mut self, session: SessionId, expired: bool, out: &mut Out) {
        let at = self.moment();
        self.locks.session_ended(session, at, out);
        self.queues.session_ended(session, at, out);
        out.event(MachineEvent::SessionEnded { session, expired });
    }

    fn evict(&mut self, victims: &[Victim], out: &mut Out) -> Outcome {
        if victims.len() > VICTIMS_MAX {
            return Err(MachineError::InvalidArgument(format!(
                "at most {VICTIMS_MAX} keys are evicted at a time, not {}",
                victims.len()
            )));
        }
        self.caches.evict(self.moment(), victims, out);
        Ok(Reply::Done)
    }

    fn agree_on_near(&mut self, terms: NearTerms, replaces: Option<NearTerms>) -> Outcome {
        let NearAgreement { terms: agreed, longest_lease_us } = self.near;
        if agreed == Some(terms) {
            return Ok(Reply::Done);
        }
        if agreed != replaces {
            marks::hit("machine.near_terms_refused");
            let so_far = agreed.map_or_else(|| "nothing".to_owned(), |agreed| agreed.to_string());
            return Err(MachineError::InvalidArgument(format!(
                "the near-caches have agreed on {so_far}: name that as what is to be replaced"
            )));
        }
        let longest_lease_us = longest_lease_us.max(terms.lease_us);
        self.near = NearAgreement { terms: Some(terms), longest_lease_us };
        Ok(Reply::Done)
    }

    fn open_session(&mut self, lease_us: u64, opener: Option<Opener>) -> Outcome {
        if !(LEASE_US_MIN..=LEASE_US_MAX).contains(&lease_us) {
            return Err(MachineError::InvalidArgument(format!(
                "the lease must be {LEASE_US_MIN} to {LEASE_US_MAX} us, not {lease_us}"
            )));
        }
        if let Some(session) = opener.and_then(|opener| self.sessions.opened_by(opener)) {
            marks::hit("machine.session_opened_before");
            self.sessions.renew(session, self.time)?;
            return Ok(Reply::SessionOpened { session });
        }
        let session = SessionId(self.index.0);
        self.sessions.open(session, lease_us, opener, self.time)?;
        Ok(Reply::SessionOpened { session })
    }

    fn keep_alive(&mut self, session: SessionId) -> Outcome {
        self.sessions.renew(session, self.time)?;
        Ok(self.locks.taken_from(session).map_or(Reply::Done, |taken_at| Reply::Renewed { taken_at }))
    }

    fn close_session(&mut self, session: SessionId, out: &mut Out) -> Reply {
        if self.sessions.close(session) {
            self.tell_ended(session, false, out);
            self.expire_services(out);
        }
        Reply::Done
    }

    /// Carries an action out unless an earlier copy of the same command has been applied.
    fn once(
        &mut self,
        by: Asker,
        (lowest_open, open_below): (Sequence, &[Sequence]),
        action: &Action,
        out: &mut Out,
    ) -> Outcome {
        let Asker { session: id, sequence } = by;
        let mut session = self.sessions.renew(id, self.time)?;
        check_numbers(sequence, lowest_open, open_below)?;
        session.let_go(lowest_open, open_below);
        if session.awaits_what_it_let_go() {
            self.give_up_waits(id, out);
            session = self.sessions.renew(id, self.time)?;
        }
        if !session.is_open(sequence) {
            marks::hit("machine.sequence_too_old");
            return Err(MachineError::SequenceTooOld);
        }
        if let Some(remembered) = session.outcome(sequence) {
            marks::hit("machine.retry_answered_from_table");
            if plant::is(Bug::RetryAppliedTwice) {
                let _ = self.act(by, action, out);
            }
            return self.recall(&remembered);
        }
        let at = Moment { index: self.index, time: self.time };
        if let Action::Cache(write) = action {
            // As `act` does, but without looking the session up again.
            let outcome = self.caches.act(at, by, write, out);
            session.remember(sequence, Remembered::Said(outcome.clone()));
            return outcome;
        }
        let outcome = self.act(by, action, out);
        let remembered = Remembered::of(action, &outcome);
        if !remembered.is_waiting() {
            let session = self.sessions.open.get_mut(&id).expect("no action ends its own session");
            session.remember(sequence, remembered);
        }
        outcome
    }

    /// The outcome of which this is kept.
    fn recall(&self, remembered: &Remembered) -> Outcome {
        match remembered {
            Remembered::Said(outcome) => outcome.clone(),
            Remembered::Delivered(handed) => Ok(Reply::Queue(self.queues.again(self.time, handed))),
        }
    }

    /// Ends a session's waits that its client has let go of.
    fn give_up_waits(&mut self, id: SessionId, out: &mut Out) {
        marks::hit("machine.wait_given_up");
        let at = self.moment();
        for (sequence, service) in self.sessions.open[&id].given_up() {
            let by = Asker { session: id, sequence };
            match service {
                Service::Lock => self.locks.wait_given_up(by, at, out),
                Service::Queue => self.queues.wait_given_up(by, at, out),
            }
        }
        self.expire_services(out);
    }

    fn act(&mut self, by: Asker, action: &Action, out: &mut Out) -> Outcome {
        let at = self.moment();
        if let Action::Lock(LockAction::Cancel { sequence }) = action
            && self.sessions.open[&by.session]
                .waits
                .get(sequence)
                .is_some_and(|wait| wait.service == Service::Queue)
        {
            marks::hit("queue.wait_cancelled");
            self.queues.wait_given_up(Asker { sequence: *sequence, ..by }, at, out);
            return Ok(Reply::Done);
        }
        let (outcome, service) = match action {
            Action::Lock(action) => (self.locks.act(at, by, action, out), Service::Lock),
            Action::Queue(action) => (self.queues.act(at, by, action, out), Service::Queue),
            Action::Cache(write) => return self.caches.act(at, by, write, out),
        };
        if let Ok(Reply::Waiting { ahead }) = outcome {
            let ahead = u32::try_from(ahead).expect("lines are bounded");
            self.sessions.waits_in(by, Awaiting { ahead, service });
        }
        outcome
    }
}

/// Lets the encoder write straight into the hash.
struct HashWriter(Xxh3);

impl io::Write for HashWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.update(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
