//! Across services: what a lock guards bears the fencing token of who wrote it, and no effect of a stale holder
//! is ever visible.
//!
//! * In the order of the versions, tokens never go back: whoever wrote under an earlier grant wrote before all
//!   who wrote under a later one.
//! * Whoever writes under a token was granted it, or may have been.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckReport, Verdict};
use crate::history::{Answer, Call, Fence, History, Operation, Outcome};

/// A guarded write that took place.
struct Effect<'a> {
    operation: &'a Operation,
    fence: &'a Fence,
}

/// Checks a history whose promises hold. Without any guarded write the verdict is unknown.
#[must_use]
pub fn check(history: &History) -> CheckReport {
    let mut keys: BTreeMap<&str, BTreeMap<u64, Effect<'_>>> = BTreeMap::new();
    for operation in &history.operations {
        if let Call::CacheCompareAndSet { key, fence: Some(fence), .. } = &operation.call
            && let Outcome::Ok { answer: Answer::Written { version } } = &operation.outcome
        {
            keys.entry(key).or_default().insert(*version, Effect { operation, fence });
        }
    }
    let effects: usize = keys.values().map(BTreeMap::len).sum();
    let (granted, uncertain) = grants(history);
    let problem = keys.iter().find_map(|(key, effects)| went_back(key, effects)).or_else(|| {
        keys.values().flat_map(BTreeMap::values).find_map(|one| ungranted(one, &granted, &uncertain))
    });
    let verdict = match problem {
        Some(_) => Verdict::Invalid,
        None if effects == 0 => Verdict::Unknown,
        None => Verdict::Valid,
    };
    CheckReport {
        name: "guarded effects".to_owned(),
        source: "fencing: no effect of a stale holder is visible (Kleppmann 2016)".to_owned(),
        verdict,
        detail: format!("{effects} effects under locks judged"),
        cost_steps: effects as u64,
        counterexample: problem,
    }
}

fn went_back(key: &str, effects: &BTreeMap<u64, Effect<'_>>) -> Option<String> {
    effects.iter().zip(effects.iter().skip(1)).find_map(|((before, one), (after, other))| {
        let same = one.fence.resource == other.fence.resource;
        (same && other.fence.token < one.fence.token).then(|| {
            format!(
                "key {key:?}: version {before}, under token {} of {:?}, by operation #{} of client {}, was followed \
                 by version {after} under the earlier token {}, by operation #{} of client {}\n",
                one.fence.token,
                one.fence.resource,
                one.operation.id,
                one.operation.client,
                other.fence.token,
                other.operation.id,
                other.operation.client
            )
        })
    })
}

/// Who was granted what: client, resource and token; and which clients may know tokens of a resource that
/// nobody else knows of.
type Granted<'a> = (BTreeSet<(u64, &'a str, u64)>, BTreeSet<(u64, &'a str)>);

fn grants(history: &History) -> Granted<'_> {
    let (mut granted, mut uncertain) = (BTreeSet::new(), BTreeSet::new());
    for operation in &history.operations {
        let Call::AcquireAll { wants, .. } = &operation.call else { continue };
        match &operation.outcome {
            Outcome::Ok { answer: Answer::GrantedAll { tokens } } => {
                let each = wants.iter().zip(tokens);
                granted.extend(each.map(|(want, token)| (operation.client, want.resource.as_str(), *token)));
            }
            Outcome::Unknown { .. } => {
                uncertain.extend(wants.iter().map(|want| (operation.client, want.resource.as_str())));
            }
            _ => {}
        }
    }
    (granted, uncertain)
}

fn ungranted(
    effect: &Effect<'_>,
    granted: &BTreeSet<(u64, &str, u64)>,
    uncertain: &BTreeSet<(u64, &str)>,
) -> Option<String> {
    let (client, Fence { resource, token }) = (effect.operation.client, effect.fence);
    let is_granted =
        granted.contains(&(client, resource, *token)) || uncertain.contains(&(client, resource.as_str()));
    (!is_granted).then(|| {
        format!(
            "operation #{} of client {client} wrote under token {token} of {resource:?}, which it was not granted\n",
            effect.operation.id
        )
    })
}
