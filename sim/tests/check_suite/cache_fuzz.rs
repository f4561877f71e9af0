//! Both judgements of a key of the cache with lives, counters and evictions, against one that tries everything, on random
//! histories. Times are in microseconds.

use rand::RngExt;
use stormglass_sim::check::cache_safety::{self, CacheKeys};
use stormglass_sim::check::linearizability::{Limits, RegisterModel, Times, check_as};
use stormglass_sim::check::{Calm, Drift, Verdict};
use stormglass_sim::history::{Answer, Call, History, Operation, Outcome, VirtualTime};
use stormglass_sim::rng::{StreamRng, Streams};

use crate::cache_safety::{key, row, unanswered};
use crate::support::{Row, history};

/// What is there: its value and version, from when on its life may be over, if ever, and by when it is.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    value: i64,
    version: Option<u64>,
    over_us: Option<u64>,
    over_by_us: Option<u64>,
}

/// What is said of time in half of all histories: so long after it may be over, a life is over.
const CALM: Calm = Calm { from: VirtualTime(0), grace_ns: 2_000, slow_ppm_max: 0, lease_us: 0 };
const GRACE_US: u64 = 2;

/// How a history is drawn.
#[derive(Clone, Copy)]
struct Mix {
    clients: u64,
    operations_max: u64,
    /// Of 16 operations so many add.
    adds: u64,
    /// Of 16 writes so many have a life.
    lives: u64,
    /// From when on keys may be evicted.
    evicted_from_us: Option<u64>,
    unanswered: f64,
    spoilt: f64,
}

/// Draws a history in which every operation answers as if it took effect at some moment of its own, and then spoils some
/// answers.
fn drawn(rng: &mut StreamRng, mix: &Mix, calm: Option<Calm>) -> History {
    let mut drafts: Vec<(u64, u64, u64, u64)> = Vec::new();
    for client in 1..=mix.clients {
        let mut at = 1;
        for _ in 0..rng.random_range(1..=mix.operations_max) {
            let from = at + rng.random_range(0..4);
            let until = from + rng.random_range(1..8);
            drafts.push((rng.random_range(from..until), client, from, until));
            at = until + 1;
        }
    }
    drafts.sort_unstable();
    let mut held: Option<Held> = None;
    let mut version = 0;
    let bound = |from| row(9, from, from + 1, Call::CacheConfigure { entries_max: 1 }, Answer::Declared);
    let mut rows: Vec<Row> = mix.evicted_from_us.map(bound).into_iter().collect();
    for (now, client, from, until) in drafts {
        // From the end of a life on it is gone sooner or later.
        let is_due = |held: &Held| calm.is_some() && held.over_by_us.is_some_and(|by| by < now);
        held = held.filter(|held| {
            held.over_us.is_none_or(|over| now < over) || !is_due(held) && rng.random_bool(0.4)
        });
        let may_be_evicted = mix.evicted_from_us.is_some_and(|evicted_from| evicted_from <= now);
        held = held.filter(|_| !may_be_evicted || rng.random_bool(0.8));
        let (call, answer) = take_effect(rng, mix, (now, until), &mut held, &mut version);
        let answer = if rng.random_bool(mix.spoilt) { spoil(rng, &answer, version) } else { answer };
        let row = row(client, from, until, call, answer);
        rows.push(if rng.random_bool(mix.unanswered) { unanswered(row) } else { row });
    }
    history(rows)
}

