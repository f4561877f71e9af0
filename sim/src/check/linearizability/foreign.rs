//! The way from a history that was recorded elsewhere to the operations of a model.

use super::{Entry, Partition, PlainRegisterAnswer, PlainRegisterOp, TextAnswer, TextOp};
use crate::history::foreign::{
    ForeignRegisterAnswer, ForeignRegisterCall, KvAnswer, KvCall, Recorded, Recording,
};

/// The operations on each register of a recording. `process` says under which number each process goes: as the file
/// has it, for people, or our own, under which no process has two operations open.
pub fn foreign_registers(
    recording: Recording<ForeignRegisterCall, ForeignRegisterAnswer>,
    process: impl Fn(&Recorded<ForeignRegisterCall, ForeignRegisterAnswer>) -> u64,
) -> Vec<Partition<PlainRegisterOp, PlainRegisterAnswer>> {
    partitions(recording, process, register_op, register_answer)
}

/// The operations on each text of a recording; `process` as in [`foreign_registers`].
pub fn foreign_texts(
    recording: Recording<KvCall, KvAnswer>,
    process: impl Fn(&Recorded<KvCall, KvAnswer>) -> u64,
) -> Vec<Partition<TextOp, TextAnswer>> {
    partitions(recording, process, text_op, text_answer)
}

/// A recording by object, in a model's terms. An operation goes by the moment of its invocation, which in a
/// file with one event a line is its line.
fn partitions<C, A, Op, Answer>(
    recording: Recording<C, A>,
    process: impl Fn(&Recorded<C, A>) -> u64,
    op: fn(C) -> Op,
    answer: fn(A) -> Answer,
) -> Vec<Partition<Op, Answer>> {
    let named = |name| Partition { name, entries: Vec::new() };
    let mut partitions: Vec<Partition<Op, Answer>> = recording.objects.into_iter().map(named).collect();
    for operation in recording.operations {
        let (invoked, process) = (operation.invoked, process(&operation));
        let entry = match operation.answer.zip(operation.returned) {
            Some((given, returned)) => {
                Entry::answered(invoked, process, (invoked, returned), op(operation.call), answer(given))
            }
            None => Entry::unanswered(invoked, process, invoked, op(operation.call)),
        };
        partitions[operation.object].entries.push(entry);
    }
    partitions
}

fn register_op(call: ForeignRegisterCall) -> PlainRegisterOp {
    match call {
        ForeignRegisterCall::Read => PlainRegisterOp::Read,
        ForeignRegisterCall::Write(value) => PlainRegisterOp::Write(value),
        ForeignRegisterCall::CompareAndSet { expected, value } => {
            PlainRegisterOp::CompareAndSet { from: expected, to: value }
        }
    }
}

fn register_answer(answer: ForeignRegisterAnswer) -> PlainRegisterAnswer {
    match answer {
        ForeignRegisterAnswer::Value(value) => PlainRegisterAnswer::Value(value),
        ForeignRegisterAnswer::Written => PlainRegisterAnswer::Done,
        ForeignRegisterAnswer::Mismatch => PlainRegisterAnswer::Refused,
    }
}

fn text_op(call: KvCall) -> TextOp {
    match call {
        KvCall::Get => TextOp::Get,
        KvCall::Put(text) => TextOp::Put(text),
        KvCall::Append(text) => TextOp::Append(text),
    }
}

fn text_answer(answer: KvAnswer) -> TextAnswer {
    match answer {
        KvAnswer::Text(text) => TextAnswer::Value(text),
        KvAnswer::Done => TextAnswer::Done,
    }
}
