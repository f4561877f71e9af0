//! The naive model: what the machine means, in flat lists that are searched from end to end. It shares the
//! vocabulary with the machine and nothing else.

use super::model_locks::Locks;
use crate::ids::{ClusterTime, LogIndex, Sequence, SessionId};
use crate::machine::limits::Limits;
use crate::machine::{
    Action, CacheAction, CacheError, CacheEvent, CacheReply, Command, Expected, MachineError, MachineEvent,
    Opener, Outcome, Reply, SessionState, Versioned,
};

#[derive(Clone)]
struct Session {
    id: SessionId,
    lease_us: u64,
    opener: Option<Opener>,
    ends: u64,
    /// What its commands have said was open: from this number on, and these below.
    said: Vec<(Sequence, Vec<Sequence>)>,
}

impl Session {
    fn is_open(&self, number: Sequence) -> bool {
        self.said.iter().all(|(lowest, below)| number >= *lowest || below.contains(&number))
    }
}

/// The model's state.
pub(super) struct Model {
    limits: Limits,
    index: LogIndex,
    time: ClusterTime,
    sessions: Vec<Session>,
    replies: Vec<(SessionId, Sequence, Outcome)>,
    pub(super) locks: Locks,
    values: Vec<(String, Versioned)>,
}

impl Model {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: LogIndex(0),
            time: ClusterTime(0),
            sessions: Vec::new(),
            replies: Vec::new(),
            locks: Locks::new(limits),
            values: Vec::new(),
        }
    }

    /// Returns the outcome and what happened besides, in any order.
    pub(super) fn apply(
        &mut self,
        index: LogIndex,
        time: ClusterTime,
        command: &Command,
    ) -> (Outcome, Vec<MachineEvent>) {
        (self.index, self.time) = (index, time);
        (self.locks.index, self.locks.time) = (index, time);
        let mut left = self.limits.ends;
        while left > 0
            && let Some(id) = self.first_overdue()
        {
            left = left.saturating_sub(1 + self.locks.count_of(id));
            self.end_session(id, true);
        }
        self.locks.end_late_waits(left);
        self.settle();
        let outcome = self.command(command);
        self.settle();
        (outcome, std::mem::take(&mut self.locks.events))
    }

    /// The session whose lease ended first of those whose has.
    fn first_overdue(&self) -> Option<SessionId> {
        let overdue = self.sessions.iter().filter(|session| session.ends <= self.time.0);
        overdue.min_by_key(|session| (session.ends, session.id)).map(|session| session.id)
    }

    fn end_session(&mut self, id: SessionId, expired: bool) {
        self.sessions.retain(|session| session.id != id);
        self.replies.retain(|(session, ..)| *session != id);
        self.locks.end_session(id);
        self.locks.events.push(MachineEvent::SessionEnded { session: id, expired });
    }

    /// How a session is.
    pub(super) fn session_state(&self, id: SessionId) -> SessionState {
        let session = self.sessions.iter().find(|session| session.id == id);
        session.map_or(SessionState::NotOpen, |session| match session.ends <= self.time.0 {
            true => SessionState::Overdue,
            false => {
                let locks = Box::new(self.locks.of_session(id));
                SessionState::Open { lease_us: session.lease_us, locks }
            }
        })
    }

    fn settle(&mut self) {
        self.locks.settle();
        for (session, sequence, outcome) in std::mem::take(&mut self.locks.completed) {
            let open = self.sessions.iter().find(|open| open.id == session);
            if open.is_some_and(|open| open.is_open(sequence)) {
                self.answer(session, sequence, outcome);
            }
        }
    }

    fn answer(&mut self, session: SessionId, sequence: Sequence, outcome: Outcome) {
        self.replies.retain(|(s, n, _)| (*s, *n) != (session, sequence));
        self.replies.push((session, sequence, outcome));
    }

    fn command(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Tick => Ok(Reply::Done),
            Command::Evict { .. } => unreachable!("the cache's own tests evict"),
            Command::AgreeOnNear { .. } => unreachable!("a test of its own"),
            Command::OpenSession { .. } | Command::OpenSessionOnce { .. } => {
                let (lease_us, opener) = match command {
                    Command::OpenSessionOnce { lease_us, opener } => (lease_us, Some(*opener)),
                    Command::OpenSession { lease_us } => (lease_us, None),
                    _ => unreachable!("it opens a session"),
                };
                if *lease_us < 100_000 || *lease_us > 3_600_000_000 {
                    return Err(MachineError::InvalidArgument(String::new()));
                }
                let before = self.sessions.iter().find(|open| opener.is_some() && open.opener == opener);
                if let Some(Session { id, .. }) = before {
                    let session = *id;
                    return self.keep(session).map(|_| Reply::SessionOpened { session });
                }
                if self.sessions.len() == self.limits.sessions {
                    return Err(MachineError::TooManySessions);
                }
                let session = Session {
                    id: SessionId(self.index.0),
                    lease_us: *lease_us,
                    opener,
                    ends: self.time.0 + lease_us,
                    said: Vec::new(),
                };
                self.sessions.push(session);
                Ok(Reply::SessionOpened { session: SessionId(self.index.0) })
            }
            Command::KeepAlive { session } => {
                self.keep(*session)?;
                Ok(self.taken_from(*session).map_or(Reply::Done, |taken_at| Reply::Renewed { taken_at }))
            }
            Command::CloseSession { session } => {
                if self.sessions.iter().any(|open| open.id == *session) {
                    self.end_session(*session, false);
                }
                Ok(Reply::Done)
            }
            Command::Once { session, sequence, lowest_open, open_below, action } => {
                self.once(*session, *sequence, (*lowest_open, open_below), action)
            }
        }
    }

    /// The last forced release that was this session's for certain, or that the record, being full, leaves open.
    fn taken_from(&self, session: SessionId) -> Option<LogIndex> {
        let on_record = &self.locks.forced;
        let own = on_record.iter().filter(|one| one.holder.session == session).map(|one| one.index).max();
        let is_full = on_record.len() == self.limits.lock.forced;
        let open = on_record.iter().map(|one| one.index).min().filter(|at| is_full && at.0 > session.0);
        own.into_iter().chain(open).max()
    }

    fn keep(&mut self, session: SessionId) -> Result<&mut Session, MachineError> {
        let now = self.time.0;
        let session = self.sessions.iter_mut().find(|open| open.id == session && open.ends > now);
        let session = session.ok_or(MachineError::SessionExpired)?;
        session.ends = self.time.0 + session.lease_us;
        Ok(session)
    }

    fn once(
        &mut self,
        id: SessionId,
        sequence: Sequence,
        (lowest_open, open_below): (Sequence, &[Sequence]),
        action: &Action,
    ) -> Outcome {
        let session = self.keep(id)?;
        if sequence.0 < 1 || lowest_open > sequence {
            return Err(MachineError::InvalidArgument(String::new()));
        }
        if sequence.0 > lowest_open.0 + 1023 || open_below.len() > 64 {
            return Err(MachineError::TooManyOpenCommands);
        }
        let is_list = open_below.iter().all(|number| (1..lowest_open.0).contains(&number.0))
            && open_below.windows(2).all(|pair| pair[0] < pair[1]);
        if !is_list {
            return Err(MachineError::InvalidArgument(String::new()));
        }
        session.said.push((lowest_open, open_below.to_vec()));
        let session = session.clone();
        self.replies.retain(|(of, number, _)| *of != id || session.is_open(*number));
        self.locks.let_go(id, |number| !session.is_open(number));
        self.settle();
        if !session.is_open(sequence) {
            return Err(MachineError::SequenceTooOld);
        }
        if let Some(reply) = self.reply(id, sequence) {
            return reply;
        }
        let outcome = match action {
            Action::Lock(action) => self.locks.act(id, sequence, action),
            Action::Cache(action) => self.write(action),
            Action::Queue(_) => unreachable!("the queue has a model of its own"),
        };
        self.answer(id, sequence, outcome.clone());
        outcome
    }

    fn write(&mut self, action: &CacheAction) -> Outcome {
        let (key, new) = match action {
            CacheAction::Set { key, value, .. } => (key, Some(value)),
            CacheAction::CompareAndSet { key, expected, value, .. } => {
                let found = self.value(key);
                let is = match expected {
                    Expected::Absent => found.is_none(),
                    Expected::Value(value) => found.as_ref().is_some_and(|found| found.value == *value),
                    Expected::Version(version) => {
                        found.as_ref().is_some_and(|found| found.version == *version)
                    }
                };
                if !is {
                    return Ok(Reply::Cache(CacheReply::Mismatch(found)));
                }
                (key, Some(value))
            }
            CacheAction::Delete { key } => (key, None),
            other => unreachable!("the cache's own tests draw {other:?}"),
        };
        let before = self.value(key);
        let existed = before.is_some();
        let Some(new) = new else {
            self.values.retain(|(k, _)| k != key);
            if let Some(Versioned { version, .. }) = before {
                self.happened(CacheEvent::Deleted { key: key.clone(), version });
            }
            return Ok(Reply::Cache(CacheReply::Deleted { existed, version: self.index }));
        };
        if !existed && self.values.len() == self.limits.cache.keys {
            return Err(CacheError::Full.into());
        }
        self.values.retain(|(k, _)| k != key);
        self.values.push((key.clone(), Versioned { value: new.clone(), version: self.index }));
        self.happened(CacheEvent::Written { key: key.clone(), version: self.index });
        Ok(Reply::Cache(CacheReply::Written { version: self.index }))
    }

    fn happened(&mut self, event: CacheEvent) {
        self.locks.events.push(MachineEvent::Cache(event));
    }

    pub(super) fn value(&self, key: &str) -> Option<Versioned> {
        self.values.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone())
    }

    pub(super) fn reply(&self, session: SessionId, sequence: Sequence) -> Option<Outcome> {
        self.replies.iter().find(|(s, n, _)| (*s, *n) == (session, sequence)).map(|(.., reply)| reply.clone())
    }

    pub(super) fn next_deadline(&self) -> Option<ClusterTime> {
        let leases = self.sessions.iter().map(|session| ClusterTime(session.ends));
        leases.chain(self.locks.next_deadline()).min()
    }
}
