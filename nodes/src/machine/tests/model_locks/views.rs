//! What the model answers to questions about locks.

use super::{Locks, Wait};
use crate::ids::{FenceToken, LogIndex, SessionId};
use crate::machine::{
    AwaitedLock, HeldLock, LockHolder, LockMode, LockState, LockStats, LockWaiter, SessionLocks, TokenStatus,
};

impl Locks {
    pub(in crate::machine::tests) fn state(&self, name: &str) -> LockState {
        let Some(known) = self.known.iter().find(|known| known.name == name) else {
            return LockState { version: self.forgotten_at, ..LockState::default() };
        };
        let upgrade = self.upgrader(name).map(|wait| (wait, LockMode::Exclusive, true));
        let line = self.line_before(name, LogIndex(u64::MAX)).into_iter();
        let waiters = upgrade.into_iter().chain(line.map(|(wait, mode)| (wait, mode, false)));
        LockState {
            permits: known.permits,
            version: known.version,
            holders: self.holds.iter().filter(|(held, _)| held == name).map(|(_, hold)| *hold).collect(),
            waiters: waiters
                .map(|(wait, mode, is_upgrade)| LockWaiter {
                    session: wait.session,
                    sequence: wait.sequence,
                    mode,
                    deadline: wait.deadline,
                    is_upgrade,
                })
                .collect(),
        }
    }

    pub(in crate::machine::tests) fn of_session(&self, id: SessionId) -> SessionLocks {
        let mut locks = SessionLocks::default();
        for known in &self.known {
            for (_, hold) in
                self.holds.iter().filter(|(name, hold)| *name == known.name && hold.session == id)
            {
                let (resource, LockHolder { mode, token, .. }) = (known.name.clone(), *hold);
                locks.held.push(HeldLock { resource, mode, token });
            }
        }
        let mut waits: Vec<&Wait> = self.waits.iter().filter(|wait| wait.session == id).collect();
        waits.sort_by_key(|wait| wait.sequence);
        for wait in waits {
            for (resource, mode) in wait.requests.iter().cloned() {
                let (sequence, deadline) = (wait.sequence, wait.deadline);
                locks.awaited.push(AwaitedLock { resource, mode, sequence, deadline });
            }
        }
        locks
    }

    pub(in crate::machine::tests) fn check(&self, name: &str, token: FenceToken) -> TokenStatus {
        if self.holds.iter().any(|(held, hold)| held == name && hold.token == token) {
            return TokenStatus::Current;
        }
        match self.known.iter().find(|known| known.name == name) {
            Some(known) if token <= known.latest => TokenStatus::Stale { latest: known.latest },
            _ => TokenStatus::Unknown,
        }
    }

    pub(in crate::machine::tests) fn stats(&self) -> LockStats {
        let [resources, holds, waits] =
            [self.known.len(), self.holds.len(), self.waits.len()].map(|count| count as u64);
        LockStats { resources, holds, waits }
    }
}
