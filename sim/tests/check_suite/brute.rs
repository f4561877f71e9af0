//! A checker too simple to be wrong, and too slow for more than a handful of operations: every order of
//! every subset of the operations is tried against specifications that look at a whole order at once.

use stormglass_sim::history::{Answer, Call, History, Operation, Outcome};

/// Whether some order explains the history. `accepts` judges an order, and accepts every prefix of an order
/// that it accepts.
pub(crate) fn linearizable(history: &History, accepts: fn(&[&Operation]) -> bool) -> bool {
    let rest: Vec<&Operation> =
        history.operations.iter().filter(|op| !matches!(op.outcome, Outcome::Fail { .. })).collect();
    extend(&mut Vec::new(), &rest, accepts)
}

fn extend<'a>(
    order: &mut Vec<&'a Operation>,
    rest: &[&'a Operation],
    accepts: fn(&[&Operation]) -> bool,
) -> bool {
    if !accepts(order) {
        return false;
    }
    if rest.iter().all(|operation| !answered(operation)) {
        return true;
    }
    for next in rest {
        if rest.iter().any(|other| precedes(other, next)) {
            continue;
        }
        let others: Vec<&Operation> = rest.iter().copied().filter(|other| other.id != next.id).collect();
        order.push(next);
        let found = extend(order, &others, accepts);
        order.pop();
        if found {
            return true;
        }
    }
    false
}

fn answered(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Ok { .. })
}

fn precedes(one: &Operation, other: &Operation) -> bool {
    let (Some(returned), invoked) = (one.returned_ns, other.invoked_ns) else { return false };
    let own = one.client == other.client && one.id < other.id && returned == invoked;
    answered(one) && (returned < invoked || (own && same_object(one, other)))
}

fn same_object(one: &Operation, other: &Operation) -> bool {
    one.call.object() == other.call.object()
}

fn answer(operation: &Operation) -> Option<&Answer> {
    match &operation.outcome {
        Outcome::Ok { answer } => Some(answer),
        _ => None,
    }
}

/// One register's specification over a whole order.
pub(crate) fn register(order: &[&Operation]) -> bool {
    // Each effective write with its version, where an answer names it; the first is "nothing, at 0".
    let mut writes: Vec<(Option<u64>, Option<u64>)> = vec![(None, Some(0))];
    for operation in order {
        let current = writes.last_mut().expect("the first write is always there");
        let holds = current.0;
        let mut see = |value: Option<u64>, version: Option<u64>| {
            if value != current.0 || value.is_some() != version.is_some() {
                return false;
            }
            if version.is_some() && current.1.is_some() && version != current.1 {
                return false;
            }
            current.1 = current.1.or(version);
            true
        };
        let fine = match (&operation.call, answer(operation)) {
            (Call::Get { .. }, Some(Answer::Value { value, version })) => see(*value, *version),
            (Call::Get { .. }, None) => true,
            (Call::CompareAndSet { expected, .. }, Some(Answer::Mismatch { value, version })) => {
                value != expected && see(*value, *version)
            }
            (Call::Set { value, .. }, Some(Answer::Written { version })) => {
                writes.push((Some(*value), Some(*version)));
                true
            }
            (Call::CompareAndSet { expected, value, .. }, Some(Answer::Written { version })) => {
                writes.push((Some(*value), Some(*version)));
                *expected == holds
            }
            (Call::Delete { .. }, Some(Answer::Deleted { existed, version })) => {
                writes.push((None, Some(*version)));
                *existed == holds.is_some()
            }
            (Call::Set { value, .. }, None) => {
                writes.push((Some(*value), None));
                true
            }
            (Call::CompareAndSet { expected, value, .. }, None) => {
                if *expected == holds {
                    writes.push((Some(*value), None));
                }
                true
            }
            (Call::Delete { .. }, None) => {
                writes.push((None, None));
                true
            }
            _ => false,
        };
        if !fine {
            return false;
        }
    }
    versions_can_rise(&writes)
}

/// Whether whole numbers can be found for the unknown versions so that all rise.
fn versions_can_rise(writes: &[(Option<u64>, Option<u64>)]) -> bool {
    let known: Vec<(usize, u64)> =
        writes.iter().enumerate().filter_map(|(place, write)| Some((place, write.1?))).collect();
    known.windows(2).all(|pair| {
        let ((from, low), (to, high)) = (pair[0], pair[1]);
        high >= low + (to - from) as u64
    })
}

/// One lock's specification over a whole order: a successful release must find its grant in the order, and
/// between the two neither a release of it nor a conflicting grant.
pub(crate) fn lock(order: &[&Operation]) -> bool {
    let grants: Vec<(usize, u64, bool)> = order
        .iter()
        .enumerate()
        .filter_map(|(place, operation)| match (&operation.call, answer(operation)) {
            (Call::Acquire { exclusive, .. }, Some(Answer::Granted { token })) => {
                Some((place, *token, *exclusive))
            }
            _ => None,
        })
        .collect();
    let rising = grants.windows(2).all(|pair| pair[0].1 < pair[1].1);
    rising
        && order.iter().enumerate().all(|(place, operation)| {
            let (Call::Release { token, .. }, Some(Answer::Released)) = (&operation.call, answer(operation))
            else {
                return true;
            };
            let Some(own) = grants.iter().find(|grant| grant.1 == *token && grant.0 < place) else {
                return false;
            };
            let ended =
                |other: &&Operation| matches!(&other.call, Call::Release { token: t, .. } if t == token);
            let conflicts =
                |grant: &&(usize, u64, bool)| grant.0 > own.0 && grant.0 < place && (grant.2 || own.2);
            let unanswered = |other: &&Operation| {
                answer(other).is_none()
                    && matches!(other.call, Call::Acquire { exclusive, .. } if exclusive || own.2)
            };
            let between = &order[own.0 + 1..place];
            !between.iter().any(|other| ended(other) || unanswered(other))
                && !grants.iter().any(|grant| conflicts(&grant))
        })
}
