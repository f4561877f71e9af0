//! The tasks of one process, to be ended together.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Spawns tasks until it is shut down.
#[derive(Clone)]
pub(super) struct Tasks {
    runtime: Handle,
    /// `None` once it is shut down.
    running: Arc<Mutex<Option<JoinSet<()>>>>,
}

impl Tasks {
    pub(super) fn new(runtime: Handle) -> Self {
        Self { runtime, running: Arc::new(Mutex::new(Some(JoinSet::new()))) }
    }

    /// Runs a task to its end or to the shutdown. A panic in it is logged, and ends this task alone.
    pub(super) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = running.as_mut() else {
            return;
        };
        // Ended tasks are reaped here, so that their number is bounded by that of the live ones.
        while running.try_join_next().is_some() {}
        // What panicked is dropped and never looked at again.
        let guarded = async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked");
            }
        };
        running.spawn_on(guarded, &self.runtime);
    }

    pub(super) async fn shutdown(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut running) = running {
            running.shutdown().await;
        }
    }
}