fn take_effect(
    rng: &mut StreamRng,
    mix: &Mix,
    (now, until): (u64, u64),
    held: &mut Option<Held>,
    version: &mut u64,
) -> (Call, Answer) {
    let key = key();
    let value = rng.random_range(0..6);
    let ttl_us = (rng.random_range(0..16) < mix.lives).then(|| rng.random_range(1..12));
    let found = held.map(|held| (held.value, held.version.unwrap_or(0)));
    let refused = || {
        let (value, version) = found.unzip();
        Answer::Refused { value, version }
    };
    let write = |held: &mut Option<Held>, version: &mut u64, value, (over_us, over_by_us)| {
        *version += 1;
        *held = Some(Held { value, version: Some(*version), over_us, over_by_us });
        *version
    };
    let over_us = (ttl_us.map(|ttl_us| now + ttl_us), ttl_us.map(|ttl_us| until + ttl_us + GRACE_US));
    if rng.random_range(0..16) < mix.adds {
        let by = rng.random_range(-1..4);
        let value = found.map_or(0, |(value, _)| value) + by;
        let over_us = held.map_or((None, None), |held| (held.over_us, held.over_by_us));
        let version = write(held, version, value, over_us);
        return (Call::CacheIncrement { key, by }, Answer::Counted { value, version });
    }
    match rng.random_range(0..10) {
        0..5 => {
            let (value, version) = found.unzip();
            (Call::CacheGet { key, near: false }, Answer::Cached { value, version, local: false })
        }
        5..7 => {
            let version = write(held, version, value, over_us);
            (Call::CacheSet { key, value, ttl_us }, Answer::Written { version })
        }
        7 => {
            *version += 1;
            *held = None;
            (Call::CacheDelete { key }, Answer::Deleted { existed: found.is_some(), version: *version })
        }
        8 => {
            let answer = match found {
                None => Answer::Written { version: write(held, version, value, over_us) },
                Some(_) => refused(),
            };
            (Call::CacheSetIfAbsent { key, value, ttl_us }, answer)
        }
        _ => {
            let wrong = rng.random_range(1..=*version + 1);
            let seen = found.map(|(_, version)| version).filter(|_| rng.random_bool(0.8));
            let expected = seen.unwrap_or(wrong);
            let answer = match found {
                Some((_, version_there)) if version_there == expected => {
                    Answer::Written { version: write(held, version, value, over_us) }
                }
                _ => refused(),
            };
            let expected_version = Some(expected);
            (Call::CacheCompareAndSet { key, expected_version, value, ttl_us, fence: None }, answer)
        }
    }
}

/// Another answer of the same kind.
fn spoil(rng: &mut StreamRng, answer: &Answer, latest: u64) -> Answer {
    let near =
        |rng: &mut StreamRng, version: u64| (version + rng.random_range(0..3)).saturating_sub(1).max(1);
    match *answer {
        Answer::Cached { local, .. } if rng.random_bool(0.4) => {
            Answer::Cached { value: None, version: None, local }
        }
        Answer::Cached { value, version, local } => {
            let value = Some(value.unwrap_or(0) + rng.random_range(0..2));
            Answer::Cached { value, version: Some(near(rng, version.unwrap_or(latest))), local }
        }
        Answer::Refused { .. } if rng.random_bool(0.5) => Answer::Written { version: latest + 1 },
        Answer::Refused { value: None, version: None } => {
            Answer::Refused { value: Some(1), version: Some(1) }
        }
        Answer::Refused { .. } => Answer::Refused { value: None, version: None },
        Answer::Deleted { existed, version } => Answer::Deleted { existed: !existed, version },
        Answer::Counted { value, version } => {
            Answer::Counted { value: value + rng.random_range(-2..3), version }
        }
        Answer::Written { version } => Answer::Written { version: near(rng, version) },
        ref other => other.clone(),
    }
}

/// A judge too simple to be wrong: every order of every subset of the operations, with every end of a life in between.
struct Orders<'h> {
    operations: Vec<&'h Operation>,
    calm: Option<Calm>,
    evicted_from_ns: Option<u64>,
}

/// What one order has come to.
#[derive(Clone, Copy)]
struct Reached {
    done: u32,
    held: Option<Held>,
    /// The latest version so far, by what is known.
    latest: u64,
    /// How many later ones there are of which nobody knows which.
    beyond: u64,
    /// Nothing that comes now can have happened earlier.
    now_ns: u64,
}

