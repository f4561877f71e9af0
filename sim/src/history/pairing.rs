//! Which answers a call can have.
//!
//! What is answered in words that do not belong to the call says nothing that a check could judge: it would be taken
//! for no answer, or for an answer without a token. Such a record is refused.

use super::{Answer, Call};

/// What is wrong with an answer as one to this call; nothing if it can be one, whatever it says.
pub(super) fn unfit(call: &Call, answer: &Answer) -> Option<String> {
    let expected = answers_to(call);
    if !expected.contains(&answer.kind()) {
        return Some(format!("was answered {:?}, and not {}", answer.kind(), one_of(expected)));
    }
    match answer {
        Answer::Value { value, version } | Answer::Mismatch { value, version } => {
            apart(value.is_some(), version.is_some())
        }
        Answer::Cached { value, version, .. }
        | Answer::CachedThen { value, version, .. }
        | Answer::Refused { value, version } => apart(value.is_some(), version.is_some()),
        Answer::GrantedAll { tokens } => {
            let Call::AcquireAll { wants, .. } = call else { return None };
            (tokens.len() != wants.len())
                .then(|| format!("wanted {} resources and was granted {} tokens", wants.len(), tokens.len()))
        }
        _ => None,
    }
}

/// A value without a version, or a version without a value.
fn apart(has_value: bool, has_version: bool) -> Option<String> {
    match (has_value, has_version) {
        (true, false) => Some("was answered a value without its version".to_owned()),
        (false, true) => Some("was answered a version without its value".to_owned()),
        _ => None,
    }
}

fn one_of(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    names.join(" or ")
}

/// The names of the answers that a call can have.
const fn answers_to(call: &Call) -> &'static [&'static str] {
    match call {
        Call::Get { .. } => &["value"],
        Call::Set { .. } => &["written"],
        Call::CompareAndSet { .. } => &["written", "mismatch"],
        Call::Delete { .. } | Call::CacheDelete { .. } => &["deleted"],
        Call::Acquire { .. } => &["granted", "not-granted", "deadlock"],
        Call::AcquireAll { .. } => &["granted-all", "not-granted", "deadlock"],
        Call::Upgrade { .. } | Call::Downgrade { .. } => &["granted", "not-granted", "not-held", "deadlock"],
        Call::Release { .. } | Call::ReleaseAll { .. } | Call::ForceRelease { .. } => {
            &["released", "not-held"]
        }
        Call::DeclareSemaphore { .. } | Call::DeclareTopic { .. } | Call::CacheConfigure { .. } => {
            &["declared"]
        }
        Call::LockState { .. } | Call::WatchLock { .. } => &["holders"],
        Call::CheckToken { .. } => &["token-is"],
        Call::Enqueue { .. } => &["enqueued"],
        Call::Dequeue { .. } => &["delivered"],
        Call::Acknowledge { .. } | Call::Reject { .. } | Call::Extend { .. } => &["settled", "stale"],
        Call::TopicStats { .. } => &["counts"],
        Call::Handle { .. } => &["handled"],
        Call::StopConsumer { .. } => &["stopped"],
        Call::CacheGet { .. } => &["cached"],
        Call::CacheGetWithin { .. } => &["cached-then"],
        Call::CacheSet { .. } => &["written"],
        Call::CacheSetIfAbsent { .. } | Call::CacheCompareAndSet { .. } => &["written", "refused"],
        Call::CacheIncrement { .. } => &["counted"],
    }
}
