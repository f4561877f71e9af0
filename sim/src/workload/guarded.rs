//! A lock guards a consumer that writes the cache: the three services together.
//!
//! Whoever holds the lock of a topic takes messages from it and leaves, for each, a trace in the cache that
//! bears the fencing token of its grant. It writes only over a version that it has read and that bears no
//! later token than its own: so a holder whose lease has run out unnoticed is kept out by whoever came after
//! it, whatever its own clock says.

use rand::RngExt;

use super::{Service, Worker};
use crate::history::{Answer, Call, Fence, Hold, LockMode, LockWant, Outcome};

/// Traces under one token.
const TRACES_MAX: i64 = 1 << 20;
/// Messages that one holder takes at most.
const MESSAGES_MAX: u64 = 4;

/// The value that says: the `number`th trace under `token`.
const fn trace(token: u64, number: i64) -> i64 {
    (token as i64).saturating_mul(TRACES_MAX).saturating_add(number)
}

impl<S: Service> Worker<S> {
    /// Acquires the lock of a topic, works on some of its messages, and gives the lock back.
    pub(super) async fn guarded_cycle(&mut self) {
        let number = self.numbers.draw(&mut self.rng);
        let (topic, key, resource) =
            (format!("work-{number}"), format!("trace-{number}"), format!("guard-{number}"));
        let wait_us = self.spec.wait_ms.draw_us(&mut self.rng);
        let wants = vec![LockWant { resource: resource.clone(), mode: LockMode::Exclusive }];
        let session = self.service.session();
        let (operation, outcome) = self.call(Call::AcquireAll { session, wants, wait_us }).await;
        let token = match outcome {
            Outcome::Ok { answer: Answer::GrantedAll { tokens } } if tokens.len() == 1 => tokens[0],
            Outcome::Unknown { .. } => return self.service.abandon().await,
            _ => return,
        };
        let from_ns = self.service.now();
        for number in 0..self.rng.random_range(1..=MESSAGES_MAX) {
            let fence = Fence { resource: resource.clone(), token };
            if !self.leave_trace(&topic, &key, fence, number as i64).await {
                break;
            }
        }
        let now = self.service.now();
        let belief_ends = self.service.belief_ends(&resource, token).unwrap_or(from_ns);
        let lapsed = belief_ends <= now;
        self.record_hold(Hold {
            client: self.client,
            operation,
            resource: resource.clone(),
            exclusive: true,
            permits: 0,
            token,
            from_ns,
            until_ns: belief_ends.min(now).max(from_ns),
            lapsed,
        });
        if lapsed {
            return self.service.abandon().await;
        }
        let release = Call::ReleaseAll { grants: vec![(resource, token)] };
        if let Outcome::Unknown { .. } = self.call(release).await.1 {
            self.service.abandon().await;
        }
    }

    /// Takes a message, leaves a trace, acknowledges the message; whether it may go on.
    async fn leave_trace(&mut self, topic: &str, key: &str, fence: Fence, number: i64) -> bool {
        let value = trace(fence.token, number);
        let work_us = self.spec.queue.work_ms.draw_us(&mut self.rng);
        let Some(delivery) = self.dequeue(topic, 1, 0).await.pop() else { return false };
        let get = Call::CacheGet { key: key.to_owned(), near: false };
        let Outcome::Ok { answer: Answer::Cached { value: found, version, .. } } = self.call(get).await.1
        else {
            return false;
        };
        if found.is_some_and(|found| found / TRACES_MAX > value / TRACES_MAX) {
            return false;
        }
        self.service.sleep_us(work_us).await;
        let write = Call::CacheCompareAndSet {
            key: key.to_owned(),
            expected_version: version,
            value,
            ttl_us: None,
            fence: Some(Box::new(fence)),
        };
        let is_written = matches!(self.call(write).await.1, Outcome::Ok { answer: Answer::Written { .. } });
        if is_written {
            let (message, receipt) = (delivery.message, delivery.receipt);
            self.call(Call::Acknowledge { topic: topic.to_owned(), message, receipt }).await;
        }
        is_written
    }
}
