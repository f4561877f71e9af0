//! The search, the replay and the settling of unknown outcomes, against the checker too simple to be wrong.

use std::collections::BTreeMap;

use crate::brute;
use crate::support::{self, Shape, register_history};
use rand::RngExt;
use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{
    LockModel, Progress, RegisterModel, STEPS_MAX, Search, ServiceModel, check_history, partitions_of, replay,
};
use stormglass_sim::history::{Answer, Call, History, Outcome};
use stormglass_sim::rng::{StreamRng, Streams};

pub(crate) const SMALL: Shape =
    Shape { clients: 3, operations: 7, keys: 1, values: 3, unknown_percent: 25, duration_max: 6 };

/// By search alone, without replay and without settling unknown outcomes.
fn plain_search<M: ServiceModel>(model: &M, history: &History) -> Verdict {
    let partitions: Vec<_> = partitions_of(model, &history.operations).collect();
    Verdict::of_all(partitions.iter().map(|partition| {
        match Search::new(model, &partition.entries).run(STEPS_MAX) {
            Progress::Linearizable => Verdict::Valid,
            Progress::NotLinearizable => Verdict::Invalid,
            Progress::Unfinished => Verdict::Unknown,
        }
    }))
}

fn answered(history: &History) -> bool {
    history.operations.iter().any(|operation| matches!(operation.outcome, Outcome::Ok { .. }))
}

fn assert_agreement<M: ServiceModel>(model: &M, history: &History, truth: bool, what: &str) {
    if !answered(history) {
        assert_eq!(check_history(model, history, STEPS_MAX).verdict, Verdict::Unknown);
        return;
    }
    let expected = if truth { Verdict::Valid } else { Verdict::Invalid };
    let result = check_history(model, history, STEPS_MAX);
    assert_eq!(result.verdict, expected, "{what}: {history:#?}\n{result:?}");
    assert_eq!(plain_search(model, history), expected, "{what}, by search alone: {history:#?}");
    for partition in partitions_of(model, &history.operations) {
        let entries = &partition.entries;
        let certified = model.guess(entries).is_some_and(|order| replay(model, entries, &order).certified);
        assert!(!certified || truth, "{what}: the replay certified {history:#?}");
    }
}

#[test]
fn histories_of_a_register_that_works_are_linearizable() {
    let mut rng = Streams::new(1).stream("valid");
    for round in 0..4_000 {
        let values = [0, 2, 3][round % 3];
        let history = register_history(&mut rng, &Shape { values, ..SMALL });
        assert_eq!(history.verify(), Ok(()));
        assert!(brute::linearizable(&history, brute::register), "round {round}: {history:#?}");
        assert_agreement(&RegisterModel, &history, true, &format!("round {round}"));
    }
}

#[test]
fn histories_with_random_answers_get_the_true_verdict() {
    let mut rng = Streams::new(2).stream("random");
    let mut counts = BTreeMap::new();
    for round in 0..6_000 {
        let mut history = register_history(&mut rng, &Shape { operations: 6, ..SMALL });
        for _ in 0..rng.random_range(1..4) {
            let victim = rng.random_range(0..history.operations.len());
            scramble(&mut rng, &mut history, victim);
        }
        let truth = brute::linearizable(&history, brute::register);
        *counts.entry(truth).or_insert(0) += 1;
        assert_agreement(&RegisterModel, &history, truth, &format!("round {round}"));
    }
    assert!(counts.values().all(|count| *count > 1_000) && counts.len() == 2, "one-sided: {counts:?}");
}

