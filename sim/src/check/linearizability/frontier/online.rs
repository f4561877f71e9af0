//! The frontier while the history is still happening: a violation is told as soon as it is certain, and
//! nothing that is over is kept.
//!
//! What an operation was answered has to be known before it can be followed. An event therefore waits until
//! every operation that was open then has returned or is lost; how much waits follows how long operations
//! take, and not how long the history is.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{EntryOf, Model};
use super::core::Core;
use super::pending::Counting;
use crate::check::Verdict;

/// Words of slots: so many times 64 operations open at one time.
const WIDTH: usize = 4;
/// Steps that putting one operation in its place may take.
const STEPS_PER_RETURN_MAX: u64 = 1_000_000;
/// Usages that are kept beside each other: there is no second try with more.
const BEAM_WIDTH: usize = 4;

/// An operation that could not have returned as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineViolation {
    /// Its `id`.
    pub id: u64,
    /// When it returned.
    pub returned: u64,
}

/// What waits for its turn: by time, then calls before returns, then by `id`.
type Turn = (u64, u8, u64);

enum Event<M: Model> {
    Invoke(EntryOf<M>),
    Return,
}

/// Follows one object online. Events are told in the order of their times.
///
/// Operations of unknown outcome are counted both ways that take little memory: what is rejected is rejected
/// for certain, and what neither way decides is unknown in the end.
pub struct Online<'m, M: Model> {
    accepting: Core<'m, M, WIDTH>,
    /// Rejects; `None` as long as no operation was lost, as the other then does both.
    rejecting: Option<Core<'m, M, WIDTH>>,
    open: BTreeMap<u64, EntryOf<M>>,
    waiting: BTreeMap<Turn, Event<M>>,
    /// Each process's latest return, and of which operation.
    latest: BTreeMap<u64, (u64, u64)>,
    followed: BTreeSet<u64>,
    now: u64,
    answered: u64,
    undecided: bool,
    /// Whether it can no longer follow.
    stopped: bool,
    violation: Option<OnlineViolation>,
}

impl<'m, M: Model> Online<'m, M> {
    /// An object of which nothing is known yet but that it is new. `lossy` says whether operations may be
    /// lost, which has to be known from the beginning.
    #[must_use]
    pub fn new(model: &'m M, lossy: bool) -> Self {
        let (accepting, rejecting) = if lossy {
            let accepting = Core::new(model, Counting::Beam { width: BEAM_WIDTH });
            (accepting, Some(Core::new(model, Counting::Ignored)))
        } else {
            (Core::new(model, Counting::Exact), None)
        };
        Self {
            accepting,
            rejecting,
            open: BTreeMap::new(),
            waiting: BTreeMap::new(),
            latest: BTreeMap::new(),
            followed: BTreeSet::new(),
            now: 0,
            answered: 0,
            undecided: false,
            stopped: false,
            violation: None,
        }
    }

    /// `process` invokes an operation. Each has an `id` of its own.
    ///
    /// # Errors
    /// What is certain by now.
    ///
    /// # Panics
    /// If time went back: a bug of the caller.
    pub fn invoke(&mut self, id: u64, process: u64, at: u64, op: M::Op) -> Result<(), OnlineViolation> {
        self.advance_to(at);
        let mut entry = EntryOf::<M>::unanswered(id, process, at, op);
        entry.after = self.latest.get(&process).filter(|(returned, _)| *returned == at).map(|(_, id)| *id);
        self.followed.extend(entry.after);
        self.open.insert(id, entry);
        self.verdict_so_far()
    }

    /// An operation was answered. One that is not open is none of this object's.
    ///
    /// # Errors
    /// What is certain by now.
    ///
    /// # Panics
    /// If time went back: a bug of the caller.
    pub fn answer(&mut self, id: u64, at: u64, answer: M::Answer) -> Result<(), OnlineViolation> {
        self.advance_to(at);
        if let Some(mut entry) = self.open.remove(&id) {
            (entry.returned, entry.answer) = (Some(at), Some(answer));
            self.latest.insert(entry.process, (at, id));
            self.answered += 1;
            self.waiting.insert((entry.invoked, 0, id), Event::Invoke(entry));
            self.waiting.insert((at, 3, id), Event::Return);
        }
        self.verdict_so_far()
    }

