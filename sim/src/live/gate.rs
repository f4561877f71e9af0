//! What makes a client stand still: its thread, with all that it does, waits here.
//!
//! Clients live in the process of the harness, each on a thread of its own. One that is stopped does nothing, its
//! timers and sockets wait, and its clock goes on, as under SIGSTOP.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A client's gate. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_shut: Mutex<bool>,
    opened: Condvar,
    shut: Notify,
}

impl Shared {
    fn is_shut(&self) -> MutexGuard<'_, bool> {
        self.is_shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// Stops the client at its next step. False if it was stopped.
    pub fn shut(&self) -> bool {
        let was_shut = std::mem::replace(&mut *self.shared.is_shut(), true);
        self.shared.shut.notify_one();
        !was_shut
    }

    /// Lets it go on.
    pub fn open(&self) {
        *self.shared.is_shut() = false;
        self.shared.opened.notify_all();
    }

    /// For the client's thread, beside its work: blocks it while the gate is shut.
    pub async fn watch(&self) {
        loop {
            self.shared.shut.notified().await;
            let mut is_shut = self.shared.is_shut();
            while *is_shut {
                is_shut = self.shared.opened.wait(is_shut).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
