//! Locks and semaphores.

use stormglass_nodes::client::{ClientError, LockGuard};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::{FenceToken, LogIndex};
use stormglass_nodes::machine::{self, LockError, LockRequest, LockState, MachineError, TokenStatus};

use super::{NodesService, TrueTime};
use crate::history::{Answer, Call, DeadlockStep, LockMode, LockWant};

const NOT_HELD: ClientError = ClientError::NotDone("the client does not hold this lock");

impl<E: Env, T: TrueTime> NodesService<E, T> {
    pub(super) async fn lock(&self, call: &Call) -> Result<Answer, ClientError> {
        let answer = match call {
            Call::Acquire { resource, exclusive, wait_us } => {
                let mode = if *exclusive { LockMode::Exclusive } else { LockMode::Shared };
                let want = LockWant { resource: resource.clone(), mode };
                let tokens = self.acquire(&[want], *wait_us).await;
                tokens.map(|tokens| Answer::Granted { token: tokens[0] })
            }
            Call::AcquireAll { wants, wait_us, .. } => {
                self.acquire(wants, *wait_us).await.map(|tokens| Answer::GrantedAll { tokens })
            }
            Call::Release { resource, token } => self.release(&[(resource.clone(), *token)]).await,
            Call::ReleaseAll { grants } => self.release(grants).await,
            Call::Upgrade { resource, token, wait_us, .. } => {
                let guard = self.guard(resource, *token)?;
                let upgraded = self.client.upgrade(&guard, *wait_us).await;
                // What is definitely refused leaves the hold as it was.
                if !matches!(&upgraded, Err(error) if error.is_definite()) {
                    self.forget(&guard);
                }
                upgraded.map(|guard| self.granted_one(guard))
            }
            Call::Downgrade { resource, token, .. } => {
                let guard = self.guard(resource, *token)?;
                self.forget(&guard);
                self.client.downgrade(&guard).await.map(|guard| self.granted_one(guard))
            }
            Call::LockState { resource } => self.client.lock_state(resource).await.map(holders),
            Call::WatchLock { resource, seen, wait_us } => {
                self.client.watch_lock(resource, LogIndex(*seen), *wait_us).await.map(holders)
            }
            Call::CheckToken { resource, token } => {
                self.client.check_token(resource, FenceToken(*token)).await.map(worth)
            }
            Call::ForceRelease { resource, token } => {
                let done = self.client.force_release(resource, FenceToken(*token), "it is in the way").await;
                done.map(|()| Answer::Released)
            }
            Call::DeclareSemaphore { resource, permits } => {
                let permits = u32::try_from(*permits).unwrap_or(u32::MAX);
                self.client.declare_semaphore(resource, permits).await.map(|()| Answer::Declared)
            }
            _ => Err(ClientError::NotDone("this is no operation on a lock")),
        };
        answer.or_else(refusal)
    }

    async fn acquire(&self, wants: &[LockWant], wait_us: u64) -> Result<Vec<u64>, ClientError> {
        let request =
            |want: &LockWant| LockRequest { resource: want.resource.clone(), mode: mode(want.mode) };
        let guards = self.client.acquire_all(wants.iter().map(request).collect(), wait_us).await?;
        let tokens = guards.iter().map(|guard| guard.token.0).collect();
        for guard in guards {
            self.granted_one(guard);
        }
        Ok(tokens)
    }

    fn granted_one(&self, guard: LockGuard) -> Answer {
        let token = guard.token.0;
        self.memory().held.insert((guard.resource.clone(), token), guard);
        Answer::Granted { token }
    }

    fn guard(&self, resource: &str, token: u64) -> Result<LockGuard, ClientError> {
        self.memory().held.get(&(resource.to_owned(), token)).cloned().ok_or(NOT_HELD)
    }

    fn forget(&self, guard: &LockGuard) {
        self.memory().held.remove(&(guard.resource.clone(), guard.token.0));
    }

    async fn release(&self, grants: &[(String, u64)]) -> Result<Answer, ClientError> {
        let guards: Option<Vec<LockGuard>> = {
            let mut memory = self.memory();
            let mut taken = |grant| memory.held.remove(grant).or_else(|| memory.given_up.remove(grant));
            grants.iter().map(&mut taken).collect()
        };
        self.client.release_all(&guards.ok_or(NOT_HELD)?).await.map(|()| Answer::Released)
    }
}

const fn mode(mode: LockMode) -> machine::LockMode {
    match mode {
        LockMode::Exclusive => machine::LockMode::Exclusive,
        LockMode::Shared => machine::LockMode::Shared,
        LockMode::Permits(permits) => machine::LockMode::Permits(permits as u32),
    }
}

fn holders(state: LockState) -> Answer {
    let tokens = state.holders.iter().map(|holder| holder.token.0).collect();
    Answer::Holders { version: state.version.0, tokens }
}

const fn worth(status: TokenStatus) -> Answer {
    match status {
        TokenStatus::Current => Answer::TokenIs { current: true, latest: None },
        TokenStatus::Stale { latest } => Answer::TokenIs { current: false, latest: Some(latest.0) },
        TokenStatus::Unknown => Answer::TokenIs { current: false, latest: None },
    }
}

/// Refusals that are answers.
fn refusal(error: ClientError) -> Result<Answer, ClientError> {
    let ClientError::Refused(MachineError::Lock(refused)) = &error else { return Err(error) };
    match refused {
        LockError::Timeout => Ok(Answer::NotGranted),
        LockError::NotHeld => Ok(Answer::NotHeld),
        LockError::Deadlock { cycle } => Ok(Answer::Deadlock {
            cycle: cycle
                .iter()
                .map(|step| DeadlockStep { session: step.session.0, resource: step.resource.clone() })
                .collect(),
        }),
        _ => Err(error),
    }
}
