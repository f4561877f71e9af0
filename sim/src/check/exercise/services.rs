//! What runs over queues, caches and what locks guard ought to have shown.

use std::collections::{BTreeMap, BTreeSet};

use super::Tally;
use crate::history::{Answer, Call, History, Outcome, VirtualTime};

/// Deliveries of what another client sent, deliveries that came to nothing and were made again, messages that
/// were given up, and consumers that found nothing.
pub(super) fn queues(history: &History) -> Vec<(&'static str, Tally)> {
    let senders: BTreeMap<u64, u64> = history
        .operations
        .iter()
        .filter_map(|operation| match &operation.call {
            Call::Enqueue { messages, .. } => Some((operation.client, messages)),
            _ => None,
        })
        .flat_map(|(client, messages)| messages.iter().map(move |message| (message.number, client)))
        .collect();
    let (mut others, mut again) = (Tally::between_clients(), Tally::default());
    let (mut acknowledged, mut rejected) = (Tally::default(), 0_u64);
    let (mut finished, mut of_use) = (Tally::default(), Tally::default());
    for operation in &history.operations {
        let Outcome::Ok { answer } = &operation.outcome else { continue };
        match (&operation.call, answer) {
            (Call::Dequeue { .. }, Answer::Delivered { deliveries }) => {
                for delivery in deliveries {
                    others.note(senders.get(&delivery.message).is_some_and(|from| *from != operation.client));
                    again.seen += u64::from(delivery.attempt > 1);
                }
            }
            (Call::Acknowledge { .. }, answer) => acknowledged.note(*answer == Answer::Settled),
            (Call::Reject { .. }, Answer::Settled) => rejected += 1,
            (Call::Handle { .. }, Answer::Handled { finished: is_finished, .. }) => {
                finished.note(*is_finished)
            }
            (Call::StopConsumer { .. }, Answer::Stopped { acknowledged, .. }) => {
                of_use.note(*acknowledged > 0)
            }
            _ => {}
        }
    }
    again.attempts = rejected;
    let mut tallies = vec![
        ("deliveries of another client's message", others),
        ("deliveries acknowledged", acknowledged),
        ("deliveries made again after rejections", again),
    ];
    let of_loops = [("handlers that finished", finished), ("loops that acknowledged something", of_use)];
    tallies.extend(of_loops.into_iter().filter(|(_, tally)| tally.attempts > 0));
    tallies
}

/// Reads that found what another client wrote, conditional writes of either outcome, near reads that asked
/// nobody.
pub(super) fn caches(history: &History) -> Vec<(&'static str, Tally)> {
    let mut writers: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    for operation in &history.operations {
        if let Outcome::Ok { answer: Answer::Written { version } } = &operation.outcome {
            writers.insert((operation.call.object(), *version), operation.client);
        }
    }
    let (mut shared, mut local) = (Tally::between_clients(), Tally::default());
    let (mut wrote, mut refused) = (Tally::default(), Tally::between_clients());
    let mut counted = Tally::default();
    for operation in &history.operations {
        let Outcome::Ok { answer } = &operation.outcome else { continue };
        match (&operation.call, answer) {
            (Call::CacheGet { key, near }, Answer::Cached { version, local: is_local, .. }) => {
                let writer = version.and_then(|version| writers.get(&(key.as_str(), version)));
                shared.note(writer.is_some_and(|writer| *writer != operation.client));
                if *near {
                    local.note(*is_local);
                }
            }
            (Call::CacheSetIfAbsent { .. } | Call::CacheCompareAndSet { fence: None, .. }, answer) => {
                wrote.note(matches!(answer, Answer::Written { .. }));
                refused.note(matches!(answer, Answer::Refused { .. }));
            }
            (Call::CacheIncrement { .. }, Answer::Counted { value, .. }) => counted.note(*value != 0),
            _ => {}
        }
    }
    let (aged, evicted) = (aged(history), evicted(history));
    let mut tallies = vec![
        ("cache reads of another client's write", shared),
        ("conditional writes that wrote", wrote),
        ("conditional writes that did not", refused),
    ];
    tallies.extend(
        [
            ("near reads that asked nobody", local),
            ("counters added to", counted),
            ("reads of a state that was not the latest", aged),
            ("reads of what was evicted", evicted),
        ]
        .into_iter()
        .filter(|(_, tally)| tally.attempts > 0),
    );
    tallies
}

/// Reads that may be stale, and those among them that may have been.
fn aged(history: &History) -> Tally {
    let mut aged = Tally::default();
    for operation in &history.operations {
        if let Outcome::Ok { answer: Answer::CachedThen { age_us, .. } } = &operation.outcome {
            aged.note(*age_us > 0);
        }
    }
    aged
}

/// Reads while the number of keys is bounded, and those among them that found nothing where something had been
/// written that neither a delete nor the end of a life can have taken away.
fn evicted(history: &History) -> Tally {
    let mut evicted = Tally::default();
    if !history.operations.iter().any(|operation| matches!(operation.call, Call::CacheConfigure { .. })) {
        return evicted;
    }
    let mut written: BTreeMap<&str, VirtualTime> = BTreeMap::new();
    let mut mortal: BTreeSet<&str> = BTreeSet::new();
    for operation in &history.operations {
        match &operation.call {
            Call::CacheDelete { key }
            | Call::CacheSet { key, ttl_us: Some(_), .. }
            | Call::CacheSetIfAbsent { key, ttl_us: Some(_), .. }
            | Call::CacheCompareAndSet { key, ttl_us: Some(_), .. } => {
                mortal.insert(key);
            }
            _ => {}
        }
        if let (Outcome::Ok { answer: Answer::Written { .. } }, Some(returned_ns)) =
            (&operation.outcome, operation.returned_ns)
        {
            written.entry(operation.call.object()).or_insert(returned_ns);
        }
    }
    for operation in &history.operations {
        let Outcome::Ok { answer: Answer::Cached { value, .. } } = &operation.outcome else { continue };
        let key = operation.call.object();
        let was_there = written.get(key).is_some_and(|at| *at < operation.invoked_ns);
        evicted.note(value.is_none() && was_there && !mortal.contains(key));
    }
    evicted
}

/// Effects under locks.
pub(super) fn guarded(history: &History) -> Vec<(&'static str, Tally)> {
    let (mut wrote, mut others) = (Tally::default(), Tally::between_clients());
    let mut latest: BTreeMap<&str, u64> = BTreeMap::new();
    for operation in &history.operations {
        let Call::CacheCompareAndSet { key, fence: Some(_), .. } = &operation.call else { continue };
        let Outcome::Ok { answer } = &operation.outcome else { continue };
        let is_written = matches!(answer, Answer::Written { .. });
        wrote.note(is_written);
        if is_written {
            let before = latest.insert(key, operation.client);
            others.note(before.is_some_and(|before| before != operation.client));
        }
    }
    vec![("effects under locks", wrote), ("effects after those of another holder", others)]
}
