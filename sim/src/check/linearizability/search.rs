//! Tier 4: the depth-first search of Wing and Gong, with Lowe's memory of configurations.
//!
//! A configuration is the set of operations linearized so far and the state after them. From each, any
//! operation may come next that was invoked before the first of the remaining ones returned. What narrows
//! the search, none of it changing its answer:
//!
//! * an operation that only reads and leaves the state as it is goes first, without alternatives;
//! * operations whose answers name a rank are linearized in the order of their ranks only;
//! * operations of unknown outcome are tried last, and of equal ones only the earliest;
//! * such an operation takes effect only right before an operation that could not follow, or not with as
//!   good a result, without it.
//!
//! A search can be stopped after any number of steps and resumed, so that many share one budget.

use std::collections::BTreeMap;

use super::memo::{Key, Memo};
use super::timeline::{Event, Node, Timeline};
use super::{EntryOf, Model};

/// How far a search has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A linearization was found.
    Linearizable,
    /// There is none.
    NotLinearizable,
    /// Neither is known yet.
    Unfinished,
}

/// Where the search got furthest, to be shown if there is no linearization.
#[derive(Clone, Debug)]
pub struct Deepest<S> {
    /// The longest prefix of a linearization, as positions in the entries.
    pub prefix: Vec<usize>,
    /// The state after it.
    pub state: S,
    /// The operations of which one would have to come next, but none can.
    pub stuck: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Cursor {
    Certain(Node),
    Optional { next: usize, before: u64 },
    Exhausted,
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Certain(u32),
    Optional(usize),
}

struct Frame<S> {
    choice: Choice,
    state: S,
    resume: Cursor,
}

/// A search over the operations on one object.
pub struct Search<'e, M: Model> {
    model: &'e M,
    entries: &'e [EntryOf<M>],
    certain: Vec<usize>,
    optional: Vec<usize>,
    /// Per optional operation, the one before it that asks the same.
    twins: Vec<Option<usize>>,
    /// Per certain operation, its place among those with ranks.
    ranks: Vec<Option<u32>>,
    /// Per operation, the certain one that its client completed at the moment of its invocation.
    certain_after: Vec<Option<u32>>,
    optional_after: Vec<Option<u32>>,
    timeline: Timeline,
    certain_done: Vec<u64>,
    optional_done: Vec<u64>,
    ranks_done: u32,
    count_done: usize,
    state: M::State,
    cursor: Cursor,
    stack: Vec<Frame<M::State>>,
    memo: Memo<M::State>,
    steps: u64,
    deepest: Option<(usize, Deepest<M::State>)>,
    /// With how many operations the way there and the way here both begin.
    shared: usize,
}

impl<'e, M: Model> Search<'e, M> {
    /// A search that has not begun.
    ///
    /// # Panics
    /// If there are 2^30 operations or more.
    #[must_use]
    pub fn new(model: &'e M, entries: &'e [EntryOf<M>]) -> Self {
        assert!(entries.len() < 1 << 30, "a partition of {} operations", entries.len());
        let (certain, optional): (Vec<usize>, Vec<usize>) =
            (0..entries.len()).partition(|position| entries[*position].returned.is_some());
        let certain_entries: Vec<&EntryOf<M>> = certain.iter().map(|position| &entries[*position]).collect();
        let optional_entries: Vec<&EntryOf<M>> =
            optional.iter().map(|position| &entries[*position]).collect();
        let timeline = Timeline::new(&certain_entries);
        let cursor = Cursor::Certain(timeline.first());
        Self {
            model,
            entries,
            twins: twins::<M>(&optional_entries),
            ranks: ranks(model, &certain_entries),
            certain_after: predecessors::<M>(&certain_entries, &certain_entries),
            optional_after: predecessors::<M>(&certain_entries, &optional_entries),
            timeline,
            certain_done: vec![0; certain.len().div_ceil(64)],
            optional_done: vec![0; optional.len().div_ceil(64)],
            certain,
            optional,
            ranks_done: 0,
            count_done: 0,
            state: model.initial(),
            cursor,
            stack: Vec::new(),
            memo: Memo::new(),
            steps: 0,
            deepest: None,
            shared: 0,
        }
    }

    /// Steps made so far: operations tried as the next one.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Where the search got furthest, once it has had to turn back.
    #[must_use]
    pub fn deepest(&self) -> Option<&Deepest<M::State>> {
        self.deepest.as_ref().map(|(_, deepest)| deepest)
    }

    /// Where the search got furthest, or where it stands if it has not had to turn back.
    pub(super) fn deepest_so_far(&mut self) -> Deepest<M::State> {
        if let Some(deepest) = self.deepest() {
            return deepest.clone();
        }
        self.note_depth();
        let state = self.state.clone();
        self.deepest().cloned().unwrap_or(Deepest { prefix: Vec::new(), state, stuck: Vec::new() })
    }

