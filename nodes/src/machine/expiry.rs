//! What ends by itself, and when: one ordered index over the leases of sessions and the waits for locks.
//!
//! Invariant: it holds exactly one entry per open session and one per waiter, under their deadlines, and
//! after an apply none that is due at the entry's stamp. Adding, moving and taking cost O(log n).

use serde::Serialize;

use crate::ids::{ClusterTime, Sequence, SessionId};

/// What ends. The order of declaration breaks ties of the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Due {
    /// A session's lease.
    Session(SessionId),
    /// A wait for a lock: of this session, by this command.
    Wait(SessionId, Sequence),
}

/// The index.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Deadlines {
    ordered: imbl::OrdSet<(ClusterTime, Due)>,
}

impl Deadlines {
    /// `due` ends at `deadline`.
    pub(super) fn add(&mut self, deadline: ClusterTime, due: Due) {
        self.ordered.insert((deadline, due));
    }

    /// `due` no longer ends at `deadline`. Harmless if it was taken as due before.
    pub(super) fn remove(&mut self, deadline: ClusterTime, due: Due) {
        self.ordered.remove(&(deadline, due));
    }

    /// Takes out one of those that end at `time` or earlier, the earliest first.
    pub(super) fn take_due(&mut self, time: ClusterTime) -> Option<Due> {
        let &(deadline, due) = self.ordered.get_min()?;
        if deadline > time {
            return None;
        }
        self.ordered.remove(&(deadline, due));
        Some(due)
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<ClusterTime> {
        self.ordered.get_min().map(|&(deadline, _)| deadline)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ordered.len()
    }
}