    /// Nobody will ever know whether an operation took effect.
    pub fn lose(&mut self, id: u64) {
        let Some(entry) = self.open.remove(&id) else { return };
        if self.rejecting.is_none() {
            self.stop();
            return;
        }
        let mut turn = 0;
        if let Some(before) = entry.after {
            // It is invoked right after the return of the one that it has to follow, of which only one can be
            // told at one moment.
            let clash = self.waiting.keys().any(|(at, turn, _)| *at == entry.invoked && *turn == 1);
            let moved = self.waiting.remove(&(entry.invoked, 3, before));
            if clash || moved.is_none() {
                return self.stop();
            }
            self.waiting.insert((entry.invoked, 1, before), Event::Return);
            turn = 2;
        }
        self.waiting.insert((entry.invoked, turn, id), Event::Invoke(entry));
    }

    /// An operation had no effect and never will.
    pub fn forget(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// The history is over; what is still open is lost. Valid, or unknown if nothing was answered or no way of
    /// counting decides.
    ///
    /// # Errors
    /// The violation, if there is one.
    pub fn finish(mut self) -> Result<Verdict, OnlineViolation> {
        for id in self.open.keys().copied().collect::<Vec<u64>>() {
            self.lose(id);
        }
        self.follow_until(u64::MAX);
        self.verdict_so_far()?;
        Ok(if self.undecided || self.answered == 0 { Verdict::Unknown } else { Verdict::Valid })
    }

    /// Operations that wait for others to return, at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.open.len() + self.waiting.len()
    }

    fn verdict_so_far(&self) -> Result<(), OnlineViolation> {
        self.violation.clone().map_or(Ok(()), Err)
    }

    fn advance_to(&mut self, at: u64) {
        assert!(at >= self.now, "time went back from {} to {at}", self.now);
        if at > self.now {
            // Whatever happened before now is known, as far as it is not open.
            let open_since = self.open.values().map(|entry| entry.invoked).min().unwrap_or(u64::MAX);
            self.now = at;
            self.latest.clear();
            self.follow_until(open_since.min(at));
        }
    }

    /// From now on it does not know what happened.
    fn stop(&mut self) {
        (self.stopped, self.undecided) = (true, true);
        self.waiting.clear();
    }

    /// Follows all that happened before `until`.
    fn follow_until(&mut self, until: u64) {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 < until
            && self.violation.is_none()
        {
            let ((at, _, id), event) = first.remove_entry();
            let followed = match event {
                Event::Invoke(entry) => {
                    let others_follow = self.followed.contains(&id);
                    let rejecting = self.rejecting.as_mut();
                    self.accepting.open(&entry, others_follow, None)
                        && rejecting.is_none_or(|core| core.open(&entry, others_follow, None))
                }
                Event::Return => {
                    self.followed.remove(&id);
                    self.close(id, at)
                }
            };
            if !followed || self.stopped {
                self.stop();
            }
        }
    }

    /// Puts an operation in its place; says whether that took not too long.
    fn close(&mut self, id: u64, returned: u64) -> bool {
        let Some(accepted) = follow_one(&mut self.accepting, id) else { return false };
        let refuted = match &mut self.rejecting {
            Some(core) => {
                let Some(left) = follow_one(core, id) else { return false };
                // It follows more than there is; if still nothing is left, that is certain.
                !left && !core.is_overwhelmed()
            }
            None => false,
        };
        if refuted || (!accepted && self.accepting.is_exhaustive() && !self.accepting.is_overwhelmed()) {
            self.violation = Some(OnlineViolation { id, returned });
        }
        self.undecided |= !accepted;
        true
    }
}

/// Puts an operation in its place; says whether anything is left, or nothing if that takes too long.
fn follow_one<M: Model>(core: &mut Core<'_, M, WIDTH>, id: u64) -> Option<bool> {
    core.close(id);
    core.advance(core.steps + STEPS_PER_RETURN_MAX)
}
