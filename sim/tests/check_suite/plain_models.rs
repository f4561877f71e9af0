//! Histories of objects that are none of the service's, written by hand: accepted ones and rejected ones.

use std::collections::BTreeSet;

use stormglass_sim::check::Verdict::{self, Invalid, Unknown, Valid};
use stormglass_sim::check::linearizability::{
    AppendModel, Entry, Limits, Model, Partition, PartitionOf, PlainRegisterAnswer, PlainRegisterModel,
    PlainRegisterOp, SetModel, Sets, TextAnswer, TextOp, check,
};

/// One operation: invoked, returned (0: never), what was asked, what was answered.
type Row<Op, Answer> = (u64, u64, Op, Option<Answer>);

pub(crate) fn partition<Op, Answer>(rows: Vec<Row<Op, Answer>>) -> Vec<Partition<Op, Answer>> {
    let entry = |(id, (invoked, returned, op, answer)): (u64, Row<Op, Answer>)| match answer {
        Some(answer) => Entry::answered(id, id, (invoked, returned), op, answer),
        None => Entry::unanswered(id, id, invoked, op),
    };
    vec![Partition { name: "x".to_owned(), entries: (0..).zip(rows).map(entry).collect() }]
}

fn verdict<M: Model>(model: &M, partitions: Vec<PartitionOf<M>>) -> Verdict {
    check(model, partitions, &Limits::default()).verdict
}

fn register(rows: Vec<Row<PlainRegisterOp, PlainRegisterAnswer>>) -> Verdict {
    verdict(&PlainRegisterModel, partition(rows))
}

fn read(value: Option<i64>) -> (PlainRegisterOp, Option<PlainRegisterAnswer>) {
    (PlainRegisterOp::Read, Some(PlainRegisterAnswer::Value(value)))
}

fn write(value: i64) -> (PlainRegisterOp, Option<PlainRegisterAnswer>) {
    (PlainRegisterOp::Write(Some(value)), Some(PlainRegisterAnswer::Done))
}

fn cas(from: i64, to: i64, done: bool) -> (PlainRegisterOp, Option<PlainRegisterAnswer>) {
    let answer = if done { PlainRegisterAnswer::Done } else { PlainRegisterAnswer::Refused };
    (PlainRegisterOp::CompareAndSet { from: Some(from), to: Some(to) }, Some(answer))
}

pub(crate) fn rows<Op, Answer>(spans: Vec<(u64, u64, (Op, Option<Answer>))>) -> Vec<Row<Op, Answer>> {
    let row = |(invoked, returned, (op, answer)): (u64, u64, (Op, Option<Answer>))| {
        (invoked, returned, op, answer.filter(|_| returned > 0))
    };
    spans.into_iter().map(row).collect()
}

#[test]
fn plain_registers_are_told_apart() {
    let accepted = [
        ("nothing at first", vec![(1, 2, read(None))]),
        ("the same value twice", vec![(1, 2, write(1)), (3, 4, write(1)), (5, 6, read(Some(1)))]),
        (
            "a write of what is there already is needed later",
            vec![
                (1, 2, write(1)),
                (3, 10, write(1)),
                (4, 5, write(2)),
                (6, 7, read(Some(2))),
                (8, 9, read(Some(1))),
            ],
        ),
        (
            "a swap and a refused swap",
            vec![(1, 2, write(1)), (3, 4, cas(1, 2, true)), (5, 6, cas(1, 3, false))],
        ),
        ("an unanswered write, seen late", vec![(1, 0, write(1)), (2, 3, read(None)), (4, 5, read(Some(1)))]),
        (
            "an unanswered write explains a refusal",
            vec![(1, 2, write(1)), (3, 0, write(2)), (4, 5, cas(1, 3, false)), (6, 7, cas(2, 4, true))],
        ),
        (
            "an unanswered write explains a refusal, and is never seen itself",
            vec![(1, 2, write(1)), (3, 0, write(2)), (4, 5, cas(1, 3, false))],
        ),
    ];
    for (what, spans) in accepted {
        assert_eq!(register(rows(spans)), Valid, "{what}");
    }
    let rejected = [
        ("out of thin air", vec![(1, 2, read(Some(1)))]),
        ("stale", vec![(1, 2, write(1)), (3, 4, write(2)), (5, 6, read(Some(1)))]),
        ("two swaps of one value", vec![(1, 2, write(1)), (3, 6, cas(1, 2, true)), (4, 5, cas(1, 3, true))]),
        ("refused what it asked for", vec![(1, 2, write(1)), (3, 4, cas(1, 2, false))]),
        (
            "one unanswered write, seen twice with another between",
            vec![
                (1, 0, write(1)),
                (2, 3, read(Some(1))),
                (4, 5, write(2)),
                (6, 7, read(Some(2))),
                (8, 9, read(Some(1))),
            ],
        ),
    ];
    for (what, spans) in rejected {
        assert_eq!(register(rows(spans)), Invalid, "{what}");
    }
    assert_eq!(register(Vec::new()), Unknown);
}

