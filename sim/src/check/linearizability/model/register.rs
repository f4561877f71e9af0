//! A register that holds one value or none. Each write and each delete gets a version; versions rise.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ServiceModel;
use super::super::register_pending::settle;
use super::super::version_guess::{Place, guess};
use super::super::witness;
use super::{EntryOf, Model, Ruling, optional, readers};
use crate::history::{Answer, Call};

/// The specification of get, set, compare-and-set and delete on one key.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegisterModel;

/// What can be asked of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegisterOp {
    /// What is there?
    Get,
    /// Put this there.
    Set(u64),
    /// Put `value` there if `expected` is (`None`: if nothing is).
    CompareAndSet {
        /// What must be there.
        expected: Option<u64>,
        /// What is there afterwards.
        value: u64,
    },
    /// Empty it.
    Delete,
}

/// What a key can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegisterAnswer {
    /// This was read.
    Value {
        /// The value, if there was one.
        value: Option<u64>,
        /// Its version.
        version: Option<u64>,
    },
    /// It was written, as this version.
    Written {
        /// The version.
        version: u64,
    },
    /// A compare-and-set found something else, and changed nothing.
    Mismatch {
        /// The value, if there was one.
        value: Option<u64>,
        /// Its version.
        version: Option<u64>,
    },
    /// It was emptied, as this version.
    Deleted {
        /// Whether something was there.
        existed: bool,
        /// The version.
        version: u64,
    },
    /// No answer that a register gives.
    Foreign,
}

/// What the key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegisterState {
    /// The value, if there is one.
    pub value: Option<u64>,
    /// The version of the last write or delete.
    pub version: Version,
}

/// What is known of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// This one.
    Known(u64),
    /// Some later one: its write was never answered, and nobody has read it yet.
    Above(u64),
}

impl Version {
    /// Every later version is greater than this.
    pub(super) const fn floor(self) -> u64 {
        match self {
            Self::Known(version) => version,
            Self::Above(version) => version.saturating_add(1),
        }
    }

    /// Whether every version that may follow or be read of `narrow` may be so of this.
    pub(super) const fn subsumes(self, narrow: Self) -> bool {
        match (self, narrow) {
            (Self::Known(wide), Self::Known(narrow)) => wide == narrow,
            (Self::Known(_), Self::Above(_)) => false,
            (Self::Above(wide), Self::Known(narrow)) => narrow > wide,
            (Self::Above(wide), Self::Above(narrow)) => narrow >= wide,
        }
    }

    /// The version of the next write, which is this one if it is known, if that can be.
    pub(super) const fn next(self, version: Option<u64>) -> Option<Self> {
        let floor = self.floor();
        match version {
            None => Some(Self::Above(floor)),
            Some(version) if version > floor => Some(Self::Known(version)),
            Some(_) => None,
        }
    }

    /// This version after someone read it as `seen`, if that can be.
    pub(super) const fn seen(self, seen: u64) -> Option<Self> {
        let possible = match self {
            Self::Known(version) => seen == version,
            Self::Above(version) => seen > version,
        };
        if possible { Some(Self::Known(seen)) } else { None }
    }
}

impl RegisterState {
    fn written(self, value: Option<u64>, version: Option<u64>) -> Option<Self> {
        Some(Self { value, version: self.version.next(version)? })
    }

    fn read(self, value: Option<u64>, version: Option<u64>) -> Option<Self> {
        if value != self.value {
            return None;
        }
        match (value, version) {
            (None, None) => Some(self),
            (Some(_), Some(seen)) => Some(Self { value, version: self.version.seen(seen)? }),
            _ => None,
        }
    }
}

impl Model for RegisterModel {
    type Op = RegisterOp;
    type Answer = RegisterAnswer;
    type State = RegisterState;

