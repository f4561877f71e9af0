//! The client's session: opening it, keeping it alive, and knowing when to stop believing in it.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use super::rpc::Completed;
use super::{Client, ClientError, LockGuard, State};
use crate::api::RequestBody;
use crate::env::Env;
use crate::ids::{FenceToken, LocalTime, Sequence, SessionId};
use crate::machine::{Action, Command, OPEN_BELOW_MAX, OPEN_COMMANDS_MAX, Opener, Reply};
use crate::marks;
use crate::plant::{self, Bug};

/// Keep-alives are sent this many times per lease.
const KEEP_ALIVES_PER_LEASE: u64 = 3;

/// Open commands so many numbers behind a new one are named one by one, so that the cluster can let go of those
/// between. Nearer ones are not worth the bytes.
const NAMED_FROM_BEHIND: u64 = 64;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    last_sequence: Sequence,
    /// Commands that somebody still waits for. The cluster lets go of all below the lowest.
    open: BTreeSet<Sequence>,
    pub(super) believed_until: LocalTime,
    /// Commands whose callers are gone, to be settled.
    unclaimed: Vec<Numbers>,
    /// Locks granted and not given back. Tokens are unique for one resource only.
    held: BTreeSet<(String, FenceToken)>,
}

impl Session {
    fn new(id: SessionId, believed_until: LocalTime) -> Self {
        Self {
            id,
            last_sequence: Sequence(0),
            open: BTreeSet::new(),
            believed_until,
            unclaimed: Vec::new(),
            held: BTreeSet::new(),
        }
    }

    /// What a new command under this number says of those before it. None if they have been open for too long.
    fn numbers(&self, sequence: Sequence) -> Option<Numbers> {
        let near = Sequence(sequence.0.saturating_sub(NAMED_FROM_BEHIND));
        let open_below: Vec<Sequence> = self.open.range(..near).take(OPEN_BELOW_MAX).copied().collect();
        let after = open_below.last().copied().unwrap_or_default();
        let lowest_open = self.open.range((Excluded(after), Unbounded)).next().copied().unwrap_or(sequence);
        let fits = sequence.0 - lowest_open.0 < OPEN_COMMANDS_MAX as u64;
        fits.then_some(Numbers { session: self.id, sequence, lowest_open, open_below })
    }

    /// Whether one more command may be open.
    pub(super) fn has_room(&self) -> bool {
        self.numbers(Sequence(self.last_sequence.0 + 1)).is_some()
    }

    /// Whether this lock was granted to it and not given back.
    pub(super) fn holds(&self, guard: &LockGuard) -> bool {
        self.id == guard.session && self.held.contains(&(guard.resource.clone(), guard.token))
    }
}

impl<E: Env> Client<E> {
    /// Opens a session, in place of any before it, and keeps it alive in the background until it is lost
    /// or replaced.
    ///
    /// # Errors
    /// When no session was opened for sure; one that was opened all the same expires unused.
    pub async fn open_session(&self) -> Result<SessionId, ClientError> {
        self.replace_session(None);
        let command = self.opening(self.config.lease_us);
        let began = self.env.now();
        let completed = self.call_command(command, self.config.attempt_timeout_us, 0).await?;
        // The entry of an earlier attempt was made after the first was sent.
        let sent_at = if completed.is_entry { completed.sent_at } else { began };
        match completed.reply()? {
            Reply::SessionOpened { session: id } => {
                let believed_until = self.renewed_until(sent_at);
                self.replace_session(Some(Session::new(id, believed_until)));
                self.env.spawn("keep-alive", self.clone().keep_alive(id));
                Ok(id)
            }
            _ => Err(ClientError::Unknown("the cluster answered another question")),
        }
    }

    /// A command that opens one session, however many attempts it takes.
    pub(super) fn opening(&self, lease_us: u64) -> Command {
        let opener = Opener { client: self.config.id, nonce: self.inbox.nonce() };
        Command::OpenSessionOnce { lease_us, opener }
    }

    /// Gives the session up at once, with all that it holds, and tells the cluster so. If that does not get
    /// through, the session expires.
    pub async fn close_session(&self) {
        let session = self.replace_session(None);
        if let Some(Session { id, .. }) = session {
            let body = RequestBody::Command(Command::CloseSession { session: id });
            if self
                .call(body, self.config.attempt_timeout_us, self.config.operation_timeout_us)
                .await
                .is_err()
            {
                marks::hit("client.session_left_to_expire");
            }
        }
    }

