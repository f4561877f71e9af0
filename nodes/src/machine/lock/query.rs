//! Questions about locks.

use super::locks::Locks;
use super::resource::Resource;
use super::types::{LockMode, LockQuery, LockReply};
use super::views::{
    AwaitedLock, HeldLock, LockHolder, LockState, LockStats, LockWaiter, SessionLocks, TokenStatus,
};
use super::waits::Wanted;
use crate::ids::{ClusterTime, FenceToken, LogIndex, SessionId};
use crate::machine::limits::check_name;
use crate::machine::service::Asker;
use crate::machine::{Outcome, Reply};

impl Locks {
    /// Answers a question.
    pub(in crate::machine) fn query(&self, _time: ClusterTime, query: &LockQuery) -> Outcome {
        let reply = match query {
            LockQuery::State { resource } => {
                check_name("resource", resource)?;
                LockReply::State(Box::new(self.state(resource)))
            }
            LockQuery::OfSession { session } => LockReply::OfSession(Box::new(self.of_session(*session))),
            LockQuery::Check { resource, token } => {
                check_name("resource", resource)?;
                LockReply::Checked(self.check(resource, *token))
            }
            LockQuery::ForcedReleases => LockReply::Forced(self.forced.values().cloned().collect()),
            LockQuery::Stats => LockReply::Stats(LockStats {
                resources: self.resources.len() as u64,
                holds: self.parties.holding() as u64,
                waits: self.parties.waiting() as u64,
            }),
        };
        Ok(Reply::Lock(reply))
    }

    /// Whether anything about a resource has changed since it had this version. Says yes once too often
    /// about a resource that is not known, and never no in error.
    pub(in crate::machine) fn changed_since(&self, resource: &str, version: LogIndex) -> bool {
        self.find(resource).map_or(self.forgotten_at, |(_, resource)| resource.version) > version
    }

    fn state(&self, name: &str) -> LockState {
        let Some((_, resource)) = self.find(name) else {
            return LockState { version: self.forgotten_at, ..LockState::default() };
        };
        let holder = |(&token, holding): (&FenceToken, &super::resource::Holding)| LockHolder {
            session: holding.session,
            mode: holding.mode,
            token,
        };
        LockState {
            permits: resource.permits,
            version: resource.version,
            holders: resource.holders.iter().map(holder).collect(),
            waiters: self.waiters(resource),
        }
    }

    fn waiters(&self, resource: &Resource) -> Vec<LockWaiter> {
        let upgrade = resource.upgrader.map(|by| (by, LockMode::Exclusive, true));
        let line = resource.line.values().map(|waiting| (waiting.by, waiting.mode, false));
        let waiter = |(by, mode, is_upgrade): (Asker, LockMode, bool)| {
            let Asker { session, sequence } = by;
            let deadline = self.parties.wait(by).expect("who stands in line waits").deadline;
            LockWaiter { session, sequence, mode, deadline, is_upgrade }
        };
        upgrade.into_iter().chain(line).map(waiter).collect()
    }

    /// What a session holds and awaits.
    pub(in crate::machine) fn of_session(&self, id: SessionId) -> SessionLocks {
        let mut locks = SessionLocks::default();
        for (resource, claim) in self.parties.claims_of(id) {
            let resource = &self.resources[&resource];
            if let Some(token) = claim.token() {
                let (mode, resource) = (resource.holders[&token].mode, resource.name.to_string());
                locks.held.push(HeldLock { resource, mode, token });
            }
        }
        for (by, wait) in self.parties.waits_of(id) {
            let mut awaits = |resource, mode| {
                let resource = self.resources[&resource].name.to_string();
                let (sequence, deadline) = (by.sequence, wait.deadline);
                locks.awaited.push(AwaitedLock { resource, mode, sequence, deadline });
            };
            wait.wanted.places().iter().for_each(|want| awaits(want.resource, want.mode));
            if let Wanted::Upgrade(resource) = wait.wanted {
                awaits(resource, LockMode::Exclusive);
            }
        }
        locks
    }

    fn check(&self, name: &str, token: FenceToken) -> TokenStatus {
        match self.find(name) {
            Some((_, resource)) if resource.holders.contains_key(&token) => TokenStatus::Current,
            Some((_, resource)) if token <= resource.last_token => {
                TokenStatus::Stale { latest: resource.last_token }
            }
            _ => TokenStatus::Unknown,
        }
    }
}
