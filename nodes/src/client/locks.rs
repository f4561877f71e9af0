//! Operations on locks and semaphores.

use super::{Client, ClientError};
use crate::env::Env;
use crate::ids::{FenceToken, SessionId};
use crate::machine::{
    Action, LockAction, LockError, LockGrant, LockMode, LockQuery, LockReply, LockRequest, LockState, Query,
    Reply, SessionLocks, TokenStatus,
};

/// An attempt that stands in line asks again this often, lest it miss its turn when the leader changes.
pub(super) const ASK_AGAIN_US: u64 = 1_000_000;

const MISANSWERED: ClientError = ClientError::Unknown("the cluster answered another question");
const MISREAD: ClientError = ClientError::NotDone("the cluster answered another question");

/// A lock that was granted. It says nothing of *now*: ask [`Client::believes`], and give the token along
/// with every action on the protected resource, so that it can refuse a stale holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockGuard {
    /// The resource.
    pub resource: String,
    /// The mode.
    pub mode: LockMode,
    /// The fencing token of the grant.
    pub token: FenceToken,
    /// The session that holds it.
    pub session: SessionId,
}

impl LockGuard {
    fn grant(&self) -> LockGrant {
        LockGrant { resource: self.resource.clone(), token: self.token }
    }
}

impl<E: Env> Client<E> {
    /// Gets a lock, or permits of a semaphore, standing in line for at most `wait_us` if need be. If the future
    /// is dropped, the session is made to leave the line at once, or to give back what it was granted.
    ///
    /// # Errors
    /// See [`ClientError`]. After an unknown outcome the session may hold the lock or stand in line for a while; as
    /// soon as the cluster can be reached again it is made to stop, as if the future had been dropped.
    pub async fn acquire(
        &self,
        resource: &str,
        mode: LockMode,
        wait_us: u64,
    ) -> Result<LockGuard, ClientError> {
        let request = LockRequest { resource: resource.to_owned(), mode };
        self.acquire_all(vec![request], wait_us).await?.pop().ok_or(MISANSWERED)
    }

    /// As [`Client::acquire`], but without waiting.
    ///
    /// # Errors
    /// As there.
    pub async fn try_acquire(&self, resource: &str, mode: LockMode) -> Result<LockGuard, ClientError> {
        self.acquire(resource, mode, 0).await
    }

    /// Gets all of these at once or none, standing in all their lines for at most `wait_us` if need be. The
    /// guards come in the order of the requests.
    ///
    /// # Errors
    /// As of [`Client::acquire`].
    pub async fn acquire_all(
        &self,
        requests: Vec<LockRequest>,
        wait_us: u64,
    ) -> Result<Vec<LockGuard>, ClientError> {
        let modes: Vec<LockMode> = requests.iter().map(|request| request.mode).collect();
        let (session, grants) = self.granted(LockAction::Acquire { requests, wait_us }, wait_us).await?;
        if grants.len() != modes.len() {
            return Err(MISANSWERED);
        }
        let guard = |(LockGrant { resource, token }, mode)| LockGuard { resource, mode, token, session };
        Ok(grants.into_iter().zip(modes).map(guard).collect())
    }

