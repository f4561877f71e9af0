//! `porcupine-rs`: a translation of Porcupine, with an operation that was never answered returning after all
//! others and fitting anywhere.

use porcupine_rs::{Model, Operation, check_operations};
use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{
    Entry, PlainRegisterAnswer, PlainRegisterOp, TextAnswer, TextOp,
};

use super::{step_register, step_text, verdict};
use crate::shapes::{History, Objects};

#[derive(Clone)]
struct Register;

impl Model for Register {
    type State = Option<i64>;
    type Op = (PlainRegisterOp, Option<PlainRegisterAnswer>);
    type Metadata = ();

    fn init() -> Option<i64> {
        None
    }

    fn step(state: &Option<i64>, (op, answer): &Self::Op) -> (bool, Option<i64>) {
        let after = step_register(*state, *op, *answer);
        (after.is_some(), after.unwrap_or(*state))
    }
}

#[derive(Clone)]
struct Text;

impl Model for Text {
    type State = String;
    type Op = (TextOp, Option<TextAnswer>);
    type Metadata = ();

    fn init() -> String {
        String::new()
    }

    fn step(state: &String, (op, answer): &Self::Op) -> (bool, String) {
        let after = step_text(state, op, answer.as_ref());
        (after.is_some(), after.unwrap_or_default())
    }
}

fn linearizable<M: Model<Op = (Op, Option<Answer>)>, Op: Clone, Answer: Clone>(
    entries: &[Entry<Op, Answer>],
) -> bool {
    let last = entries.iter().filter_map(|entry| entry.returned).max().unwrap_or(0) + 1;
    let operations: Vec<Operation<M>> = entries
        .iter()
        .map(|entry| Operation {
            client_id: u32::try_from(entry.process).ok(),
            call_time: entry.invoked as i64,
            return_time: entry.returned.unwrap_or(last) as i64,
            op: (entry.op.clone(), entry.answer.clone()),
            metadata: None,
        })
        .collect();
    check_operations(&operations)
}

/// Its verdict, object by object.
pub(crate) fn check(history: &History) -> Verdict {
    verdict(match &history.objects {
        Objects::Registers(all) => all.iter().all(|one| linearizable::<Register, _, _>(&one.entries)),
        Objects::Texts(all) => all.iter().all(|one| linearizable::<Text, _, _>(&one.entries)),
    })
}