    fn name(&self) -> &'static str {
        "register"
    }

    fn initial(&self) -> RegisterState {
        RegisterState { value: None, version: Version::Known(0) }
    }

    fn step(
        &self,
        state: &RegisterState,
        op: &RegisterOp,
        answer: Option<&RegisterAnswer>,
    ) -> Option<RegisterState> {
        use RegisterAnswer::{Deleted, Mismatch, Value, Written};
        match (*op, answer.copied()) {
            (RegisterOp::Get, Some(Value { value, version })) => state.read(value, version),
            (RegisterOp::Set(value), Some(Written { version })) => state.written(Some(value), Some(version)),
            (RegisterOp::Set(value), None) => state.written(Some(value), None),
            (RegisterOp::CompareAndSet { expected, value }, Some(Written { version })) => {
                (state.value == expected).then_some(())?;
                state.written(Some(value), Some(version))
            }
            (RegisterOp::CompareAndSet { expected, value }, None) => {
                (state.value == expected).then_some(())?;
                state.written(Some(value), None)
            }
            (RegisterOp::CompareAndSet { expected, .. }, Some(Mismatch { value, version })) => {
                (value != expected).then_some(())?;
                state.read(value, version)
            }
            (RegisterOp::Delete, Some(Deleted { existed, version })) => {
                (state.value.is_some() == existed).then_some(())?;
                state.written(None, Some(version))
            }
            (RegisterOp::Delete, None) => {
                state.value?;
                state.written(None, None)
            }
            _ => None,
        }
    }

    fn reads(&self, _op: &RegisterOp, answer: &RegisterAnswer) -> bool {
        matches!(answer, RegisterAnswer::Value { .. } | RegisterAnswer::Mismatch { .. })
    }

    fn subsumes(&self, wide: &RegisterState, narrow: &RegisterState) -> bool {
        wide.value == narrow.value && wide.version.subsumes(narrow.version)
    }

    fn rank(&self, _op: &RegisterOp, answer: &RegisterAnswer) -> Option<u64> {
        match answer {
            RegisterAnswer::Written { version } | RegisterAnswer::Deleted { version, .. } => Some(*version),
            _ => None,
        }
    }

    fn settle(&self, entries: &mut Vec<EntryOf<Self>>) {
        settle(entries);
    }

    fn worthwhile(&self, state: &RegisterState, entry: &EntryOf<Self>) -> bool {
        state.value.is_none() || !entry.anonymous
    }

    fn guess(&self, entries: &[EntryOf<Self>]) -> Option<Vec<usize>> {
        guess(entries, place)
    }

    /// If every operation was answered, then versions order all effects, reads of a value follow its write,
    /// and reads of nothing are best placed as early as they can be: no other order is better than the guess.
    fn rule(&self, entries: &[EntryOf<Self>]) -> Option<Ruling> {
        entries.iter().all(|entry| entry.answer.is_some()).then_some(())?;
        let order = guess(entries, place).filter(|order| witness::explains(self, entries, order));
        Some(order.map_or(Ruling::Impossible, Ruling::Order))
    }

    /// The write of a version, with all who saw it, if what follows does not ask what was there before.
    fn removable(&self, entries: &[EntryOf<Self>]) -> Vec<Vec<usize>> {
        let mut groups = readers(self, entries);
        let mut versions: BTreeMap<u64, (Vec<usize>, Option<usize>)> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            match entry.answer {
                Some(RegisterAnswer::Written { version }) => {
                    let group = versions.entry(version).or_default();
                    group.0.push(at);
                    group.1 = Some(at);
                }
                Some(RegisterAnswer::Deleted { version, .. }) => {
                    versions.entry(version).or_default().1 = Some(at);
                }
                Some(
                    RegisterAnswer::Value { version: Some(version), .. }
                    | RegisterAnswer::Mismatch { version: Some(version), .. },
                ) => {
                    versions.entry(version).or_default().0.push(at);
                }
                _ => {}
            }
        }
        let asked: BTreeSet<u64> = entries
            .iter()
            .filter(|entry| entry.answer.is_none())
            .filter_map(|entry| match entry.op {
                RegisterOp::CompareAndSet { expected, .. } => expected,
                _ => None,
            })
            .collect();
        // From the last version to the first: whether the write that follows takes whatever is there.
        let mut indifferent = true;
        for (group, writer) in versions.into_values().rev() {
            let Some(writer) = writer else { continue };
            let written = match entries[writer].op {
                RegisterOp::Set(value) | RegisterOp::CompareAndSet { value, .. } => Some(value),
                _ => None,
            };
            if indifferent && written.is_some_and(|value| !asked.contains(&value)) {
                groups.push(group);
            }
            indifferent = matches!(entries[writer].op, RegisterOp::Set(_));
        }
        groups
    }

    fn describe_op(&self, op: &RegisterOp) -> String {
        match *op {
            RegisterOp::Get => "get".to_owned(),
            RegisterOp::Set(value) => format!("set {value}"),
            RegisterOp::CompareAndSet { expected, value } => format!("set {value} if {}", optional(expected)),
            RegisterOp::Delete => "delete".to_owned(),
        }
    }

    fn describe_answer(&self, answer: &RegisterAnswer) -> String {
        match *answer {
            RegisterAnswer::Value { value, version } => {
                format!("{} (version {})", optional(value), optional(version))
            }
            RegisterAnswer::Written { version } => format!("written (version {version})"),
            RegisterAnswer::Mismatch { value, version } => {
                format!("mismatch: {} (version {})", optional(value), optional(version))
            }
            RegisterAnswer::Deleted { existed: true, version } => format!("deleted (version {version})"),
            RegisterAnswer::Deleted { existed: false, version } => {
                format!("nothing to delete (version {version})")
            }
            RegisterAnswer::Foreign => "no answer of a register".to_owned(),
        }
    }
}

/// What an answer says of the order.
fn place(entry: &EntryOf<RegisterModel>) -> Place {
    match entry.answer {
        None if entry.returned.is_some() => Place::Hidden,
        None | Some(RegisterAnswer::Foreign) => Place::Open,
        Some(RegisterAnswer::Written { version } | RegisterAnswer::Deleted { version, .. }) => {
            let absent_from = (entry.op == RegisterOp::Delete).then_some(0);
            Place::Made { version, absent_from }
        }
        Some(RegisterAnswer::Value { version, .. } | RegisterAnswer::Mismatch { version, .. }) => {
            version.map_or(Place::SawNothing, Place::Saw)
        }
    }
}

impl ServiceModel for RegisterModel {
    fn op(&self, call: &Call) -> Option<RegisterOp> {
        match *call {
            Call::Get { .. } => Some(RegisterOp::Get),
            Call::Set { value, .. } => Some(RegisterOp::Set(value)),
            Call::CompareAndSet { expected, value, .. } => {
                Some(RegisterOp::CompareAndSet { expected, value })
            }
            Call::Delete { .. } => Some(RegisterOp::Delete),
            _ => None,
        }
    }

    fn answer(&self, answer: &Answer) -> RegisterAnswer {
        match *answer {
            Answer::Value { value, version } => RegisterAnswer::Value { value, version },
            Answer::Written { version } => RegisterAnswer::Written { version },
            Answer::Mismatch { value, version } => RegisterAnswer::Mismatch { value, version },
            Answer::Deleted { existed, version } => RegisterAnswer::Deleted { existed, version },
            _ => RegisterAnswer::Foreign,
        }
    }
}
