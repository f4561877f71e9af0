//! What was declared of a topic: after how many attempts it gives a message up, and into which topic.
//!
//! A topic may be declared again, and it may be that nobody knows whether a declaration took place. At a moment any of
//! those may be in force that had been asked for by then and that no later one had replaced for certain.

use crate::history::{Operation, Outcome, VirtualTime};

/// One declaration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared<'a> {
    /// Attempts after which the topic gives a message up.
    attempts_max: u64,
    /// Where it goes then.
    pub(super) into: &'a str,
    pub(super) asked_ns: VirtualTime,
    /// When it had taken place, if that is certain.
    done_ns: Option<VirtualTime>,
    /// From when on another one had replaced it for certain.
    replaced_ns: VirtualTime,
}

const NEVER: VirtualTime = VirtualTime(u64::MAX);

impl<'a> Declared<'a> {
    /// What this operation declared.
    pub(super) fn by(operation: &'a Operation, attempts_max: u64, into: &'a str) -> Self {
        let is_sure = matches!(operation.outcome, Outcome::Ok { .. });
        let done_ns = operation.returned_ns.filter(|_| is_sure);
        Self { attempts_max, into, asked_ns: operation.invoked_ns, done_ns, replaced_ns: NEVER }
    }
}

/// Notes of each declaration, in the order of the requests, when one that came after it was done.
pub(super) fn supersede(declared: &mut [Declared<'_>]) {
    let mut first = NEVER;
    let mut done_ns: Vec<(VirtualTime, VirtualTime)> = Vec::with_capacity(declared.len());
    for one in declared.iter().rev() {
        first = one.done_ns.map_or(first, |done| done.min(first));
        done_ns.push((one.asked_ns, first));
    }
    done_ns.reverse();
    for one in declared {
        // What may yet take place replaces whatever is there then.
        let Some(done) = one.done_ns else { continue };
        let next = done_ns.partition_point(|(asked, _)| *asked <= done);
        one.replaced_ns = done_ns.get(next).map_or(NEVER, |(_, first)| *first);
    }
}

/// Of the declarations that may have been in force at some moment of a span, the fewest attempts and the most. There is
/// no most if none need have been in force. Nothing, if none can have been.
pub(super) fn attempts_within(
    declared: &[Declared<'_>],
    from: VirtualTime,
    to: VirtualTime,
) -> Option<(u64, Option<u64>)> {
    let in_force = declared.iter().filter(|one| one.asked_ns <= to && one.replaced_ns >= from);
    let attempts = in_force.map(|one| one.attempts_max);
    let (fewest, most) = attempts.fold(None, |found: Option<(u64, u64)>, attempts| {
        let (fewest, most) = found.unwrap_or((attempts, attempts));
        Some((fewest.min(attempts), most.max(attempts)))
    })?;
    let is_declared = declared.iter().any(|one| one.done_ns.is_some_and(|done| done < from));
    Some((fewest, is_declared.then_some(most)))
}

/// After how many attempts a topic gives a message up, whatever was in force when.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptsEver {
    fewest: u64,
    most: u64,
    /// From when on something was declared for certain. Nobody knows of what is in force before.
    since_ns: VirtualTime,
}

/// Of all declarations of a topic.
pub(super) fn attempts_ever(declared: &[Declared<'_>]) -> AttemptsEver {
    let attempts = || declared.iter().map(|one| one.attempts_max);
    AttemptsEver {
        fewest: attempts().min().unwrap_or(1),
        most: attempts().max().unwrap_or(u64::MAX),
        since_ns: declared.iter().filter_map(|one| one.done_ns).min().unwrap_or(NEVER),
    }
}

impl AttemptsEver {
    /// The fewest for a message that comes back then or later.
    pub(super) fn fewest(self, from_ns: VirtualTime) -> u64 {
        if self.since_ns < from_ns { self.fewest } else { 1 }
    }

    /// The most, if that is known.
    pub(super) fn most(self, from_ns: VirtualTime) -> Option<u64> {
        (self.since_ns < from_ns).then_some(self.most)
    }
}
