//! Objects that work, for random histories.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stormglass_sim::check::linearizability::{
    ExclusionAnswer, ExclusionOp, FifoAnswer, FifoOp, LockAnswer, LockOp, PlainRegisterAnswer,
    PlainRegisterOp, RegisterAnswer, RegisterOp, TextAnswer, TextOp,
};
use stormglass_sim::rng::StreamRng;

use crate::generate::{World, below};

/// A register without versions.
pub(crate) struct PlainRegister {
    value: Option<i64>,
    /// The last value that was asked to be written; if values are unique, each is one more.
    last: i64,
    /// 0: every value is unique, and nobody is refused.
    values: u64,
    /// Of 8 operations so many read, and so many overwrite; the others compare.
    kinds: (u64, u64),
}

const HALF_READ: (u64, u64) = (4, 2);

impl PlainRegister {
    pub(crate) const fn unique() -> Self {
        Self { value: None, last: 0, values: 0, kinds: HALF_READ }
    }

    pub(crate) const fn few_values() -> Self {
        Self { value: None, last: 0, values: 3, kinds: HALF_READ }
    }

    pub(crate) const fn overwritten() -> Self {
        Self { value: None, last: 0, values: 4, kinds: (3, 4) }
    }

    fn draw(&mut self, rng: &mut StreamRng) -> i64 {
        if self.values > 0 {
            return below(rng, self.values) as i64;
        }
        self.last += 1;
        self.last
    }

    fn earlier(&self, rng: &mut StreamRng) -> Option<i64> {
        let range = if self.values > 0 { self.values } else { self.last as u64 + 1 };
        match below(rng, range) as i64 {
            0 => None,
            value => Some(value),
        }
    }
}

impl World for PlainRegister {
    type Op = PlainRegisterOp;
    type Answer = PlainRegisterAnswer;

    fn ask(&mut self, rng: &mut StreamRng, _process: u64) -> PlainRegisterOp {
        let (reads, writes) = self.kinds;
        match below(rng, 8) {
            kind if kind < reads => PlainRegisterOp::Read,
            kind if kind < reads + writes => PlainRegisterOp::Write(Some(self.draw(rng))),
            _ => {
                // Mostly what is there.
                let from = if below(rng, 4) > 0 { self.value } else { self.earlier(rng) };
                PlainRegisterOp::CompareAndSet { from, to: Some(self.draw(rng)) }
            }
        }
    }

    fn take_effect(&mut self, _rng: &mut StreamRng, op: &PlainRegisterOp) -> Option<PlainRegisterAnswer> {
        match *op {
            PlainRegisterOp::Read => Some(PlainRegisterAnswer::Value(self.value)),
            PlainRegisterOp::Write(value) => {
                self.value = value;
                Some(PlainRegisterAnswer::Done)
            }
            PlainRegisterOp::CompareAndSet { from, to } if from == self.value => {
                self.value = to;
                Some(PlainRegisterAnswer::Done)
            }
            // The rule does not deal with refusals: without few values such a one waits for ever.
            PlainRegisterOp::CompareAndSet { .. } => {
                (self.values > 0).then_some(PlainRegisterAnswer::Refused)
            }
        }
    }

    fn any_answer(
        &self,
        rng: &mut StreamRng,
        op: &PlainRegisterOp,
        like: &PlainRegisterAnswer,
    ) -> PlainRegisterAnswer {
        match op {
            PlainRegisterOp::Read => match like {
                PlainRegisterAnswer::Value(_) => *like,
                _ => PlainRegisterAnswer::Value(self.earlier(rng)),
            },
            PlainRegisterOp::Write(_) => PlainRegisterAnswer::Done,
            PlainRegisterOp::CompareAndSet { .. } if self.values == 0 => PlainRegisterAnswer::Done,
            PlainRegisterOp::CompareAndSet { .. } if below(rng, 2) == 0 => PlainRegisterAnswer::Refused,
            PlainRegisterOp::CompareAndSet { .. } => PlainRegisterAnswer::Done,
        }
    }
}

/// A register with versions.
pub(crate) struct Register {
    value: Option<(u64, u64)>,
    version: u64,
}

impl Register {
    pub(crate) const fn new() -> Self {
        Self { value: None, version: 0 }
    }
}

