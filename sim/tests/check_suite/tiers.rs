//! Objects with rules of their own, the frontier online, and what happens if a tier is wrong.

use stormglass_sim::check::Verdict::{self, Invalid, Unknown, Valid};
use stormglass_sim::check::linearizability::{
    Entry, EntryOf, ExclusionAnswer, ExclusionModel, ExclusionOp, FifoAnswer, FifoModel, FifoOp, Limits,
    Model, Online, OnlineViolation, PlainRegisterAnswer, PlainRegisterModel, PlainRegisterOp, Ruling, Tier,
    check,
};

use crate::plain_models::{partition, rows};

fn queue(spans: Vec<(u64, u64, (FifoOp, Option<FifoAnswer>))>) -> Verdict {
    check(&FifoModel, partition(rows(spans)), &Limits::default()).verdict
}

const fn put(item: u64) -> (FifoOp, Option<FifoAnswer>) {
    (FifoOp::Enqueue(item), Some(FifoAnswer::Done))
}

const fn take(item: u64) -> (FifoOp, Option<FifoAnswer>) {
    (FifoOp::Dequeue, Some(FifoAnswer::Item(item)))
}

const EMPTY: (FifoOp, Option<FifoAnswer>) = (FifoOp::Dequeue, Some(FifoAnswer::Empty));

#[test]
fn queues_are_told_apart() {
    let accepted = [
        ("one after the other", vec![(1, 2, put(1)), (3, 4, put(2)), (5, 6, take(1)), (7, 8, take(2))]),
        ("put side by side", vec![(1, 4, put(1)), (2, 3, put(2)), (5, 6, take(2)), (7, 8, take(1))]),
        ("taken while it is put", vec![(1, 4, put(1)), (2, 3, take(1))]),
        ("empty between two items", vec![(1, 2, put(1)), (3, 6, take(1)), (4, 7, EMPTY), (5, 8, put(2))]),
        ("put without an answer, and taken", vec![(1, 0, put(1)), (2, 3, EMPTY), (4, 5, take(1))]),
        ("put without an answer, and never there", vec![(1, 0, put(1)), (2, 3, put(2)), (4, 5, take(2))]),
    ];
    for (what, spans) in accepted {
        assert_eq!(queue(spans), Valid, "{what}");
    }
    let rejected = [
        ("never put", vec![(1, 2, take(1))]),
        ("taken before it was put", vec![(1, 2, take(1)), (3, 4, put(1))]),
        ("taken twice", vec![(1, 2, put(1)), (3, 4, take(1)), (5, 6, take(1))]),
        ("overtaken", vec![(1, 2, put(1)), (3, 4, put(2)), (5, 6, take(2)), (7, 8, take(1))]),
        ("left behind", vec![(1, 2, put(1)), (3, 4, put(2)), (5, 6, take(2))]),
        ("found empty beside an item", vec![(1, 2, put(1)), (3, 4, EMPTY), (5, 6, take(1))]),
        (
            "found empty while items hand over",
            vec![(1, 2, put(1)), (3, 9, EMPTY), (4, 5, put(2)), (6, 7, take(1)), (10, 11, take(2))],
        ),
    ];
    for (what, spans) in rejected {
        assert_eq!(queue(spans), Invalid, "{what}");
    }
}

type LockRow = (u64, u64, (ExclusionOp, Option<ExclusionAnswer>));

fn lock(spans: Vec<LockRow>) -> Verdict {
    check(&ExclusionModel, partition(rows(spans)), &Limits::default()).verdict
}

const fn held(holder: u64, exclusive: bool) -> (ExclusionOp, Option<ExclusionAnswer>) {
    (ExclusionOp::Acquire { holder, exclusive }, Some(ExclusionAnswer::Granted))
}

const fn refused(holder: u64) -> (ExclusionOp, Option<ExclusionAnswer>) {
    (ExclusionOp::Acquire { holder, exclusive: true }, Some(ExclusionAnswer::Refused))
}

