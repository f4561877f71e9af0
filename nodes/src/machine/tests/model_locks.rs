//! The naive model of the locks: flat lists that are searched from end to end, and the wait-for graph with
//! every edge written out. It shares the vocabulary with the machine and nothing else.

mod views;

use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::limits::Limits;
use crate::machine::{
    DeadlockStep, ForcedRelease, LockAction, LockError, LockEvent, LockGrant, LockHolder, LockMode,
    LockReply, LockRequest, MachineError, MachineEvent, Outcome, Reply,
};

struct Known {
    name: String,
    permits: Option<u32>,
    version: LogIndex,
    latest: FenceToken,
}

#[derive(Clone)]
struct Wait {
    session: SessionId,
    sequence: Sequence,
    ticket: LogIndex,
    deadline: ClusterTime,
    /// What it stands in line for; of an upgrade, the one resource.
    requests: Vec<(String, LockMode)>,
    /// The token of the shared hold, of an upgrade.
    upgrade: Option<FenceToken>,
}

impl Wait {
    fn mode_at(&self, name: &str) -> Option<LockMode> {
        self.requests.iter().find(|(resource, _)| resource == name).map(|(_, mode)| *mode)
    }
}

/// Who may wait for whom.
#[derive(Clone, PartialEq)]
enum Node {
    Session(SessionId),
    Admission(String, LogIndex),
}

/// The model's state.
pub(super) struct Locks {
    limits: Limits,
    pub(super) index: LogIndex,
    pub(super) time: ClusterTime,
    known: Vec<Known>,
    holds: Vec<(String, LockHolder)>,
    waits: Vec<Wait>,
    pub(super) forced: Vec<ForcedRelease>,
    forgotten_at: LogIndex,
    pub(super) events: Vec<MachineEvent>,
    /// Completions that no session has been told of.
    pub(super) completed: Vec<(SessionId, Sequence, Outcome)>,
}

type Refusable<T> = Result<T, MachineError>;

fn invalid<T>() -> Refusable<T> {
    Err(MachineError::InvalidArgument(String::new()))
}

/// Whether these can all be in at once.
fn go_together(permits: Option<u32>, modes: &[LockMode]) -> bool {
    match permits {
        None => modes.len() < 2 || modes.iter().all(|mode| *mode == LockMode::Shared),
        Some(permits) => {
            let asked = |mode: &LockMode| if let LockMode::Permits(asked) = mode { *asked } else { 0 };
            modes.iter().map(asked).sum::<u32>() <= permits
        }
    }
}

