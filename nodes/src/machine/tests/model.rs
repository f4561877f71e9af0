//! The naive model: what the machine means, in flat lists that are searched from end to end. It shares the
//! vocabulary with the machine and nothing else.

use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::limits::Limits;
use crate::machine::{
    Action, Command, LockAction, LockHolder, LockMode, LockState, LockWaiter, MachineError, Outcome,
    RegisterAction, Reply, Versioned,
};

struct Session {
    id: SessionId,
    lease_us: u64,
    ends: u64,
    lowest_open: Sequence,
}

/// The model's state.
pub(super) struct Model {
    limits: Limits,
    index: LogIndex,
    time: ClusterTime,
    sessions: Vec<Session>,
    replies: Vec<(SessionId, Sequence, Outcome)>,
    holds: Vec<(String, LockHolder)>,
    waits: Vec<(String, LockWaiter)>,
    values: Vec<(String, Versioned)>,
    /// Resources granted by the current entry.
    granted: Vec<String>,
}

impl Model {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: LogIndex(0),
            time: ClusterTime(0),
            sessions: Vec::new(),
            replies: Vec::new(),
            holds: Vec::new(),
            waits: Vec::new(),
            values: Vec::new(),
            granted: Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, index: LogIndex, time: ClusterTime, command: &Command) -> Outcome {
        self.index = index;
        self.time = time;
        self.granted.clear();
        let late: Vec<(SessionId, Sequence)> = self
            .waits
            .iter()
            .filter(|(_, wait)| wait.deadline <= time)
            .map(|(_, wait)| (wait.session, wait.sequence))
            .collect();
        for (session, sequence) in late {
            self.give_up(session, sequence);
        }
        self.sessions.retain(|session| session.ends > time.0);
        self.settle();
        let outcome = self.command(command);
        self.settle();
        outcome
    }

    /// Drops all that belongs to no session, then grants while anything can be granted.
    fn settle(&mut self) {
        let alive: Vec<SessionId> = self.sessions.iter().map(|session| session.id).collect();
        self.holds.retain(|(_, hold)| alive.contains(&hold.session));
        self.waits.retain(|(_, wait)| alive.contains(&wait.session));
        self.replies.retain(|(session, ..)| alive.contains(session));
        let mut place = 0;
        while place < self.waits.len() {
            let (resource, wait) = self.waits[place].clone();
            let is_first = self.waits[..place].iter().all(|(other, _)| *other != resource);
            if is_first && self.is_compatible(&resource, wait.mode) {
                self.waits.remove(place);
                let reply = self.grant(&resource, wait.session, wait.mode);
                self.answer(wait.session, wait.sequence, Ok(reply));
                place = 0;
            } else {
                place += 1;
            }
        }
    }

    fn is_compatible(&self, resource: &str, mode: LockMode) -> bool {
        self.holds
            .iter()
            .filter(|(held, _)| held == resource)
            .all(|(_, hold)| hold.mode == LockMode::Shared && mode == LockMode::Shared)
    }

    fn grant(&mut self, resource: &str, session: SessionId, mode: LockMode) -> Reply {
        let ordinal = self.granted.iter().filter(|granted| *granted == resource).count() as u64;
        let token = FenceToken(self.index.0 * 8192 + ordinal);
        self.granted.push(resource.to_owned());
        self.holds.push((resource.to_owned(), LockHolder { session, mode, token }));
        Reply::LockGranted { token }
    }

    fn give_up(&mut self, session: SessionId, sequence: Sequence) {
        self.waits.retain(|(_, wait)| (wait.session, wait.sequence) != (session, sequence));
        self.answer(session, sequence, Err(MachineError::LockTimeout));
    }

    fn answer(&mut self, session: SessionId, sequence: Sequence, outcome: Outcome) {
        self.replies.retain(|(s, n, _)| (*s, *n) != (session, sequence));
        self.replies.push((session, sequence, outcome));
    }

    fn command(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Tick => Ok(Reply::Done),
            Command::OpenSession { lease_us } => {
                if *lease_us < 100_000 || *lease_us > 3_600_000_000 {
                    return Err(MachineError::InvalidArgument(String::new()));
                }
                if self.sessions.len() == self.limits.sessions {
                    return Err(MachineError::TooManySessions);
                }
                let session = Session {
                    id: SessionId(self.index.0),
                    lease_us: *lease_us,
                    ends: self.time.0 + lease_us,
                    lowest_open: Sequence(1),
                };
                self.sessions.push(session);
                Ok(Reply::SessionOpened { session: SessionId(self.index.0) })
            }
            Command::KeepAlive { session } => self.keep(*session).map(|_| Reply::Done),
            Command::CloseSession { session } => {
                self.sessions.retain(|open| open.id != *session);
                Ok(Reply::Done)
            }
            Command::Once { session, sequence, lowest_open, action } => {
                self.once(*session, *sequence, *lowest_open, action)
            }
        }
    }

    fn keep(&mut self, session: SessionId) -> Result<&mut Session, MachineError> {
        let session = self.sessions.iter_mut().find(|open| open.id == session);
        let session = session.ok_or(MachineError::SessionExpired)?;
        session.ends = self.time.0 + session.lease_us;
        Ok(session)
    }

    fn once(&mut self, id: SessionId, sequence: Sequence, lowest_open: Sequence, action: &Action) -> Outcome {
        let session = self.keep(id)?;
        if sequence.0 < 1 || lowest_open > sequence {
            return Err(MachineError::InvalidArgument(String::new()));
        }
        if sequence.0 > lowest_open.0 + 1023 {
            return Err(MachineError::TooManyOpenCommands);
        }
        session.lowest_open = session.lowest_open.max(lowest_open);
        let lowest_open = session.lowest_open;
        let is_dropped = |session: SessionId, number: Sequence| session == id && number < lowest_open;
        self.waits.retain(|(_, wait)| !is_dropped(wait.session, wait.sequence));
        self.replies.retain(|(session, number, _)| !is_dropped(*session, *number));
        self.settle();
        if sequence < lowest_open {
            return Err(MachineError::SequenceTooOld);
        }
        if let Some(reply) = self.reply(id, sequence) {
            return reply;
        }
        let outcome = match action {
            Action::Lock(LockAction::Acquire { resource, mode, wait_us }) => {
                self.acquire(id, sequence, resource, *mode, *wait_us)
            }
            Action::Lock(LockAction::Release { resource, token }) => {
                let before = self.holds.len();
                self.holds.retain(|(r, hold)| (r, hold.session, hold.token) != (resource, id, *token));
                if self.holds.len() < before { Ok(Reply::Done) } else { Err(MachineError::LockNotHeld) }
            }
            Action::Register(action) => self.register(action),
        };
        self.answer(id, sequence, outcome.clone());
        outcome
    }

    fn acquire(
        &mut self,
        session: SessionId,
        sequence: Sequence,
        resource: &str,
        mode: LockMode,
        wait_us: u64,
    ) -> Outcome {
        let state = self.lock(resource);
        if state.holders.iter().any(|h| h.session == session)
            || state.waiters.iter().any(|w| w.session == session)
        {
            return Err(MachineError::LockReentrant);
        }
        if state.waiters.is_empty() && self.is_compatible(resource, mode) {
            let mut held: Vec<&String> = self.holds.iter().map(|(resource, _)| resource).collect();
            held.sort();
            held.dedup();
            if state.holders.is_empty() && held.len() == self.limits.locks {
                return Err(MachineError::TooManyResources);
            }
            return Ok(self.grant(resource, session, mode));
        }
        if wait_us == 0 {
            return Err(MachineError::LockTimeout);
        }
        if state.waiters.len() == self.limits.waiters {
            return Err(MachineError::TooManyWaiters);
        }
        let deadline = ClusterTime(self.time.0 + wait_us);
        self.waits.push((resource.to_owned(), LockWaiter { session, sequence, mode, deadline }));
        Ok(Reply::LockQueued { ahead: state.waiters.len() as u64 })
    }

    fn register(&mut self, action: &RegisterAction) -> Outcome {
        let (key, new) = match action {
            RegisterAction::Set { key, value } => (key, Some(value)),
            RegisterAction::CompareAndSet { key, expected, value } => {
                let found = self.value(key);
                if found.as_ref().map(|found| &found.value) != expected.as_ref() {
                    return Ok(Reply::Mismatch(found));
                }
                (key, Some(value))
            }
            RegisterAction::Delete { key } => (key, None),
        };
        let existed = self.value(key).is_some();
        let Some(new) = new else {
            self.values.retain(|(k, _)| k != key);
            return Ok(Reply::Deleted { existed, version: self.index });
        };
        if !existed && self.values.len() == self.limits.keys {
            return Err(MachineError::TooManyResources);
        }
        self.values.retain(|(k, _)| k != key);
        self.values.push((key.clone(), Versioned { value: new.clone(), version: self.index }));
        Ok(Reply::Written { version: self.index })
    }

    pub(super) fn value(&self, key: &str) -> Option<Versioned> {
        self.values.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone())
    }

    pub(super) fn lock(&self, resource: &str) -> LockState {
        LockState {
            holders: self.holds.iter().filter(|(r, _)| r == resource).map(|(_, hold)| *hold).collect(),
            waiters: self.waits.iter().filter(|(r, _)| r == resource).map(|(_, wait)| *wait).collect(),
        }
    }

    pub(super) fn reply(&self, session: SessionId, sequence: Sequence) -> Option<Outcome> {
        self.replies.iter().find(|(s, n, _)| (*s, *n) == (session, sequence)).map(|(.., reply)| reply.clone())
    }

    pub(super) fn next_deadline(&self) -> Option<ClusterTime> {
        let leases = self.sessions.iter().map(|session| ClusterTime(session.ends));
        leases.chain(self.waits.iter().map(|(_, wait)| wait.deadline)).min()
    }
}