    /// The linearization found so far, as positions in the entries.
    #[must_use]
    pub fn order(&self) -> Vec<usize> {
        self.stack.iter().map(|frame| self.position(frame.choice)).collect()
    }

    /// Searches on for at most `steps` steps.
    pub fn run(&mut self, steps: u64) -> Progress {
        let stop = self.steps.saturating_add(steps);
        while self.count_done < self.certain.len() {
            if self.steps >= stop {
                return Progress::Unfinished;
            }
            match self.next_choice() {
                Some(choice) => {
                    self.steps += 1;
                    self.attempt(choice);
                }
                None if self.stack.is_empty() => {
                    self.note_depth();
                    return Progress::NotLinearizable;
                }
                None => self.turn_back(),
            }
        }
        Progress::Linearizable
    }

    fn position(&self, choice: Choice) -> usize {
        match choice {
            Choice::Certain(number) => self.certain[number as usize],
            Choice::Optional(number) => self.optional[number],
        }
    }

    /// The next operation to try from this configuration.
    fn next_choice(&mut self) -> Option<Choice> {
        loop {
            match self.cursor {
                Cursor::Certain(node) => match Timeline::event(node) {
                    Event::Call(number) => {
                        self.cursor = Cursor::Certain(self.timeline.after(node));
                        if self.may_be_next(number) {
                            return Some(Choice::Certain(number));
                        }
                    }
                    Event::Return(number) => {
                        let before = self.entries[self.certain[number as usize]].returned.unwrap_or(u64::MAX);
                        self.cursor = Cursor::Optional { next: 0, before };
                    }
                    Event::End => self.cursor = Cursor::Exhausted,
                },
                Cursor::Optional { next, before } => {
                    let in_time = |position: &usize| self.entries[*position].invoked <= before;
                    if !self.optional.get(next).is_some_and(in_time) {
                        self.cursor = Cursor::Exhausted;
                        continue;
                    }
                    self.cursor = Cursor::Optional { next: next + 1, before };
                    let twin_open = self.twins[next].is_some_and(|twin| !bit(&self.optional_done, twin));
                    let open = !bit(&self.optional_done, next);
                    let entry = &self.entries[self.optional[next]];
                    let useful = open && !twin_open && self.model.worthwhile(&self.state, entry);
                    if useful && self.comes_after(self.optional_after[next]) {
                        return Some(Choice::Optional(next));
                    }
                }
                Cursor::Exhausted => return None,
            }
        }
    }

    fn may_be_next(&self, number: u32) -> bool {
        let number = number as usize;
        self.ranks[number].is_none_or(|rank| rank == self.ranks_done)
            && self.comes_after(self.certain_after[number])
    }

    fn comes_after(&self, before: Option<u32>) -> bool {
        before.is_none_or(|before| bit(&self.certain_done, before as usize))
    }

    /// Linearizes an operation if the model accepts it and the configuration is new.
    fn attempt(&mut self, choice: Choice) {
        let entry = &self.entries[self.position(choice)];
        let Some(after) = self.model.step(&self.state, &entry.op, entry.answer.as_ref()) else { return };
        if self.last_was_needless(entry, &after) {
            return;
        }
        let unchanged = after == self.state;
        let reads = entry.answer.as_ref().is_some_and(|answer| self.model.reads(&entry.op, answer));
        let resume = match choice {
            Choice::Certain(_) if unchanged && reads => Cursor::Exhausted,
            Choice::Optional(_) if unchanged => return,
            _ => self.cursor,
        };
        let before = std::mem::replace(&mut self.state, after);
        self.mark(choice);
        if self.memo.insert(self.key()) {
            self.stack.push(Frame { choice, state: before, resume });
            self.cursor = Cursor::Certain(self.timeline.first());
        } else {
            self.unmark(choice);
            self.state = before;
            self.cursor = resume;
        }
    }

    /// Whether the operation before this one is of unknown outcome and this one would have done without.
    fn last_was_needless(&self, entry: &EntryOf<M>, after: &M::State) -> bool {
        let Some(Frame { choice: Choice::Optional(_), state, .. }) = self.stack.last() else { return false };
        let without = self.model.step(state, &entry.op, entry.answer.as_ref());
        without.is_some_and(|without| self.model.subsumes(&without, after))
    }

    fn turn_back(&mut self) {
        self.note_depth();
        if let Some(frame) = self.stack.pop() {
            self.unmark(frame.choice);
            self.state = frame.state;
            self.cursor = frame.resume;
            self.shared = self.shared.min(self.stack.len());
        }
    }

