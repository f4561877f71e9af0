//! Topics, spoilt.

use std::collections::{BTreeMap, BTreeSet};

use stormglass_sim::history::{Answer, Call, Delivery, History, Message, Operation, Outcome, VirtualTime};
use stormglass_sim::rng::StreamRng;

use super::edit::{answered, moved, pick, with_answer, without};
use super::{Kind, wrong};

pub(super) const KINDS: &[Kind] = &[
    wrong("an acknowledgement, dropped", dropped_acknowledgement),
    wrong("an enqueue, dropped", dropped_enqueue),
    wrong("a delivery of what was acknowledged", delivered_again),
    wrong("a delivery within the lease of another", stolen),
    wrong("a delivery before its delay is over", before_its_delay),
    wrong("a delivery in another topic", in_another_topic),
    wrong("a delivery of what nobody sent", invented),
    wrong("two of a group, swapped", swapped_in_group),
    wrong("two of one priority, swapped", swapped_in_order),
    wrong("an attempt that is no later than the one before", same_attempt),
    wrong("nothing instead of what was acknowledged later", nothing_instead),
    wrong("more than was asked for", too_many),
    wrong("a refusal of the current delivery", refused),
    wrong("counts with one more that is ready", more_ready),
    wrong("counts with one expired instead of acknowledged", more_expired),
];

/// One delivery.
#[derive(Clone, Copy)]
struct Handed<'a> {
    operation: &'a Operation,
    returned_ns: VirtualTime,
    place: usize,
    delivery: Delivery,
}

fn handed(history: &History) -> Vec<Handed<'_>> {
    let mut all = Vec::new();
    for operation in &history.operations {
        if let Some((Answer::Delivered { deliveries }, returned_ns)) = answered(operation) {
            let each = deliveries.iter().enumerate();
            all.extend(each.map(|(place, delivery)| Handed {
                operation,
                returned_ns,
                place,
                delivery: *delivery,
            }));
        }
    }
    all
}

/// Each message with the operations that asked for it.
fn sent(history: &History) -> BTreeMap<u64, (Message, Vec<&Operation>)> {
    let mut sent: BTreeMap<u64, (Message, Vec<&Operation>)> = BTreeMap::new();
    for operation in &history.operations {
        if let Call::Enqueue { messages, .. } = &operation.call {
            for message in messages {
                sent.entry(message.number).or_insert_with(|| (*message, Vec::new())).1.push(operation);
            }
        }
    }
    sent
}

/// Requests about deliveries, by topic, message and receipt.
fn asked(history: &History) -> BTreeMap<(&str, u64, u64), Vec<&Operation>> {
    let mut asked: BTreeMap<(&str, u64, u64), Vec<&Operation>> = BTreeMap::new();
    for operation in &history.operations {
        if let Call::Acknowledge { topic, message, receipt }
        | Call::Reject { topic, message, receipt, .. }
        | Call::Extend { topic, message, receipt, .. } = &operation.call
        {
            asked.entry((topic, *message, *receipt)).or_default().push(operation);
        }
    }
    asked
}

fn is_settled(operation: &Operation) -> bool {
    matches!(answered(operation), Some((Answer::Settled, _)))
}

fn deliveries_of(operation: &Operation) -> Vec<Delivery> {
    match answered(operation) {
        Some((Answer::Delivered { deliveries }, _)) => deliveries.clone(),
        _ => Vec::new(),
    }
}

/// The history with this delivery in the place of another.
fn with_delivery(history: &History, one: &Handed<'_>, delivery: Delivery) -> History {
    let mut deliveries = deliveries_of(one.operation);
    deliveries[one.place] = delivery;
    with_answer(history, one.operation.id, Answer::Delivered { deliveries })
}

/// Topics with a dequeue of unknown outcome.
fn unsure(history: &History) -> BTreeSet<&str> {
    let is_unsure = |operation: &&Operation| {
        matches!(operation.call, Call::Dequeue { .. }) && matches!(operation.outcome, Outcome::Unknown { .. })
    };
    history.operations.iter().filter(is_unsure).map(|operation| operation.call.object()).collect()
}

