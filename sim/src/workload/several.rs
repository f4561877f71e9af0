//! Locks and permits of several resources at a time, asked for while others are held, upgraded and
//! downgraded: clients that can wait for each other in circles.

use std::collections::BTreeSet;

use rand::RngExt;

use super::{Service, Worker};
use crate::history::{Answer, Call, Hold, LockMode, LockWant, Outcome, VirtualTime};

/// Attempts to find a resource that the client does not hold yet, before it asks for fewer.
const PICKS_MAX: u64 = 8;

/// What a client holds.
#[derive(Debug)]
struct Held {
    operation: u64,
    resource: String,
    mode: LockMode,
    token: u64,
    from_ns: VirtualTime,
}

/// Whether the client may go on with what it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It knows what it holds.
    Sure,
    /// It does not.
    Unsure,
}

impl<S: Service> Worker<S> {
    /// Declares the semaphores, as each client does before it uses them.
    pub(super) async fn declare_semaphores(&mut self) {
        for number in self.numbers.all() {
            let resource = format!("semaphore-{number}");
            let permits = self.spec.locks.permits;
            self.until_declared(Call::DeclareSemaphore { resource, permits }).await;
        }
    }

    /// Takes some permits of one semaphore, keeps them for a while, and gives them back.
    pub(super) async fn semaphore_cycle(&mut self) {
        let permits = self.rng.random_range(1..=self.spec.locks.permits);
        let want = LockWant { resource: self.pick("semaphore"), mode: LockMode::Permits(permits) };
        let hold_us = self.spec.hold_ms.draw_us(&mut self.rng);
        let mut held = Vec::new();
        if self.acquire_all(vec![want], &mut held).await == Step::Unsure {
            return self.give_up(held).await;
        }
        self.service.sleep_us(hold_us).await;
        self.give_back(held).await;
    }

    /// Acquires locks, perhaps more of them while it holds the first, perhaps in another mode after a while,
    /// and gives all of them back.
    pub(super) async fn several_locks_cycle(&mut self) {
        let hold_us = self.spec.hold_ms.draw_us(&mut self.rng);
        let spec = self.spec.locks.clone();
        let (is_nested, changes) = (self.rng.random_bool(spec.nested), self.rng.random_bool(spec.upgrade));
        let mut held = Vec::new();
        for round in 0..=u64::from(is_nested) {
            if self.has_lapsed(&held) {
                return self.give_back(held).await;
            }
            let wants = self.wants(&held);
            let first = wants.first().map(|want| want.resource.clone());
            if self.acquire_all(wants, &mut held).await == Step::Unsure {
                return self.give_up(held).await;
            }
            if held.is_empty() {
                if let Some(resource) = first {
                    self.force_now_and_then(resource).await;
                }
                return;
            }
            if round == 0 {
                self.service.sleep_us(hold_us / 2).await;
            }
        }
        if self.has_lapsed(&held) {
            return self.give_back(held).await;
        }
        if changes && self.change_mode(&mut held).await == Step::Unsure {
            return self.give_up(held).await;
        }
        self.service.sleep_us(hold_us / 2).await;
        self.give_back(held).await;
    }

    /// What to ask for: resources that it does not hold.
    fn wants(&mut self, held: &[Held]) -> Vec<LockWant> {
        let mut taken: BTreeSet<String> = held.iter().map(|one| one.resource.clone()).collect();
        let mut wants = Vec::new();
        for _ in 0..self.rng.random_range(1..=self.spec.locks.resources_max) {
            let free =
                (0..PICKS_MAX).find_map(|_| Some(self.pick("lock")).filter(|one| !taken.contains(one)));
            let Some(resource) = free else { break };
            let is_shared = self.rng.random_bool(self.spec.shared);
            taken.insert(resource.clone());
            let mode = if is_shared { LockMode::Shared } else { LockMode::Exclusive };
            wants.push(LockWant { resource, mode });
        }
        wants
    }

    async fn acquire_all(&mut self, wants: Vec<LockWant>, held: &mut Vec<Held>) -> Step {
        if wants.is_empty() {
            return Step::Sure;
        }
        let wait_us = self.spec.wait_ms.draw_us(&mut self.rng);
        let session = self.service.session();
        let acquire = Call::AcquireAll { session, wants: wants.clone(), wait_us };
        let (operation, outcome) = self.call(acquire).await;
        match outcome {
            Outcome::Ok { answer: Answer::GrantedAll { tokens } } => {
                let from_ns = self.service.now();
                held.extend(wants.into_iter().zip(tokens).map(|(LockWant { resource, mode }, token)| Held {
                    operation,
                    resource,
                    mode,
                    token,
                    from_ns,
                }));
                Step::Sure
            }
            Outcome::Unknown { .. } => Step::Unsure,
            _ => Step::Sure,
        }
    }

