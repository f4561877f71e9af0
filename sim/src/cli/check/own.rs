//! Histories in the project's own format.

use std::collections::BTreeSet;
use std::time::Duration;

use super::source::{Lines, Source};
use super::{CheckArguments, HistoryModel, Judged};
use crate::check::{Subject, Terms, judge_subject};
use crate::cli::{Stopwatch, UsageError};
use crate::history::{History, Outcome, read_history};

/// Reads a history and judges what is of the model in it.
pub(super) fn judge(
    source: &Source,
    lines: Lines,
    arguments: &CheckArguments,
    watch: &Stopwatch,
) -> Result<Judged, UsageError> {
    let history = read_history(lines).map_err(|error| {
        source.refuse(&error.to_string(), "docs/history-format.md describes the format line by line")
    })?;
    let read = watch.elapsed();
    let wanted = subjects(arguments.model);
    let mut judged = count(&history, wanted);
    judged.read = read;
    // One for each, and the header.
    judged.lines = (1 + history.operations.len() + history.holds.len()) as u64;
    let found: BTreeSet<Subject> =
        history.operations.iter().map(|operation| Subject::of(&operation.call)).collect();
    if judged.operations == 0 {
        return Err(nothing(source, arguments.model, &found));
    }
    let (drift, calm) = source.times(arguments)?;
    let terms = Terms { history: &history, drift, calm, budget_steps: arguments.steps, at_once: true };
    let mut named = BTreeSet::new();
    for subject in wanted.iter().filter(|subject| found.contains(subject)) {
        let mut reports = judge_subject(*subject, &terms);
        if calm.is_none() {
            let timed = reports.iter_mut().filter(|report| TIMED.contains(&report.name.as_str()));
            timed.for_each(|report| report.detail.push_str(NOT_TIMED));
        }
        // Several subjects need locks, topics or keys.
        judged.checks.extend(reports.into_iter().filter(|report| named.insert(report.name.clone())));
    }
    Ok(judged)
}

/// Checks that also judge when a life or a lease was over for certain, if they know from when on nothing disturbed the
/// cluster.
const TIMED: [&str; 5] =
    ["cache safety", "linearizable counters and lives", "lock safety", "lock views", "queue safety"];
/// What is added to what they say if they do not.
const NOT_TIMED: &str = "; not judged: what outlasts its life or lease (--calm-from-ms)";

/// What belongs to a model.
const fn subjects(model: HistoryModel) -> &'static [Subject] {
    match model {
        HistoryModel::Register => &[Subject::Register],
        HistoryModel::Lock => &[Subject::Lock, Subject::Semaphore],
        HistoryModel::Queue => &[Subject::Queue],
        HistoryModel::Cache => &[Subject::Cache, Subject::Guarded],
        HistoryModel::Kv => &[],
    }
}

fn count(history: &History, wanted: &[Subject]) -> Judged {
    let (mut clients, mut objects) = (BTreeSet::new(), BTreeSet::new());
    let (mut operations, mut failed, mut unknown) = (0, 0, 0);
    for operation in history.operations.iter().filter(|op| wanted.contains(&Subject::of(&op.call))) {
        operations += 1;
        failed += u64::from(matches!(operation.outcome, Outcome::Fail { .. }));
        unknown += u64::from(matches!(operation.outcome, Outcome::Unknown { .. }));
        clients.insert(operation.client);
        objects.insert(operation.call.object());
    }
    Judged {
        operations,
        failed,
        unknown,
        processes: clients.len() as u64,
        objects: objects.len() as u64,
        lines: 0,
        nemesis_events: 0,
        skipped: history.operations.len() as u64 - operations,
        checks: Vec::new(),
        read: Duration::ZERO,
    }
}

/// There is no operation of the model: that would pass any check.
fn nothing(source: &Source, model: HistoryModel, found: &BTreeSet<Subject>) -> UsageError {
    let all = [HistoryModel::Register, HistoryModel::Lock, HistoryModel::Queue, HistoryModel::Cache];
    let others: Vec<&str> = all
        .iter()
        .filter(|other| subjects(**other).iter().any(|subject| found.contains(subject)))
        .map(|other| other.name())
        .collect();
    let hint = match others.as_slice() {
        [] => "an empty history proves nothing: record it again".to_owned(),
        others => format!("there are operations of other models: --model {}", others.join(", --model ")),
    };
    source.refuse(&format!("there is no operation of a {} in the file", model.name()), &hint)
}
