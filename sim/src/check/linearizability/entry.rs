//! Operations as the checkers of linearizability see them, one object at a time.

use std::collections::BTreeMap;

use crate::history::{Answer, Call, History, Operation, Outcome};

/// One operation on one object.
///
/// Of two operations, the one that returned strictly before the other was invoked comes first. Equal times
/// order nothing, except for two operations of one client: see [`Entry::after`].
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// What the history says.
    pub operation: &'a Operation,
    /// The answer to be explained; `None` if nobody knows it.
    pub answer: Option<Answer>,
    /// When it was invoked, in nanoseconds of true time.
    pub invoked_ns: u64,
    /// By when it has taken effect; `None`: at any time after its invocation, or never.
    pub returned_ns: Option<u64>,
    /// The operation of the same client on the same object that returned at the very moment at which this one was invoked.
    pub after: Option<u64>,
    /// Whether it is a write of which at most the presence of some value can have been noticed, so that it
    /// may stand for any other such write.
    pub anonymous: bool,
}

impl Entry<'_> {
    /// What was asked.
    #[must_use]
    pub const fn call(&self) -> &Call {
        &self.operation.call
    }
}

/// The operations of `history` that satisfy `applies`, by object, each list in the order of invocation.
///
/// Operations that definitely failed are left out: they had no effect and answered nothing. Those of
/// unknown outcome stay, open for ever: leaving them out would reject histories in which one took effect.
pub(super) fn partition<'a>(
    history: &'a History,
    applies: impl Fn(&Call) -> bool,
) -> BTreeMap<&'a str, Vec<Entry<'a>>> {
    let mut partitions: BTreeMap<&str, Vec<Entry<'_>>> = BTreeMap::new();
    // When each client's latest answered operation on each object returned.
    let mut latest: BTreeMap<(u64, &str), (u64, u64)> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| applies(&operation.call)) {
        let invoked_ns = operation.invoked_ns.0;
        let (answer, returned_ns) = match &operation.outcome {
            Outcome::Fail { .. } => continue,
            Outcome::Unknown { .. } => (None, None),
            Outcome::Ok { answer } => (Some(answer.clone()), operation.returned_ns.map(|at| at.0)),
        };
        let object = operation.call.object();
        let own = (operation.client, object);
        let after = latest.get(&own).filter(|(_, at)| *at == invoked_ns).map(|(id, _)| *id);
        if let Some(at) = returned_ns {
            latest.insert(own, (operation.id, at));
        }
        let entry = Entry { operation, answer, invoked_ns, returned_ns, after, anonymous: false };
        partitions.entry(object).or_default().push(entry);
    }
    partitions
}