impl World for Register {
    type Op = RegisterOp;
    type Answer = RegisterAnswer;

    fn ask(&mut self, rng: &mut StreamRng, _process: u64) -> RegisterOp {
        let value = below(rng, 3);
        match below(rng, 8) {
            0..3 => RegisterOp::Get,
            3..5 => RegisterOp::Set(value),
            5 => RegisterOp::CompareAndSet { expected: None, value },
            6 => RegisterOp::CompareAndSet { expected: Some(below(rng, 3)), value },
            _ => RegisterOp::Delete,
        }
    }

    fn take_effect(&mut self, rng: &mut StreamRng, op: &RegisterOp) -> Option<RegisterAnswer> {
        let (value, version) = (self.value.map(|held| held.0), self.value.map(|held| held.1));
        let next = self.version + 1 + below(rng, 2);
        Some(match *op {
            RegisterOp::Get => RegisterAnswer::Value { value, version },
            RegisterOp::CompareAndSet { expected, .. } if expected != value => {
                RegisterAnswer::Mismatch { value, version }
            }
            RegisterOp::Set(value) | RegisterOp::CompareAndSet { value, .. } => {
                self.version = next;
                self.value = Some((value, next));
                RegisterAnswer::Written { version: next }
            }
            RegisterOp::Delete => {
                self.version = next;
                self.value = None;
                RegisterAnswer::Deleted { existed: value.is_some(), version: next }
            }
        })
    }

    fn any_answer(&self, rng: &mut StreamRng, op: &RegisterOp, like: &RegisterAnswer) -> RegisterAnswer {
        let version = 1 + below(rng, self.version + 2);
        match (op, *like) {
            (RegisterOp::Get, RegisterAnswer::Mismatch { value, version }) => {
                RegisterAnswer::Value { value, version }
            }
            (RegisterOp::CompareAndSet { .. }, RegisterAnswer::Value { value, version })
                if below(rng, 2) == 0 =>
            {
                RegisterAnswer::Mismatch { value, version }
            }
            (RegisterOp::Get, RegisterAnswer::Value { .. }) => *like,
            (RegisterOp::Get, _) if below(rng, 3) == 0 => {
                RegisterAnswer::Value { value: None, version: None }
            }
            (RegisterOp::Get, _) => {
                RegisterAnswer::Value { value: Some(below(rng, 3)), version: Some(version) }
            }
            (RegisterOp::Delete, _) => RegisterAnswer::Deleted { existed: below(rng, 2) == 0, version },
            _ => RegisterAnswer::Written { version },
        }
    }
}

/// A queue.
pub(crate) struct Fifo {
    items: VecDeque<u64>,
    last: u64,
    /// Once it holds so many items, they are taken and none is put.
    full: usize,
}

impl Fifo {
    pub(crate) const fn new() -> Self {
        Self { items: VecDeque::new(), last: 0, full: usize::MAX }
    }

    /// One that is never long. In what order two items lie there shows when they are taken, and until then a
    /// search goes on with every order of those that were put at one time: the longer the queue, the more
    /// orders at once.
    pub(crate) const fn short() -> Self {
        Self { items: VecDeque::new(), last: 0, full: 3 }
    }
}

impl World for Fifo {
    type Op = FifoOp;
    type Answer = FifoAnswer;

    fn ask(&mut self, rng: &mut StreamRng, _process: u64) -> FifoOp {
        if self.items.len() >= self.full || below(rng, 2) == 0 {
            return FifoOp::Dequeue;
        }
        self.last += 1;
        FifoOp::Enqueue(self.last)
    }

    fn take_effect(&mut self, _rng: &mut StreamRng, op: &FifoOp) -> Option<FifoAnswer> {
        Some(match *op {
            FifoOp::Enqueue(item) => {
                self.items.push_back(item);
                FifoAnswer::Done
            }
            FifoOp::Dequeue => self.items.pop_front().map_or(FifoAnswer::Empty, FifoAnswer::Item),
        })
    }

