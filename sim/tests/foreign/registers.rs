//! A register, as a Jepsen log has it.

use rand::RngExt;
use stormglass_sim::check::linearizability::{
    Entry, Limits, Linearizability, Partition, PlainRegisterAnswer, PlainRegisterModel, PlainRegisterOp,
    check,
};
use stormglass_sim::history::foreign::{ForeignRegisterAnswer, ForeignRegisterCall, Format, read_registers};
use stormglass_sim::rng::StreamRng;

use crate::drafts::Object;

/// Few values, so that different writes are mistaken for each other if they can be.
const VALUES: i64 = 3;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Register;

impl Object for Register {
    type Call = PlainRegisterOp;
    type Answer = PlainRegisterAnswer;
    type State = Option<i64>;

    fn draw(rng: &mut StreamRng, _number: u64) -> PlainRegisterOp {
        let mut value = || Some(rng.random_range(0..VALUES));
        let (one, other) = (value(), value());
        match rng.random_range(0..10) {
            0..5 => PlainRegisterOp::Read,
            5..8 => PlainRegisterOp::Write(one),
            _ => PlainRegisterOp::CompareAndSet { from: one, to: other },
        }
    }

    fn apply(state: &mut Option<i64>, call: &PlainRegisterOp) -> PlainRegisterAnswer {
        match *call {
            PlainRegisterOp::Read => PlainRegisterAnswer::Value(*state),
            PlainRegisterOp::CompareAndSet { from, .. } if from != *state => PlainRegisterAnswer::Refused,
            PlainRegisterOp::Write(value) | PlainRegisterOp::CompareAndSet { to: value, .. } => {
                *state = value;
                PlainRegisterAnswer::Done
            }
        }
    }

    fn is_seen(answer: &PlainRegisterAnswer) -> bool {
        matches!(answer, PlainRegisterAnswer::Value(_))
    }

    fn is_refusal(answer: &PlainRegisterAnswer) -> bool {
        *answer == PlainRegisterAnswer::Refused
    }

    fn bend(
        rng: &mut StreamRng,
        call: &PlainRegisterOp,
        answer: &PlainRegisterAnswer,
    ) -> Option<PlainRegisterAnswer> {
        match (call, answer) {
            (PlainRegisterOp::Read, _) => Some(PlainRegisterAnswer::Value(Some(rng.random_range(0..VALUES)))),
            (PlainRegisterOp::Write(_), _) => None,
            (_, PlainRegisterAnswer::Done) => Some(PlainRegisterAnswer::Refused),
            _ => Some(PlainRegisterAnswer::Done),
        }
    }

    fn event(process: u64, call: &PlainRegisterOp, end: Option<Option<&PlainRegisterAnswer>>) -> String {
        let shown = |value: Option<i64>| value.map_or_else(|| "nil".to_owned(), |value| value.to_string());
        let (function, asked) = match *call {
            PlainRegisterOp::Read => (":read", "nil".to_owned()),
            PlainRegisterOp::Write(value) => (":write", shown(value)),
            PlainRegisterOp::CompareAndSet { from, to } => {
                (":cas", format!("[{} {}]", shown(from), shown(to)))
            }
        };
        let (kind, value) = match end {
            None => (":invoke", asked),
            Some(None) => (":info", ":timed-out".to_owned()),
            Some(Some(PlainRegisterAnswer::Value(value))) => (":ok", shown(*value)),
            Some(Some(PlainRegisterAnswer::Done)) => (":ok", asked),
            Some(Some(PlainRegisterAnswer::Refused)) => (":fail", asked),
        };
        format!("INFO  jepsen.util - {process}\t{kind}\t{function} {value}")
    }

    fn check(text: &str) -> Linearizability {
        let read =
            read_registers(text.as_bytes(), Format::Jepsen).unwrap_or_else(|error| panic!("{error}: {text}"));
        let entry = |(id, operation): (u64, &stormglass_sim::history::foreign::Recorded<_, _>)| {
            let op = match operation.call {
                ForeignRegisterCall::Read => PlainRegisterOp::Read,
                ForeignRegisterCall::Write(value) => PlainRegisterOp::Write(value),
                ForeignRegisterCall::CompareAndSet { expected, value } => {
                    PlainRegisterOp::CompareAndSet { from: expected, to: value }
                }
            };
            let answer = operation.answer.map(|answer| match answer {
                ForeignRegisterAnswer::Value(value) => PlainRegisterAnswer::Value(value),
                ForeignRegisterAnswer::Written => PlainRegisterAnswer::Done,
                ForeignRegisterAnswer::Mismatch => PlainRegisterAnswer::Refused,
            });
            match answer.zip(operation.returned) {
                Some((answer, at)) => {
                    Entry::answered(id, operation.process, (operation.invoked, at), op, answer)
                }
                None => Entry::unanswered(id, operation.process, operation.invoked, op),
            }
        };
        let entries = (0..).zip(&read.operations).map(entry).collect();
        let partitions = vec![Partition { name: String::new(), entries }];
        check(&PlainRegisterModel, partitions, &Limits::default())
    }
}