    /// Upgrades the last hold if it is shared, or downgrades it if it is exclusive.
    async fn change_mode(&mut self, held: &mut Vec<Held>) -> Step {
        let Some(one) = held.pop() else { return Step::Sure };
        let (resource, token) = (one.resource.clone(), one.token);
        let session = self.service.session();
        let call = if one.mode == LockMode::Shared {
            let wait_us = self.spec.wait_ms.draw_us(&mut self.rng);
            Call::Upgrade { session, resource, token, wait_us }
        } else {
            Call::Downgrade { session, resource, token }
        };
        // Once it is answered nobody knows of the old token any more.
        let (asked_at, believed_then) = (self.service.now(), self.belief_ends(&one));
        let (operation, outcome) = self.call(call).await;
        let now = self.service.now();
        match outcome {
            Outcome::Ok { answer: Answer::Granted { token } } => {
                let is_upgrade = one.mode == LockMode::Shared;
                let mode = if is_upgrade { LockMode::Exclusive } else { LockMode::Shared };
                let next = Held { operation, resource: one.resource.clone(), mode, token, from_ns: now };
                if is_upgrade {
                    // It went on sharing until it had more, in a session that was kept alive meanwhile.
                    let believed_since = self.belief_ends(&next).max(believed_then);
                    let answered_at = self.answered_at(operation).unwrap_or(now);
                    self.record_end(one, answered_at, believed_since);
                } else {
                    // It stopped being alone before it asked for less.
                    self.record_end(one, asked_at, believed_then);
                }
                held.push(next);
                Step::Sure
            }
            Outcome::Ok { answer: Answer::NotHeld } => {
                self.record_end(one, asked_at, believed_then);
                Step::Sure
            }
            Outcome::Unknown { .. } => {
                self.record_end(one, asked_at, believed_then);
                Step::Unsure
            }
            // Whoever asks for less has stopped believing in what it had, whatever comes of it.
            _ if one.mode == LockMode::Exclusive => {
                self.record_end(one, asked_at, believed_then);
                Step::Unsure
            }
            _ => {
                held.push(one);
                Step::Sure
            }
        }
    }

    /// When the client's belief in this ends or ended.
    fn belief_ends(&self, held: &Held) -> VirtualTime {
        self.service.belief_ends(&held.resource, held.token).unwrap_or(held.from_ns)
    }

    /// Whether the lease of some of it has run out: whoever finds that does not go on.
    fn has_lapsed(&self, held: &[Held]) -> bool {
        let now = self.service.now();
        held.iter().any(|one| self.belief_ends(one) <= now)
    }

    /// Records that the client believed in this until now, or until its lease ran out before.
    fn end_of(&mut self, held: Held, now: VirtualTime) -> bool {
        let belief_ends = self.belief_ends(&held);
        self.record_end(held, now, belief_ends)
    }

    /// Records that the client believed in this until `now`, or until `belief_ends` if that is before; whether it is.
    fn record_end(&mut self, held: Held, now: VirtualTime, belief_ends: VirtualTime) -> bool {
        let lapsed = belief_ends <= now;
        self.record_hold(Hold {
            client: self.client,
            operation: held.operation,
            resource: held.resource,
            exclusive: held.mode == LockMode::Exclusive,
            permits: held.mode.permits(),
            token: held.token,
            from_ns: held.from_ns,
            until_ns: belief_ends.min(now).max(held.from_ns),
            lapsed,
        });
        lapsed
    }

    /// Stops believing in all that it holds and gives it back; if its lease has run out, too late and in vain.
    async fn give_back(&mut self, held: Vec<Held>) {
        if held.is_empty() {
            return;
        }
        let grants: Vec<(String, u64)> = held.iter().map(|one| (one.resource.clone(), one.token)).collect();
        let now = self.service.now();
        let mut lapsed = false;
        for one in held {
            lapsed |= self.end_of(one, now);
        }
        if lapsed {
            self.service.abandon().await;
            if !self.service.prepare().await {
                return;
            }
        }
        let are_several = grants.len() > 1;
        match self.call(Call::ReleaseAll { grants }).await.1 {
            Outcome::Unknown { .. } => self.service.abandon().await,
            // Of several one is gone, and so none was given back.
            Outcome::Ok { answer: Answer::NotHeld } if are_several && !lapsed => self.service.abandon().await,
            _ => {}
        }
    }

    /// Gives everything up, as a program should that cannot tell what it holds.
    async fn give_up(&mut self, held: Vec<Held>) {
        let now = self.service.now();
        for one in held {
            self.end_of(one, now);
        }
        self.service.abandon().await;
    }
}