    fn mark(&mut self, choice: Choice) {
        match choice {
            Choice::Certain(number) => {
                self.timeline.lift(number);
                self.certain_done[number as usize / 64] |= 1 << (number % 64);
                self.ranks_done += u32::from(self.ranks[number as usize].is_some());
                self.count_done += 1;
            }
            Choice::Optional(number) => self.optional_done[number / 64] |= 1 << (number % 64),
        }
    }

    fn unmark(&mut self, choice: Choice) {
        match choice {
            Choice::Certain(number) => {
                self.timeline.restore(number);
                self.certain_done[number as usize / 64] &= !(1 << (number % 64));
                self.ranks_done -= u32::from(self.ranks[number as usize].is_some());
                self.count_done -= 1;
            }
            Choice::Optional(number) => self.optional_done[number / 64] &= !(1 << (number % 64)),
        }
    }

    fn key(&self) -> Key<M::State> {
        let base = match Timeline::event(self.timeline.first()) {
            Event::Call(number) => number,
            // Nothing is left: every set that is complete is the same.
            Event::Return(_) | Event::End => self.certain.len() as u32,
        };
        let from = base as usize / 64;
        let mut missing = self.count_done - from * 64;
        let mut to = from;
        while missing > 0 {
            missing -= self.certain_done[to].count_ones() as usize;
            to += 1;
        }
        let optional = self.optional_done.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        Key {
            base,
            window: self.certain_done[from.min(to)..to].into(),
            optional: self.optional_done[..optional].into(),
            state: self.state.clone(),
        }
    }

    fn note_depth(&mut self) {
        if self.deepest.as_ref().is_some_and(|(count, _)| *count >= self.count_done) {
            return;
        }
        let mut stuck = Vec::new();
        let mut node = self.timeline.first();
        while let Event::Call(number) = Timeline::event(node) {
            stuck.push(self.certain[number as usize]);
            node = self.timeline.after(node);
        }
        // Unanswered operations tried at the end explain nothing.
        let idle = self.stack.iter().rev().take_while(|frame| matches!(frame.choice, Choice::Optional(_)));
        let kept = self.stack.len() - idle.count();
        let state = self.stack.get(kept).map_or(&self.state, |frame| &frame.state).clone();
        // Only what is new of it is written down: the way may be long, and is noted again and again.
        let mut prefix = self.deepest.take().map(|(_, deepest)| deepest.prefix).unwrap_or_default();
        let shared = self.shared.min(kept);
        prefix.truncate(shared);
        prefix.extend(self.stack[shared..kept].iter().map(|frame| self.position(frame.choice)));
        self.shared = kept;
        let deepest = Deepest { prefix, state, stuck };
        self.deepest = Some((self.count_done, deepest));
    }
}

fn bit(words: &[u64], number: usize) -> bool {
    words[number / 64] >> (number % 64) & 1 == 1
}

/// Of twins, the one that could have come earlier is as good. One that is bound to its client's last
/// operation could not.
fn twins<M: Model>(optional: &[&EntryOf<M>]) -> Vec<Option<usize>> {
    let mut alike: BTreeMap<&M::Op, usize> = BTreeMap::new();
    let mut anonymous: Option<usize> = None;
    let mut twins = Vec::with_capacity(optional.len());
    for (this, entry) in optional.iter().enumerate() {
        twins.push(alike.get(&entry.op).copied().max(anonymous.filter(|_| entry.anonymous)));
        if entry.after.is_none() {
            alike.insert(&entry.op, this);
            anonymous = if entry.anonymous { Some(this) } else { anonymous };
        }
    }
    twins
}

fn ranks<M: Model>(model: &M, certain: &[&EntryOf<M>]) -> Vec<Option<u32>> {
    let rank = |entry: &EntryOf<M>| model.rank(&entry.op, entry.answer.as_ref()?);
    let mut ranked: Vec<(u64, usize)> =
        certain.iter().enumerate().filter_map(|(number, entry)| Some((rank(entry)?, number))).collect();
    ranked.sort_unstable();
    let mut ranks = vec![None; certain.len()];
    for (place, (_, number)) in (0_u32..).zip(ranked) {
        ranks[number] = Some(place);
    }
    ranks
}

fn predecessors<M: Model>(certain: &[&EntryOf<M>], of: &[&EntryOf<M>]) -> Vec<Option<u32>> {
    if of.iter().all(|entry| entry.after.is_none()) {
        return vec![None; of.len()];
    }
    let numbers: BTreeMap<u64, u32> =
        (0_u32..).zip(certain).map(|(number, entry)| (entry.id, number)).collect();
    of.iter().map(|entry| numbers.get(&entry.after?).copied()).collect()
}
