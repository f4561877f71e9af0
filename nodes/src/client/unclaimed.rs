//! Locks that nobody waits for any more: a caller that drops the future of an acquire must not leave its session
//! holding, or standing in line for, what no guard stands for.
//!
//! Dropping only takes note. The task that keeps the session alive looks at the notes, and settles each in a task
//! of its own: it cancels the wait, learns how the command ended, and gives back what was granted. Until then the
//! command stays open, so that the cluster remembers its outcome.

use super::rpc::Completed;
use super::session::Numbers;
use super::{Client, ClientError};
use crate::env::Env;
use crate::machine::{Action, LockAction, LockReply, Reply};
use crate::marks;

impl<E: Env> Client<E> {
    /// Sees to it that the session neither holds nor awaits anything by this command.
    pub(super) async fn settle(self, unclaimed: Numbers) {
        marks::hit("client.unclaimed_lock_settled");
        let Numbers { session, sequence, .. } = unclaimed;
        let cancel = Action::Lock(LockAction::Cancel { sequence });
        while self.owns(session) {
            // If it does not wait, it has ended, or has not come yet.
            let cancelled = self.once(cancel.clone(), self.config.attempt_timeout_us, 0).await;
            if matches!(cancelled, Err(ClientError::Unknown(_))) {
                continue;
            }
            // The same number again: the cluster answers with the outcome of the command, and if that has never
            // arrived, this one, which does nothing, stands in its place for ever.
            let asked =
                self.call_command(unclaimed.command(cancel.clone()), self.config.attempt_timeout_us, 0).await;
            match asked.and_then(Completed::reply) {
                Ok(Reply::Lock(LockReply::Granted { grants })) => {
                    let give_back = Action::Lock(LockAction::Release { grants });
                    let released = self.once(give_back, self.config.attempt_timeout_us, 0).await;
                    if matches!(released, Err(ClientError::Unknown(_))) {
                        continue;
                    }
                    break;
                }
                Err(ClientError::Unknown(_)) => {}
                _ => break,
            }
        }
        self.close_command(&unclaimed);
    }
}
