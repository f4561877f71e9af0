//! What the node does, counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::env::Env;
use crate::http::Metrics;
use crate::ids::LocalTime;
use crate::raft::Event;
use crate::server::{Observed, Probe};
use crate::tokio_env::TokioEnv;

/// Watches a node for its metrics.
#[derive(Clone)]
pub(super) struct Counting {
    env: TokioEnv,
    metrics: Arc<Metrics>,
    /// When the write that is on its way began.
    writing_since: Arc<Mutex<Option<LocalTime>>>,
}

impl Counting {
    pub(super) fn new(env: TokioEnv, metrics: Arc<Metrics>) -> Self {
        Self { env, metrics, writing_since: Arc::default() }
    }

    fn exchange(&self, since: Option<LocalTime>) -> Option<LocalTime> {
        std::mem::replace(&mut *self.writing_since.lock().unwrap_or_else(PoisonError::into_inner), since)
    }
}

impl Probe for Counting {
    // Nobody wants the state hashed after each entry.
    const WATCHING: bool = false;

    fn observe(&self, observed: Observed<'_>) {
        match observed {
            Observed::Raft(Event::RoleChanged { role, term, leader }) => {
                tracing::info!(
                    ?role,
                    term = term.0,
                    leader = leader.map(|leader| leader.0),
                    "another role or term"
                );
                self.metrics.role_changed(*role);
            }
            Observed::Raft(Event::MembershipChanged { membership, .. }) => {
                tracing::info!(?membership, "other members are in force");
            }
            Observed::WriteBegan => {
                self.exchange(Some(self.env.now()));
            }
            Observed::Durable { .. } => {
                if let Some(since) = self.exchange(None) {
                    self.metrics.wrote(Duration::from_micros(self.env.now().since_us(since)));
                }
            }
            _ => {}
        }
    }
}
