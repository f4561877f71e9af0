//! The grants of a history, resource by resource.

use smallvec::{SmallVec, smallvec};

use super::exclusion::describe;
use crate::check::by_name::ByName;
use crate::history::{Answer, Call, History, Hold, LockMode, LockWant, Operation, Outcome, VirtualTime};

/// One resource granted to one operation, and answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant<'a> {
    pub(super) operation: &'a Operation,
    pub(super) resource: &'a str,
    pub(super) mode: LockMode,
    pub(super) token: u64,
    pub(super) returned_ns: VirtualTime,
}

impl Grant<'_> {
    /// Whether it came out of a line, and not of a hold of the same client.
    pub(super) const fn stood_in_line(&self) -> bool {
        matches!(self.operation.call, Call::Acquire { .. } | Call::AcquireAll { .. })
    }
}

/// All grants, by resource, in the order of the requests.
#[derive(Debug, Default)]
pub(super) struct Grants<'a> {
    pub(super) by_resource: ByName<'a, Vec<Grant<'a>>>,
}

impl<'a> Grants<'a> {
    /// What was answered, and what clients came to hold although the answer was lost to the operation.
    pub(super) fn of(history: &'a History) -> Self {
        let mut grants = Self::default();
        for operation in &history.operations {
            let (Outcome::Ok { answer }, Some(returned_ns)) = (&operation.outcome, operation.returned_ns)
            else {
                continue;
            };
            for (resource, mode, token) in granted(&operation.call, answer) {
                let grant = Grant { operation, resource, mode, token, returned_ns };
                grants.by_resource.or_default(resource).push(grant);
            }
        }
        grants.add_learnt(history);
        grants
    }

    /// A hold from an acquisition of unknown outcome tells the grant that nobody was answered.
    fn add_learnt(&mut self, history: &'a History) {
        for hold in &history.holds {
            let position = usize::try_from(hold.operation).unwrap_or(usize::MAX);
            let Some(operation) = history.operations.get(position) else { continue };
            if !matches!(operation.outcome, Outcome::Unknown { .. }) {
                continue;
            }
            let mode = match (hold.permits, hold.exclusive) {
                (0, true) => LockMode::Exclusive,
                (0, false) => LockMode::Shared,
                (permits, _) => LockMode::Permits(permits),
            };
            let grants = self.by_resource.or_default(&hold.resource);
            let grant = Grant {
                operation,
                resource: &hold.resource,
                mode,
                token: hold.token,
                returned_ns: hold.from_ns,
            };
            grants.push(grant);
        }
        self.by_resource.iter_mut().for_each(|(_, grants)| grants.sort_by_key(|grant| grant.operation.id));
    }

    pub(super) fn count(&self) -> usize {
        self.by_resource.values().map(Vec::len).sum()
    }

    pub(super) fn on(&self, resource: &str) -> &[Grant<'a>] {
        self.by_resource.get(resource).map_or(&[], Vec::as_slice)
    }
}

/// Resource, mode and token of each grant; nearly always there is one.
pub(super) type Granted<'a> = SmallVec<[(&'a str, LockMode, u64); 1]>;

/// What an answer grants.
pub(super) fn granted<'a>(call: &'a Call, answer: &Answer) -> Granted<'a> {
    match (call, answer) {
        (Call::Acquire { resource, exclusive, .. }, Answer::Granted { token }) => {
            let mode = if *exclusive { LockMode::Exclusive } else { LockMode::Shared };
            smallvec![(resource.as_str(), mode, *token)]
        }
        (Call::Upgrade { resource, .. }, Answer::Granted { token }) => {
            smallvec![(resource.as_str(), LockMode::Exclusive, *token)]
        }
        (Call::Downgrade { resource, .. }, Answer::Granted { token }) => {
            smallvec![(resource.as_str(), LockMode::Shared, *token)]
        }
        (Call::AcquireAll { wants, .. }, Answer::GrantedAll { tokens }) => {
            let each = |(LockWant { resource, mode }, token): (&'a LockWant, &u64)| {
                (resource.as_str(), *mode, *token)
            };
            wants.iter().zip(tokens).map(each).collect()
        }
        _ => SmallVec::new(),
    }
}

/// The first hold without a ground. A hold may come from a grant whose answer was lost to the caller, but not
/// from a refusal, and not under another token.
pub(super) fn baseless_hold(history: &History) -> Option<String> {
    history.holds.iter().find_map(|hold| is_baseless(history, hold))
}

fn is_baseless(history: &History, hold: &Hold) -> Option<String> {
    let position = usize::try_from(hold.operation).unwrap_or(usize::MAX);
    let operation = history.operations.get(position)?;
    let is_granted = match &operation.outcome {
        Outcome::Ok { answer } => granted(&operation.call, answer)
            .into_iter()
            .any(|(resource, _, token)| resource == hold.resource && token == hold.token),
        Outcome::Unknown { .. } => true,
        Outcome::Fail { .. } => false,
    };
    if is_granted && operation.invoked_ns <= hold.from_ns {
        return None;
    }
    Some(format!(
        "{}, but that operation ended as {:?}, invoked at {}\n",
        describe(hold),
        operation.outcome,
        operation.invoked_ns
    ))
}