const fn given_back(holder: u64) -> (ExclusionOp, Option<ExclusionAnswer>) {
    (ExclusionOp::Release { holder }, Some(ExclusionAnswer::Released))
}

#[test]
fn mutexes_are_told_apart() {
    let accepted: Vec<(&str, Vec<LockRow>)> = vec![
        ("in turn", vec![(1, 2, held(1, true)), (3, 4, given_back(1)), (5, 6, held(2, true))]),
        (
            "granted while it is given back",
            vec![(1, 2, held(1, true)), (3, 6, given_back(1)), (4, 5, held(2, true))],
        ),
        ("shared", vec![(1, 2, held(1, false)), (3, 4, held(2, false)), (5, 6, given_back(1))]),
        ("refused beside a holder", vec![(1, 2, held(1, true)), (3, 4, refused(2)), (5, 6, given_back(1))]),
        (
            "refused between two that hand over",
            vec![(1, 2, held(1, true)), (3, 7, given_back(1)), (4, 5, refused(3)), (6, 8, held(2, true))],
        ),
        (
            "a release without an answer",
            vec![(1, 2, held(1, true)), (3, 0, given_back(1)), (4, 5, held(2, true))],
        ),
    ];
    for (what, spans) in accepted {
        assert_eq!(lock(spans), Valid, "{what}");
    }
    let rejected: Vec<(&str, Vec<LockRow>)> = vec![
        ("two at a time", vec![(1, 2, held(1, true)), (3, 4, held(2, true)), (5, 6, given_back(1))]),
        (
            "shared beside exclusive",
            vec![(1, 2, held(1, false)), (3, 4, held(2, true)), (5, 6, given_back(1))],
        ),
        ("refused while it is free", vec![(1, 2, refused(1)), (3, 4, held(2, true))]),
        (
            "refused between two holds, of which the first has one before it that was given back late",
            vec![
                (1, 2, held(1, true)),
                (3, 20, given_back(1)),
                (4, 5, held(2, true)),
                (6, 7, given_back(2)),
                (8, 9, refused(3)),
                (10, 11, held(4, true)),
            ],
        ),
    ];
    for (what, spans) in rejected {
        assert_eq!(lock(spans), Invalid, "{what}");
    }
}

#[test]
fn online_a_violation_is_told_once_it_is_certain() {
    use PlainRegisterAnswer::{Done, Value};
    let mut register = Online::new(&PlainRegisterModel, true);
    assert_eq!(register.invoke(1, 1, 10, PlainRegisterOp::Write(Some(5))), Ok(()));
    assert_eq!(register.answer(1, 20, Done), Ok(()));
    assert_eq!(register.invoke(2, 2, 30, PlainRegisterOp::Write(Some(6))), Ok(()));
    register.lose(2);
    // It may have been written, or not; but not be there and then gone.
    for (id, value) in [(3, 5), (4, 6)] {
        assert_eq!(register.invoke(id, 1, 10 * id + 10, PlainRegisterOp::Read), Ok(()));
        assert_eq!(register.answer(id, 10 * id + 15, Value(Some(value))), Ok(()));
    }
    assert_eq!(register.invoke(5, 1, 60, PlainRegisterOp::Read), Ok(()));
    assert_eq!(register.answer(5, 70, Value(Some(5))), Ok(()));
    let violation = Err(OnlineViolation { id: 5, returned: 70 });
    assert_eq!(register.invoke(6, 1, 80, PlainRegisterOp::Read), violation);
    assert_eq!(register.finish(), Err(OnlineViolation { id: 5, returned: 70 }));
}

#[test]
fn online_what_is_over_is_not_kept() {
    let mut register = Online::new(&PlainRegisterModel, false);
    for number in 0..10_000_u64 {
        let value = Some((number / 2) as i64);
        let (op, answer) = match number % 2 {
            0 => (PlainRegisterOp::Write(value), PlainRegisterAnswer::Done),
            _ => (PlainRegisterOp::Read, PlainRegisterAnswer::Value(value)),
        };
        assert_eq!(register.invoke(number, number % 3, 10 * number, op), Ok(()));
        assert_eq!(register.answer(number, 10 * number + 5, answer), Ok(()));
        assert!(register.waiting() <= 4, "{} operations are kept", register.waiting());
    }
    assert_eq!(register.finish(), Ok(Valid));
}

