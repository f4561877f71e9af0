//! What clients do: generators of operations, and the loop that carries them out and records them.
//!
//! A workload speaks to a [`Service`], not to our nodes: whoever hosts another program in the world gives
//! its client that trait and gets the same operations, the same record and the same checks.
//!
//! Everything a client does derives from its stream `client/N`, its answers, and time. It records what it
//! knows, when it knows it: an operation is invoked before anything is sent and completed after the answer
//! is in.

mod lock;
mod register;
mod service;

use std::sync::{Arc, Mutex};

use rand::RngExt;

pub use service::Service;

use crate::history::{Call, History, Hold, Outcome, Recorder, VirtualTime};
use crate::plan::{WorkloadKind, WorkloadSpec};
use crate::rng::StreamRng;

/// Pause after a failed attempt to get ready, in microseconds of the client's clock.
const PREPARE_AGAIN_US: u64 = 50_000;

/// The record that all clients of a run share.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Recorder>>);

impl Record {
    /// What was recorded so far.
    #[must_use]
    pub fn history(&self) -> History {
        self.with(|recorder| recorder.history().clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Recorder) -> T) -> T {
        f(&mut self.0.lock().expect("no holder of this lock panics"))
    }
}

/// One client at work.
#[derive(Debug)]
pub struct Worker<S> {
    /// Its number, from 1.
    pub client: u64,
    /// Its access to the service.
    pub service: S,
    /// What it is to do.
    pub spec: WorkloadSpec,
    /// Its stream `client/N`.
    pub rng: StreamRng,
    /// Where it records.
    pub record: Record,
    /// It begins nothing from this time on.
    pub until: VirtualTime,
}

impl<S: Service> Worker<S> {
    /// Works until the time is over and nothing is open any more.
    pub async fn work(mut self) {
        let locks = match self.spec.kind {
            WorkloadKind::Register => false,
            WorkloadKind::Lock => true,
            WorkloadKind::Mixed => self.client.is_multiple_of(2),
        };
        let mut registers = register::Registers::default();
        while self.service.now() < self.until {
            if !self.service.prepare().await {
                self.service.sleep_us(PREPARE_AGAIN_US).await;
                continue;
            }
            self.pace().await;
            if self.service.now() >= self.until {
                break;
            }
            if locks {
                self.lock_cycle().await;
            } else {
                self.register_operation(&mut registers).await;
            }
        }
    }

    /// Waits between two operations: evenly from none to twice the mean.
    async fn pace(&mut self) {
        let mean_us = (1e6 / self.spec.rate_per_client_hz) as u64;
        let pause_us = self.rng.random_range(0..=mean_us.saturating_mul(2));
        self.service.sleep_us(pause_us).await;
    }

    /// Carries out one operation and records it.
    async fn call(&mut self, call: Call) -> (u64, Outcome) {
        let invoked = self.service.now();
        let id = self.record.with(|recorder| recorder.invoke(self.client, call.clone(), invoked));
        let outcome = self.service.call(&call).await;
        let returned = self.service.now();
        self.record.with(|recorder| recorder.complete(id, outcome.clone(), returned));
        (id, outcome)
    }

    fn record_hold(&self, hold: Hold) {
        self.record.with(|recorder| recorder.hold(hold));
    }

    fn pick(&mut self, prefix: &str) -> String {
        let number = self.rng.random_range(1..=self.spec.keys);
        format!("{prefix}-{number}")
    }
}