/// Wrong: the message could not expire, nobody else asked for it to go, and it is not there in the end.
fn dropped_acknowledgement(history: &History, rng: &mut StreamRng) -> Option<History> {
    let sent = sent(history);
    let mut of_message: BTreeMap<u64, Vec<&Operation>> = BTreeMap::new();
    for operation in &history.operations {
        if let Call::Acknowledge { message, .. } = &operation.call {
            of_message.entry(*message).or_default().push(operation);
        }
    }
    let choices: Vec<u64> = of_message
        .iter()
        .filter(|(number, asked)| {
            let is_known = sent.get(number).is_some_and(|(message, by)| {
                message.ttl_us.is_none() && by.iter().any(|operation| answered(operation).is_some())
            });
            is_known && asked.len() == 1 && is_settled(asked[0])
        })
        .map(|(_, asked)| asked[0].id)
        .collect();
    Some(without(history, pick(&choices, rng)?))
}

/// Wrong: what was delivered was asked for by nobody else.
fn dropped_enqueue(history: &History, rng: &mut StreamRng) -> Option<History> {
    let sent = sent(history);
    let choices: Vec<u64> = handed(history)
        .iter()
        .filter_map(|one| sent.get(&one.delivery.message))
        .filter(|(_, by)| by.len() == 1)
        .map(|(_, by)| by[0].id)
        .collect();
    Some(without(history, pick(&choices, rng)?))
}

/// An empty answer of this topic that began after one moment and was over before the other.
fn empty_between<'a>(
    history: &'a History,
    topic: &str,
    from: VirtualTime,
    until: VirtualTime,
) -> Option<&'a Operation> {
    history.operations.iter().find(|operation| {
        let is_empty = matches!(answered(operation), Some((Answer::Delivered { deliveries }, _)) if deliveries.is_empty());
        let returned_ns = operation.returned_ns.unwrap_or(until);
        is_empty && operation.call.object() == topic && operation.invoked_ns > from && returned_ns < until
    })
}

fn once_more(history: &History, to: u64, delivery: Delivery) -> History {
    let again = Delivery { receipt: delivery.receipt + 1, attempt: delivery.attempt + 1, ..delivery };
    with_answer(history, to, Answer::Delivered { deliveries: vec![again] })
}

/// Wrong: what was acknowledged does not come back.
fn delivered_again(history: &History, rng: &mut StreamRng) -> Option<History> {
    let asked = asked(history);
    let mut choices = Vec::new();
    for one in handed(history) {
        let key = (one.operation.call.object(), one.delivery.message, one.delivery.receipt);
        let done =
            asked.get(&key).into_iter().flatten().find(|operation| {
                is_settled(operation) && matches!(operation.call, Call::Acknowledge { .. })
            });
        let Some(done_ns) = done.and_then(|done| done.returned_ns) else { continue };
        let empty = empty_between(history, key.0, done_ns, VirtualTime(u64::MAX));
        choices.extend(empty.map(|empty| (empty.id, one.delivery)));
    }
    let (to, delivery) = pick(&choices, rng)?;
    Some(once_more(history, to, delivery))
}

/// Wrong: the lease cannot have been over, and nobody had asked for its end.
fn stolen(history: &History, rng: &mut StreamRng) -> Option<History> {
    let asked = asked(history);
    let mut choices = Vec::new();
    for one in handed(history) {
        let Call::Dequeue { visibility_us, .. } = &one.operation.call else { continue };
        let key = (one.operation.call.object(), one.delivery.message, one.delivery.receipt);
        let lease_ns = visibility_us * 1_000 - visibility_us;
        let first = asked.get(&key).into_iter().flatten().map(|operation| operation.invoked_ns).min();
        let until =
            VirtualTime(one.operation.invoked_ns.0 + lease_ns).min(first.unwrap_or(VirtualTime(u64::MAX)));
        let empty = empty_between(history, key.0, one.returned_ns, until);
        choices.extend(empty.map(|empty| (empty.id, one.delivery)));
    }
    let (to, delivery) = pick(&choices, rng)?;
    Some(once_more(history, to, delivery))
}