    /// The session that the client believes in, or a new one, opened as by [`Client::open_session`]. Of those
    /// who ask at the same time one opens it.
    ///
    /// # Errors
    /// As of [`Client::open_session`].
    pub async fn ensure_session(&self) -> Result<SessionId, ClientError> {
        let _one_at_a_time = self.opening.lock().await;
        match self.live_session() {
            Some(id) => Ok(id),
            None => self.open_session().await,
        }
    }

    /// Returns once the client no longer believes in the session that it has now: it was lost, closed or
    /// replaced. At once if it has none.
    pub async fn session_lost(&self) {
        let Some(id) = self.live_session() else { return };
        let until = |state: &State| {
            state.session.as_ref().filter(|session| session.id == id).map(|session| session.believed_until)
        };
        self.belief_is_over(until).await;
    }

    /// Returns once the client may no longer act on this lock: it was given back, or the session that holds it
    /// was lost, closed or replaced.
    pub async fn lost(&self, guard: &LockGuard) {
        let until = |state: &State| {
            state
                .session
                .as_ref()
                .filter(|session| session.holds(guard))
                .map(|session| session.believed_until)
        };
        self.belief_is_over(until).await;
    }

    /// Returns once a belief is over that lasts, as things stand, until `until`.
    async fn belief_is_over(&self, until: impl Fn(&State) -> Option<LocalTime>) {
        let mut beliefs = self.beliefs.subscribe();
        loop {
            let Some(end) = until(&self.state()).filter(|end| self.env.now() < *end) else { return };
            tokio::select! {
                biased;
                // The sender lives in this client.
                _ = beliefs.changed() => {}
                () = self.env.sleep_until(end) => {}
            }
        }
    }

    fn live_session(&self) -> Option<SessionId> {
        let now = self.env.now();
        let state = self.state();
        state.session.as_ref().filter(|session| now < session.believed_until).map(|session| session.id)
    }

    /// Whether the client has a session that it may still believe in.
    #[must_use]
    pub fn has_session(&self) -> bool {
        self.believed_until().is_some()
    }

    /// Does `action` exactly once within the session.
    pub(super) async fn once(
        &self,
        action: Action,
        attempt_timeout_us: u64,
        extra_timeout_us: u64,
    ) -> Result<(SessionId, Reply), ClientError> {
        let open = self.open_command()?;
        self.once_as(&open.numbers, action, attempt_timeout_us, extra_timeout_us).await
    }

    /// The same for a command that asks for a lock. If the caller goes away meanwhile, what comes of it is given
    /// back.
    pub(super) async fn once_claimed(
        &self,
        action: Action,
        attempt_timeout_us: u64,
        extra_timeout_us: u64,
    ) -> Result<(SessionId, Reply), ClientError> {
        let mut open = self.open_command()?;
        open.is_for_a_lock = true;
        let done = self.once_as(&open.numbers, action, attempt_timeout_us, extra_timeout_us).await;
        open.is_for_a_lock = false;
        done
    }

    pub(super) async fn once_as(
        &self,
        numbers: &Numbers,
        action: Action,
        attempt_timeout_us: u64,
        extra_timeout_us: u64,
    ) -> Result<(SessionId, Reply), ClientError> {
        let session = numbers.session;
        let completed =
            self.call_command(numbers.command(action), attempt_timeout_us, extra_timeout_us).await?;
        let renewed_by = completed.is_entry.then_some(completed.sent_at);
        let reply = completed.reply()?;
        if let Some(sent_at) = renewed_by {
            self.renew(session, sent_at);
        }
        Ok((session, reply))
    }

    pub(super) async fn call_command(
        &self,
        command: Command,
        attempt_timeout_us: u64,
        extra_timeout_us: u64,
    ) -> Result<Completed, ClientError> {
        let timeout_us = self.config.operation_timeout_us.saturating_add(extra_timeout_us);
        self.call(RequestBody::Command(command), attempt_timeout_us, timeout_us).await
    }

