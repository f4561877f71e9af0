//! Operations on locks.

use super::{Client, ClientError};
use crate::env::Env;
use crate::ids::{FenceToken, SessionId};
use crate::machine::{Action, LockAction, LockMode, LockState, Query, Reply};

/// An attempt that stands in line asks again this often, lest it miss its turn when the leader changes.
const ASK_AGAIN_US: u64 = 1_000_000;

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

impl<E: Env> Client<E> {
    /// Gets a lock, standing in line for at most `wait_us` if need be.
    ///
    /// # Errors
    /// See [`ClientError`]. After an unknown outcome the session may hold the lock or stand in line; it
    /// stops to when it is closed or expires.
    pub async fn acquire(
        &self,
        resource: &str,
        mode: LockMode,
        wait_us: u64,
    ) -> Result<LockGuard, ClientError> {
        let resource = resource.to_owned();
        let action = Action::Lock(LockAction::Acquire { resource: resource.clone(), mode, wait_us });
        let attempt_timeout_us = if wait_us == 0 { self.config.attempt_timeout_us } else { ASK_AGAIN_US };
        match self.once(action, attempt_timeout_us, wait_us).await? {
            (session, Reply::LockGranted { token }) => {
                let guard = LockGuard { resource, mode, token, session };
                self.note_held(&guard);
                Ok(guard)
            }
            _ => Err(ClientError::Unknown("the cluster answered another question")),
        }
    }

    /// Gives a lock back. The client must have stopped acting on it before; whatever comes of it, the client
    /// no longer believes in it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn release(&self, guard: &LockGuard) -> Result<(), ClientError> {
        self.note_given_back(guard);
        let action = LockAction::Release { resource: guard.resource.clone(), token: guard.token };
        match self.once(Action::Lock(action), self.config.attempt_timeout_us, 0).await? {
            (_, Reply::Done) => Ok(()),
            _ => Err(ClientError::Unknown("the cluster answered another question")),
        }
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
        match self.query(Query::Lock { resource: resource.to_owned() }).await? {
            Reply::Lock(state) => Ok(state),
            _ => Err(ClientError::NotDone("the cluster answered another question")),
        }
    }
}
