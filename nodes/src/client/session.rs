//! The client's session: opening it, keeping it alive, and knowing when to stop believing in it.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use super::holds::Holds;
use super::rpc::Completed;
use super::unclaimed::{Claim, Unclaimed};
use super::{Client, ClientError, LockGuard, State};
use crate::api::RequestBody;
use crate::env::Env;
use crate::ids::{LocalTime, LogIndex, Sequence, SessionId};
use crate::machine::{
    Action, Command, LockGrant, LockQuery, LockReply, MachineError, OPEN_BELOW_MAX, OPEN_COMMANDS_MAX,
    Opener, Query, Reply, SessionLocks,
};
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
    /// Those of them whose callers were told that nobody knows how they ended, and by which numbers to ask again.
    owed: BTreeSet<Sequence>,
    pub(super) believed_until: LocalTime,
    /// Commands whose callers are gone or do not know how they ended, to be settled.
    unclaimed: Vec<Unclaimed>,
    pub(super) holds: Holds,
}

impl Session {
    fn new(id: SessionId, believed_until: LocalTime) -> Self {
        Self {
            id,
            last_sequence: Sequence(0),
            open: BTreeSet::new(),
            owed: BTreeSet::new(),
            believed_until,
            unclaimed: Vec::new(),
            holds: Holds::new(LogIndex(id.0), believed_until),
        }
    }

    /// What a new command under this number says of those before it. None if they have been open for too long.
    fn numbers(&self, sequence: Sequence) -> Option<Numbers> {
        let near = Sequence(sequence.0.saturating_sub(NAMED_FROM_BEHIND));
        let fits = |open: Sequence| sequence.0 - open.0 < OPEN_COMMANDS_MAX as u64;
        let counts = |open: &&Sequence| fits(**open) || !self.owed.contains(open);
        let below = self.open.range(..near).filter(counts).take(OPEN_BELOW_MAX);
        let open_below: Vec<Sequence> = below.copied().collect();
        let after = open_below.last().copied().unwrap_or_default();
        let mut beyond = self.open.range((Excluded(after), Unbounded)).filter(counts);
        let lowest_open = beyond.next().copied().unwrap_or(sequence);
        fits(lowest_open).then_some(Numbers { session: self.id, sequence, lowest_open, open_below })
    }

    /// Whoever was told by which numbers to ask again has had time for it until this one came.
    fn let_go_of_owed(&mut self, sequence: Sequence) {
        while let Some(&owed) = self.owed.first()
            && sequence.0 - owed.0 >= OPEN_COMMANDS_MAX as u64
        {
            self.owed.remove(&owed);
            self.open.remove(&owed);
        }
    }

    /// Whether one more command may be open.
    pub(super) fn has_room(&self) -> bool {
        self.numbers(Sequence(self.last_sequence.0 + 1)).is_some()
    }

