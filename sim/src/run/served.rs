//! Whether the cluster served although a fault lasted, where a scenario says that it does.
//!
//! From so long after the fault took hold on, every operation that begins while it lasts is answered within the
//! same time. Operations whose time runs beyond the fault's end are not judged; nor is anything during a fault
//! that had no effect.

use crate::check::{CheckReport, Verdict, liveness};
use crate::history::{History, Operation, Outcome, VirtualTime};
use crate::nemesis::{FaultRecord, Timeline};
use crate::plan::Schedule;

/// Judges all faults of which the schedule asks it; none if it asks it of none.
pub(super) fn check(schedule: &Schedule, timeline: &Timeline, history: &History) -> Option<CheckReport> {
    let asked = |fault: &FaultRecord| {
        let within_us = schedule.faults.get(fault.number)?.serves_within_us?;
        Some((fault.clone(), within_us.saturating_mul(1_000)))
    };
    if schedule.faults.iter().all(|fault| fault.serves_within_us.is_none()) {
        return None;
    }
    let (mut served, mut late) = (0_u64, None);
    for (fault, within_ns) in timeline.faults.iter().filter_map(asked).filter(|(fault, _)| fault.had_effect) {
        for operation in &history.operations {
            match judge(operation, &fault, within_ns) {
                Some(true) => served += 1,
                Some(false) => late = late.or_else(|| Some(describe(operation, &fault, within_ns))),
                None => {}
            }
        }
    }
    let verdict = match (&late, served) {
        (Some(_), _) => Verdict::Invalid,
        (None, 0) => Verdict::Unknown,
        (None, _) => Verdict::Valid,
    };
    Some(CheckReport {
        name: "liveness during faults".to_owned(),
        source: "Raft thesis, sections 4.2.3, 6.2 and 9.6: a quorum that can talk is led".to_owned(),
        verdict,
        detail: format!("{served} operations done while faults lasted"),
        cost_steps: history.operations.len() as u64,
        counterexample: late,
    })
}

/// Whether the operation was served; `None` if it is not to be judged.
fn judge(operation: &Operation, fault: &FaultRecord, within_ns: u64) -> Option<bool> {
    let wait_ns = operation.call.wait_us().saturating_mul(1_000);
    let deadline = VirtualTime(operation.invoked_ns.0.saturating_add(within_ns).saturating_add(wait_ns));
    let is_asked = !operation.call.is_own_work() && !liveness::is_withdrawn(operation);
    let is_judged =
        is_asked && operation.invoked_ns.0 >= fault.at.0.saturating_add(within_ns) && deadline <= fault.until;
    let is_served = matches!(operation.outcome, Outcome::Ok { .. })
        && operation.returned_ns.is_some_and(|returned| returned <= deadline);
    is_judged.then_some(is_served)
}

fn describe(operation: &Operation, fault: &FaultRecord, within_ns: u64) -> String {
    format!(
        "operation #{} of client {} ({} {:?}), invoked at {} while fault {}, {}, lasted from {} to {}, was not served \
         within {} ms\n",
        operation.id,
        operation.client,
        operation.call.kind(),
        operation.call.object(),
        operation.invoked_ns,
        fault.number,
        fault.kind.name(),
        fault.at,
        fault.until,
        within_ns / 1_000_000
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Answer, Call};
    use crate::plan::FaultKind;

    fn fault() -> FaultRecord {
        FaultRecord {
            number: 0,
            kind: FaultKind::OneWay,
            selector: String::new(),
            at: VirtualTime::from_ms(1_000),
            until: VirtualTime::from_ms(5_000),
            targets: Default::default(),
            towards: Default::default(),
            leader: None,
            effect: Default::default(),
            had_effect: true,
            absorbed: false,
            note: String::new(),
        }
    }

    fn operation(invoked_ms: u64, returned_ms: Option<u64>, outcome: Outcome) -> Operation {
        Operation {
            id: 1,
            client: 1,
            call: Call::Get { key: "k".to_owned() },
            invoked_ns: VirtualTime::from_ms(invoked_ms),
            returned_ns: returned_ms.map(VirtualTime::from_ms),
            outcome,
        }
    }

    fn served(invoked_ms: u64, returned_ms: Option<u64>) -> Option<bool> {
        let answer = Answer::Value { value: None, version: None };
        judge(&operation(invoked_ms, returned_ms, Outcome::Ok { answer }), &fault(), 1_000_000_000)
    }

    #[test]
    fn only_operations_with_their_whole_time_inside_the_fault_are_judged() {
        assert_eq!(served(1_999, Some(2_000)), None, "the cluster has not yet to serve");
        assert_eq!(served(2_000, Some(2_100)), Some(true));
        assert_eq!(served(4_000, Some(4_100)), Some(true));
        assert_eq!(served(4_001, Some(4_100)), None, "the fault's end may have helped");
    }

    #[test]
    fn an_answer_that_comes_late_or_never_or_is_none_is_no_service() {
        assert_eq!(served(2_000, Some(3_001)), Some(false));
        assert_eq!(served(2_000, None), Some(false));
        let unknown = operation(2_000, Some(2_100), Outcome::Unknown { reason: String::new() });
        assert_eq!(judge(&unknown, &fault(), 1_000_000_000), Some(false));
    }
}
