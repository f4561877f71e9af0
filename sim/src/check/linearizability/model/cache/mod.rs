//! A key of the cache: a value with a version, which may have a life, may be counted on, and may be evicted.
//!
//! What ends a life, or evicts, is an operation of the object itself, at any time from a certain moment on. Nobody
//! answers it, so it is not among the operations: what finds nothing there finds that it had happened, if it can have.
//! What an operation of unknown outcome found nobody knows. So for each that begins anew where it finds nothing
//! ([`CacheAsk::may_begin_anew`]) there has to be one more among the operations of unknown outcome,
//! [`CacheAsk::Vanish`].

mod unheard;
mod words;

use self::unheard::with_unheard;
use super::super::cache_pending::settle;
use super::super::version_guess::{Place, guess};
use super::{EntryOf, Model, Version, optional};
pub use words::{CacheAnswer, CacheAsk, CacheOp, Life};

/// The moment that never comes.
const NEVER: u64 = u64::MAX;

/// The specification of reads, writes, conditional writes, deletes and additions on one key.
#[derive(Clone, Copy, Debug)]
pub struct CacheModel {
    /// From when on the key may be evicted, in the history's times; `u64::MAX` if never.
    pub evicted_from: u64,
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
    /// If a counter was found at 0, it may have begun anew instead, but not before that, and then lives for ever.
    pub anew_since: Option<u64>,
}

impl CacheState {
    fn written(self, value: Option<i64>, life: Life, version: Option<u64>) -> Option<Self> {
        Some(Self { value, version: self.version.next(version)?, life, since: self.since, anew_since: None })
    }

    /// What was there has vanished, at the earliest moment at which it can have, if it may be evicted from then on.
    fn vanished_from(self, evicted_from: u64) -> Self {
        let since = self.since.max(self.life.over_from.min(evicted_from));
        Self { value: None, life: Life::ENDLESS, version: self.version, since, anew_since: None }
    }

    /// It did begin anew, if it can have.
    fn begun_anew(self) -> Option<Self> {
        let since = self.since.max(self.anew_since?);
        Some(Self { life: Life::ENDLESS, since, anew_since: None, ..self })
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
        if state.value != Some(found) {
            return anew?.written(Some(value), Life::ENDLESS, Some(version));
        }
        // It went on from what was there; if that was 0, it may have begun anew as well.
        let anew_since = [state.anew_since, anew.map(|anew| anew.since)].into_iter().flatten().min();
        let after = state.written(Some(value), state.life, Some(version))?;
        Some(CacheState { anew_since, ..after })
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
                let after = state.written(Some(sum), state.life, None)?;
                Some(CacheState { anew_since: state.anew_since, ..after })
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
        CacheState {
            value: None,
            version: Version::Known(0),
            life: Life::ENDLESS,
            since: 0,
            anew_since: None,
        }
    }

    fn step(&self, state: &CacheState, op: &CacheOp, answer: Option<&CacheAnswer>) -> Option<CacheState> {
        let CacheOp { ask, from, until } = *op;
        (state.since <= until).then_some(())?;
        let mut state = *state;
        state.anew_since = state.anew_since.filter(|anew_since| *anew_since <= until);
        if state.life.over_by < from {
            let anew =
                state.begun_anew().filter(|anew| answer.is_some_and(|answer| answer.finds(anew.value, ask)));
            state = anew.unwrap_or_else(|| state.vanished_from(self.evicted_from));
        }
        let state = &state;
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
            && narrow.anew_since.is_none_or(|narrow| wide.anew_since.is_some_and(|wide| wide <= narrow))
    }

    fn rank(&self, _op: &CacheOp, answer: &CacheAnswer) -> Option<u64> {
        answer.made()
    }

    fn settle(&self, entries: &mut Vec<EntryOf<Self>>) {
        settle(entries);
    }

    fn worthwhile(&self, state: &CacheState, entry: &EntryOf<Self>) -> bool {
        state.value.is_none() || !entry.anonymous
    }

    fn guess(&self, entries: &[EntryOf<Self>]) -> Option<Vec<usize>> {
        // Whether a counter keeps a life is not looked at: if one does, and it matters, the guess is wrong.
        let order = guess(entries, |entry| match entry.answer {
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
                let vanishes_from = match entry.op.ask {
                    CacheAsk::Set { life, .. } | CacheAsk::Compare { life, .. } => life.over_from,
                    CacheAsk::Delete => 0,
                    _ => NEVER,
                };
                let absent_from = vanishes_from.min(self.evicted_from);
                Place::Made { version, absent_from: Some(absent_from).filter(|from| *from != NEVER) }
            }
        })?;
        Some(with_unheard(entries, order))
    }

    fn describe_op(&self, op: &CacheOp) -> String {
        op.ask.to_string()
    }

    fn describe_answer(&self, answer: &CacheAnswer) -> String {
        answer.to_string()
    }

    fn describe_state(&self, state: &CacheState) -> String {
        let version = match state.version {
            Version::Known(version) => format!("version {version}"),
            Version::Above(version) => format!("a version above {version}"),
        };
        format!("{} ({version})", optional(state.value))
    }
}
