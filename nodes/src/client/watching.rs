//! Watching a lock.
//!
//! A watch never misses a change: it returns once the node that it asks has applied one later than `seen`, and
//! versions only rise. What it promises beyond that is little, and cheap in turn:
//! * it tells how the lock is, not all that happened to it: of several changes one answer tells;
//! * it may wake in vain, when a resource that nobody held or awaited was forgotten, this one or another;
//! * it speaks of what the node asked has applied, which may lag behind the cluster, and even behind what
//!   this client has seen elsewhere. Whoever must know what is *now* reads [`Client::lock_state`].
//!
//! So a loop over it goes on from the latest version that it has seen, and returns to it with what it has:
//!
//! ```text
//! let mut seen = LogIndex(0);
//! loop {
//!     let state = client.watch_lock("printer", seen, 30_000_000).await?;
//!     if state.version > seen {
//!         seen = state.version;
//!         show(&state);
//!     }
//! }
//! ```

use super::locks::ASK_AGAIN_US;
use super::{Client, ClientError};
use crate::api::{RequestBody, ResponseBody};
use crate::env::Env;
use crate::ids::LogIndex;
use crate::machine::{LockReply, LockState, Reply};

const MISREAD: ClientError = ClientError::NotDone("the cluster answered another question");

impl<E: Env> Client<E> {
    /// Returns how a lock is once some node has applied a change of it later than `seen`, or after `wait_us`
    /// as that node then knows it. See above for what that promises.
    ///
    /// # Errors
    /// When no node answered for as long as an operation may take. Always definite: a read has no effect.
    pub async fn watch_lock(
        &self,
        resource: &str,
        seen: LogIndex,
        wait_us: u64,
    ) -> Result<LockState, ClientError> {
        let deadline = self.env.now().plus_us(wait_us);
        loop {
            // In parts, so that a node that has died is noticed.
            let part_us = deadline.since_us(self.env.now()).min(ASK_AGAIN_US);
            let body = RequestBody::Watch { resource: resource.to_owned(), seen, wait_us: part_us };
            let attempt_us = part_us.saturating_add(self.config.attempt_timeout_us);
            let timeout_us = part_us.saturating_add(self.config.operation_timeout_us);
            let answer = self.ask_anywhere(body, attempt_us, timeout_us).await;
            let state = match answer {
                Ok(ResponseBody::Outcome(Ok(Reply::Lock(LockReply::State(state))))) => *state,
                Ok(ResponseBody::Outcome(Err(error))) => return Err(ClientError::Refused(error)),
                Ok(_) => return Err(MISREAD),
                Err(_) => return Err(ClientError::NotDone("the watch was not answered in time")),
            };
            if state.version > seen || self.env.now() >= deadline {
                return Ok(state);
            }
        }
    }
}