    /// Numbers a new command. Others of the same session may be open; none is given up for it.
    pub(super) fn open_command(&self) -> Result<Open<'_, E>, ClientError> {
        let now = self.env.now();
        let mut state = self.state();
        let live = state.session.as_mut().filter(|session| now < session.believed_until);
        let session = live.ok_or(ClientError::NotDone("there is no live session"))?;
        let sequence = Sequence(session.last_sequence.0 + 1);
        let numbers = session.numbers(sequence);
        let numbers = numbers.ok_or(ClientError::NotDone("too many earlier commands are still open"))?;
        session.last_sequence = sequence;
        session.open.insert(sequence);
        Ok(Open { client: self, numbers, is_for_a_lock: false })
    }

    /// A lock was granted.
    pub(super) fn note_held(&self, guard: &LockGuard) {
        if let Some(session) = self.state().session.as_mut().filter(|session| session.id == guard.session) {
            session.held.insert((guard.resource.clone(), guard.token));
        }
    }

    /// A lock is about to be given back.
    pub(super) fn note_given_back(&self, guard: &LockGuard) {
        if let Some(session) = self.state().session.as_mut().filter(|session| session.id == guard.session) {
            session.held.remove(&(guard.resource.clone(), guard.token));
        }
        self.beliefs.send_replace(());
    }

    /// Puts a session in the place of another, and wakes who waits for the end of a belief.
    fn replace_session(&self, session: Option<Session>) -> Option<Session> {
        let before = std::mem::replace(&mut self.state().session, session);
        self.beliefs.send_replace(());
        before
    }

    async fn keep_alive(self, id: SessionId) {
        let interval_us = self.config.lease_us / KEEP_ALIVES_PER_LEASE;
        loop {
            self.env.sleep_until(self.env.now().plus_us(interval_us)).await;
            if !self.owns(id) {
                return;
            }
            for unclaimed in self.take_unclaimed(id) {
                self.env.spawn("unclaimed lock", self.clone().settle(unclaimed));
            }
            let body = RequestBody::Command(Command::KeepAlive { session: id });
            let completed = self.call(body, self.config.attempt_timeout_us, self.config.lease_us).await;
            if let Ok(Completed { outcome: Ok(_), sent_at, .. }) = completed {
                self.renew(id, sent_at);
            }
        }
    }

    /// The commands whose callers have gone away since the last time.
    fn take_unclaimed(&self, id: SessionId) -> Vec<Numbers> {
        let mut state = self.state();
        let session = state.session.as_mut().filter(|session| session.id == id);
        session.map(|session| std::mem::take(&mut session.unclaimed)).unwrap_or_default()
    }

    /// Nobody waits for this command any more.
    pub(super) fn close_command(&self, &Numbers { session: id, sequence, .. }: &Numbers) {
        if let Some(session) = self.state().session.as_mut().filter(|session| session.id == id) {
            session.open.remove(&sequence);
        }
    }

    pub(super) fn owns(&self, id: SessionId) -> bool {
        let now = self.env.now();
        self.state().session.as_ref().is_some_and(|session| session.id == id && now < session.believed_until)
    }

    /// The cluster has renewed the lease by a request sent at `sent_at`. Too late is too late: a session
    /// once lost stays lost, for others may have acted on its loss.
    fn renew(&self, id: SessionId, sent_at: LocalTime) {
        let now = self.env.now();
        let until = self.renewed_until(sent_at);
        if let Some(session) = &mut self.state().session
            && session.id == id
        {
            if now < session.believed_until {
                session.believed_until = session.believed_until.max(until);
            } else {
                marks::hit("client.renewal_came_too_late");
            }
        }
    }

    fn renewed_until(&self, sent_at: LocalTime) -> LocalTime {
        if plant::is(Bug::ClientBelievesPastLease) {
            return self.env.now().plus_us(self.config.lease_us);
        }
        sent_at.plus_us(self.config.belief_us())
    }
}

/// What a command says of itself: see [`Command::Once`]. Whoever repeats it with the same numbers, over whatever node,
/// is told its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The session.
    pub session: SessionId,
    /// The command's number in it.
    pub sequence: Sequence,
    lowest_open: Sequence,
    open_below: Vec<Sequence>,
}

impl Numbers {
    /// The numbers of a command of somebody who waits for the replies from `lowest_open` on and for none before.
    #[must_use]
    pub fn new(session: SessionId, sequence: Sequence, lowest_open: Sequence) -> Self {
        Self { session, sequence, lowest_open, open_below: Vec::new() }
    }

    /// The command that does `action` under these.
    pub(super) fn command(&self, action: Action) -> Command {
        let Self { session, sequence, lowest_open, open_below } = self.clone();
        Command::Once { session, sequence, lowest_open, open_below, action }
    }
}

/// A command that somebody waits for, until it is dropped: with the answer, or because nobody waits any more.
pub(super) struct Open<'a, E: Env> {
    client: &'a Client<E>,
    pub(super) numbers: Numbers,
    /// Nobody has taken its answer yet, which may be a lock.
    is_for_a_lock: bool,
}

impl<E: Env> Drop for Open<'_, E> {
    fn drop(&mut self) {
        let mut state = self.client.state();
        let Some(session) = state.session.as_mut().filter(|s| s.id == self.numbers.session) else { return };
        if self.is_for_a_lock {
            session.unclaimed.push(self.numbers.clone());
        } else {
            session.open.remove(&self.numbers.sequence);
        }
    }
}
