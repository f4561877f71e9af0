//! Holds that an operator ended for their holders.

use std::collections::BTreeMap;

use super::exclusion::describe;
use crate::check::drift::Calm;
use crate::history::{Answer, Call, History, Outcome, VirtualTime};

/// For each grant that an operator may have ended, when that was asked for first.
pub(super) fn asked_ns(history: &History) -> BTreeMap<(&str, u64), VirtualTime> {
    let mut asked = BTreeMap::new();
    for operation in &history.operations {
        let Call::ForceRelease { resource, token } = &operation.call else { continue };
        let is_undone = match &operation.outcome {
            Outcome::Ok { answer } => *answer == Answer::NotHeld,
            Outcome::Fail { .. } => true,
            Outcome::Unknown { .. } => false,
        };
        if !is_undone {
            asked.entry((resource.as_str(), *token)).or_insert(operation.invoked_ns);
        }
    }
    asked
}

/// The history with each such hold ended where an operator may have ended it: from then on its holder's belief
/// proves nothing. Nor does that in a shared hold, if it was upgraded, of which its holder has not heard yet, and the
/// operator ended what it had become. Nothing, if no hold is touched.
pub(super) fn truncated(history: &History) -> Option<History> {
    let asked = asked_ns(history);
    if asked.is_empty() {
        return None;
    }
    let upgraded = upgraded(history);
    let mut holds = history.holds.clone();
    for hold in &mut holds {
        let resource = hold.resource.as_str();
        let own = asked.get(&(resource, hold.token)).copied();
        let of_upgrade = match upgraded.get(&(resource, hold.token)) {
            Some(Some(token)) => asked.get(&(resource, *token)).copied(),
            Some(None) => {
                let later = asked.range((resource, hold.token)..=(resource, u64::MAX));
                later.map(|(_, at)| *at).min()
            }
            None => None,
        };
        if let Some(at) = own.into_iter().chain(of_upgrade).min() {
            hold.until_ns = hold.until_ns.min(at.max(hold.from_ns));
        }
    }
    Some(History { operations: history.operations.clone(), holds })
}

/// For each grant that was upgraded, or may have been, the token that it has become; none if nobody knows that.
fn upgraded(history: &History) -> BTreeMap<(&str, u64), Option<u64>> {
    let mut upgraded = BTreeMap::new();
    for operation in &history.operations {
        let Call::Upgrade { resource, token, .. } = &operation.call else { continue };
        let to = match &operation.outcome {
            Outcome::Ok { answer: Answer::Granted { token } } => Some(*token),
            Outcome::Unknown { .. } => None,
            _ => continue,
        };
        upgraded.insert((resource.as_str(), *token), to);
    }
    upgraded
}

/// A hold that its client believed in for longer than a lease after an operator was told that it had been ended. By
/// then the client cannot have had an answer from which it could conclude that it held the lock still: it asks anew, or
/// stops believing, within each lease.
pub(super) fn outlived(history: &History, calm: Option<Calm>) -> Option<String> {
    let calm = calm?;
    let mut ended: BTreeMap<(&str, u64), VirtualTime> = BTreeMap::new();
    for operation in &history.operations {
        if let Call::ForceRelease { resource, token } = &operation.call
            && let Outcome::Ok { answer: Answer::Released } = &operation.outcome
            && let Some(returned) = operation.returned_ns
        {
            ended.entry((resource.as_str(), *token)).or_insert(returned);
        }
    }
    history.holds.iter().find_map(|hold| {
        let ended = *ended.get(&(hold.resource.as_str(), hold.token))?;
        let known_by = calm.latest(ended.max(hold.from_ns), calm.lease_us);
        (hold.until_ns > known_by).then(|| {
            format!(
                "{:?} was believed to be held more than a lease after that had been ended by force, at {ended} for \
                 certain:\n  {}\n",
                hold.resource,
                describe(hold)
            )
        })
    })
}