#[test]
fn online_nothing_answered_is_unknown() {
    let mut register = Online::new(&PlainRegisterModel, true);
    assert_eq!(register.invoke(1, 1, 10, PlainRegisterOp::Read), Ok(()));
    assert_eq!(register.finish(), Ok(Unknown));
}

/// A register whose rule is wrong.
struct Broken;

impl Model for Broken {
    type Op = PlainRegisterOp;
    type Answer = PlainRegisterAnswer;
    type State = Option<i64>;

    fn name(&self) -> &'static str {
        "broken"
    }

    fn initial(&self) -> Option<i64> {
        None
    }

    fn step(
        &self,
        state: &Option<i64>,
        op: &PlainRegisterOp,
        answer: Option<&PlainRegisterAnswer>,
    ) -> Option<Option<i64>> {
        PlainRegisterModel.step(state, op, answer)
    }

    fn rule(&self, _entries: &[EntryOf<Self>]) -> Option<Ruling> {
        Some(Ruling::Impossible)
    }
}

#[test]
fn tiers_that_contradict_each_other_are_an_error_of_the_check_and_no_verdict() {
    let written = (1, 2, (PlainRegisterOp::Write(Some(1)), Some(PlainRegisterAnswer::Done)));
    let result = check(&Broken, partition(rows(vec![written])), &Limits::default());
    assert_eq!((result.verdict, result.refutation), (Unknown, None));
    let shown = result.counterexample.unwrap_or_default();
    assert!(shown.starts_with("INTERNAL ERROR of the check: rule says"), "{shown}");
}

#[test]
fn what_is_too_wide_for_the_frontier_goes_to_the_search() {
    let write = |value| (PlainRegisterOp::Write(Some(value)), Some(PlainRegisterAnswer::Done));
    let spans = (0..300).map(|_| (1, 2, write(5))).collect();
    let result = check(&PlainRegisterModel, partition(rows(spans)), &Limits::default());
    assert_eq!((result.verdict, result.decided.by(Tier::Search)), (Valid, 1));
    let spans = (0..200).map(|_| (1, 2, write(5))).collect();
    let result = check(&PlainRegisterModel, partition(rows(spans)), &Limits::default());
    assert_eq!((result.verdict, result.decided.by(Tier::Frontier)), (Valid, 1));
}

#[test]
fn the_frontier_finds_violations_that_no_rule_is_for() {
    // Values are written twice, so that only the frontier and the search can tell; and there are too many to search
    // without a memory.
    let mut entries: Vec<Entry<PlainRegisterOp, PlainRegisterAnswer>> = Vec::new();
    for number in 0..6_000_u64 {
        let value = Some((number / 2 % 3) as i64);
        let (op, answer) = match number % 2 {
            0 => (PlainRegisterOp::Write(value), PlainRegisterAnswer::Done),
            _ if number == 4_501 => (PlainRegisterOp::Read, PlainRegisterAnswer::Value(Some(2))),
            _ => (PlainRegisterOp::Read, PlainRegisterAnswer::Value(value)),
        };
        entries.push(Entry::answered(number, 1, (10 * number, 10 * number + 5), op, answer));
    }
    let mut partitions = partition(Vec::new());
    partitions[0].entries = entries;
    let result = check(&PlainRegisterModel, partitions, &Limits::default());
    assert_eq!(result.verdict, Invalid);
    let found = result.refutation.expect("it is a violation");
    assert_eq!((found.found_by, found.confirmed_by), (Tier::Frontier, Some(Tier::Search)));
    assert!(found.operations_shown < found.operations, "{found:?}");
}
