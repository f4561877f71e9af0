//! The way from a run's history to the operations of a model, and the check of such a history.

use std::collections::BTreeMap;

use super::{Entry, Limits, Linearizability, Model, Partition, PartitionOf, Times, check_as};
use crate::history::{Answer, Call, History, Operation, Outcome};

/// A model of an object that the service offers, in terms of the service's own calls and answers.
pub trait ServiceModel: Model {
    /// What a call asks of the object; `None` if it is none of the object's operations.
    fn op(&self, call: &Call) -> Option<Self::Op>;

    /// What an answer says, whatever it was an answer to.
    fn answer(&self, answer: &Answer) -> Self::Answer;
}

/// Checks every object of a run's history that `model` describes, with at most about `budget_steps` steps.
///
/// A history in which no operation was answered is unknown, never valid.
pub fn check_history<M: ServiceModel>(model: &M, history: &History, budget_steps: u64) -> Linearizability {
    check_operations(model, &history.operations, budget_steps)
}

/// As [`check_history`], of some operations of a history, in its order.
pub fn check_operations<'h, M: ServiceModel>(
    model: &M,
    operations: impl IntoIterator<Item = &'h Operation>,
    budget_steps: u64,
) -> Linearizability {
    let limits = Limits { steps: budget_steps };
    check_as(model, partitions_of(model, operations), &limits, Times::Nanoseconds)
}

/// The operations on each object that `model` describes, as nothing has settled them yet, by object: see
/// [`partitions_by`].
pub fn partitions_of<'h, M: ServiceModel>(
    model: &M,
    operations: impl IntoIterator<Item = &'h Operation>,
) -> impl Iterator<Item = PartitionOf<M>> {
    partitions_by::<M>(operations, |operation| model.op(&operation.call), |answer| model.answer(answer))
}

/// The operations on each object, as nothing has settled them yet, by object. `op` says what an operation asks of the
/// object in the model's terms, if anything, and `answer` what it was answered. An object's entries are made when it is asked
/// for, so that those of all objects are never in memory together.
///
/// Operations that definitely failed are left out: they had no effect and answered nothing. Those of
/// unknown outcome stay, open for ever: leaving them out would reject histories in which one took effect.
pub fn partitions_by<'h, M: Model>(
    operations: impl IntoIterator<Item = &'h Operation>,
    op: impl Fn(&Operation) -> Option<M::Op>,
    answer: impl Fn(&Answer) -> M::Answer,
) -> impl Iterator<Item = PartitionOf<M>> {
    let mut objects: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        let had_effect = !matches!(operation.outcome, Outcome::Fail { .. });
        if had_effect && op(operation).is_some() {
            objects.entry(operation.call.object()).or_default().push(operation);
        }
    }
    objects.into_iter().map(move |(name, found)| Partition {
        name: name.to_owned(),
        entries: entries_of(&found, &op, &answer),
    })
}

/// The operations on one object, as nothing has settled them yet.
pub fn entries_of<Op, A>(
    operations: &[&Operation],
    op: impl Fn(&Operation) -> Option<Op>,
    answer: impl Fn(&Answer) -> A,
) -> Vec<Entry<Op, A>> {
    // When each client's latest answered operation returned, and its number.
    let mut latest: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut entries = Vec::with_capacity(operations.len());
    for operation in operations {
        let had_effect = !matches!(operation.outcome, Outcome::Fail { .. });
        let Some(op) = op(operation).filter(|_| had_effect) else { continue };
        let Operation { id, client: process, .. } = **operation;
        let invoked = operation.invoked_ns.0;
        let (answer, returned) = match &operation.outcome {
            Outcome::Ok { answer: found } => (Some(answer(found)), operation.returned_ns.map(|at| at.0)),
            Outcome::Fail { .. } | Outcome::Unknown { .. } => (None, None),
        };
        let after = latest.get(&process).filter(|(_, at)| *at == invoked).map(|(id, _)| *id);
        if let Some(at) = returned {
            latest.insert(process, (id, at));
        }
        entries.push(Entry { id, process, op, answer, invoked, returned, after, anonymous: false });
    }
    entries
}