    fn any_answer(&self, rng: &mut StreamRng, op: &FifoOp, like: &FifoAnswer) -> FifoAnswer {
        match (op, like) {
            (FifoOp::Enqueue(_), _) => FifoAnswer::Done,
            (FifoOp::Dequeue, FifoAnswer::Done) => FifoAnswer::Empty,
            (FifoOp::Dequeue, _) if below(rng, 2) == 0 => FifoAnswer::Item(1 + below(rng, self.last + 1)),
            (FifoOp::Dequeue, like) => *like,
        }
    }
}

/// A mutex or reader-writer lock.
pub(crate) struct Exclusion {
    exclusive: bool,
    holders: BTreeSet<u64>,
    /// Who knows that it holds the lock.
    known: BTreeSet<u64>,
    /// Of 4 acquisitions so many are shared.
    shared: u64,
    /// Whether who finds it held is told so.
    tries: bool,
    /// What the two above are drawn from, once for each history.
    kinds: &'static [(u64, bool)],
}

impl Exclusion {
    /// A mutex with tries, or a reader-writer lock, with or without.
    pub(crate) fn new() -> Self {
        Self::of(&[(0, true), (0, true), (2, false), (2, true)])
    }

    /// Only what there is a rule for: of tries at a reader-writer lock nothing is known but by a search, which
    /// takes its time over long histories.
    pub(crate) fn ruled() -> Self {
        Self::of(&[(0, true), (2, false)])
    }

    fn of(kinds: &'static [(u64, bool)]) -> Self {
        let (holders, known) = (BTreeSet::new(), BTreeSet::new());
        Self { exclusive: false, holders, known, shared: 5, tries: false, kinds }
    }
}

impl World for Exclusion {
    type Op = ExclusionOp;
    type Answer = ExclusionAnswer;

    fn ask(&mut self, rng: &mut StreamRng, process: u64) -> ExclusionOp {
        if self.shared > 4 {
            (self.shared, self.tries) = self.kinds[below(rng, self.kinds.len() as u64) as usize];
        }
        if self.known.contains(&process) {
            return ExclusionOp::Release { holder: process };
        }
        ExclusionOp::Acquire { holder: process, exclusive: below(rng, 4) >= self.shared }
    }

    fn take_effect(&mut self, _rng: &mut StreamRng, op: &ExclusionOp) -> Option<ExclusionAnswer> {
        match *op {
            ExclusionOp::Acquire { holder, exclusive } => {
                if !self.holders.is_empty() && (exclusive || self.exclusive) {
                    return self.tries.then_some(ExclusionAnswer::Refused);
                }
                self.holders.insert(holder);
                self.exclusive = exclusive;
                Some(ExclusionAnswer::Granted)
            }
            ExclusionOp::Release { holder } => {
                self.holders.remove(&holder);
                self.exclusive = false;
                Some(ExclusionAnswer::Released)
            }
        }
    }

    fn learn(&mut self, process: u64, op: &ExclusionOp, answer: &ExclusionAnswer) {
        match (op, answer) {
            (ExclusionOp::Acquire { .. }, ExclusionAnswer::Granted) => self.known.insert(process),
            _ => self.known.remove(&process),
        };
    }

    /// Only what does not confuse its process: a holder asks in turn.
    fn any_answer(&self, rng: &mut StreamRng, op: &ExclusionOp, like: &ExclusionAnswer) -> ExclusionAnswer {
        match op {
            ExclusionOp::Release { .. } => ExclusionAnswer::Released,
            ExclusionOp::Acquire { .. } if below(rng, 2) == 0 => ExclusionAnswer::Granted,
            ExclusionOp::Acquire { .. } if *like == ExclusionAnswer::Released => ExclusionAnswer::Refused,
            ExclusionOp::Acquire { .. } => *like,
        }
    }
}

/// A lock with tokens and leases, which end unseen.
pub(crate) struct Locks {
    token: u64,
    live: BTreeSet<u64>,
    exclusive: bool,
    known: BTreeMap<u64, u64>,
    /// The token that each process gave back last.
    used: BTreeMap<u64, u64>,
}

impl Locks {
    pub(crate) const fn new() -> Self {
        Self {
            token: 0,
            live: BTreeSet::new(),
            exclusive: false,
            known: BTreeMap::new(),
            used: BTreeMap::new(),
        }
    }
}

