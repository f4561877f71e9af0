//! What ends by itself, and when: an ordered index of deadlines, one for each kind of thing that ends.
//!
//! Invariant, kept by the owner: it holds exactly one entry for each thing that has a deadline, and after an
//! apply none that is due at the entry's stamp. Adding, moving and taking cost O(log n).

use serde::Serialize;

use crate::ids::ClusterTime;

/// The index. `D` names what ends; its order breaks ties of the deadline.
#[derive(Clone, Debug, Serialize)]
#[serde(bound(serialize = "D: Serialize + Ord"))]
pub(super) struct Deadlines<D: Ord + Clone> {
    ordered: imbl::OrdSet<(ClusterTime, D)>,
}

impl<D: Ord + Clone> Default for Deadlines<D> {
    fn default() -> Self {
        Self { ordered: imbl::OrdSet::new() }
    }
}

impl<D: Ord + Clone> Deadlines<D> {
    /// `due` ends at `deadline`.
    pub(super) fn add(&mut self, deadline: ClusterTime, due: D) {
        self.ordered.insert((deadline, due));
    }

    /// `due` no longer ends at `deadline`. Harmless if it was taken as due before.
    pub(super) fn remove(&mut self, deadline: ClusterTime, due: D) {
        self.ordered.remove(&(deadline, due));
    }

    /// Takes out one of those that end at `time` or earlier, the earliest first.
    pub(super) fn take_due(&mut self, time: ClusterTime) -> Option<D> {
        let (deadline, due) = self.ordered.get_min()?;
        if *deadline > time {
            return None;
        }
        let (deadline, due) = (*deadline, due.clone());
        self.ordered.remove(&(deadline, due.clone()));
        Some(due)
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<ClusterTime> {
        self.ordered.get_min().map(|(deadline, _)| *deadline)
    }

    /// What ends, the earliest first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &D> {
        self.ordered.iter().map(|(_, due)| due)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ordered.len()
    }
}