fn scramble(rng: &mut StreamRng, history: &mut History, victim: usize) {
    let operation = &mut history.operations[victim];
    let mut small = || rng.random_range(0..4_u64);
    let (number, version) = (small(), small() * 2 + small() + 1);
    let value = (number > 0).then_some(number - 1_u64.min(number));
    let seen = value.map(|_| version);
    let answer = match (&operation.call, small()) {
        (Call::Get { .. }, _) => Answer::Value { value, version: seen },
        (Call::CompareAndSet { .. }, 0 | 1) => Answer::Mismatch { value, version: seen },
        (Call::Delete { .. }, even) => Answer::Deleted { existed: even % 2 == 0, version },
        _ => Answer::Written { version },
    };
    if matches!(operation.outcome, Outcome::Ok { .. }) {
        operation.outcome = Outcome::Ok { answer };
    }
}

#[test]
fn every_mutant_that_is_not_linearizable_is_caught() {
    let mut rng = Streams::new(3).stream("mutants");
    // Per mutation: mutants made, not linearizable, caught.
    let mut table: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for _ in 0..4_000 {
        let history = register_history(&mut rng, &Shape { values: 0, ..SMALL });
        for (name, mutate) in MUTATIONS {
            let mut mutant = history.clone();
            if !mutate(&mut rng, &mut mutant) || mutant == history || !answered(&mutant) {
                continue;
            }
            let truth = brute::linearizable(&mutant, brute::register);
            let verdict = check_history(&RegisterModel, &mutant, STEPS_MAX).verdict;
            let row = table.entry(name).or_default();
            row[0] += 1;
            row[1] += u64::from(!truth);
            row[2] += u64::from(verdict == Verdict::Invalid);
            assert_eq!(verdict == Verdict::Valid, truth, "{name}: {mutant:#?}");
        }
    }
    for (name, [made, wrong, caught]) in &table {
        println!("{name}: {made} mutants, {wrong} not linearizable, {caught} caught");
        assert_eq!(wrong, caught);
        assert!(*wrong > 100, "{name} hardly ever breaks a history: {wrong} of {made}");
    }
    assert_eq!(table.len(), MUTATIONS.len());
}

pub(crate) type Mutation = fn(&mut StreamRng, &mut History) -> bool;

pub(crate) const MUTATIONS: &[(&str, Mutation)] = &[
    ("drop a write", |rng, history| {
        let writes = positions(history, |answer| matches!(answer, Answer::Written { .. }));
        let Some(victim) = pick(rng, &writes) else { return false };
        history.operations.remove(victim);
        for (id, operation) in (0..).zip(&mut history.operations) {
            operation.id = id;
        }
        true
    }),
    ("give one write the version of another", |rng, history| {
        let writes = positions(history, |answer| matches!(answer, Answer::Written { .. }));
        let (Some(from), Some(to)) = (pick(rng, &writes), pick(rng, &writes)) else { return false };
        history.operations[to].outcome = history.operations[from].outcome.clone();
        true
    }),
    ("swap the answers of two reads", |rng, history| {
        let reads = positions(history, |answer| matches!(answer, Answer::Value { .. }));
        let (Some(one), Some(other)) = (pick(rng, &reads), pick(rng, &reads)) else { return false };
        let outcome = history.operations[one].outcome.clone();
        history.operations[one].outcome = std::mem::replace(&mut history.operations[other].outcome, outcome);
        true
    }),
    ("answer a read with an earlier read's value", |rng, history| {
        let reads = positions(history, |answer| matches!(answer, Answer::Value { .. }));
        let Some(last) = reads.last().copied() else { return false };
        let Some(earlier) = pick(rng, &reads) else { return false };
        history.operations[last].outcome = history.operations[earlier].outcome.clone();
        true
    }),
    ("make a write that was answered fail", |rng, history| {
        let writes = positions(history, |answer| matches!(answer, Answer::Written { .. }));
        let Some(victim) = pick(rng, &writes) else { return false };
        history.operations[victim].outcome = Outcome::Fail { reason: "refused".to_owned() };
        true
    }),
];

fn positions(history: &History, wanted: fn(&Answer) -> bool) -> Vec<usize> {
    let is_wanted = |position: &usize| match &history.operations[*position].outcome {
        Outcome::Ok { answer } => wanted(answer),
        _ => false,
    };
    (0..history.operations.len()).filter(is_wanted).collect()
}

