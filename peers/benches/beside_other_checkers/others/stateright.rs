//! `stateright`'s tester: every interleaving, without a memory; made for the few operations of a model.

use ::stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{
    Entry, PlainRegisterAnswer, PlainRegisterOp, TextAnswer, TextOp,
};

use super::verdict;
use crate::shapes::{History, Objects};

#[derive(Clone, Default)]
struct Register(Option<i64>);

impl SequentialSpec for Register {
    type Op = PlainRegisterOp;
    type Ret = PlainRegisterAnswer;

    fn invoke(&mut self, op: &PlainRegisterOp) -> PlainRegisterAnswer {
        match *op {
            PlainRegisterOp::Read => PlainRegisterAnswer::Value(self.0),
            PlainRegisterOp::CompareAndSet { from, .. } if from != self.0 => PlainRegisterAnswer::Refused,
            PlainRegisterOp::Write(value) | PlainRegisterOp::CompareAndSet { to: value, .. } => {
                self.0 = value;
                PlainRegisterAnswer::Done
            }
        }
    }
}

#[derive(Clone, Default)]
struct Text(String);

impl SequentialSpec for Text {
    type Op = TextOp;
    type Ret = TextAnswer;

    fn invoke(&mut self, op: &TextOp) -> TextAnswer {
        match op {
            TextOp::Get => return TextAnswer::Value(self.0.clone()),
            TextOp::Put(text) => self.0.clone_from(text),
            TextOp::Append(text) => self.0.push_str(text),
        }
        TextAnswer::Done
    }
}

fn linearizable<S>(entries: &[Entry<S::Op, S::Ret>]) -> bool
where
    S: SequentialSpec + Clone + Default,
    S::Op: Clone + std::fmt::Debug,
    S::Ret: Clone + std::fmt::Debug,
{
    let mut events: Vec<(u64, usize, bool)> = Vec::with_capacity(entries.len() * 2);
    for (number, entry) in entries.iter().enumerate() {
        events.push((entry.invoked, number, false));
        events.extend(entry.returned.map(|returned| (returned, number, true)));
    }
    events.sort_unstable();
    let mut tester = LinearizabilityTester::<u64, S>::new(S::default());
    for (_, number, returns) in events {
        let entry = &entries[number];
        let taken = match (&entry.answer, returns) {
            (Some(answer), true) => tester.on_return(entry.process, answer.clone()),
            _ => tester.on_invoke(entry.process, entry.op.clone()),
        };
        taken.expect("processes ask in turn");
    }
    tester.serialized_history().is_some()
}

/// Its verdict, object by object.
pub(crate) fn check(history: &History) -> Verdict {
    verdict(match &history.objects {
        Objects::Registers(all) => all.iter().all(|one| linearizable::<Register>(&one.entries)),
        Objects::Texts(all) => all.iter().all(|one| linearizable::<Text>(&one.entries)),
    })
}