/// Wrong: it is delivered right after it was asked for, and was to be held back.
fn before_its_delay(history: &History, rng: &mut StreamRng) -> Option<History> {
    let sent = sent(history);
    let choices: Vec<(u64, VirtualTime)> = handed(history)
        .iter()
        .filter_map(|one| {
            let (message, by) = sent.get(&one.delivery.message)?;
            let asked_ns = by.iter().map(|operation| operation.invoked_ns).min()?;
            let is_first = one.delivery.attempt == 1 && !one.delivery.given_up && message.delay_us > 1_000;
            (is_first && deliveries_of(one.operation).len() == 1).then_some((one.operation.id, asked_ns))
        })
        .collect();
    let (id, asked_ns) = pick(&choices, rng)?;
    Some(moved(history, id, VirtualTime(asked_ns.0 + 1), VirtualTime(asked_ns.0 + 500_000)))
}

/// Wrong: it was sent to another topic, which did not give it up.
fn in_another_topic(history: &History, rng: &mut StreamRng) -> Option<History> {
    let all = handed(history);
    let choices: Vec<(&Handed<'_>, &Handed<'_>)> = all
        .iter()
        .zip(all.iter().skip(1))
        .filter(|(one, other)| one.operation.call.object() != other.operation.call.object())
        .collect();
    let (one, other) = pick(&choices, rng)?;
    let delivery = Delivery { given_up: false, ..other.delivery };
    Some(with_delivery(history, one, delivery))
}

/// Wrong: no client numbers its messages like that.
fn invented(history: &History, rng: &mut StreamRng) -> Option<History> {
    let all: Vec<Handed<'_>> = handed(history);
    let one = pick(&all, rng)?;
    Some(with_delivery(history, &one, Delivery { message: 7, ..one.delivery }))
}

/// Two first deliveries, the first of which was answered before the second was asked for, of messages of which the
/// same is true. `pair` says whether they are of interest.
fn swapped(
    history: &History,
    rng: &mut StreamRng,
    pair: impl Fn(&Message, &Message) -> bool,
) -> Option<History> {
    let sent = sent(history);
    let all = handed(history);
    let mut by_topic: BTreeMap<&str, Vec<&Handed<'_>>> = BTreeMap::new();
    for one in all.iter().filter(|one| one.delivery.attempt == 1 && !one.delivery.given_up) {
        by_topic.entry(one.operation.call.object()).or_default().push(one);
    }
    let mut choices = Vec::new();
    for (place, one) in by_topic.values().flat_map(|list| list.iter().enumerate()) {
        let list = &by_topic[one.operation.call.object()];
        let other = list[place + 1..].iter().take(20).find(|other| {
            let (Some((before, by)), Some((after, then))) =
                (sent.get(&one.delivery.message), sent.get(&other.delivery.message))
            else {
                return false;
            };
            let there_ns =
                by.iter().filter(|op| answered(op).is_some()).filter_map(|op| op.returned_ns).min();
            let asked_ns = then.iter().map(|operation| operation.invoked_ns).min();
            let in_order = there_ns.zip(asked_ns).is_some_and(|(there, asked)| there < asked);
            in_order && one.returned_ns < other.operation.invoked_ns && pair(before, after)
        });
        choices.extend(other.map(|other| (*one, *other)));
    }
    let (one, other) = pick(&choices, rng)?;
    let mutant = with_delivery(history, one, other.delivery);
    Some(with_delivery(&mutant, other, one.delivery))
}

/// Wrong: the later one of a group comes first.
fn swapped_in_group(history: &History, rng: &mut StreamRng) -> Option<History> {
    swapped(history, rng, |one, other| one.group.is_some() && one.group == other.group)
}

/// Wrong: the first could be had all the time until it was delivered, and the later one was preferred to it.
fn swapped_in_order(history: &History, rng: &mut StreamRng) -> Option<History> {
    swapped(history, rng, |one, other| {
        let is_plain = |message: &Message| message.group.is_none() && message.delay_us == 0;
        is_plain(one) && is_plain(other) && one.priority == other.priority
    })
}

/// Wrong: attempts count up.
fn same_attempt(history: &History, rng: &mut StreamRng) -> Option<History> {
    let all = handed(history);
    let choices: Vec<&Handed<'_>> = all
        .iter()
        .filter(|one| {
            all.iter().any(|other| {
                other.delivery.message == one.delivery.message
                    && other.operation.call.object() == one.operation.call.object()
                    && other.delivery.attempt + 1 == one.delivery.attempt
            })
        })
        .collect();
    let one = pick(&choices, rng)?;
    Some(with_delivery(history, one, Delivery { attempt: one.delivery.attempt - 1, ..one.delivery }))
}

