//! A text to which is appended, as an EDN history has it.

use rand::RngExt;
use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{
    AppendModel, Entry, Limits, Linearizability, Partition, TextAnswer, TextOp, check,
};
use stormglass_sim::history::foreign::{Format, KvAnswer, KvCall, read_kv};
use stormglass_sim::rng::StreamRng;

use crate::drafts::Object;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Text;

impl Object for Text {
    type Call = TextOp;
    type Answer = TextAnswer;
    type State = String;

    fn draw(rng: &mut StreamRng, number: u64) -> TextOp {
        match rng.random_range(0..10) {
            0..5 => TextOp::Get,
            5..9 => TextOp::Append(format!("x {number} y")),
            _ => TextOp::Put(format!("x {number} y")),
        }
    }

    fn apply(state: &mut String, call: &TextOp) -> TextAnswer {
        match call {
            TextOp::Get => return TextAnswer::Value(state.clone()),
            TextOp::Put(text) => state.clone_from(text),
            TextOp::Append(text) => state.push_str(text),
        }
        TextAnswer::Done
    }

    fn is_seen(answer: &TextAnswer) -> bool {
        matches!(answer, TextAnswer::Value(_))
    }

    fn is_refusal(_answer: &TextAnswer) -> bool {
        false
    }

    /// A text from which a piece is missing, or in which one is there twice.
    fn bend(rng: &mut StreamRng, _call: &TextOp, answer: &TextAnswer) -> Option<TextAnswer> {
        let TextAnswer::Value(text) = answer else { return None };
        let mut pieces: Vec<&str> = text.split_inclusive('y').collect();
        if pieces.is_empty() {
            return Some(TextAnswer::Value("x 99 y".to_owned()));
        }
        let place = rng.random_range(0..pieces.len());
        if rng.random_bool(0.5) {
            pieces.remove(place);
        } else {
            pieces.insert(place, pieces[place]);
        }
        Some(TextAnswer::Value(pieces.concat()))
    }

    fn event(process: u64, call: &TextOp, end: Option<Option<&TextAnswer>>) -> String {
        let (function, asked) = match call {
            TextOp::Get => (":get", None),
            TextOp::Put(text) => (":put", Some(text)),
            TextOp::Append(text) => (":append", Some(text)),
        };
        let (kind, value) = match end {
            None => (":invoke", asked),
            Some(None) => (":info", asked),
            Some(Some(TextAnswer::Value(text))) => (":ok", Some(text)),
            Some(Some(TextAnswer::Done)) => (":ok", asked),
        };
        let value = value.map_or_else(|| "nil".to_owned(), |text| format!("\"{text}\""));
        format!("{{:process {process}, :type {kind}, :f {function}, :key \"k\", :value {value}}}")
    }

    fn check(text: &str) -> Linearizability {
        let read = read_kv(text.as_bytes(), Format::Edn).unwrap_or_else(|error| panic!("{error}: {text}"));
        let entry = |(id, operation): (u64, stormglass_sim::history::foreign::Recorded<KvCall, KvAnswer>)| {
            let op = match operation.call {
                KvCall::Get => TextOp::Get,
                KvCall::Put(text) => TextOp::Put(text),
                KvCall::Append(text) => TextOp::Append(text),
            };
            let answer = operation.answer.map(|answer| match answer {
                KvAnswer::Text(text) => TextAnswer::Value(text),
                KvAnswer::Done => TextAnswer::Done,
            });
            match answer.zip(operation.returned) {
                Some((answer, at)) => {
                    Entry::answered(id, operation.process, (operation.invoked, at), op, answer)
                }
                None => Entry::unanswered(id, operation.process, operation.invoked, op),
            }
        };
        let entries = (0..).zip(read.operations).map(entry).collect();
        let (model, partitions) = AppendModel::new(vec![Partition { name: "k".to_owned(), entries }]);
        check(&model, partitions, &Limits::default())
    }
}

/// Of so many that append the same, all open at one time, every subset would have to be tried if each were another.
const ALIKE: u64 = 32;

/// They append while something else is put, and somebody gets this.
fn appended_by_many(put: Option<&str>, got: String) -> Linearizability {
    let put = put.map(|text| {
        let op = TextOp::Put(text.to_owned());
        Entry::answered(0, 0, (0, 2_000), op, TextAnswer::Done)
    });
    let one = |number| {
        let op = TextOp::Append("x".to_owned());
        Entry::answered(number, number, (number, 1_000 + number), op, TextAnswer::Done)
    };
    let get = Entry::answered(ALIKE + 1, 0, (3_000, 3_001), TextOp::Get, TextAnswer::Value(got));
    let entries = put.into_iter().chain((1..=ALIKE).map(one)).chain([get]).collect();
    let (model, partitions) = AppendModel::new(vec![Partition { name: "k".to_owned(), entries }]);
    check(&model, partitions, &Limits::default())
}

#[test]
fn who_append_the_same_at_one_time_stand_for_each_other() {
    let half = |of: &str| format!("{of}{}", "x".repeat(ALIKE as usize / 2));
    let right = appended_by_many(Some("z"), half("z"));
    assert_eq!(right.verdict, Verdict::Valid, "{right:?}");
    let wrong = appended_by_many(None, half(""));
    assert_eq!(wrong.verdict, Verdict::Invalid, "{wrong:?}");
}
