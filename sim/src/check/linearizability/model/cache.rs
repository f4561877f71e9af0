//! A key of the cache: a value with a version, which may have a life, may be counted on, and may be evicted.
//!
//! What ends a life, or evicts, is an operation of the object itself, at any time from a certain moment on. Nobody
//! answers it, so it is not among the operations: what finds nothing there finds that it had happened, if it can have.
//! What an operation of unknown outcome found nobody knows. So for each that begins anew where it finds nothing
//! ([`CacheAsk::may_begin_anew`]) there has to be one more among the operations of unknown outcome,
//! [`CacheAsk::Vanish`].

use super::super::cache_pending::settle;
use super::super::version_guess::{Place, guess};
use super::{EntryOf, Model, Version, optional};

/// The moment that never comes.
const NEVER: u64 = u64::MAX;

/// The specification of reads, writes, conditional writes, deletes and additions on one key.
#[derive(Clone, Copy, Debug)]
pub struct CacheModel {
    /// From when on the key may be evicted, in the history's times; `u64::MAX` if never.
    pub evicted_from: u64,
}

/// The time that what was written lives, in the history's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// From here on it may be over.
    pub over_from: u64,
    /// After that it is.
    pub over_by: u64,
}

impl Life {
    /// One that does not end.
    pub const ENDLESS: Self = Self { over_from: NEVER, over_by: NEVER };

    const fn subsumes(self, narrow: Self) -> bool {
        self.over_from <= narrow.over_from && self.over_by >= narrow.over_by
    }
}

/// What was asked, and when that can have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheOp {
    /// What was asked.
    pub ask: CacheAsk,
    /// Not before that; 0 if lives do not matter or nobody knows what was found.
    pub from: u64,
    /// Not after that; `u64::MAX` likewise.
    pub until: u64,
}

impl CacheOp {
    /// One that takes effect at any time.
    #[must_use]
    pub const fn at_any_time(ask: CacheAsk) -> Self {
        Self { ask, from: 0, until: NEVER }
    }
}

/// What can be asked of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheAsk {
    /// What is there?
    Get,
    /// Put this there.
    Set {
        /// The value.
        value: i64,
        /// How long it lives.
        life: Life,
    },
    /// Put this there if this version is (`None`: if nothing is).
    Compare {
        /// The version that must be there.
        expected: Option<u64>,
        /// The value.
        value: i64,
        /// How long it lives.
        life: Life,
    },
    /// Add so much to what is there, or to 0. What is there keeps its life.
    Add(i64),
    /// Remove it.
    Delete,
    /// Nobody asks for it: what is there is over, or is evicted.
    Vanish,
}

impl CacheAsk {
    /// Whether it leaves a value where it finds nothing, and another, or none of its own, where it finds something.
    #[must_use]
    pub const fn may_begin_anew(self) -> bool {
        matches!(self, Self::Add(_) | Self::Compare { expected: None, .. })
    }
}

/// What a key can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheAnswer {
    /// This value and version were read, or nothing.
    Found(Option<(i64, u64)>),
    /// It was written, as this version.
    Written {
        /// The version.
        version: u64,
    },
    /// A conditional write found this instead, and changed nothing.
    Refused(Option<(i64, u64)>),
    /// The counter came to this value, as this version.
    Counted {
        /// The value.
        value: i64,
        /// The version.
        version: u64,
    },
    /// It was removed, as this version.
    Deleted {
        /// Whether something was there.
        existed: bool,
        /// The version.
        version: u64,
    },
    /// No answer that a key of a cache gives.
    Foreign,
}

/// What the key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheState {
    /// The value, if there is one.
    pub value: Option<i64>,
    /// The version of the last write or delete.
    pub version: Version,
    /// How long the value lives.
    pub life: Life,
    /// It is at least so late: something had vanished before, which cannot have happened earlier.
    pub since: u64,
}

impl CacheState {
    fn written(self, value: Option<i64>, life: Life, version: Option<u64>) -> Option<Self> {
        Some(Self { value, version: self.version.next(version)?, life, since: self.since })
    }

    /// What was there has vanished, at the earliest moment at which it can have, if it may be evicted from then on.
    fn vanished_from(self, evicted_from: u64) -> Self {
        let since = self.since.max(self.life.over_from.min(evicted_from));
        Self { value: None, life: Life::ENDLESS, version: self.version, since }
    }

