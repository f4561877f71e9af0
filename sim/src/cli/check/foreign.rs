//! Histories in foreign formats.

use super::source::Source;
use super::{CheckArguments, HistoryFormat, HistoryModel, Judged};
use crate::check::linearizability::{
    AppendModel, Entry, Limits, Partition, PlainRegisterAnswer, PlainRegisterModel, PlainRegisterOp,
    TextAnswer, TextOp, check,
};
use crate::check::linearizability_report;
use crate::cli::UsageError;
use crate::history::foreign::{
    self, ForeignRegisterAnswer, ForeignRegisterCall, KvAnswer, KvCall, Recording,
};

/// Reads a history and judges it.
pub(super) fn judge(
    source: &Source,
    bytes: &[u8],
    format: HistoryFormat,
    arguments: &CheckArguments,
) -> Result<Judged, UsageError> {
    let format = match format {
        HistoryFormat::Jepsen => foreign::Format::Jepsen,
        HistoryFormat::Edn | HistoryFormat::Jsonl => foreign::Format::Edn,
    };
    let refuse = |error| source.refuse_line(&error);
    let limits = Limits { steps: arguments.steps };
    if arguments.model == HistoryModel::Kv {
        let recording = foreign::read_kv(bytes, format).map_err(refuse)?;
        let mut judged = count(&recording);
        let (model, partitions) = AppendModel::new(partitions(recording, text_op, text_answer));
        let result = check(&model, partitions, &limits);
        judged.checks = vec![linearizability_report("linearizable texts", result)];
        Ok(judged)
    } else {
        let recording = foreign::read_registers(bytes, format).map_err(refuse)?;
        let mut judged = count(&recording);
        let partitions = partitions(recording, register_op, register_answer);
        let result = check(&PlainRegisterModel, partitions, &limits);
        judged.checks = vec![linearizability_report("linearizable registers", result)];
        Ok(judged)
    }
}

fn count<C, A>(recording: &Recording<C, A>) -> Judged {
    let open = recording.operations.iter().filter(|operation| operation.returned.is_none());
    Judged {
        operations: recording.operations.len() as u64 + recording.failed,
        failed: recording.failed,
        unknown: open.count() as u64,
        processes: recording.processes,
        objects: recording.objects.len() as u64,
        lines: recording.seen.lines,
        nemesis_events: recording.seen.of_nemesis,
        skipped: recording.seen.skipped,
        checks: Vec::new(),
    }
}

/// A recording by object, in a model's terms. An operation goes by the moment of its invocation, which in a
/// file with one event a line is its line.
fn partitions<C, A, Op, Answer>(
    recording: Recording<C, A>,
    op: fn(C) -> Op,
    answer: fn(A) -> Answer,
) -> Vec<Partition<Op, Answer>> {
    let named = |name| Partition { name, entries: Vec::new() };
    let mut partitions: Vec<Partition<Op, Answer>> = recording.objects.into_iter().map(named).collect();
    for operation in recording.operations {
        let (invoked, process) = (operation.invoked, operation.process_in_file);
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
