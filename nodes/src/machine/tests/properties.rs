//! Properties over random logs: the machine agrees with the naive model, keeps its invariants, is
//! deterministic, and applies copies of a command once.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::generate::{Entry, NAMES, limits, log};
use super::invariants::Watch;
use super::model::Model;
use crate::ids::{Sequence, SessionId};
use crate::machine::{Command, Machine, MachineError, Outcome, Query, Reply};
use crate::marks;

/// The model has no texts: an invalid argument is one, whatever it says.
fn without_text(outcome: Outcome) -> Outcome {
    match outcome {
        Err(MachineError::InvalidArgument(_)) => Err(MachineError::InvalidArgument(String::new())),
        other => other,
    }
}

/// Every (session, sequence) that occurs in a log.
fn numbers(log: &[Entry]) -> BTreeSet<(SessionId, Sequence)> {
    log.iter()
        .filter_map(|entry| match entry.command {
            Command::Once { session, sequence, .. } => Some((session, sequence)),
            _ => None,
        })
        .collect()
}

/// The log with each later copy of a command replaced by what is left of it: a renewal of the lease.
fn without_copies(log: &[Entry]) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    let mut reduced = log.to_vec();
    for entry in &mut reduced {
        if let Command::Once { session, .. } = entry.command
            && !seen.insert(entry.command.encode())
        {
            entry.command = Command::KeepAlive { session };
        }
    }
    reduced
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_agrees_with_the_naive_model_after_every_entry(log in log()) {
        let mut machine = Machine::with_limits(limits());
        let mut model = Model::new(limits());
        let numbers = numbers(&log);
        for Entry { index, time, command } in &log {
            let outcome = machine.apply(*index, *time, command).outcome;
            prop_assert_eq!(without_text(outcome), model.apply(*index, *time, command), "at {}", index);
            for name in NAMES.map(str::to_owned) {
                let lock = machine.query(&Query::Lock { resource: name.clone() });
                prop_assert_eq!(lock, Ok(Reply::Lock(model.lock(&name))), "{} at {}", &name, index);
                let value = machine.query(&Query::Register { key: name.clone() });
                prop_assert_eq!(value, Ok(Reply::Value(model.value(&name))), "{} at {}", &name, index);
            }
            for &(session, sequence) in &numbers {
                let remembered = machine.outcome_of(session, sequence).cloned();
                prop_assert_eq!(remembered, model.reply(session, sequence), "{} {}", session, sequence);
            }
            prop_assert_eq!(machine.next_deadline(), model.next_deadline(), "at {}", index);
        }
    }

    #[test]
    fn the_invariants_hold_after_every_entry(log in log()) {
        let mut machine = Machine::with_limits(limits());
        let mut watch = Watch::default();
        for Entry { index, time, command } in &log {
            let applied = machine.apply(*index, *time, command);
            watch.check(&machine, limits(), *index, &applied);
            prop_assert!(machine.next_deadline().is_none_or(|deadline| deadline > *time));
        }
    }

    #[test]
    fn equal_logs_lead_to_equal_answers_and_digests(log in log()) {
        let mut one = Machine::with_limits(limits());
        let mut other = Machine::with_limits(limits());
        for Entry { index, time, command } in &log {
            let decoded = Command::decode(&command.encode()).unwrap();
            prop_assert_eq!(one.apply(*index, *time, command), other.apply(*index, *time, &decoded));
            prop_assert_eq!(one.digest(), other.digest());
        }
    }

    #[test]
    fn copies_of_a_command_have_no_effect_but_to_renew_the_lease(log in log()) {
        let mut with = Machine::with_limits(limits());
        let mut without = Machine::with_limits(limits());
        for (entry, reduced) in log.iter().zip(without_copies(&log)) {
            let applied = with.apply(entry.index, entry.time, &entry.command);
            let expected = without.apply(reduced.index, reduced.time, &reduced.command);
            prop_assert_eq!(with.digest(), without.digest(), "at {}", entry.index);
            if entry.command == reduced.command {
                prop_assert_eq!(applied, expected);
            } else {
                prop_assert_eq!(applied.events, expected.events);
            }
        }
    }

    #[test]
    fn questions_change_nothing(log in log()) {
        let mut machine = Machine::with_limits(limits());
        for Entry { index, time, command } in &log {
            machine.apply(*index, *time, command);
            let before = machine.digest();
            for name in NAMES.map(str::to_owned) {
                let _ = machine.query(&Query::Lock { resource: name.clone() });
                let _ = machine.query(&Query::Register { key: name });
            }
            prop_assert_eq!(machine.digest(), before);
        }
    }
}

#[test]
fn random_logs_reach_every_corner() {
    let corners = [
        "machine.compare_found_other",
        "machine.keys_full",
        "machine.line_full",
        "machine.lock_handed_off",
        "machine.locks_full",
        "machine.retry_answered_from_table",
        "machine.sequence_too_old",
        "machine.session_expired",
        "machine.sessions_full",
        "machine.shared_granted_together",
        "machine.shared_waits_behind_exclusive",
        "machine.wait_given_up",
        "machine.wait_timed_out",
    ];
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..400 {
        // Making the log applies it, on this thread.
        log().new_tree(&mut runner).expect("the strategy rejects nothing").current();
    }
    let missed: Vec<&str> = corners.into_iter().filter(|corner| marks::count(corner) == 0).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}