impl Orders<'_> {
    fn explain(&self, reached: Reached) -> bool {
        let answered = |at: usize| matches!(self.operations[at].outcome, Outcome::Ok { .. });
        let is_done = |at: usize| reached.done >> at & 1 == 1;
        let is_first = |at: usize| {
            let next = self.operations[at];
            (0..self.operations.len()).all(|other| {
                let before = self.operations[other];
                let returned = before.returned_ns.filter(|_| answered(other) && !is_done(other));
                let own = before.client == next.client && before.id < next.id;
                returned
                    .is_none_or(|returned| returned > next.invoked_ns || returned == next.invoked_ns && !own)
            })
        };
        if (0..self.operations.len()).all(|at| is_done(at) || !answered(at)) {
            return true;
        }
        let over_ns = reached.held.and_then(|held| held.over_us).map(|over_us| over_us * 1_000);
        let vanishes = |at: u64| {
            let now_ns = reached.now_ns.max(at);
            reached.held.is_some() && self.explain(Reached { held: None, now_ns, ..reached })
        };
        if [over_ns, self.evicted_from_ns].into_iter().flatten().any(vanishes) {
            return true;
        }
        (0..self.operations.len()).any(|at| {
            let operation = self.operations[at];
            let now_ns = reached.now_ns.max(operation.invoked_ns.0);
            let in_time = !answered(at) || operation.returned_ns.is_some_and(|by| now_ns <= by.0);
            let done = reached.done | 1 << at;
            let is_due = |held: Held| held.over_by_us.is_some_and(|by| by * 1_000 < operation.invoked_ns.0);
            let sees_what_is_over = answered(at) && self.calm.is_some() && reached.held.is_some_and(is_due);
            !is_done(at)
                && is_first(at)
                && in_time
                && !sees_what_is_over
                && after(Reached { done, now_ns, ..reached }, operation)
                    .is_some_and(|next| self.explain(next))
        })
    }
}

impl Reached {
    /// What is there is of this version.
    fn seen(mut self, value: Option<i64>, version: Option<u64>) -> Option<Self> {
        match (self.held, value.zip(version)) {
            (None, None) => Some(self),
            (Some(mut held), Some((value, version))) if held.value == value => {
                if held.version.is_none() {
                    (version >= self.latest + self.beyond).then_some(())?;
                    (self.latest, self.beyond) = (version, 0);
                    held.version = Some(version);
                    self.held = Some(held);
                }
                (held.version == Some(version)).then_some(self)
            }
            _ => None,
        }
    }

    /// It is changed.
    fn made(mut self, version: Option<u64>, held: Option<Held>) -> Option<Self> {
        match version {
            Some(version) => {
                (version > self.latest + self.beyond).then_some(())?;
                (self.latest, self.beyond) = (version, 0);
            }
            None => self.beyond += 1,
        }
        self.held = held.map(|held| Held { version, ..held });
        Some(self)
    }
}

fn after(reached: Reached, operation: &Operation) -> Option<Reached> {
    let answer = match &operation.outcome {
        Outcome::Ok { answer } => Some(answer),
        _ => None,
    };
    let version = match answer {
        Some(
            Answer::Written { version } | Answer::Deleted { version, .. } | Answer::Counted { version, .. },
        ) => Some(*version),
        _ => None,
    };
    if let Some(Answer::Cached { value, version, .. }) = answer {
        return reached.seen(*value, *version);
    }
    let held = reached.held;
    let put = |value: i64, ttl_us: Option<u64>| {
        let over_us = ttl_us.map(|ttl_us| operation.invoked_ns.0 / 1_000 + ttl_us);
        // Of what nobody was answered nobody knows when it began.
        let begun_by_us = operation.returned_ns.filter(|_| answer.is_some()).map(|by| by.0 / 1_000);
        let over_by_us = ttl_us.zip(begun_by_us).map(|(ttl_us, by)| by + ttl_us + GRACE_US);
        Some(Held { value, version, over_us, over_by_us })
    };
    match &operation.call {
        Call::CacheGet { .. } => Some(reached),
        Call::CacheSet { value, ttl_us, .. } => reached.made(version, put(*value, *ttl_us)),
        Call::CacheIncrement { by, .. } => {
            let sum = held.map_or(0, |held| held.value) + by;
            if let Some(Answer::Counted { value, .. }) = answer {
                (*value == sum).then_some(())?;
            }
            reached.made(version, Some(Held { value: sum, version, ..held.unwrap_or_default() }))
        }
        Call::CacheDelete { .. } => {
            if let Some(Answer::Deleted { existed, .. }) = answer {
                (*existed == held.is_some()).then_some(())?;
            }
            reached.made(version, None)
        }
        Call::CacheSetIfAbsent { value, ttl_us, .. } => match answer {
            Some(Answer::Refused { value, version }) => held.and_then(|_| reached.seen(*value, *version)),
            _ => held.is_none().then(|| reached.made(version, put(*value, *ttl_us)))?,
        },
        Call::CacheCompareAndSet { expected_version: Some(expected), value, ttl_us, .. } => match answer {
            Some(Answer::Refused { version: Some(version), .. }) if version == expected => None,
            Some(Answer::Refused { value, version }) => reached.seen(*value, *version),
            _ => reached.seen(Some(held?.value), Some(*expected))?.made(version, put(*value, *ttl_us)),
        },
        _ => None,
    }
}

