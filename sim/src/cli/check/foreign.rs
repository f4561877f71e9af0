//! Histories in foreign formats.

use std::time::Duration;

use super::source::Source;
use super::{CheckArguments, HistoryFormat, HistoryModel, Judged};
use crate::check::linearizability::{
    AppendModel, Limits, PlainRegisterModel, check, foreign_registers, foreign_texts,
};
use crate::check::linearizability_report;
use crate::cli::{Stopwatch, UsageError};
use crate::history::foreign::{self, Recording};

/// Reads a history and judges it.
pub(super) fn judge(
    source: &Source,
    bytes: &[u8],
    format: HistoryFormat,
    arguments: &CheckArguments,
    watch: &Stopwatch,
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
        judged.read = watch.elapsed();
        let (model, partitions) =
            AppendModel::new(foreign_texts(recording, |operation| operation.process_in_file));
        let result = check(&model, partitions, &limits);
        judged.checks = vec![linearizability_report("linearizable texts", result)];
        Ok(judged)
    } else {
        let recording = foreign::read_registers(bytes, format).map_err(refuse)?;
        let mut judged = count(&recording);
        judged.read = watch.elapsed();
        let partitions = foreign_registers(recording, |operation| operation.process_in_file);
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
        read: Duration::ZERO,
    }
}
