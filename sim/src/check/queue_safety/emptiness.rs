//! Nobody hears that there is nothing while there is something.
//!
//! An answer of nothing is true of one moment between its request and its answer. It is wrong if something was free at
//! each of them, be it one message or several that took turns: until one was given out the next had come. Of messages that
//! no later delivery proves to have been there, dequeues of unknown outcome may have taken as many as they asked for, and
//! no more: of more than that, one is left.
//!
//! A consumer that waits is given what comes by the very entry that brings it. One that waited in vain stood
//! there for its whole wait by the stamps, and so for certain between the latest moment at which it can have
//! begun and the earliest at which it can have ended.

use super::free::{Free, Longest, since_then};
use super::journal::{By, Topic};
use super::unheard::asked_for;
use crate::check::drift::Drift;
use crate::history::{Operation, VirtualTime};

/// Finds an answer of nothing that came too early, or that was wrong.
pub(super) fn check(
    topic: &Topic<'_>,
    ready: &[Free<'_>],
    free: &[Free<'_>],
    drift: Drift,
) -> Option<String> {
    turned_away(topic, drift)
        .or_else(|| empty_although(topic, free, drift))
        .or_else(|| always_something(topic, ready, drift))
}

/// Somebody who was to wait longer than it took until it was told that there is nothing.
fn turned_away(topic: &Topic<'_>, drift: Drift) -> Option<String> {
    topic.empty.iter().find_map(|operation| {
        let stood_ns = operation.returned_ns?.since_ns(operation.invoked_ns);
        let wait_us = operation.call.wait_us();
        (stood_ns < drift.least_ns(wait_us)).then(|| {
            format!(
                "operation #{} was to wait at {:?} for {wait_us} us, but was turned away after {} us\n",
                operation.id,
                operation.call.object(),
                stood_ns / 1_000
            )
        })
    })
}

/// Nothing, although there was something: from before it asked until it was answered, or at any moment at which
/// it waited for certain.
fn empty_although(topic: &Topic<'_>, free: &[Free<'_>], drift: Drift) -> Option<String> {
    // The latest moment at which the free one must have been there already, and from when on it must not be.
    let mut bounds: Vec<(VirtualTime, VirtualTime, &Operation)> = Vec::new();
    for &operation in &topic.empty {
        let Some(returned_ns) = operation.returned_ns else { continue };
        bounds.push((operation.invoked_ns, returned_ns, operation));
        bounds.extend(stood(operation, drift).map(|(from_ns, until_ns)| (until_ns, from_ns, operation)));
    }
    bounds.sort_by_key(|(by_ns, _, operation)| (*by_ns, operation.id));
    let mut by_end: Vec<&Free<'_>> = if bounds.is_empty() { Vec::new() } else { free.iter().collect() };
    by_end.sort_by_key(|free| free.until_ns);
    let mut longest = Longest::over(free);
    bounds.into_iter().find_map(|(by_ns, after_ns, operation)| {
        let over_it = longest.before(by_ns, 0).filter(|there| there.until_ns > after_ns);
        let there = over_it.or_else(|| {
            // Whoever asks as it is answered knows the order of both.
            let (by, returned_ns) = (By::of(operation), operation.returned_ns?);
            let until = by_end.partition_point(|free| free.until_ns < returned_ns);
            let until_then = by_end[until..].iter().take_while(|free| free.until_ns == returned_ns);
            let mut at_once = since_then(free, operation.invoked_ns).iter().chain(until_then.copied());
            let spans = |free: &&Free<'_>| {
                free.was_there_before(operation.invoked_ns, by) && free.was_there_after(returned_ns, by)
            };
            at_once.find(spans).copied()
        })?;
        Some(format!(
            "operation #{} of client {}, invoked at {}, got nothing out of {:?} at {}, but message {} was there \
             from {} until {} at least\n",
            operation.id,
            operation.client,
            operation.invoked_ns,
            operation.call.object(),
            operation.returned_ns.unwrap_or_default(),
            there.story.message.number,
            there.since_ns,
            there.until_ns
        ))
    })
}

/// From when until when it waited for certain, if it did.
fn stood(operation: &Operation, drift: Drift) -> Option<(VirtualTime, VirtualTime)> {
    let wait_ns = drift.least_ns(operation.call.wait_us());
    let from_ns = VirtualTime(operation.returned_ns?.0.saturating_sub(wait_ns));
    let until_ns = VirtualTime(operation.invoked_ns.0.saturating_add(wait_ns));
    (from_ns < until_ns).then_some((from_ns, until_ns))
}

/// Something was free at every moment after one and before another.
#[derive(Clone, Copy)]
struct Covered {
    since_ns: VirtualTime,
    /// Whom the answer told with which it begins; [`By::NOBODY`] for nobody in particular.
    since_by: By,
    until_ns: VirtualTime,
    /// Who asked for what ends it, likewise.
    until_by: By,
}

