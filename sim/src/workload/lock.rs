//! Acquiring, holding and releasing a few locks.

use rand::RngExt;

use super::{Service, Worker};
use crate::history::{Answer, Call, Hold, Outcome};

impl<S: Service> Worker<S> {
    /// Acquires a lock, keeps it for a while, and gives it back, unless the lease ran out meanwhile.
    ///
    /// After any outcome that leaves open what the client holds it gives everything up, as a program
    /// should that cannot tell.
    pub(super) async fn lock_cycle(&mut self) {
        let resource = self.pick("lock");
        let exclusive = !self.rng.random_bool(self.spec.shared);
        let wait_us = self.spec.wait_ms.draw_us(&mut self.rng);
        let hold_us = self.spec.hold_ms.draw_us(&mut self.rng);
        let acquire = Call::Acquire { resource: resource.clone(), exclusive, wait_us };
        let (operation, outcome) = self.call(acquire).await;
        let token = match outcome {
            Outcome::Ok { answer: Answer::Granted { token } } => token,
            Outcome::Unknown { .. } => return self.service.abandon().await,
            Outcome::Ok { answer: Answer::NotGranted } => return self.force_now_and_then(resource).await,
            _ => return,
        };
        let from_ns = self.service.now();
        self.service.sleep_us(hold_us / 2).await;
        self.check_now_and_then(&resource, token).await;
        self.service.sleep_us(hold_us - hold_us / 2).await;

        let now = self.service.now();
        let belief_ends = self.service.belief_ends(&resource, token).unwrap_or(from_ns);
        let lapsed = belief_ends <= now;
        let until_ns = belief_ends.min(now).max(from_ns);
        let client = self.client;
        self.record_hold(Hold {
            client,
            operation,
            resource: resource.clone(),
            exclusive,
            permits: 0,
            token,
            from_ns,
            until_ns,
            lapsed,
        });
        if lapsed {
            self.service.abandon().await;
            return self.release_too_late(resource, token).await;
        }
        if let Outcome::Unknown { .. } = self.call(Call::Release { resource, token }).await.1 {
            self.service.abandon().await;
        }
    }

    /// Gives back, under its old token, a lock that ran out: as a program does that was stopped just before
    /// its release and goes on with it when it is back. Nothing may come of it, whoever holds the lock now.
    async fn release_too_late(&mut self, resource: String, token: u64) {
        if self.service.prepare().await {
            let release = Call::Release { resource, token };
            if let Outcome::Unknown { .. } = self.call(release).await.1 {
                self.service.abandon().await;
            }
        }
    }
}
