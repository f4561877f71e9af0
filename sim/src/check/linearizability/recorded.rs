//! The way from a run's history to the operations of a model, and the check of such a history.

use std::collections::BTreeMap;

use super::{Entry, EntryOf, Limits, Linearizability, Model, Partition, PartitionOf, Times, check_as};
use crate::history::{Answer, Call, History, Outcome};

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
    let limits = Limits { steps: budget_steps };
    check_as(model, partitions_of(model, history), &limits, Times::Nanoseconds)
}

/// The operations on each object that `model` describes, as nothing has settled them yet, by object.
///
/// Operations that definitely failed are left out: they had no effect and answered nothing. Those of
/// unknown outcome stay, open for ever: leaving them out would reject histories in which one took effect.
pub fn partitions_of<M: ServiceModel>(model: &M, history: &History) -> Vec<PartitionOf<M>> {
    let mut partitions: BTreeMap<&str, Vec<EntryOf<M>>> = BTreeMap::new();
    // When each client's latest answered operation on each object returned.
    let mut latest: BTreeMap<(u64, &str), (u64, u64)> = BTreeMap::new();
    for operation in &history.operations {
        let Some(op) = model.op(&operation.call) else { continue };
        let invoked = operation.invoked_ns.0;
        let (answer, returned) = match &operation.outcome {
            Outcome::Fail { .. } => continue,
            Outcome::Unknown { .. } => (None, None),
            Outcome::Ok { answer } => (Some(model.answer(answer)), operation.returned_ns.map(|at| at.0)),
        };
        let object = operation.call.object();
        let own = (operation.client, object);
        let after = latest.get(&own).filter(|(_, at)| *at == invoked).map(|(id, _)| *id);
        if let Some(at) = returned {
            latest.insert(own, (operation.id, at));
        }
        let (id, process) = (operation.id, operation.client);
        let entry = Entry { id, process, op, answer, invoked, returned, after, anonymous: false };
        partitions.entry(object).or_default().push(entry);
    }
    partitions.into_iter().map(|(name, entries)| Partition { name: name.to_owned(), entries }).collect()
}
