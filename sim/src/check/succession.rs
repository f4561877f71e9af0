//! Who may act for whom.
//!
//! Threads of a client share what it holds, and so does a process that takes the place of one that was killed: their
//! numbers say so ([`Asker`]). Elsewhere a process whose operation came to an end that nobody knows goes on under a
//! number that was not used before, as processes of Jepsen do. So who begins after the last operation of another, which
//! came to such an end, may be that other.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Asker, History, Operation, Outcome, VirtualTime};

/// What is known of one number.
#[derive(Clone, Copy, Debug)]
struct Career {
    first_ns: VirtualTime,
    /// The last operation, and when it was given up if nobody knows what came of it.
    last: u64,
    given_up_ns: Option<VirtualTime>,
}

/// Who asked from when until when.
#[derive(Debug)]
pub(super) struct Succession(BTreeMap<u64, Career>);

impl Succession {
    pub(super) fn of(history: &History) -> Self {
        let mut careers: BTreeMap<u64, Career> = BTreeMap::new();
        for operation in &history.operations {
            let given_up_ns = given_up_ns(operation);
            let first = Career { first_ns: operation.invoked_ns, last: operation.id, given_up_ns };
            let career = careers.entry(operation.client).or_insert(first);
            (career.last, career.given_up_ns) = (operation.id, given_up_ns);
        }
        Self(careers)
    }

    /// Whether one number may stand for whoever had the other one.
    pub(super) fn may_act_for(&self, who: u64, other: u64) -> bool {
        if Asker::of(who).client == Asker::of(other).client {
            return true;
        }
        let (Some(career), Some(earlier)) = (self.0.get(&who), self.0.get(&other)) else { return false };
        earlier.given_up_ns.is_some_and(|given_up| given_up <= career.first_ns)
    }

    /// Those who may stand for another number, or another for theirs.
    pub(super) fn unsure(&self) -> BTreeSet<u64> {
        let first_left = self.0.values().filter_map(|career| career.given_up_ns).min();
        let last_begun = self.0.values().map(|career| career.first_ns).max();
        let is_unsure = |career: &Career| {
            first_left.is_some_and(|left| left <= career.first_ns)
                || career.given_up_ns.is_some_and(|left| Some(left) <= last_begun)
        };
        self.0.iter().filter(|(_, career)| is_unsure(career)).map(|(who, _)| *who).collect()
    }

    /// When this operation was given up, if whoever asked for it may have gone on under another number.
    pub(super) fn left_ns(&self, operation: &Operation) -> Option<VirtualTime> {
        let career = self.0.get(&operation.client).filter(|career| career.last == operation.id)?;
        career.given_up_ns
    }

    /// When somebody asked for the first time.
    pub(super) fn first_ns(&self, who: u64) -> Option<VirtualTime> {
        self.0.get(&who).map(|career| career.first_ns)
    }
}

fn given_up_ns(operation: &Operation) -> Option<VirtualTime> {
    let is_unknown = matches!(operation.outcome, Outcome::Unknown { .. });
    is_unknown.then(|| operation.returned_ns.unwrap_or(operation.invoked_ns))
}
