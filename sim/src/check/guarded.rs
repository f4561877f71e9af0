//! Across services: what a lock guards bears the fencing token of who wrote it, and no effect of a stale holder
//! is ever visible.
//!
//! * In the order of the versions, tokens of a resource never go back: whoever wrote under an earlier grant wrote
//!   before all who wrote under a later one. An effect whose writer was never answered counts once somebody has
//!   seen it.
//! * Whoever writes under a token was granted it, or may have been, and not only after that.
//!
//! What is judged is the order on each key. Who guards a key keeps its token beside the value and refuses what is
//! earlier; the service knows nothing of that. So a stale holder's write to a key that no later holder has written yet is
//! in order: nothing that is there forbids it, and the later holder finds it when it comes.

use std::collections::{BTreeMap, BTreeSet};

use super::unanswered::{Unanswered, asked_of};
use super::{CheckReport, Verdict};
use crate::history::{Answer, Call, Fence, History, Operation, Outcome, VirtualTime};

/// A guarded write that took place.
#[derive(Clone, Copy)]
struct Effect<'a> {
    operation: &'a Operation,
    fence: &'a Fence,
    /// When it had taken place for certain.
    by_ns: VirtualTime,
}

/// The effects on one key, by version.
type Effects<'a> = BTreeMap<u64, Effect<'a>>;

/// Checks a history whose promises hold. Without any guarded write the verdict is unknown.
#[must_use]
pub fn check(history: &History) -> CheckReport {
    let keys = effects(history);
    let effects: usize = keys.values().map(BTreeMap::len).sum();
    let granted = Granted::of(history);
    let problem = keys
        .iter()
        .find_map(|(key, effects)| went_back(key, effects))
        .or_else(|| keys.values().flat_map(BTreeMap::values).find_map(|one| granted.ungranted(one)));
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

fn effects(history: &History) -> BTreeMap<&str, Effects<'_>> {
    let mut keys: BTreeMap<&str, Effects<'_>> = BTreeMap::new();
    // By key and value, those of which nobody knows; none if two of them wrote the same.
    let mut unanswered: BTreeMap<(&str, i64), Option<(&Operation, &Fence)>> = BTreeMap::new();
    for operation in &history.operations {
        let Call::CacheCompareAndSet { key, value, fence: Some(fence), .. } = &operation.call else {
            continue;
        };
        match &operation.outcome {
            Outcome::Ok { answer: Answer::Written { version } } => {
                let by_ns = operation.returned_ns.unwrap_or(VirtualTime(u64::MAX));
                keys.entry(key).or_default().insert(*version, Effect { operation, fence, by_ns });
            }
            Outcome::Unknown { .. } => {
                let place = unanswered.entry((key, *value));
                place.and_modify(|twice| *twice = None).or_insert(Some((operation, fence)));
            }
            _ => {}
        }
    }
    let made = made(history, |key| unanswered.range((key, i64::MIN)..=(key, i64::MAX)).next().is_some());
    for operation in &history.operations {
        let Outcome::Ok { answer } = &operation.outcome else { continue };
        let (Answer::Cached { value, version, .. }
        | Answer::CachedThen { value, version, .. }
        | Answer::Refused { value, version }) = answer
        else {
            continue;
        };
        let (key, Some((value, version))) = (operation.call.object(), value.zip(*version)) else { continue };
        if made.contains(&(key, version)) {
            continue;
        }
        if let Some(Some((writer, fence))) = unanswered.get(&(key, value)) {
            let seen_ns = operation.returned_ns.unwrap_or(VirtualTime(u64::MAX));
            let effects = keys.entry(key).or_default();
            let effect =
                effects.entry(version).or_insert(Effect { operation: writer, fence, by_ns: seen_ns });
            if effect.operation.id == writer.id {
                effect.by_ns = effect.by_ns.min(seen_ns);
            }
        }
    }
    keys
}

/// The versions of these keys that somebody was answered to have made without a lock.
fn made<'h>(history: &'h History, which: impl Fn(&str) -> bool) -> BTreeSet<(&'h str, u64)> {
    let of_operation = |operation: &'h Operation| match operation.outcome {
        Outcome::Ok { answer: Answer::Written { version } | Answer::Counted { version, .. } } => {
            let is_guarded = matches!(operation.call, Call::CacheCompareAndSet { fence: Some(_), .. });
            Some((operation.call.object(), version)).filter(|(key, _)| !is_guarded && which(key))
        }
        _ => None,
    };
    history.operations.iter().filter_map(of_operation).collect()
}

fn went_back(key: &str, effects: &Effects<'_>) -> Option<String> {
    let mut latest: BTreeMap<&str, (u64, &Effect<'_>)> = BTreeMap::new();
    effects.iter().find_map(|(after, other)| {
        let (before, one) = latest.insert(&other.fence.resource, (*after, other))?;
        (other.fence.token < one.fence.token).then(|| {
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

/// Who was granted what.
struct Granted<'a> {
    /// By resource and token, who asked for it, and when.
    asked: BTreeMap<(&'a str, u64), (u64, VirtualTime)>,
    unanswered: Unanswered<'a>,
}

impl<'a> Granted<'a> {
    fn of(history: &'a History) -> Self {
        let mut granted = Self { asked: BTreeMap::new(), unanswered: Unanswered::of(history) };
        for operation in &history.operations {
            let tokens: &[u64] = match &operation.outcome {
                Outcome::Ok { answer: Answer::GrantedAll { tokens } } => tokens,
                Outcome::Ok { answer: Answer::Granted { token } } => std::slice::from_ref(token),
                _ => continue,
            };
            for ((resource, _), token) in asked_of(&operation.call).into_iter().zip(tokens) {
                let asked = (operation.client, operation.invoked_ns);
                granted.asked.entry((resource, *token)).or_insert(asked);
            }
        }
        for hold in &history.holds {
            let position = usize::try_from(hold.operation).unwrap_or(usize::MAX);
            if let Some(operation) = history.operations.get(position) {
                let asked = (operation.client, operation.invoked_ns);
                granted.asked.entry((&hold.resource, hold.token)).or_insert(asked);
            }
        }
        granted
    }

    fn ungranted(&self, effect: &Effect<'_>) -> Option<String> {
        let (client, Fence { resource, token }) = (effect.operation.client, effect.fence);
        let is_granted = match self.asked.get(&(resource.as_str(), *token)) {
            Some((holder, asked_ns)) => {
                *asked_ns <= effect.by_ns && self.unanswered.succession().may_act_for(client, *holder)
            }
            None => self.unanswered.may_be_known_to(client, resource, effect.by_ns),
        };
        (!is_granted).then(|| {
            format!(
                "operation #{} of client {client} wrote under token {token} of {resource:?}, which it was not granted\n",
                effect.operation.id
            )
        })
    }
}
