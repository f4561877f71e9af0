//! Tier 4 where it goes straight: a search that remembers no configurations, for as long as it hardly turns back.
//!
//! It is the search of Wing and Gong over the few operations that are open at one time, whose set fits into one word.
//! Operations that only read go first where they change nothing. Of the others the one that returns first is tried first;
//! if it does not fit, one after which it does. That is seldom wrong. Where it is, the same ways may be gone again and
//! again: then this gives up, and the frontier begins.

use super::{EntryOf, Model};

/// Operations on an object that is decided so, as each may have to be remembered.
const ENTRIES_MAX: usize = 4_096;
/// Operations of unknown outcome that can be dealt with.
const PENDING_MAX: usize = 64;
/// How far apart, in the order of invocation, operations may be that are open at one time.
const WINDOW: usize = 64;
/// Steps for each operation, beside these, after which it gives up.
const STEPS_PER_ENTRY: u64 = 16;
const STEPS: u64 = 64;

/// Whether the operations are linearizable; `None` if that is not found out at once, within `budget` steps. Adds to
/// `steps`.
pub(super) fn decide_directly<M: Model>(
    model: &M,
    entries: &[EntryOf<M>],
    budget: u64,
    steps: &mut u64,
) -> Option<bool> {
    if entries.len() > ENTRIES_MAX {
        return None;
    }
    let mut pending = Vec::new();
    let mut last_invoked = 0;
    for (at, entry) in (0..).zip(entries) {
        if entry.invoked < last_invoked || entry.after.is_some() || pending.len() == PENDING_MAX {
            return None;
        }
        last_invoked = entry.invoked;
        if entry.returned.is_none() {
            pending.push(at);
        }
    }
    let budget = budget.min(entries.len() as u64 * STEPS_PER_ENTRY + STEPS);
    let mut direct = Direct { model, entries, pending, steps_left: budget };
    let found = direct.run();
    *steps += budget - direct.steps_left;
    found
}

/// What took effect, and the state after it.
struct Place<S> {
    /// All before this one have taken effect, or need not.
    base: usize,
    /// Which of those from there on have.
    done: u64,
    /// Which of those that need not have.
    used: u64,
    state: S,
    /// What may come next; not known if an operation that had to come before others has just taken effect.
    ahead: Option<Ahead>,
}

/// What may come next at a place: whatever was invoked before the first of them returned.
#[derive(Clone, Copy)]
struct Ahead {
    /// As places from `base` on.
    rest: u64,
    /// The one of them that returns first, and when.
    first: usize,
    first_return: u64,
}

impl Ahead {
    /// What it is once this one has taken effect, if no more may come next then.
    fn without(self, offset: usize) -> Option<Self> {
        (offset != self.first).then_some(Self { rest: self.rest & !(1 << offset), ..self })
    }
}

/// A place, and what is still to be tried from there.
struct Frame<S> {
    place: Place<S>,
    ahead: Ahead,
    /// Of those from `base` on.
    rest: u64,
    /// Of those too, but later: they leave a state in which nothing is likely to follow.
    unlikely: u64,
    /// Those that need not take effect are tried after all others, from this one on.
    next_pending: usize,
    /// The one that returns first, if it does not fit as things stand.
    blocked: Option<usize>,
}

struct Direct<'e, M: Model> {
    model: &'e M,
    entries: &'e [EntryOf<M>],
    pending: Vec<u32>,
    steps_left: u64,
}