    /// Gives a lock back. The client must have stopped acting on it before; whatever comes of it, the client
    /// no longer believes in it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn release(&self, guard: &LockGuard) -> Result<(), ClientError> {
        self.release_all(std::slice::from_ref(guard)).await
    }

    /// Gives all of these back at once or, if one of them is not held any more, none. Otherwise as
    /// [`Client::release`].
    ///
    /// # Errors
    /// See [`ClientError`]. After an unknown outcome, or if the future is dropped, it is asked for in the background
    /// until it is done.
    pub async fn release_all(&self, guards: &[LockGuard]) -> Result<(), ClientError> {
        guards.iter().for_each(|guard| self.note_given_back(guard));
        let action = LockAction::Release { grants: guards.iter().map(LockGuard::grant).collect() };
        match self.once_claimed(Action::Lock(action), self.config.attempt_timeout_us, 0).await? {
            (_, Reply::Done) => Ok(()),
            _ => Err(MISANSWERED),
        }
    }

    /// Makes a shared hold exclusive, before all who stand in line, waiting for the other sharers for at most
    /// `wait_us`. Until then, and if it is refused, `guard` is good; afterwards only the new one is.
    ///
    /// # Errors
    /// See [`ClientError`]. After an unknown outcome the client no longer believes in `guard`, whose token may
    /// be stale, nor after [`LockError::NotHeld`], which says that it is. What an upgrade of unknown outcome was
    /// granted is given back in the background; until it is known that it was not, `guard` may be held still, and can
    /// be released.
    pub async fn upgrade(&self, guard: &LockGuard, wait_us: u64) -> Result<LockGuard, ClientError> {
        let LockGrant { resource, token } = guard.grant();
        let granted = self.granted(LockAction::Upgrade { resource, token, wait_us }, wait_us).await;
        let not_held = ClientError::Refused(LockError::NotHeld.into());
        if !matches!(&granted, Err(error) if error.is_definite() && *error != not_held) {
            self.note_given_back(guard);
        }
        regranted(granted?, LockMode::Exclusive)
    }

    /// Makes an exclusive hold shared. The client must have stopped acting on `guard` before; whatever comes
    /// of it, the client no longer believes in it.
    ///
    /// # Errors
    /// See [`ClientError`]. After an unknown outcome as of [`Client::upgrade`].
    pub async fn downgrade(&self, guard: &LockGuard) -> Result<LockGuard, ClientError> {
        self.note_given_back(guard);
        let LockGrant { resource, token } = guard.grant();
        let granted = self.granted(LockAction::Downgrade { resource, token }, 0).await?;
        regranted(granted, LockMode::Shared)
    }

    /// Makes a resource a semaphore of so many permits, or changes their number.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn declare_semaphore(&self, resource: &str, permits: u32) -> Result<(), ClientError> {
        self.done(LockAction::DeclareSemaphore { resource: resource.to_owned(), permits }).await
    }

    /// Forgets a semaphore that nobody holds or awaits.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_semaphore(&self, resource: &str) -> Result<(), ClientError> {
        self.done(LockAction::RemoveSemaphore { resource: resource.to_owned() }).await
    }

    /// Ends somebody's hold for them: an operator's last resort. It is recorded with the reason.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn force_release(
        &self,
        resource: &str,
        token: FenceToken,
        reason: &str,
    ) -> Result<(), ClientError> {
        let (resource, reason) = (resource.to_owned(), reason.to_owned());
        self.done(LockAction::ForceRelease { resource, token, reason }).await
    }

    /// Whether the client may act on this lock at this moment, as far as clocks can tell.
    #[must_use]
    pub fn believes(&self, guard: &LockGuard) -> bool {
        self.belief_ends(guard).is_some_and(|until| self.env.now() < until)
    }

    /// Who holds and who awaits a lock, linearizably.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn lock_state(&self, resource: &str) -> Result<LockState, ClientError> {
        match self.ask_locks(LockQuery::State { resource: resource.to_owned() }).await? {
            LockReply::State(state) => Ok(*state),
            _ => Err(MISREAD),
        }
    }

    /// What a session holds and awaits, linearizably.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn locks_of(&self, session: SessionId) -> Result<SessionLocks, ClientError> {
        match self.ask_locks(LockQuery::OfSession { session }).await? {
            LockReply::OfSession(locks) => Ok(*locks),
            _ => Err(MISREAD),
        }
    }

    /// Whether a token is the one to obey, linearizably: what a protected resource may ask.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn check_token(&self, resource: &str, token: FenceToken) -> Result<TokenStatus, ClientError> {
        match self.ask_locks(LockQuery::Check { resource: resource.to_owned(), token }).await? {
            LockReply::Checked(status) => Ok(status),
            _ => Err(MISREAD),
        }
    }

    async fn ask_locks(&self, query: LockQuery) -> Result<LockReply, ClientError> {
        match self.query(Query::Lock(query)).await? {
            Reply::Lock(reply) => Ok(reply),
            _ => Err(MISREAD),
        }
    }

    /// An action that is granted something, perhaps after a wait.
    async fn granted(
        &self,
        action: LockAction,
        wait_us: u64,
    ) -> Result<(SessionId, Vec<LockGrant>), ClientError> {
        let attempt_timeout_us = if wait_us == 0 { self.config.attempt_timeout_us } else { ASK_AGAIN_US };
        match self.once_claimed(Action::Lock(action), attempt_timeout_us, wait_us).await? {
            (session, Reply::Lock(LockReply::Granted { grants })) => Ok((session, grants)),
            _ => Err(MISANSWERED),
        }
    }

    async fn done(&self, action: LockAction) -> Result<(), ClientError> {
        match self.once(Action::Lock(action), self.config.attempt_timeout_us, 0).await? {
            (_, Reply::Done) => Ok(()),
            _ => Err(MISANSWERED),
        }
    }
}

/// The one lock that was granted.
fn regranted(
    (session, mut grants): (SessionId, Vec<LockGrant>),
    mode: LockMode,
) -> Result<LockGuard, ClientError> {
    let LockGrant { resource, token } = grants.pop().ok_or(MISANSWERED)?;
    Ok(LockGuard { resource, mode, token, session })
}
