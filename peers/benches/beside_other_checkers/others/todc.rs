//! `todc-utils`: Wing, Gong and Lowe's search over a vector. An operation that was never answered responds
//! after all others and fits anywhere.

use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{
    Entry, PlainRegisterAnswer, PlainRegisterOp, TextAnswer, TextOp,
};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History as Actions};
use todc_utils::specifications::Specification;

use super::{step_register, step_text, verdict};
use crate::shapes::{History, Objects};

struct Register;

impl Specification for Register {
    type State = Option<i64>;
    type Operation = (PlainRegisterOp, Option<PlainRegisterAnswer>);

    fn init() -> Option<i64> {
        None
    }

    fn apply((op, answer): &Self::Operation, state: &Option<i64>) -> (bool, Option<i64>) {
        let after = step_register(*state, *op, *answer);
        (after.is_some(), after.unwrap_or(*state))
    }
}

struct Text;

impl Specification for Text {
    type State = String;
    type Operation = (TextOp, Option<TextAnswer>);

    fn init() -> String {
        String::new()
    }

    fn apply((op, answer): &Self::Operation, state: &String) -> (bool, String) {
        let after = step_text(state, op, answer.as_ref());
        (after.is_some(), after.unwrap_or_else(|| state.clone()))
    }
}

fn linearizable<S: Specification<Operation = (Op, Option<Answer>)>, Op: Clone, Answer: Clone>(
    entries: &[Entry<Op, Answer>],
) -> bool {
    let last = entries.iter().filter_map(|entry| entry.returned).max().unwrap_or(0) + 1;
    let mut actions = Vec::with_capacity(entries.len() * 2);
    for (number, entry) in entries.iter().enumerate() {
        let asked = (entry.op.clone(), entry.answer.clone());
        actions.push((entry.invoked, (number, Action::Call(asked.clone()))));
        actions.push((entry.returned.unwrap_or(last), (number, Action::Response(asked))));
    }
    // It sorts no more than it must: processes are numbered by operation, which is as good.
    actions.sort_by_key(|(at, _)| *at);
    WGLChecker::<S>::is_linearizable(Actions::from_actions(
        actions.into_iter().map(|(_, action)| action).collect(),
    ))
}

/// Its verdict, object by object.
pub(crate) fn check(history: &History) -> Verdict {
    verdict(match &history.objects {
        Objects::Registers(all) => all.iter().all(|one| linearizable::<Register, _, _>(&one.entries)),
        Objects::Texts(all) => all.iter().all(|one| linearizable::<Text, _, _>(&one.entries)),
    })
}