/// Nothing, although at every moment there was one message or another.
fn always_something(topic: &Topic<'_>, ready: &[Free<'_>], drift: Drift) -> Option<String> {
    if topic.empty.is_empty() {
        return None;
    }
    let covered = covered(topic, ready);
    topic.empty.iter().find_map(|operation| {
        let (by, asked_ns, answered_ns) =
            (By::of(operation), operation.invoked_ns, operation.returned_ns?);
        let is_before = |one: &Covered| {
            one.since_ns < asked_ns || one.since_ns == asked_ns && one.since_by.came_before(by)
        };
        let is_after = |one: &&Covered| {
            one.until_ns > answered_ns || one.until_ns == answered_ns && by.came_before(one.until_by)
        };
        let last = |before: usize| before.checked_sub(1).map(|last| covered[last]);
        let all_along = last(covered.partition_point(is_before)).filter(|one| is_after(&one));
        let there = all_along.or_else(|| {
            let (from_ns, until_ns) = stood(operation, drift)?;
            let met = last(covered.partition_point(|one| one.since_ns < until_ns))?;
            (met.until_ns > from_ns).then_some(met)
        })?;
        Some(format!(
            "operation #{} of client {}, invoked at {asked_ns}, got nothing out of {:?} at {answered_ns}, but \
             one message or another was there from {} until {} at least\n",
            operation.id,
            operation.client,
            operation.call.object(),
            there.since_ns,
            there.until_ns
        ))
    })
}

/// What changes at a moment.
#[derive(Clone, Copy)]
enum Change {
    /// A message may be there no more.
    Ends { by: By, is_proved: bool },
    /// So many may have been taken unheard.
    Taken { by: By, most: u64 },
    /// A message is there.
    Begins { by: By, is_proved: bool },
}

/// When something was free for certain, in order and apart.
fn covered(topic: &Topic<'_>, ready: &[Free<'_>]) -> Vec<Covered> {
    let mut changes: Vec<(VirtualTime, Change)> = Vec::new();
    for free in ready.iter().filter(|free| free.story.message.group.is_none()) {
        let is_proved = free.is_proved;
        changes.push((free.since_ns, Change::Begins { by: free.since_by, is_proved }));
        changes.push((free.until_ns, Change::Ends { by: free.until_by, is_proved }));
    }
    let taken = |dequeue: &&Operation| {
        let most = asked_for(&dequeue.call);
        (dequeue.invoked_ns, Change::Taken { by: By::of(dequeue), most })
    };
    changes.extend(topic.unknown.iter().map(taken));
    changes.sort_by_key(|(at, _)| *at);
    let mut tally = Tally::default();
    let mut all: Vec<Covered> = Vec::new();
    let mut open: Option<(VirtualTime, By)> = None;
    for at_once in changes.chunk_by(|(one, _), (other, _)| one == other) {
        let at = at_once[0].0;
        let step = tally.step(at_once);
        if let Some((since_ns, since_by)) = open.filter(|_| !step.holds_meanwhile) {
            all.push(Covered { since_ns, since_by, until_ns: at, until_by: step.ended_by });
            open = None;
        }
        open = open.or(Some((at, step.begun_by))).filter(|_| tally.is_something());
    }
    all.extend(open.map(|(since_ns, since_by)| {
        let (until_ns, until_by) = (VirtualTime(u64::MAX), By::NOBODY);
        Covered { since_ns, since_by, until_ns, until_by }
    }));
    all
}

/// What lies there at a moment.
#[derive(Default)]
struct Tally {
    proved: u64,
    unproved: u64,
    /// Of the unproved ones, how many may have been taken.
    taken: u64,
}

/// What happened at one instant.
struct Step {
    /// Whether something was there whatever came first.
    holds_meanwhile: bool,
    begun_by: By,
    ended_by: By,
}

impl Tally {
    fn is_something(&self) -> bool {
        self.proved > 0 || self.unproved > self.taken
    }

    /// What ends at an instant may do so before anything begins; but what one client was told it knew before it asked.
    fn step(&mut self, at_once: &[(VirtualTime, Change)]) -> Step {
        let (mut ended, mut begun): (Vec<By>, Vec<By>) = (Vec::new(), Vec::new());
        let mut enders: Vec<By> = Vec::new();
        let mut unproved = 0;
        for (_, change) in at_once {
            match *change {
                Change::Ends { by, is_proved } => {
                    enders.push(by);
                    if is_proved {
                        ended.push(by);
                    } else {
                        self.unproved -= 1;
                    }
                }
                Change::Taken { by, most } => {
                    enders.push(by);
                    self.taken = self.taken.saturating_add(most);
                }
                Change::Begins { by, is_proved: true } => begun.push(by),
                Change::Begins { is_proved: false, .. } => unproved += 1,
            }
        }
        self.proved -= ended.len() as u64;
        let holds_meanwhile = self.is_something() || told_first(&ended, &mut begun);
        let ended_by = enders.first().copied().filter(|first| enders.iter().all(|by| by == first));
        self.proved += begun.len() as u64;
        self.unproved += unproved;
        Step {
            holds_meanwhile,
            begun_by: begun.first().copied().unwrap_or(By::NOBODY),
            ended_by: ended_by.unwrap_or(By::NOBODY),
        }
    }
}

/// Whether somebody took a message at the instant at which the same client had been told of another.
fn told_first(ended: &[By], begun: &mut [By]) -> bool {
    begun.sort_unstable();
    ended.iter().any(|by| {
        let told = begun.partition_point(|told| told < by);
        told.checked_sub(1).is_some_and(|last| begun[last].came_before(*by))
    })
}