    fn holds(self, (value, version): (i64, u64)) -> Option<Self> {
        (self.value == Some(value)).then_some(())?;
        Some(Self { version: self.version.seen(version)?, ..self })
    }
}

impl CacheModel {
    /// The state in which nothing is there by then, if that can be.
    fn vanished(&self, state: &CacheState, until: u64) -> Option<CacheState> {
        if state.value.is_none() {
            return Some(*state);
        }
        let from = state.life.over_from.min(self.evicted_from);
        let may_be = from != NEVER && from <= until;
        may_be.then(|| state.vanished_from(self.evicted_from))
    }

    fn found(&self, state: &CacheState, until: u64, found: Option<(i64, u64)>) -> Option<CacheState> {
        found.map_or_else(|| self.vanished(state, until), |found| state.holds(found))
    }

    fn counted(
        &self,
        state: &CacheState,
        until: u64,
        found: i64,
        (value, version): (i64, u64),
    ) -> Option<CacheState> {
        let anew = if found == 0 { self.vanished(state, until) } else { None };
        let (before, life) = match anew {
            Some(anew) if state.value != Some(found) => (anew, Life::ENDLESS),
            // It went on from 0 or began anew: nobody knows, and it may live as long as either.
            Some(_) => (*state, Life { over_by: NEVER, ..state.life }),
            None => (state.value == Some(found)).then_some((*state, state.life))?,
        };
        before.written(Some(value), life, Some(version))
    }

    fn unanswered(&self, state: &CacheState, ask: CacheAsk) -> Option<CacheState> {
        match ask {
            CacheAsk::Get => Some(*state),
            CacheAsk::Set { value, life } => state.written(Some(value), life, None),
            CacheAsk::Compare { expected: None, value, life } => {
                state.value.is_none().then_some(())?;
                state.written(Some(value), life, None)
            }
            CacheAsk::Compare { expected: Some(expected), value, life } => {
                state.value?;
                let seen = CacheState { version: state.version.seen(expected)?, ..*state };
                seen.written(Some(value), life, None)
            }
            CacheAsk::Add(by) => {
                let sum = state.value.unwrap_or(0).checked_add(by)?;
                state.written(Some(sum), state.life, None)
            }
            CacheAsk::Delete => {
                state.value?;
                state.written(None, Life::ENDLESS, None)
            }
            CacheAsk::Vanish => {
                state.value?;
                self.vanished(state, NEVER)
            }
        }
    }
}

impl Model for CacheModel {
    type Op = CacheOp;
    type Answer = CacheAnswer;
    type State = CacheState;