/// Wrong: somebody acknowledged what nobody can have got.
fn nothing_instead(history: &History, rng: &mut StreamRng) -> Option<History> {
    let (asked, unsure) = (asked(history), unsure(history));
    let choices: Vec<u64> = handed(history)
        .iter()
        .filter(|one| {
            let topic = one.operation.call.object();
            let about = asked.get(&(topic, one.delivery.message, one.delivery.receipt));
            !unsure.contains(topic) && about.is_some_and(|asked| asked.iter().any(|asked| is_settled(asked)))
        })
        .map(|one| one.operation.id)
        .collect();
    Some(with_answer(history, pick(&choices, rng)?, Answer::Delivered { deliveries: Vec::new() }))
}

/// Wrong by one.
fn too_many(history: &History, rng: &mut StreamRng) -> Option<History> {
    let choices: Vec<&Operation> =
        history.operations.iter().filter(|operation| !deliveries_of(operation).is_empty()).collect();
    let operation = pick(&choices, rng)?;
    let count = deliveries_of(operation).len() as u64;
    let mut mutant = history.clone();
    if let Call::Dequeue { count_max, .. } = &mut mutant.operations[operation.id as usize].call {
        *count_max = count - 1;
    }
    Some(mutant)
}

/// Wrong: its lease cannot have been over, and nobody else had asked for its end.
fn refused(history: &History, rng: &mut StreamRng) -> Option<History> {
    let asked = asked(history);
    let mut choices = Vec::new();
    for one in handed(history) {
        let Call::Dequeue { visibility_us, .. } = &one.operation.call else { continue };
        let key = (one.operation.call.object(), one.delivery.message, one.delivery.receipt);
        let until_ns = one.operation.invoked_ns.0 + visibility_us * 1_000 - visibility_us;
        let Some([only]) = asked.get(&key).map(Vec::as_slice) else { continue };
        if is_settled(only) && only.returned_ns.is_some_and(|returned| returned.0 < until_ns) {
            choices.push(only.id);
        }
    }
    Some(with_answer(history, pick(&choices, rng)?, Answer::Stale))
}

fn counts(history: &History) -> Vec<&Operation> {
    let is_count = |operation: &&Operation| matches!(answered(operation), Some((Answer::Counts { .. }, _)));
    history.operations.iter().filter(is_count).collect()
}

/// Wrong: it did not come from anywhere.
fn more_ready(history: &History, rng: &mut StreamRng) -> Option<History> {
    let operation = pick(&counts(history), rng)?;
    let Some((Answer::Counts { seen }, _)) = answered(operation) else { return None };
    let mut seen = seen.clone();
    seen.ready += 1;
    Some(with_answer(history, operation.id, Answer::Counts { seen }))
}

/// Wrong: all that was acknowledged was so for certain, before the counts were asked for.
fn more_expired(history: &History, rng: &mut StreamRng) -> Option<History> {
    let acknowledged: Vec<&Operation> = history
        .operations
        .iter()
        .filter(|operation| matches!(operation.call, Call::Acknowledge { .. }) && is_settled(operation))
        .collect();
    let choices: Vec<&Operation> = counts(history)
        .into_iter()
        .filter(|operation| {
            let Some((Answer::Counts { seen }, _)) = answered(operation) else { return false };
            let before = acknowledged.iter().filter(|ack| {
                let is_before = ack.returned_ns.is_some_and(|returned| returned < operation.invoked_ns);
                is_before && ack.call.object() == operation.call.object()
            });
            seen.acknowledged > 0 && seen.acknowledged == before.count() as u64
        })
        .collect();
    let operation = pick(&choices, rng)?;
    let Some((Answer::Counts { seen }, _)) = answered(operation) else { return None };
    let mut seen = seen.clone();
    seen.expired += 1;
    seen.acknowledged -= 1;
    Some(with_answer(history, operation.id, Answer::Counts { seen }))
}