fn pick(rng: &mut StreamRng, positions: &[usize]) -> Option<usize> {
    (!positions.is_empty()).then(|| positions[rng.random_range(0..positions.len())])
}

#[test]
fn lock_histories_with_random_answers_get_the_true_verdict() {
    let mut rng = Streams::new(4).stream("locks");
    let mut counts = BTreeMap::new();
    for round in 0..6_000 {
        let history = lock_history(&mut rng);
        assert_eq!(history.verify(), Ok(()));
        let truth = brute::linearizable(&history, brute::lock);
        *counts.entry(truth).or_insert(0) += 1;
        let expected = match answered(&history) {
            false => Verdict::Unknown,
            true if truth => Verdict::Valid,
            true => Verdict::Invalid,
        };
        let result = check_history(&LockModel, &history, STEPS_MAX);
        assert_eq!(result.verdict, expected, "round {round}: {history:#?}");
    }
    assert!(counts.values().all(|count| *count > 1_000) && counts.len() == 2, "one-sided: {counts:?}");
}

/// Clients acquire and release; tokens mostly rise; leases run out at random, and sometimes wrongly not.
fn lock_history(rng: &mut StreamRng) -> History {
    let mut clocks = [0_u64; 3];
    let mut held: [Option<u64>; 3] = [None; 3];
    let mut token = 0;
    let mut rows = Vec::new();
    for _ in 0..7 {
        let client = rng.random_range(0..3_usize);
        let invoked = clocks[client] + rng.random_range(0..3);
        let returned = invoked + rng.random_range(1..7);
        clocks[client] = returned;
        let unknown = rng.random_range(0..8) == 0;
        let (call, answer) = match held[client].take() {
            Some(token) => {
                let answer = if rng.random_bool(0.7) { Answer::Released } else { Answer::NotHeld };
                (support::release(token), answer)
            }
            None => {
                token += 1;
                let exclusive = rng.random_bool(0.5);
                let swapped = if rng.random_range(0..10) == 0 { token + 2 } else { token };
                held[client] = (!unknown).then_some(swapped);
                (support::acquire(exclusive), Answer::Granted { token: swapped })
            }
        };
        rows.push((client as u64, invoked, returned, call, (!unknown).then_some(answer)));
    }
    support::history(rows)
}

#[test]
fn long_histories_are_decided_in_steps_that_grow_with_their_length() {
    let mut rng = Streams::new(5).stream("long");
    let shape =
        Shape { clients: 8, operations: 20_000, keys: 4, values: 0, unknown_percent: 2, duration_max: 20 };
    let history = register_history(&mut rng, &shape);
    let result = check_history(&RegisterModel, &history, STEPS_MAX);
    println!("{} operations: {result:?}", history.operations.len());
    assert_eq!(result.verdict, Verdict::Valid);
    assert!(result.steps < 4 * shape.operations, "{} steps", result.steps);
}

#[test]
fn one_stale_read_in_a_long_history_is_found() {
    let mut rng = Streams::new(6).stream("long");
    let shape =
        Shape { clients: 8, operations: 20_000, keys: 4, values: 0, unknown_percent: 2, duration_max: 20 };
    let mut history = register_history(&mut rng, &shape);
    let reads = positions(&history, |answer| matches!(answer, Answer::Value { value: Some(_), .. }));
    let (early, late) = (reads[reads.len() / 4], reads[reads.len() / 2]);
    history.operations[late].outcome = history.operations[early].outcome.clone();
    history.operations[late].call = history.operations[early].call.clone();
    let result = check_history(&RegisterModel, &history, STEPS_MAX);
    println!("{} steps\n{}", result.steps, result.counterexample.clone().unwrap_or_default());
    assert_eq!(result.verdict, Verdict::Invalid);
    assert!(result.steps < 8 * shape.operations, "{} steps", result.steps);
}