    /// When the belief in this lock ends or ended, if it was granted to it and not given back.
    pub(super) fn belief_ends(&self, guard: &LockGuard) -> Option<LocalTime> {
        let ends = self.holds.belief_ends(guard).filter(|_| self.id == guard.session)?;
        Some(ends.min(self.believed_until))
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

    /// Returns once the client may no longer act on this lock: it was given back, it was taken from the session by
    /// force, or the session was lost, closed or replaced.
    pub async fn lost(&self, guard: &LockGuard) {
        let until = |state: &State| state.session.as_ref().and_then(|session| session.belief_ends(guard));
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

    /// The same for a command that asks for a lock or for messages, or gives a lock back. If the caller goes away
    /// meanwhile, or is told that nobody knows how it ended, it is seen to that nothing is left of it.
    pub(super) async fn once_claimed(
        &self,
        action: Action,
        attempt_timeout_us: u64,
        extra_timeout_us: u64,
    ) -> Result<(SessionId, Reply), ClientError> {
        let mut open = self.open_command()?;
        open.claim = Some(Claim::of(&action));
        let done = self.once_as(&open.numbers, action, attempt_timeout_us, extra_timeout_us).await;
        if let Ok((session, Reply::Lock(LockReply::Granted { grants }))) = &done {
            self.note_granted(*session, grants).await;
        }
        if !matches!(done, Err(ClientError::Unknown(_))) {
            open.claim = None;
        }
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
        if completed.outcome == Err(MachineError::SessionExpired) {
            self.lose(session);
        }
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
        session.let_go_of_owed(sequence);
        session.open.insert(sequence);
        Ok(Open { client: self, numbers, claim: None, is_owed: false })
    }

    /// The next command says that nobody waits for any before it, but for those by whose numbers somebody may ask.
    pub(super) fn let_go_of_open_commands(&self) {
        if let Some(session) = &mut self.state().session {
            session.open.clone_from(&session.owed);
        }
    }

    /// A lock is about to be given back.
    pub(super) fn note_given_back(&self, guard: &LockGuard) {
        if let Some(session) = self.state().session.as_mut().filter(|session| session.id == guard.session) {
            session.holds.give_back(guard);
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
        let mut next_at = self.env.now().plus_us(interval_us);
        loop {
            let is_due = tokio::select! {
                biased;
                () = self.env.sleep_until(next_at) => true,
                () = self.unclaimed.notified() => false,
            };
            if !self.owns(id) {
                return;
            }
            for unclaimed in self.take_unclaimed(id) {
                self.env.spawn("unclaimed command", self.clone().settle(unclaimed));
            }
            if !is_due {
                continue;
            }
            let mut pause_us = interval_us;
            let body = RequestBody::Command(Command::KeepAlive { session: id });
            let completed = self.call(body, self.config.attempt_timeout_us, self.config.lease_us).await;
            match completed {
                // It has joined another, which may have been sent before any of its own attempts, and stamped then. The
                // one that is sent now is stamped later, or joins such a one in turn.
                Ok(Completed { outcome: Ok(_), is_entry: false, .. })
                    if !plant::is(Bug::JoinedKeepAliveRenews) =>
                {
                    marks::hit("client.keep_alive_joined");
                    pause_us = 0;
                }
                Ok(Completed { outcome: Ok(reply), sent_at, .. }) => {
                    self.renew(id, sent_at);
                    let taken_at = match reply {
                        Reply::Renewed { taken_at } if !plant::is(Bug::GuardIgnoresForce) => taken_at,
                        _ => LogIndex(0),
                    };
                    self.renew_holds(id, taken_at, sent_at).await;
                }
                // Whoever ended it, it is no more.
                Ok(Completed { outcome: Err(MachineError::SessionExpired), .. }) => return self.lose(id),
                _ => {}
            }
            next_at = self.env.now().plus_us(pause_us);
        }
    }

    /// The lease was renewed by a request sent at `sent_at`, and the last hold that may have been taken from the session
    /// before was taken by the entry at `taken_at`: goes on believing in what is left.
    async fn renew_holds(&self, id: SessionId, taken_at: LogIndex, sent_at: LocalTime) {
        let until = self.renewed_until(sent_at);
        let must_look = self.with_holds(id, |holds, now| {
            let must_look = holds.may_lack(taken_at);
            if !must_look {
                holds.renew(taken_at, now, until);
            }
            must_look
        });
        if must_look == Some(true) {
            let Some(left) = self.what_is_left(id).await else { return };
            self.with_holds(id, |holds, now| {
                holds.keep_only(&left, taken_at, now);
                holds.renew(taken_at, now, until);
            });
        }
        self.beliefs.send_replace(());
    }

    /// These locks were granted. The answer may come late: what it grants may have been taken by force before, and with
    /// all that keep-alives have told meanwhile, no later one would say so. Then the cluster is asked what is left, and if
    /// nobody knows, the client does not believe in the grant.
    pub(super) async fn note_granted(&self, id: SessionId, grants: &[LockGrant]) {
        let mut looked_up_to = LogIndex(0);
        loop {
            let unsure = self.with_holds(id, |holds, _| {
                let doubted = holds.doubted(grants).filter(|up_to| *up_to > looked_up_to);
                if doubted.is_none() || plant::is(Bug::LateGrantIsBelieved) {
                    holds.grant(grants);
                    return None;
                }
                doubted
            });
            let Some(up_to) = unsure.flatten() else { return };
            marks::hit("client.grant_looked_for");
            let left = self.what_is_left(id).await.unwrap_or_default();
            self.with_holds(id, |holds, now| holds.refuse_beyond(grants, &left, up_to, now));
            looked_up_to = up_to;
        }
    }

    /// What the cluster says that the session holds; `None` if it does not say within a keep-alive's time.
    async fn what_is_left(&self, id: SessionId) -> Option<Box<SessionLocks>> {
        let query = RequestBody::Query(Query::Lock(LockQuery::OfSession { session: id }));
        let timeout_us = self.config.lease_us / KEEP_ALIVES_PER_LEASE;
        match self.call(query, self.config.attempt_timeout_us, timeout_us).await {
            Ok(Completed { outcome: Ok(Reply::Lock(LockReply::OfSession(locks))), .. }) => Some(locks),
            _ => {
                marks::hit("client.what_is_left_is_not_known");
                None
            }
        }
    }

    /// Does something with what is believed of the session's locks, at once; `None` if it is not the client's any more.
    fn with_holds<T>(&self, id: SessionId, act: impl FnOnce(&mut Holds, LocalTime) -> T) -> Option<T> {
        let now = self.env.now();
        let mut state = self.state();
        let session = state.session.as_mut().filter(|session| session.id == id)?;
        Some(act(&mut session.holds, now))
    }

    /// The cluster has said that this session is no more.
    fn lose(&self, id: SessionId) {
        let now = self.env.now();
        if let Some(session) = self.state().session.as_mut().filter(|session| session.id == id)
            && now < session.believed_until
        {
            marks::hit("client.session_ended_by_others");
            session.believed_until = now;
        }
        self.beliefs.send_replace(());
    }

    /// The commands whose callers have gone away since the last time, or were told that nobody knows.
    fn take_unclaimed(&self, id: SessionId) -> Vec<Unclaimed> {
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
    pub(super) client: &'a Client<E>,
    pub(super) numbers: Numbers,
    /// What its answer may have brought, as long as nobody has taken it.
    pub(super) claim: Option<Claim>,
    /// Whether the caller was told to ask again by these numbers.
    pub(super) is_owed: bool,
}

impl<E: Env> Drop for Open<'_, E> {
    fn drop(&mut self) {
        let mut state = self.client.state();
        let Some(session) = state.session.as_mut().filter(|s| s.id == self.numbers.session) else { return };
        let sequence = self.numbers.sequence;
        match self.claim.take() {
            Some(claim) => {
                session.unclaimed.push(Unclaimed { numbers: self.numbers.clone(), claim });
                self.client.unclaimed.notify_one();
            }
            None if self.is_owed => {
                session.owed.insert(sequence);
            }
            None => {
                session.open.remove(&sequence);
            }
        }
    }
}