fn is_right(history: &History, mix: &Mix, calm: Option<Calm>) -> bool {
    let is_of_key = |operation: &&Operation| !operation.call.object().is_empty();
    let operations = history.operations.iter().filter(is_of_key).collect();
    let evicted_from_ns = mix.evicted_from_us.map(|from| from * 1_000);
    let orders = Orders { operations, calm, evicted_from_ns };
    orders.explain(Reached { done: 0, held: None, latest: 0, beyond: 0, now_ns: 0 })
}

/// What the general search says, as a register or as what it is.
fn searched(history: &History, calm: Option<Calm>) -> Verdict {
    let limits = Limits { steps: 200_000 };
    let keys = CacheKeys::of(history);
    let registers = check_as(&RegisterModel, keys.registers(), &limits, Times::Nanoseconds);
    let (model, keys) = keys.others(Drift::default(), calm);
    let others = check_as(&model, keys, &limits, Times::Nanoseconds);
    [registers.verdict, others.verdict]
        .into_iter()
        .find(|verdict| *verdict != Verdict::Unknown)
        .unwrap_or(Verdict::Unknown)
}

/// Histories drawn of each mix; `STORMGLASS_FUZZ` times as many if that is set.
fn count() -> u64 {
    let larger = std::env::var("STORMGLASS_FUZZ").ok().and_then(|times| times.parse::<u64>().ok());
    2_000 * larger.unwrap_or(1)
}

#[test]
fn keys_with_lives_and_counters_are_judged_as_by_one_that_tries_everything() {
    let mix = |adds, lives, evicted_from_us| Mix {
        clients: 3,
        operations_max: 3,
        adds,
        lives,
        evicted_from_us,
        unanswered: 0.2,
        spoilt: 0.08,
    };
    let mixes = [
        ("counters", mix(10, 0, None)),
        ("lives", mix(0, 8, None)),
        ("both", mix(5, 6, None)),
        ("evictions", mix(5, 4, Some(6))),
    ];
    for (name, mix) in mixes {
        let mut rng = Streams::new(count()).stream(name);
        let (mut right, mut wrong, mut missed) = (0_u64, 0_u64, 0_u64);
        while right + wrong < count() {
            let calm = Some(CALM).filter(|_| rng.random_bool(0.5));
            let history = drawn(&mut rng, &mix, calm);
            let by_search = searched(&history, calm);
            if history.verify().is_err() || by_search == Verdict::Unknown {
                continue;
            }
            let truth = is_right(&history, &mix, calm);
            let expected = if truth { Verdict::Valid } else { Verdict::Invalid };
            assert_eq!(by_search, expected, "{name}: {history:#?}");
            let by_versions = cache_safety::check(&history, Drift::default(), calm);
            let is_rejected = by_versions.verdict == Verdict::Invalid;
            assert!(!(is_rejected && truth), "{name}: {:?}\n{history:#?}", by_versions.counterexample);
            right += u64::from(truth);
            wrong += u64::from(!truth);
            missed += u64::from(!truth && !is_rejected);
        }
        println!("{name}: {right} right, {wrong} wrong, of which the rules by versions miss {missed}");
        assert!(right * 5 > count() && wrong * 5 > count(), "{name}: {right} right, {wrong} wrong");
    }
}
