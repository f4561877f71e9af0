//! What the tests of the checks share: histories written by hand, and histories drawn at random.

use rand::{Rng, RngExt};
use stormglass_sim::history::{Answer, Call, History, Operation, Outcome, VirtualTime};
use stormglass_sim::rng::StreamRng;

/// One operation: client, invoked, returned (0: the client never heard), call, answer.
pub(crate) type Row = (u64, u64, u64, Call, Option<Answer>);

/// A history of these operations, numbered in the order of invocation.
pub(crate) fn history(mut rows: Vec<Row>) -> History {
    rows.sort_by_key(|row| (row.1, row.2 == 0, row.2));
    let operation = |(id, (client, invoked, returned, call, answer)): (u64, Row)| Operation {
        id,
        client,
        call,
        invoked_ns: VirtualTime(invoked),
        returned_ns: (returned > 0).then_some(VirtualTime(returned)),
        outcome: match answer {
            Some(answer) => Outcome::Ok { answer },
            None => Outcome::Unknown { reason: "no answer".to_owned() },
        },
    };
    History { operations: (0..).zip(rows).map(operation).collect(), holds: Vec::new() }
}

pub(crate) fn get() -> Call {
    Call::Get { key: "k".to_owned() }
}

pub(crate) fn set(value: u64) -> Call {
    Call::Set { key: "k".to_owned(), value }
}

pub(crate) fn cas(expected: Option<u64>, value: u64) -> Call {
    Call::CompareAndSet { key: "k".to_owned(), expected, value }
}

pub(crate) fn delete() -> Call {
    Call::Delete { key: "k".to_owned() }
}

pub(crate) fn acquire(exclusive: bool) -> Call {
    Call::Acquire { resource: "r".to_owned(), exclusive, wait_us: 0 }
}

pub(crate) fn release(token: u64) -> Call {
    Call::Release { resource: "r".to_owned(), token }
}

pub(crate) fn value(value: u64, version: u64) -> Option<Answer> {
    Some(Answer::Value { value: Some(value), version: Some(version) })
}

pub(crate) fn nothing() -> Option<Answer> {
    Some(Answer::Value { value: None, version: None })
}

pub(crate) fn written(version: u64) -> Option<Answer> {
    Some(Answer::Written { version })
}

pub(crate) fn mismatch(value: Option<u64>, version: Option<u64>) -> Option<Answer> {
    Some(Answer::Mismatch { value, version })
}

pub(crate) fn deleted(existed: bool, version: u64) -> Option<Answer> {
    Some(Answer::Deleted { existed, version })
}

pub(crate) fn granted(token: u64) -> Option<Answer> {
    Some(Answer::Granted { token })
}

/// How a random history comes about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) clients: u64,
    pub(crate) operations: u64,
    pub(crate) keys: u64,
    /// Values are drawn below this; 0: every value is used once.
    pub(crate) values: u64,
    /// Of 100 operations so many get no answer.
    pub(crate) unknown_percent: u64,
    /// An operation lasts at most this long.
    pub(crate) duration_max: u64,
}

struct Draft {
    row: Row,
    /// When it takes effect, if ever.
    effect: Option<u64>,
}

/// A linearizable register history: each operation takes effect at a moment drawn between its invocation
/// and its return; those without an answer at any moment after their invocation, or never.
pub(crate) fn register_history(rng: &mut StreamRng, shape: &Shape) -> History {
    let mut drafts = drafts(rng, shape);
    let mut order: Vec<usize> = (0..drafts.len()).filter(|n| drafts[*n].effect.is_some()).collect();
    order.sort_by_key(|n| (drafts[*n].effect, *n));
    let mut registers = std::collections::BTreeMap::new();
    let mut version = 0;
    for n in order {
        version += rng.random_range(1..3_u64);
        let row = &mut drafts[n].row;
        let register = registers.entry(row.3.object().to_owned()).or_insert(None);
        let answer = apply(register, &row.3, version);
        if row.4.is_some() {
            row.4 = Some(answer);
        }
    }
    history(drafts.into_iter().map(|draft| draft.row).collect())
}

fn drafts(rng: &mut StreamRng, shape: &Shape) -> Vec<Draft> {
    let mut clocks = vec![0; shape.clients as usize];
    let mut drafts = Vec::new();
    for number in 0..shape.operations {
        let client = rng.random_range(0..shape.clients);
        let clock = &mut clocks[client as usize];
        let invoked = *clock + rng.random_range(0..3);
        let returned = (invoked + rng.random_range(0..=shape.duration_max)).max(1);
        *clock = returned;
        let call = draw_call(rng, shape, number);
        let known = rng.random_range(0..100) >= shape.unknown_percent;
        let effect = match known {
            true => Some(rng.random_range(invoked..=returned)),
            false if rng.random_bool(0.5) => Some(invoked + rng.random_range(0..=2 * shape.duration_max)),
            false => None,
        };
        // The answer is filled in when it takes effect.
        let answer = if known { nothing() } else { None };
        drafts.push(Draft { row: (client, invoked, returned, call, answer), effect });
    }
    // Invocation order, keeping each client's own order: the sort is stable.
    drafts.sort_by_key(|draft| draft.row.1);
    drafts
}

fn draw_call(rng: &mut StreamRng, shape: &Shape, number: u64) -> Call {
    let key = format!("k{}", rng.random_range(0..shape.keys));
    let mut draw = |salt| if shape.values == 0 { number * 2 + salt } else { rng.next_u64() % shape.values };
    let (value, expected) = (draw(0), draw(1));
    match rng.random_range(0..10) {
        0..4 => Call::Get { key },
        4..7 => Call::Set { key, value },
        7 => Call::CompareAndSet { key, expected: None, value },
        8 => Call::CompareAndSet { key, expected: Some(expected), value },
        _ => Call::Delete { key },
    }
}

fn apply(register: &mut Option<(u64, u64)>, call: &Call, version: u64) -> Answer {
    let (value, seen) = (register.map(|held| held.0), register.map(|held| held.1));
    match call {
        Call::Get { .. } => Answer::Value { value, version: seen },
        Call::CompareAndSet { expected, .. } if *expected != value => {
            Answer::Mismatch { value, version: seen }
        }
        Call::Set { value, .. } | Call::CompareAndSet { value, .. } => {
            *register = Some((*value, version));
            Answer::Written { version }
        }
        Call::Delete { .. } => {
            *register = None;
            Answer::Deleted { existed: value.is_some(), version }
        }
        _ => unreachable!("not a register's operation"),
    }
}