impl Locks {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: LogIndex(0),
            time: ClusterTime(0),
            known: Vec::new(),
            holds: Vec::new(),
            waits: Vec::new(),
            forced: Vec::new(),
            forgotten_at: LogIndex(0),
            events: Vec::new(),
            completed: Vec::new(),
        }
    }

    pub(super) fn end_session(&mut self, id: SessionId) {
        while let Some(wait) = self.waits.iter().find(|wait| wait.session == id).cloned() {
            self.end_wait(wait.session, wait.sequence, MachineError::SessionExpired);
        }
        while let Some((name, hold)) = self.holds.iter().find(|(_, hold)| hold.session == id).cloned() {
            self.end_hold(&name, hold);
        }
    }

    /// How much a session holds and awaits.
    pub(super) fn count_of(&self, id: SessionId) -> usize {
        let waits = self.waits.iter().filter(|wait| wait.session == id).count();
        waits + self.holds.iter().filter(|(_, hold)| hold.session == id).count()
    }

    pub(super) fn end_late_waits(&mut self, most: usize) {
        let mut late: Vec<Wait> = self.waits.iter().filter(|w| w.deadline <= self.time).cloned().collect();
        late.sort_by_key(|wait| (wait.deadline, wait.session, wait.sequence));
        for Wait { session, sequence, .. } in late.into_iter().take(most) {
            self.end_wait(session, sequence, LockError::Timeout.into());
        }
    }

    pub(super) fn let_go(&mut self, id: SessionId, is_let_go: impl Fn(Sequence) -> bool) {
        let is_let_go = |wait: &&Wait| wait.session == id && is_let_go(wait.sequence);
        while let Some(wait) = self.waits.iter().find(is_let_go).cloned() {
            self.end_wait(id, wait.sequence, LockError::Cancelled.into());
        }
    }

    pub(super) fn next_deadline(&self) -> Option<ClusterTime> {
        self.waits.iter().map(|wait| wait.deadline).min()
    }

    pub(super) fn act(&mut self, id: SessionId, sequence: Sequence, action: &LockAction) -> Outcome {
        match action {
            LockAction::Acquire { requests, wait_us } => self.acquire(id, sequence, requests, *wait_us),
            LockAction::Release { grants } => self.release(id, grants),
            LockAction::Upgrade { resource, token, wait_us } => {
                self.upgrade(id, sequence, resource, *token, *wait_us)
            }
            LockAction::Downgrade { resource, token } => {
                let hold = self.hold(id, resource, *token, LockMode::Exclusive)?;
                Ok(granted(vec![self.regrant(resource, hold, LockMode::Shared)]))
            }
            LockAction::Cancel { sequence } => {
                if !self.waits.iter().any(|wait| (wait.session, wait.sequence) == (id, *sequence)) {
                    return Err(LockError::NotWaiting.into());
                }
                self.end_wait(id, *sequence, LockError::Cancelled.into());
                Ok(Reply::Done)
            }
            LockAction::DeclareSemaphore { resource, permits } => self.declare(resource, *permits),
            LockAction::RemoveSemaphore { resource } => self.remove(resource),
            LockAction::ForceRelease { resource, token, reason } => {
                let held = self.holds.iter().find(|(r, hold)| r == resource && hold.token == *token).cloned();
                let (_, holder) = held.ok_or(LockError::NotHeld)?;
                self.end_hold(resource, holder);
                let record = ForcedRelease {
                    index: self.index,
                    time: self.time,
                    resource: resource.clone(),
                    holder,
                    by: id,
                    reason: reason.clone(),
                };
                self.events.push(MachineEvent::Lock(LockEvent::Forced(record.clone())));
                self.forced.push(record);
                if self.forced.len() > self.limits.lock.forced {
                    self.forced.remove(0);
                }
                Ok(Reply::Done)
            }
        }
    }

    /// Grants whatever can be granted, first come, first served, and forgets what is idle.
    pub(super) fn settle(&mut self) {
        while let Some(wait) = self.waits.iter().find(|wait| self.may_be_in(wait)).cloned() {
            self.waits.retain(|other| (other.session, other.sequence) != (wait.session, wait.sequence));
            let mut grants = Vec::new();
            for (name, mode) in &wait.requests {
                let hold = self.holds.iter().find(|(r, h)| r == name && Some(h.token) == wait.upgrade);
                grants.push(match hold.cloned() {
                    Some((_, hold)) => self.regrant(name, hold, *mode),
                    None => self.grant(name, wait.session, *mode),
                });
            }
            self.complete(wait.session, wait.sequence, Ok(granted(grants)));
        }
        let before = self.known.len();
        let holds = &self.holds;
        let waits = &self.waits;
        self.known.retain(|known| {
            known.permits.is_some()
                || holds.iter().any(|(name, _)| *name == known.name)
                || waits.iter().any(|wait| wait.mode_at(&known.name).is_some())
        });
        if self.known.len() < before {
            self.forgotten_at = self.index;
        }
    }

    fn may_be_in(&self, wait: &Wait) -> bool {
        match wait.upgrade {
            Some(_) => self.holds.iter().filter(|(name, _)| *name == wait.requests[0].0).count() == 1,
            None => wait.requests.iter().all(|(name, _)| self.is_admitted(name, wait.ticket)),
        }
    }

    fn upgrader(&self, name: &str) -> Option<&Wait> {
        self.waits.iter().find(|wait| wait.upgrade.is_some() && wait.requests[0].0 == name)
    }

    /// Waiters in line, first come first, that came before this ticket.
    fn line_before(&self, name: &str, ticket: LogIndex) -> Vec<(&Wait, LockMode)> {
        let in_line = self.waits.iter().filter(|wait| wait.upgrade.is_none() && wait.ticket < ticket);
        in_line.filter_map(|wait| Some((wait, wait.mode_at(name)?))).collect()
    }

    fn is_admitted(&self, name: &str, ticket: LogIndex) -> bool {
        let mut modes = self.held_modes(name);
        modes.extend(self.line_before(name, LogIndex(ticket.0 + 1)).iter().map(|(_, mode)| *mode));
        self.upgrader(name).is_none() && go_together(self.permits(name), &modes)
    }

    fn held_modes(&self, name: &str) -> Vec<LockMode> {
        self.holds.iter().filter(|(held, _)| held == name).map(|(_, hold)| hold.mode).collect()
    }

    fn permits(&self, name: &str) -> Option<u32> {
        self.known.iter().find(|known| known.name == name)?.permits
    }

    fn is_known(&self, name: &str) -> bool {
        self.known.iter().any(|known| known.name == name)
    }

    fn is_at(&self, id: SessionId, name: &str) -> bool {
        self.holds.iter().any(|(held, hold)| held == name && hold.session == id)
            || self.waits.iter().any(|wait| wait.session == id && wait.mode_at(name).is_some())
    }

    fn acquire(
        &mut self,
        id: SessionId,
        sequence: Sequence,
        requests: &[LockRequest],
        wait_us: u64,
    ) -> Outcome {
        let names: Vec<&String> = requests.iter().map(|request| &request.resource).collect();
        if names.is_empty() || names.len() > 16 || (1..names.len()).any(|i| names[..i].contains(&names[i])) {
            return invalid();
        }
        for LockRequest { resource, mode } in requests {
            match (mode, self.permits(resource)) {
                (LockMode::Permits(0), _) => return invalid(),
                (LockMode::Permits(_), None) => return Err(LockError::NotASemaphore.into()),
                (LockMode::Permits(asked), Some(permits)) if *asked > permits => {
                    return Err(LockError::TooFewPermits { permits }.into());
                }
                (LockMode::Exclusive | LockMode::Shared, Some(_)) => {
                    return Err(LockError::IsASemaphore.into());
                }
                _ if self.is_at(id, resource) => return Err(LockError::Reentrant.into()),
                _ => {}
            }
        }
        let in_line = self.waits.iter().filter(|wait| wait.upgrade.is_none());
        let places: usize = in_line.map(|wait| wait.requests.len()).sum();
        if self.holds.len() + places + requests.len() > self.limits.lock.claims {
            return Err(LockError::TooManyClaimsOfAll.into());
        }
        let new = names.iter().filter(|name| !self.is_known(name)).count();
        if new > 0 && self.known.len() + new > self.limits.lock.locks {
            return Err(LockError::TooManyLocks.into());
        }
        let wait = Wait {
            session: id,
            sequence,
            ticket: self.index,
            deadline: ClusterTime(self.time.0 + wait_us),
            requests: requests.iter().map(|request| (request.resource.clone(), request.mode)).collect(),
            upgrade: None,
        };
        self.waits.push(wait.clone());
        if self.may_be_in(&wait) {
            self.waits.pop();
            let mut grants = Vec::new();
            for LockRequest { resource, mode } in requests {
                self.know(resource, None);
                grants.push(self.grant(resource, id, *mode));
            }
            return Ok(granted(grants));
        }
        let ahead = names.iter().map(|name| self.line_before(name, self.index).len()).max().unwrap();
        let refusal = if wait_us == 0 {
            Some(LockError::Timeout)
        } else if ahead >= self.limits.lock.waiters {
            Some(LockError::TooManyWaiters)
        } else {
            self.deadlock(id)
        };
        if let Some(refusal) = refusal {
            self.waits.pop();
            return Err(refusal.into());
        }
        for name in names {
            self.know(name, None);
            self.change(name);
        }
        Ok(Reply::Waiting { ahead: ahead as u64 })
    }

    fn upgrade(
        &mut self,
        id: SessionId,
        sequence: Sequence,
        name: &str,
        token: FenceToken,
        wait_us: u64,
    ) -> Outcome {
        let hold = self.hold(id, name, token, LockMode::Shared)?;
        if self.upgrader(name).is_some_and(|wait| wait.session == id) {
            return Err(LockError::Reentrant.into());
        }
        if self.held_modes(name).len() == 1 {
            self.waits.push(Wait {
                session: id,
                sequence,
                ticket: self.index,
                deadline: self.time,
                requests: vec![(name.to_owned(), LockMode::Exclusive)],
                upgrade: Some(token),
            });
            let deadlock = self.deadlock(id);
            self.waits.pop();
            if let Some(deadlock) = deadlock {
                return Err(deadlock.into());
            }
            return Ok(granted(vec![self.regrant(name, hold, LockMode::Exclusive)]));
        }
        if wait_us == 0 {
            return Err(LockError::Timeout.into());
        }
        if self.upgrader(name).is_some() {
            return Err(LockError::Deadlock { cycle: Vec::new() }.into());
        }
        self.waits.push(Wait {
            session: id,
            sequence,
            ticket: self.index,
            deadline: ClusterTime(self.time.0 + wait_us),
            requests: vec![(name.to_owned(), LockMode::Exclusive)],
            upgrade: Some(token),
        });
        if let Some(deadlock) = self.deadlock(id) {
            self.waits.pop();
            return Err(deadlock.into());
        }
        self.change(name);
        Ok(Reply::Waiting { ahead: 0 })
    }

    /// Whether a session waits for itself.
    fn deadlock(&self, id: SessionId) -> Option<LockError> {
        let mut seen = Vec::new();
        let mut open = vec![Node::Session(id)];
        while let Some(node) = open.pop() {
            for next in self.edges(&node) {
                if next == Node::Session(id) {
                    return Some(LockError::Deadlock { cycle: Vec::new() });
                }
                if !seen.contains(&next) {
                    seen.push(next.clone());
                    open.push(next);
                }
            }
        }
        None
    }

    /// Everything that something waits for.
    fn edges(&self, node: &Node) -> Vec<Node> {
        let mut edges = Vec::new();
        match node {
            Node::Session(id) => {
                for wait in self.waits.iter().filter(|wait| wait.session == *id) {
                    for (name, _) in &wait.requests {
                        if wait.upgrade.is_some() {
                            let others =
                                self.holds.iter().filter(|(held, hold)| held == name && hold.session != *id);
                            edges.extend(others.map(|(_, hold)| Node::Session(hold.session)));
                        } else if !self.is_admitted(name, wait.ticket) {
                            edges.push(Node::Admission(name.clone(), wait.ticket));
                        }
                    }
                }
            }
            Node::Admission(name, ticket) => {
                let waiter = self.waits.iter().find(|wait| wait.ticket == *ticket).unwrap();
                let mode = waiter.mode_at(name).unwrap();
                let permits = self.permits(name);
                edges.extend(self.upgrader(name).map(|wait| Node::Session(wait.session)));
                for (earlier, their) in self.line_before(name, *ticket) {
                    if !go_together(permits, &[mode, their]) {
                        edges.push(Node::Session(earlier.session));
                    }
                    if !self.is_admitted(name, earlier.ticket) {
                        edges.push(Node::Admission(name.clone(), earlier.ticket));
                    }
                }
                for (_, hold) in self.holds.iter().filter(|(held, _)| held == name) {
                    if !go_together(permits, &[mode, hold.mode]) {
                        edges.push(Node::Session(hold.session));
                    }
                }
            }
        }
        edges
    }

    fn release(&mut self, id: SessionId, grants: &[LockGrant]) -> Outcome {
        let names: Vec<&String> = grants.iter().map(|grant| &grant.resource).collect();
        if names.is_empty() || names.len() > 16 || (1..names.len()).any(|i| names[..i].contains(&names[i])) {
            return invalid();
        }
        let mut held = Vec::new();
        for LockGrant { resource, token } in grants {
            let of = |(r, h): &&(String, LockHolder)| (r, h.session, h.token) == (resource, id, *token);
            held.push(self.holds.iter().find(of).cloned().ok_or(LockError::NotHeld)?);
        }
        for (name, hold) in held {
            self.end_hold(&name, hold);
        }
        Ok(Reply::Done)
    }

    fn declare(&mut self, name: &str, permits: u32) -> Outcome {
        if permits == 0 {
            return invalid();
        }
        let is_full = self.known.len() == self.limits.lock.locks;
        match self.known.iter_mut().find(|known| known.name == name) {
            Some(Known { permits: None, .. }) => return Err(LockError::NotASemaphore.into()),
            Some(known) if known.permits == Some(permits) => return Ok(Reply::Done),
            Some(known) => {
                known.permits = Some(permits);
                self.change(name);
                let asks_too_much = |wait: &&Wait| matches!(wait.mode_at(name), Some(LockMode::Permits(asked)) if asked > permits);
                while let Some(wait) = self.waits.iter().find(asks_too_much).cloned() {
                    let why = LockError::TooFewPermits { permits };
                    self.end_wait(wait.session, wait.sequence, why.into());
                }
            }
            None if is_full => return Err(LockError::TooManyLocks.into()),
            None => self.know(name, Some(permits)),
        }
        let event = LockEvent::Semaphore { resource: name.to_owned(), permits: Some(permits) };
        self.events.push(MachineEvent::Lock(event));
        Ok(Reply::Done)
    }

    fn remove(&mut self, name: &str) -> Outcome {
        if !self.is_known(name) {
            return Ok(Reply::Done);
        }
        if self.permits(name).is_none() {
            return Err(LockError::NotASemaphore.into());
        }
        if !self.held_modes(name).is_empty() || self.waits.iter().any(|wait| wait.mode_at(name).is_some()) {
            return Err(LockError::InUse.into());
        }
        self.known.retain(|known| known.name != name);
        self.forgotten_at = self.index;
        let event = LockEvent::Semaphore { resource: name.to_owned(), permits: None };
        self.events.push(MachineEvent::Lock(event));
        Ok(Reply::Done)
    }

    fn hold(&self, id: SessionId, name: &str, token: FenceToken, mode: LockMode) -> Refusable<LockHolder> {
        let held = self.holds.iter().find(|(r, h)| r == name && h.session == id && h.token == token);
        let (_, hold) = held.ok_or(LockError::NotHeld)?;
        if hold.mode == mode { Ok(*hold) } else { Err(LockError::WrongMode.into()) }
    }

    fn know(&mut self, name: &str, permits: Option<u32>) {
        if !self.is_known(name) {
            let (version, latest) = (self.index, FenceToken(0));
            self.known.push(Known { name: name.to_owned(), permits, version, latest });
        }
    }

    fn change(&mut self, name: &str) -> &mut Known {
        let index = self.index;
        let known = self.known.iter_mut().find(|known| known.name == name).unwrap();
        known.version = index;
        known
    }

    fn grant(&mut self, name: &str, session: SessionId, mode: LockMode) -> LockGrant {
        let first = self.index.0 * 8192;
        let known = self.change(name);
        let token = FenceToken(first.max(known.latest.0 + 1));
        known.latest = token;
        let holder = LockHolder { session, mode, token };
        self.holds.push((name.to_owned(), holder));
        self.events.push(MachineEvent::Lock(LockEvent::Granted { resource: name.to_owned(), holder }));
        LockGrant { resource: name.to_owned(), token }
    }

    fn regrant(&mut self, name: &str, hold: LockHolder, mode: LockMode) -> LockGrant {
        self.drop_hold(name, hold);
        self.grant(name, hold.session, mode)
    }

    fn drop_hold(&mut self, name: &str, holder: LockHolder) {
        self.holds.retain(|(held, hold)| (held.as_str(), hold) != (name, &holder));
        self.change(name);
        self.events.push(MachineEvent::Lock(LockEvent::Released { resource: name.to_owned(), holder }));
    }

    fn end_hold(&mut self, name: &str, hold: LockHolder) {
        if let Some(Wait { session, sequence, .. }) = self.upgrader(name).cloned()
            && session == hold.session
        {
            self.end_wait(session, sequence, LockError::NotHeld.into());
        }
        self.drop_hold(name, hold);
    }

    fn end_wait(&mut self, session: SessionId, sequence: Sequence, why: MachineError) {
        let ends = |wait: &Wait| (wait.session, wait.sequence) == (session, sequence);
        let place = self.waits.iter().position(ends).unwrap();
        for (name, _) in self.waits.remove(place).requests {
            self.change(&name);
        }
        self.complete(session, sequence, Err(why));
    }

    fn complete(&mut self, session: SessionId, sequence: Sequence, outcome: Outcome) {
        self.events.push(MachineEvent::Completed { session, sequence, outcome: outcome.clone() });
        self.completed.push((session, sequence, outcome));
    }

    /// Whether what the machine calls a cycle is one: each waits, or asks to wait, and none is named twice.
    pub(super) fn is_cycle(&self, asking: SessionId, cycle: &[DeadlockStep]) -> bool {
        let waits = |step: &DeadlockStep| {
            self.waits.iter().any(|w| w.session == step.session && w.mode_at(&step.resource).is_some())
        };
        cycle.len() > 1
            && cycle[0].session == asking
            && cycle[1..].iter().all(|step| step.session != asking && waits(step))
    }
}

fn granted(grants: Vec<LockGrant>) -> Reply {
    Reply::Lock(LockReply::Granted { grants })
}
