//! Valid histories, written as files, bent, and judged: whatever is wrong for certain is found.
//!
//! Small histories of an object that works are drawn, with operations that overlap and some of unknown outcome.
//! Each is bent in several ways; a checker too simple to be wrong says whether the bent one can still be
//! explained; and the verdict on the file must be the same. The share of wrong ones that were found is printed.

use std::collections::BTreeMap;

use rand::RngExt;
use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::Linearizability;
use stormglass_sim::rng::{StreamRng, Streams};

use crate::drafts::{Draft, Object, brute_force, draw};
use crate::registers::Register;
use crate::texts::Text;

/// Valid histories drawn of each kind of object.
const HISTORIES: u64 = 4_000;

type Mutation<O> = (&'static str, fn(&mut StreamRng, &mut Vec<Draft<O>>) -> bool);

/// Puts every mutant of every history to the test, and returns the table: made, wrong, caught.
fn put_to_the_test<O: Object>(seed: u64, mutations: &[Mutation<O>]) -> BTreeMap<&'static str, [u64; 3]> {
    let mut rng = Streams::new(seed).stream("foreign mutants");
    let mut table: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for _ in 0..HISTORIES {
        let valid: Vec<Draft<O>> = draw(&mut rng);
        assert!(brute_force(&valid), "{valid:#?}");
        assert_verdict(&valid, true, "a valid one");
        for (name, mutate) in mutations {
            let mut mutant = valid.clone();
            if !mutate(&mut rng, &mut mutant) || mutant == valid {
                continue;
            }
            let truth = brute_force(&mutant);
            let result = assert_verdict(&mutant, truth, name);
            let row = table.entry(name).or_default();
            row[0] += 1;
            row[1] += u64::from(!truth);
            row[2] += u64::from(result.verdict == Verdict::Invalid);
        }
    }
    table
}

fn assert_verdict<O: Object>(drafts: &[Draft<O>], truth: bool, what: &str) -> Linearizability {
    let result = O::check(&crate::drafts::text_of(drafts));
    let is_answered = drafts.iter().any(|draft| draft.answer.is_some());
    let expected = match truth {
        _ if !is_answered => Verdict::Unknown,
        true => Verdict::Valid,
        false => Verdict::Invalid,
    };
    assert_eq!(result.verdict, expected, "{what}: {drafts:#?}");
    result
}

fn print(object: &str, table: &BTreeMap<&str, [u64; 3]>, mutations: usize) {
    for (name, [made, wrong, caught]) in table {
        println!("{object}, {name}: {made} mutants, {wrong} wrong, {caught} caught");
        assert_eq!(wrong, caught, "{name}");
        assert!(*wrong > 100, "{name} hardly ever breaks a history: {wrong} of {made}");
    }
    assert_eq!(table.len(), mutations);
}

#[test]
fn every_wrong_mutant_of_a_registers_log_is_caught() {
    let mutations: [Mutation<Register>; 5] = [
        ("drop a write", drop_effect),
        ("repeat a write", repeat_effect),
        ("swap two answers", |rng, drafts| swap_answers(rng, drafts)),
        ("answer a read with an earlier answer", |rng, drafts| stale_answer(rng, drafts)),
        ("bend an answer", |rng, drafts| bend_answer(rng, drafts)),
    ];
    print("register", &put_to_the_test(1, &mutations), mutations.len());
}

#[test]
fn every_wrong_mutant_of_a_history_of_texts_is_caught() {
    let mutations: [Mutation<Text>; 5] = [
        ("drop a write", drop_effect),
        ("repeat a write", repeat_effect),
        ("swap two answers", |rng, drafts| swap_answers(rng, drafts)),
        ("answer a read with an earlier answer", |rng, drafts| stale_answer(rng, drafts)),
        ("bend an answer", |rng, drafts| bend_answer(rng, drafts)),
    ];
    print("text", &put_to_the_test(2, &mutations), mutations.len());
}

fn positions<O: Object>(drafts: &[Draft<O>], wanted: fn(&Draft<O>) -> bool) -> Vec<usize> {
    (0..drafts.len()).filter(|position| wanted(&drafts[*position])).collect()
}

fn pick(rng: &mut StreamRng, positions: &[usize]) -> Option<usize> {
    (!positions.is_empty()).then(|| positions[rng.random_range(0..positions.len())])
}

fn is_effect<O: Object>(draft: &Draft<O>) -> bool {
    draft.answer.as_ref().is_some_and(|answer| !O::is_seen(answer) && !O::is_refusal(answer))
}

fn is_read<O: Object>(draft: &Draft<O>) -> bool {
    draft.answer.as_ref().is_some_and(O::is_seen)
}

fn drop_effect<O: Object>(rng: &mut StreamRng, drafts: &mut Vec<Draft<O>>) -> bool {
    let Some(victim) = pick(rng, &positions(drafts, is_effect)) else { return false };
    drafts.remove(victim);
    !drafts.is_empty()
}

/// The operation once more, by a process of its own, after everything that was answered by then.
fn repeat_effect<O: Object>(rng: &mut StreamRng, drafts: &mut Vec<Draft<O>>) -> bool {
    let Some(victim) = pick(rng, &positions(drafts, is_effect)) else { return false };
    let mut again = drafts[victim].clone();
    let from = drafts[victim].returned.unwrap_or(0) + 1;
    for draft in drafts.iter_mut() {
        let later = |at: &mut u64| *at += if *at >= from { 2 } else { 0 };
        later(&mut draft.invoked);
        draft.returned.iter_mut().for_each(later);
    }
    (again.process, again.invoked, again.returned) = (99, from, Some(from + 1));
    drafts.push(again);
    true
}

fn swap_answers<O: Object>(rng: &mut StreamRng, drafts: &mut [Draft<O>]) -> bool {
    let reads = positions(drafts, is_read);
    let (Some(one), Some(other)) = (pick(rng, &reads), pick(rng, &reads)) else { return false };
    let answer = drafts[one].answer.clone();
    drafts[one].answer = std::mem::replace(&mut drafts[other].answer, answer);
    true
}

fn stale_answer<O: Object>(rng: &mut StreamRng, drafts: &mut [Draft<O>]) -> bool {
    let reads = positions(drafts, is_read);
    let Some(last) = reads.iter().copied().max_by_key(|position| drafts[*position].invoked) else {
        return false;
    };
    let Some(earlier) = pick(rng, &reads) else { return false };
    drafts[last].answer = drafts[earlier].answer.clone();
    true
}

fn bend_answer<O: Object>(rng: &mut StreamRng, drafts: &mut [Draft<O>]) -> bool {
    let answered = positions(drafts, |draft| draft.answer.is_some());
    let Some(victim) = pick(rng, &answered) else { return false };
    let draft = &mut drafts[victim];
    let Some(bent) = draft.answer.as_ref().and_then(|answer| O::bend(rng, &draft.call, answer)) else {
        return false;
    };
    draft.answer = Some(bent);
    true
}
