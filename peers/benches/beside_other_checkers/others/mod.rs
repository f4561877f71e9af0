//! The other checkers, each with a specification in its own terms: one of them all would not be fair to any.

pub(crate) mod porcupine;
pub(crate) mod stateright;
pub(crate) mod todc;

use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{PlainRegisterAnswer, PlainRegisterOp, TextAnswer, TextOp};

/// A register, with an answer or without; `None` if it cannot be so.
fn step_register(
    state: Option<i64>,
    op: PlainRegisterOp,
    answer: Option<PlainRegisterAnswer>,
) -> Option<Option<i64>> {
    match (op, answer) {
        (PlainRegisterOp::Read, Some(PlainRegisterAnswer::Value(value))) => (value == state).then_some(state),
        (PlainRegisterOp::Read, _) => Some(state),
        (PlainRegisterOp::Write(value), _) => Some(value),
        (PlainRegisterOp::CompareAndSet { from, .. }, Some(PlainRegisterAnswer::Refused)) => {
            (from != state).then_some(state)
        }
        (PlainRegisterOp::CompareAndSet { from, to }, Some(_)) => (from == state).then_some(to),
        (PlainRegisterOp::CompareAndSet { from, to }, None) => Some(if from == state { to } else { state }),
    }
}

/// A text, with an answer or without.
fn step_text(state: &str, op: &TextOp, answer: Option<&TextAnswer>) -> Option<String> {
    match (op, answer) {
        (TextOp::Get, Some(TextAnswer::Value(text))) => (text == state).then(|| state.to_owned()),
        (TextOp::Get, _) => Some(state.to_owned()),
        (TextOp::Put(text), _) => Some(text.clone()),
        (TextOp::Append(text), _) => Some(format!("{state}{text}")),
    }
}

const fn verdict(linearizable: bool) -> Verdict {
    if linearizable { Verdict::Valid } else { Verdict::Invalid }
}