impl<M: Model> Direct<'_, M> {
    fn run(&mut self) -> Option<bool> {
        let mut stack: Vec<Frame<M::State>> = Vec::with_capacity(self.entries.len());
        let mut place = Place { base: 0, done: 0, used: 0, state: self.model.initial(), ahead: None };
        loop {
            let (ahead, refused) = self.read(&mut place)?;
            if place.base == self.entries.len() {
                return Some(true);
            }
            let rest = ahead.rest & !refused;
            let blocked = (rest >> ahead.first & 1 == 0).then_some(ahead.first);
            stack.push(Frame { place, ahead, rest, unlikely: 0, next_pending: 0, blocked });
            place = loop {
                let Some(frame) = stack.last_mut() else { return Some(false) };
                match self.go_on(frame)? {
                    Some(next) => break next,
                    None => stack.pop(),
                };
            };
        }
    }

    /// Puts operations that only read in their place; what may come next then, and what of it does not fit.
    fn read(&mut self, place: &mut Place<M::State>) -> Option<(Ahead, u64)> {
        let (mut tried, mut refused) = (0, 0);
        loop {
            let ahead = match place.ahead.take() {
                Some(ahead) => ahead,
                None => {
                    self.skip_done(place, &mut tried, &mut refused);
                    self.ahead(place)?
                }
            };
            let mut read = 0;
            for offset in bits(ahead.rest & !tried) {
                let entry = &self.entries[place.base + offset];
                if entry.answer.as_ref().is_some_and(|answer| self.model.reads(&entry.op, answer)) {
                    match self.step(place.base + offset, &place.state)? {
                        Some(after) if after == place.state => read |= 1 << offset,
                        Some(_) => {}
                        None => refused |= 1 << offset,
                    }
                }
            }
            tried |= ahead.rest;
            place.done |= read;
            // Others may come next only if what had to come before them has returned.
            if read >> ahead.first & 1 == 0 {
                return Some((Ahead { rest: ahead.rest & !read, ..ahead }, refused));
            }
        }
    }

    /// What may come next. None if that is too far ahead.
    fn ahead(&self, place: &Place<M::State>) -> Option<Ahead> {
        let mut ahead = Ahead { rest: 0, first: 0, first_return: u64::MAX };
        for (offset, entry) in self.entries[place.base..].iter().enumerate() {
            if entry.invoked > ahead.first_return {
                break;
            }
            if offset == WINDOW {
                return None;
            }
            let Some(returned) = entry.returned.filter(|_| place.done >> offset & 1 == 0) else { continue };
            ahead.rest |= 1 << offset;
            if returned < ahead.first_return {
                (ahead.first, ahead.first_return) = (offset, returned);
            }
        }
        Some(ahead)
    }

    fn skip_done(&self, place: &mut Place<M::State>, tried: &mut u64, refused: &mut u64) {
        while let Some(entry) = self.entries.get(place.base)
            && (place.done & 1 == 1 || entry.returned.is_none())
        {
            place.base += 1;
            for set in [&mut place.done, &mut *tried, &mut *refused] {
                *set >>= 1;
            }
        }
    }

    /// The next place to go to from here; none if there is none left. None at all if that takes one step too many.
    #[expect(clippy::option_option, reason = "the outer one ends the search")]
    fn go_on(&mut self, frame: &mut Frame<M::State>) -> Option<Option<Place<M::State>>> {
        let base = frame.place.base;
        loop {
            let is_likely = frame.rest != 0;
            let Some(offset) =
                (if is_likely { self.choose(frame)? } else { self.first(base, frame.unlikely) })
            else {
                break;
            };
            frame.rest &= !(1 << offset);
            frame.unlikely &= !(1 << offset);
            let Some(state) = self.step(base + offset, &frame.place.state)? else {
                frame.blocked = frame.blocked.or(Some(offset));
                continue;
            };
            if is_likely && self.model.is_unlikely(&state) {
                frame.unlikely |= 1 << offset;
                continue;
            }
            let Place { done, used, .. } = frame.place;
            let ahead = frame.ahead.without(offset);
            return Some(Some(Place { base, done: done | 1 << offset, used, state, ahead }));
        }
        while let Some(at) = self.pending.get(frame.next_pending).map(|at| *at as usize) {
            let number = frame.next_pending;
            if self.entries[at].invoked > frame.ahead.first_return {
                break;
            }
            frame.next_pending += 1;
            let Place { done, used, state: before, .. } = &frame.place;
            if used >> number & 1 == 1 || !self.model.worthwhile(before, &self.entries[at]) {
                continue;
            }
            // What has no effect here need not take effect.
            if let Some(state) = self.step(at, before)?.filter(|state| state != before) {
                let ahead = Some(frame.ahead);
                return Some(Some(Place { base, done: *done, used: used | 1 << number, state, ahead }));
            }
        }
        Some(None)
    }

    /// The one of the rest that returns first; if the one that returned before it did not fit, one after which it does.
    #[expect(clippy::option_option, reason = "the outer one ends the search")]
    fn choose(&mut self, frame: &Frame<M::State>) -> Option<Option<usize>> {
        let base = frame.place.base;
        let Ahead { first, .. } = frame.ahead;
        if frame.rest >> first & 1 == 1 {
            return Some(Some(first));
        }
        if let Some(blocked) = frame.blocked {
            for offset in bits(frame.rest) {
                if let Some(state) = self.step(base + offset, &frame.place.state)?
                    && self.step(base + blocked, &state)?.is_some()
                {
                    return Some(Some(offset));
                }
            }
        }
        Some(self.first(base, frame.rest))
    }

    /// The one of these that returns first.
    fn first(&self, base: usize, of: u64) -> Option<usize> {
        bits(of).min_by_key(|offset| self.entries[base + offset].returned)
    }

    /// The state after an operation, if it may be answered so; none at all if that is one step too many.
    #[expect(clippy::option_option, reason = "the outer one ends the search")]
    fn step(&mut self, at: usize, state: &M::State) -> Option<Option<M::State>> {
        self.steps_left = self.steps_left.checked_sub(1)?;
        let entry = &self.entries[at];
        Some(self.model.step(state, &entry.op, entry.answer.as_ref()))
    }
}

/// The elements of a set, lowest first.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (lowest < WINDOW).then_some(lowest)
    })
}