fn text(rows: Vec<Row<TextOp, TextAnswer>>) -> Verdict {
    let (model, partitions) = AppendModel::new(partition(rows));
    verdict(&model, partitions)
}

fn get(text: &str) -> (TextOp, Option<TextAnswer>) {
    (TextOp::Get, Some(TextAnswer::Value(text.to_owned())))
}

fn put(text: &str) -> (TextOp, Option<TextAnswer>) {
    (TextOp::Put(text.to_owned()), Some(TextAnswer::Done))
}

fn append(text: &str) -> (TextOp, Option<TextAnswer>) {
    (TextOp::Append(text.to_owned()), Some(TextAnswer::Done))
}

#[test]
fn texts_are_told_apart() {
    let accepted = [
        ("empty at first", vec![(1, 2, get(""))]),
        ("appended in either order", vec![(1, 4, append("a")), (2, 3, append("b")), (5, 6, get("ba"))]),
        ("put over what was there", vec![(1, 2, append("a")), (3, 4, put("b")), (5, 6, get("b"))]),
        (
            "two ways to one text",
            vec![(1, 5, append("a")), (2, 6, append("ab")), (3, 7, append("b")), (8, 9, get("abab"))],
        ),
        ("appended and never read", vec![(1, 2, append("a")), (3, 4, get("a")), (5, 6, append("c"))]),
        (
            "two unanswered appends, both needed",
            vec![(1, 0, append("a")), (2, 0, append("b")), (3, 4, get("")), (5, 6, get("ab"))],
        ),
        (
            "gone astray and put right",
            vec![(1, 2, append("q")), (3, 4, put("a")), (5, 6, append("b")), (7, 8, get("ab"))],
        ),
    ];
    for (what, spans) in accepted {
        assert_eq!(text(rows(spans)), Valid, "{what}");
    }
    let rejected = [
        ("an append is lost", vec![(1, 2, append("a")), (3, 4, append("b")), (5, 6, get("b"))]),
        ("an append is doubled", vec![(1, 2, append("a")), (3, 4, get("aa"))]),
        (
            "reads go back",
            vec![(1, 2, append("a")), (3, 9, append("b")), (4, 5, get("ab")), (6, 7, get("a"))],
        ),
        ("part of an append", vec![(1, 2, append("ab")), (3, 4, get("a"))]),
        ("not put", vec![(1, 2, append("a")), (3, 4, put("b")), (5, 6, get("ab"))]),
        ("read before it was appended", vec![(1, 2, get("a")), (3, 4, append("a"))]),
    ];
    for (what, spans) in rejected {
        assert_eq!(text(rows(spans)), Invalid, "{what}");
    }
}

/// A bag: put numbers in, take any one out.
struct Bag;

impl SetModel for Bag {
    type Op = Option<u8>;
    type Answer = Option<u8>;
    type State = BTreeSet<u8>;

    fn name(&self) -> &'static str {
        "bag"
    }

    fn initial(&self) -> BTreeSet<BTreeSet<u8>> {
        BTreeSet::from([BTreeSet::new()])
    }

    fn steps(
        &self,
        bag: &BTreeSet<u8>,
        op: &Option<u8>,
        answer: Option<&Option<u8>>,
    ) -> BTreeSet<BTreeSet<u8>> {
        let without = |taken: &u8| bag.iter().copied().filter(|number| number != taken).collect();
        match (op, answer) {
            (Some(put), _) => BTreeSet::from([bag.iter().copied().chain([*put]).collect()]),
            (None, Some(Some(taken))) if bag.contains(taken) => BTreeSet::from([without(taken)]),
            (None, Some(None)) if bag.is_empty() => BTreeSet::from([bag.clone()]),
            (None, None) => bag.iter().map(without).collect(),
            _ => BTreeSet::new(),
        }
    }
}

#[test]
fn an_object_that_may_choose_is_judged_by_all_its_choices() {
    let bag = |rows| verdict(&Sets(Bag), partition(rows));
    let put = |at, number| (at, at + 1, Some(number), Some(None));
    let take = |at, answer| (at, at + 1, None, Some(answer));
    // Which of the two the unanswered operation took is known only in the end.
    let lost = (5, 0, None, None);
    assert_eq!(bag(vec![put(1, 1), put(3, 2), lost, take(6, Some(2)), take(8, None)]), Valid);
    assert_eq!(bag(vec![put(1, 1), put(3, 2), lost, take(6, Some(1)), take(8, None)]), Valid);
    assert_eq!(bag(vec![put(1, 1), put(3, 2), take(6, Some(2)), take(8, None)]), Invalid);
    assert_eq!(bag(vec![put(1, 1), put(3, 2), lost, take(6, Some(2)), take(8, Some(2))]), Invalid);
}