impl World for Locks {
    type Op = LockOp;
    type Answer = LockAnswer;

    fn ask(&mut self, rng: &mut StreamRng, process: u64) -> LockOp {
        // Now and then once more what it gave back, or what it cannot know.
        match below(rng, 12) {
            0 => return LockOp::Release { token: 1 + below(rng, self.token + 2) },
            1 => {
                if let Some(token) = self.used.get(&process) {
                    return LockOp::Release { token: *token };
                }
            }
            _ => {}
        }
        match self.known.remove(&process) {
            Some(token) => {
                self.used.insert(process, token);
                LockOp::Release { token }
            }
            None => LockOp::Acquire { exclusive: below(rng, 2) == 0 },
        }
    }

    fn take_effect(&mut self, rng: &mut StreamRng, op: &LockOp) -> Option<LockAnswer> {
        Some(match *op {
            LockOp::Acquire { exclusive } => {
                if (exclusive || self.exclusive) && !self.live.is_empty() {
                    if below(rng, 3) == 0 {
                        return Some(LockAnswer::NotGranted);
                    }
                    self.live.clear();
                }
                self.token += 1;
                self.exclusive = exclusive;
                self.live.insert(self.token);
                LockAnswer::Granted { token: self.token }
            }
            LockOp::Release { token } => {
                if self.live.remove(&token) {
                    LockAnswer::Released
                } else {
                    LockAnswer::NotHeld
                }
            }
        })
    }

    fn learn(&mut self, process: u64, _op: &LockOp, answer: &LockAnswer) {
        if let LockAnswer::Granted { token } = answer {
            self.known.insert(process, *token);
        }
    }

    fn any_answer(&self, rng: &mut StreamRng, op: &LockOp, _like: &LockAnswer) -> LockAnswer {
        match op {
            LockOp::Acquire { .. } => LockAnswer::Granted { token: 1 + below(rng, self.token + 1) },
            LockOp::Release { .. } if below(rng, 3) == 0 => LockAnswer::NotHeld,
            LockOp::Release { .. } => LockAnswer::Released,
        }
    }
}

/// A text.
pub(crate) struct Text {
    text: String,
    last: u64,
    /// Texts that were there, newest last.
    seen: Vec<String>,
    /// Of 10 operations so many put.
    puts: u64,
}

impl Text {
    pub(crate) const fn new() -> Self {
        Self { text: String::new(), last: 0, seen: Vec::new(), puts: 1 }
    }

    pub(crate) const fn put() -> Self {
        Self { text: String::new(), last: 0, seen: Vec::new(), puts: 3 }
    }
}

impl World for Text {
    type Op = TextOp;
    type Answer = TextAnswer;

    fn ask(&mut self, rng: &mut StreamRng, _process: u64) -> TextOp {
        self.last += 1;
        // Some texts are ambiguous: `a` and `a` are `aa`.
        let text = if below(rng, 3) == 0 {
            "a".repeat(1 + below(rng, 2) as usize)
        } else {
            format!("{};", self.last)
        };
        match below(rng, 10) {
            0..5 => TextOp::Get,
            kind if kind < 5 + self.puts => TextOp::Put(text),
            _ => TextOp::Append(text),
        }
    }

    fn take_effect(&mut self, _rng: &mut StreamRng, op: &TextOp) -> Option<TextAnswer> {
        Some(match op {
            TextOp::Get => TextAnswer::Value(self.text.clone()),
            TextOp::Put(text) => {
                self.text.clone_from(text);
                self.seen.push(self.text.clone());
                TextAnswer::Done
            }
            TextOp::Append(text) => {
                self.text += text;
                self.seen.push(self.text.clone());
                TextAnswer::Done
            }
        })
    }

    fn any_answer(&self, rng: &mut StreamRng, op: &TextOp, like: &TextAnswer) -> TextAnswer {
        match (op, like) {
            (TextOp::Get, TextAnswer::Value(_)) => like.clone(),
            (TextOp::Get, TextAnswer::Done) => {
                let at = below(rng, self.seen.len() as u64 + 1) as usize;
                TextAnswer::Value(self.seen.get(at).cloned().unwrap_or_default())
            }
            _ => TextAnswer::Done,
        }
    }
}
