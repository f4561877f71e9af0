//! Properties over random logs: the machine agrees with the naive model, keeps its invariants, is
//! deterministic, and applies copies of a command once.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::generate::{Entry, NAMES, RESOURCES, limits, log};
use super::invariants::Watch;
use super::model::Model;
use crate::ids::{FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::{
    CacheQuery, CacheReply, Command, LockError, LockQuery, LockReply, Machine, MachineError, MachineEvent,
    Outcome, Query, Reply,
};
use crate::marks;

/// The model has no texts and names no cycle: an invalid argument is one, whatever it says.
fn without_text(outcome: Outcome) -> Outcome {
    match outcome {
        Err(MachineError::InvalidArgument(_)) => Err(MachineError::InvalidArgument(String::new())),
        Err(MachineError::Lock(LockError::Deadlock { .. })) => {
            Err(LockError::Deadlock { cycle: Vec::new() }.into())
        }
        other => other,
    }
}

/// Events in an order that does not depend on that in which they happened.
fn sorted(events: &[MachineEvent]) -> Vec<String> {
    let mut texts: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
    texts.sort();
    texts
}

/// Applies an entry to both and compares all that can be seen.
fn agree(machine: &mut Machine, model: &mut Model, entry: &Entry, numbers: &BTreeSet<(SessionId, Sequence)>) {
    let Entry { index, time, command } = entry;
    let is_copy = matches!(*command, Command::Once { session, sequence, .. }
        if machine.outcome_of(session, sequence).is_some());
    let applied = machine.apply(*index, *time, command);
    let (outcome, events) = model.apply(*index, *time, command);
    if let (Err(MachineError::Lock(LockError::Deadlock { cycle })), Command::Once { session, .. }) =
        (&applied.outcome, command)
        && !is_copy
    {
        assert!(model.locks.is_cycle(*session, cycle), "{cycle:?} at {index}");
    }
    assert_eq!(without_text(applied.outcome), without_text(outcome), "at {index}");
    assert_eq!(sorted(&applied.events), sorted(&events), "at {index}");
    let ask = |query| match machine.query(&Query::Lock(query)) {
        Ok(Reply::Lock(reply)) => reply,
        other => panic!("a question about locks was answered {other:?}"),
    };
    for resource in RESOURCES.map(str::to_owned) {
        let state = Box::new(model.locks.state(&resource));
        assert_eq!(ask(LockQuery::State { resource: resource.clone() }), LockReply::State(state.clone()));
        let since = |version: u64| machine.lock_changed_since(&resource, LogIndex(version));
        assert!(!since(state.version.0) && (state.version.0 == 0 || since(state.version.0 - 1)));
        for token in (index.0.saturating_sub(9)..=index.0).map(|index| FenceToken(index * 8192)) {
            let checked = LockReply::Checked(model.locks.check(&resource, token));
            assert_eq!(ask(LockQuery::Check { resource: resource.clone(), token }), checked);
        }
    }
    for name in NAMES.map(str::to_owned) {
        let value = machine.query(&Query::Cache(CacheQuery::Get { key: name.clone() }));
        assert_eq!(value, Ok(Reply::Cache(CacheReply::Value(model.value(&name)))), "{name} at {index}");
    }
    assert_eq!(ask(LockQuery::ForcedReleases), LockReply::Forced(model.locks.forced.clone()));
    assert_eq!(ask(LockQuery::Stats), LockReply::Stats(model.locks.stats()), "at {index}");
    for &(session, sequence) in numbers {
        let remembered = machine.outcome_of(session, sequence).map(without_text);
        assert_eq!(remembered, model.reply(session, sequence).map(without_text), "{session} {sequence}");
    }
    for session in numbers.iter().map(|(session, _)| *session).collect::<BTreeSet<_>>() {
        let of_session = Box::new(model.locks.of_session(session));
        assert_eq!(ask(LockQuery::OfSession { session }), LockReply::OfSession(of_session));
        let state = machine.query(&Query::Session { session });
        assert_eq!(state, Ok(Reply::Session(model.session_state(session))), "{session} at {index}");
    }
    assert_eq!(machine.next_deadline(), model.next_deadline(), "at {index}");
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
        for entry in &log {
            agree(&mut machine, &mut model, entry, &numbers);
        }
    }

    #[test]
    fn the_invariants_hold_after_every_entry(log in log()) {
        let mut machine = Machine::with_limits(limits());
        let mut watch = Watch::default();
        for Entry { index, time, command } in &log {
            let applied = machine.apply(*index, *time, command);
            watch.check(&machine, limits(), *index, &applied);
            let is_ahead = machine.next_deadline().is_none_or(|deadline| deadline > *time);
            prop_assert!(is_ahead || applied.events.len() >= limits().ends, "less ended than may");
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
            for name in RESOURCES.map(str::to_owned) {
                let _ = machine.query(&Query::Lock(LockQuery::State { resource: name.clone() }));
                let _ = machine.query(&Query::Cache(CacheQuery::Get { key: name }));
            }
            prop_assert_eq!(machine.digest(), before);
        }
    }
}

#[test]
fn hundreds_of_thousands_of_commands_agree_with_the_model_across_snapshots() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut left = super::commands();
    while left > 0 {
        let log = log().new_tree(&mut runner).expect("the strategy rejects nothing").current();
        let numbers = numbers(&log);
        let mut machine = Machine::with_limits(limits());
        let mut model = Model::new(limits());
        let frozen_after = runner.rng().next_u64() as usize % log.len();
        for (place, entry) in log.iter().enumerate() {
            agree(&mut machine, &mut model, entry, &numbers);
            if place == frozen_after {
                let mut snapshot = machine.snapshot();
                let bytes: Vec<u8> = std::iter::from_fn(|| snapshot.next_piece(256)).flatten().collect();
                let restored = Machine::restore_within(&bytes, limits()).expect("it was just written");
                assert_eq!(restored.digest(), machine.digest());
                machine = restored;
            }
        }
        left = left.saturating_sub(log.len());
    }
}

#[test]
fn random_logs_reach_every_corner() {
    let corners = [
        "machine.compare_found_other",
        "machine.deadlock_refused",
        "machine.deadlock_ruled_out_from_behind",
        "machine.keys_full",
        "machine.line_full",
        "machine.lock_admission_taken_back",
        "machine.lock_admitted_in_part",
        "machine.lock_claims_of_all_full",
        "machine.lock_handed_off",
        "machine.lock_release_forced",
        "machine.lock_upgrade_granted",
        "machine.lock_upgrade_waits",
        "machine.lock_wait_cancelled",
        "machine.locks_full",
        "machine.retry_answered_from_table",
        "machine.sequence_too_old",
        "machine.session_expired",
        "machine.session_overdue",
        "machine.sessions_full",
        "machine.shared_granted_together",
        "machine.semaphore_shrunk_below_a_request",
        "machine.wait_given_up",
        "machine.wait_timed_out",
    ];
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..1_000 {
        // Making the log applies it, on this thread.
        log().new_tree(&mut runner).expect("the strategy rejects nothing").current();
    }
    let missed: Vec<&str> = corners.into_iter().filter(|corner| marks::count(corner) == 0).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}
