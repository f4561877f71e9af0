//! Looking at locks from outside: watching them, checking tokens, and an operator's last resort.

use std::collections::BTreeMap;

use super::{Service, Worker};
use crate::history::{Answer, Call, Outcome};

/// The latest version of each lock that a client has been told of.
#[derive(Debug, Default)]
pub(super) struct Watched {
    seen: BTreeMap<String, u64>,
}

impl<S: Service> Worker<S> {
    /// Whether this turn is for looking on.
    pub(super) fn looks_on(&mut self) -> bool {
        let share = self.spec.locks.watch;
        self.chance(share)
    }

    /// Watches a lock for a while, from the version on that it knows, and has the token checked that it is told
    /// of, or the one before.
    pub(super) async fn look_on(&mut self, watched: &mut Watched) {
        let resource = self.pick("lock");
        let seen = watched.seen.get(&resource).copied().unwrap_or(0);
        let wait_us = self.spec.wait_ms.draw_us(&mut self.rng);
        let watch = Call::WatchLock { resource: resource.clone(), seen, wait_us };
        let Outcome::Ok { answer: Answer::Holders { version, tokens } } = self.call(watch).await.1 else {
            return;
        };
        watched.seen.insert(resource.clone(), version.max(seen));
        if let Some(token) = tokens.last().copied() {
            self.call(Call::CheckToken { resource, token }).await;
        }
    }

    /// Has its own token checked while it holds the lock, now and then.
    pub(super) async fn check_now_and_then(&mut self, resource: &str, token: u64) {
        let share = self.spec.locks.check;
        if self.chance(share) {
            self.call(Call::CheckToken { resource: resource.to_owned(), token }).await;
        }
    }

    /// After a wait in vain, now and then, an operator ends the hold of whoever is in the way.
    pub(super) async fn force_now_and_then(&mut self, resource: String) {
        let share = self.spec.locks.force;
        if !self.chance(share) {
            return;
        }
        let asked = self.call(Call::LockState { resource: resource.clone() }).await.1;
        let Outcome::Ok { answer: Answer::Holders { tokens, .. } } = asked else { return };
        if let Some(token) = tokens.first().copied() {
            self.call(Call::ForceRelease { resource, token }).await;
        }
    }
}
