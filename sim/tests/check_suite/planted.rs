//! The flaws planted in the checks are found by the histories that the checks are tested with.
#![cfg(feature = "planted-bugs")]

use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{self, RegisterModel};
use stormglass_sim::history::{History, VirtualTime};
use stormglass_sim::plant::{Flaw, select};

use crate::support::{Row, get, history, set, value};

const STEPS: u64 = 1_000;

fn verdict(history: &History, flaw: Option<Flaw>) -> Verdict {
    select(flaw);
    let verdict = linearizability::check_history(&RegisterModel, history, STEPS).verdict;
    select(None);
    verdict
}

#[test]
fn a_check_that_discards_pending_operations_rejects_what_is_right() {
    let unanswered: Row = (1, 1, 0, set(5), None);
    let read: Row = (2, 10, 12, get(), value(5, 3));
    let right = history(vec![unanswered, read]);
    assert_eq!(right.operations[0].invoked_ns, VirtualTime(1));
    assert_eq!(verdict(&right, None), Verdict::Valid);
    assert_eq!(verdict(&right, Some(Flaw::CheckerDropsPending)), Verdict::Invalid);
}

#[test]
fn a_check_that_passes_what_is_empty_is_told_from_one_that_does_not() {
    assert_eq!(verdict(&History::default(), None), Verdict::Unknown);
    assert_eq!(verdict(&History::default(), Some(Flaw::CheckerEmptyPasses)), Verdict::Valid);
}