    fn name(&self) -> &'static str {
        "key of the cache"
    }

    fn initial(&self) -> CacheState {
        CacheState { value: None, version: Version::Known(0), life: Life::ENDLESS, since: 0 }
    }

    fn step(&self, state: &CacheState, op: &CacheOp, answer: Option<&CacheAnswer>) -> Option<CacheState> {
        let CacheOp { ask, from, until } = *op;
        (state.since <= until).then_some(())?;
        let is_over = state.life.over_by < from;
        let state = &if is_over { state.vanished_from(self.evicted_from) } else { *state };
        let Some(answer) = answer else { return self.unanswered(state, ask) };
        match (ask, *answer) {
            (CacheAsk::Get, CacheAnswer::Found(found)) => self.found(state, until, found),
            (CacheAsk::Set { value, life }, CacheAnswer::Written { version }) => {
                state.written(Some(value), life, Some(version))
            }
            (CacheAsk::Compare { expected: None, value, life }, CacheAnswer::Written { version }) => {
                self.vanished(state, until)?.written(Some(value), life, Some(version))
            }
            (
                CacheAsk::Compare { expected: Some(expected), value, life },
                CacheAnswer::Written { version },
            ) => {
                let seen = state.holds((state.value?, expected))?;
                seen.written(Some(value), life, Some(version))
            }
            (CacheAsk::Compare { expected, .. }, CacheAnswer::Refused(found)) => {
                (found.map(|(_, version)| version) != expected).then_some(())?;
                self.found(state, until, found)
            }
            (CacheAsk::Add(by), CacheAnswer::Counted { value, version }) => {
                self.counted(state, until, value.checked_sub(by)?, (value, version))
            }
            (CacheAsk::Delete, CacheAnswer::Deleted { existed: true, version }) => {
                state.value?;
                state.written(None, Life::ENDLESS, Some(version))
            }
            (CacheAsk::Delete, CacheAnswer::Deleted { existed: false, version }) => {
                self.vanished(state, until)?.written(None, Life::ENDLESS, Some(version))
            }
            _ => None,
        }
    }

    fn reads(&self, _op: &CacheOp, answer: &CacheAnswer) -> bool {
        matches!(answer, CacheAnswer::Found(_) | CacheAnswer::Refused(_))
    }

    fn subsumes(&self, wide: &CacheState, narrow: &CacheState) -> bool {
        wide.value == narrow.value
            && wide.version.subsumes(narrow.version)
            && wide.life.subsumes(narrow.life)
            && wide.since <= narrow.since
    }

    fn rank(&self, _op: &CacheOp, answer: &CacheAnswer) -> Option<u64> {
        made(answer)
    }

    fn settle(&self, entries: &mut Vec<EntryOf<Self>>) {
        settle(entries);
    }

    fn worthwhile(&self, state: &CacheState, entry: &EntryOf<Self>) -> bool {
        state.value.is_none() || !entry.anonymous
    }

    fn guess(&self, entries: &[EntryOf<Self>]) -> Option<Vec<usize>> {
        // Whether a counter keeps a life is not looked at: if one does, and it matters, the guess is wrong.
        guess(entries, |entry| match entry.answer {
            None if entry.returned.is_some() => Place::Hidden,
            None | Some(CacheAnswer::Foreign) => Place::Open,
            Some(CacheAnswer::Found(found) | CacheAnswer::Refused(found)) => {
                found.map_or(Place::SawNothing, |(_, version)| Place::Saw(version))
            }
            Some(
                CacheAnswer::Written { version }
                | CacheAnswer::Counted { version, .. }
                | CacheAnswer::Deleted { version, .. },
            ) => {
                let may_be_absent = match entry.op.ask {
                    CacheAsk::Set { life, .. } | CacheAsk::Compare { life, .. } => life != Life::ENDLESS,
                    ask => ask == CacheAsk::Delete,
                };
                Place::Made { version, may_be_absent: may_be_absent || self.evicted_from != NEVER }
            }
        })
    }

    fn describe_op(&self, op: &CacheOp) -> String {
        let lives = |life: Life| if life == Life::ENDLESS { "" } else { ", for a time" };
        match op.ask {
            CacheAsk::Get => "get".to_owned(),
            CacheAsk::Set { value, life } => format!("set {value}{}", lives(life)),
            CacheAsk::Compare { expected: None, value, life } => {
                format!("set {value}{} if nothing is there", lives(life))
            }
            CacheAsk::Compare { expected: Some(expected), value, life } => {
                format!("set {value}{} if version {expected} is there", lives(life))
            }
            CacheAsk::Add(by) => format!("add {by}"),
            CacheAsk::Delete => "delete".to_owned(),
            CacheAsk::Vanish => "(the end of a life, or an eviction)".to_owned(),
        }
    }

    fn describe_answer(&self, answer: &CacheAnswer) -> String {
        let seen = |found: Option<(i64, u64)>| {
            found.map_or_else(
                || "nothing".to_owned(),
                |(value, version)| format!("{value} (version {version})"),
            )
        };
        match *answer {
            CacheAnswer::Found(found) => seen(found),
            CacheAnswer::Written { version } => format!("written (version {version})"),
            CacheAnswer::Refused(found) => format!("refused: {}", seen(found)),
            CacheAnswer::Counted { value, version } => format!("came to {value} (version {version})"),
            CacheAnswer::Deleted { existed: true, version } => format!("deleted (version {version})"),
            CacheAnswer::Deleted { existed: false, version } => {
                format!("nothing to delete (version {version})")
            }
            CacheAnswer::Foreign => "no answer of a cache".to_owned(),
        }
    }

    fn describe_state(&self, state: &CacheState) -> String {
        let version = match state.version {
            Version::Known(version) => format!("version {version}"),
            Version::Above(version) => format!("a version above {version}"),
        };
        format!("{} ({version})", optional(state.value))
    }
}

/// The version that an answer names as made.
pub(in crate::check::linearizability) const fn made(answer: &CacheAnswer) -> Option<u64> {
    match answer {
        CacheAnswer::Written { version }
        | CacheAnswer::Counted { version, .. }
        | CacheAnswer::Deleted { version, .. } => Some(*version),
        CacheAnswer::Found(_) | CacheAnswer::Refused(_) | CacheAnswer::Foreign => None,
    }
}
