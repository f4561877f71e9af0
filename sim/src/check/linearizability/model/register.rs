//! A register that holds one value or none. Each write and each delete gets a version; versions rise.

use super::super::register_guess::guess;
use super::super::register_pending::settle;
use super::{Entry, Model};
use crate::history::{Answer, Call};

/// The specification of get, set, compare-and-set and delete on one key.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegisterModel;

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
    const fn floor(self) -> u64 {
        match self {
            Self::Known(version) => version,
            Self::Above(version) => version.saturating_add(1),
        }
    }

    /// This version after someone read it as `seen`, if that can be.
    const fn seen(self, seen: u64) -> Option<Self> {
        let possible = match self {
            Self::Known(version) => seen == version,
            Self::Above(version) => seen > version,
        };
        if possible { Some(Self::Known(seen)) } else { None }
    }
}

impl RegisterState {
    fn written(self, value: Option<u64>, version: Option<u64>) -> Option<Self> {
        let floor = self.version.floor();
        let version = match version {
            None => Version::Above(floor),
            Some(version) if version > floor => Version::Known(version),
            Some(_) => return None,
        };
        Some(Self { value, version })
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
    type State = RegisterState;

    fn name(&self) -> &'static str {
        "register"
    }

    fn applies(&self, call: &Call) -> bool {
        matches!(call, Call::Get { .. } | Call::Set { .. } | Call::CompareAndSet { .. } | Call::Delete { .. })
    }

    fn initial(&self) -> RegisterState {
        RegisterState { value: None, version: Version::Known(0) }
    }

    fn step(&self, state: &RegisterState, call: &Call, answer: Option<&Answer>) -> Option<RegisterState> {
        match (call, answer) {
            (Call::Get { .. }, Some(Answer::Value { value, version })) => state.read(*value, *version),
            (Call::Set { value, .. }, Some(Answer::Written { version })) => {
                state.written(Some(*value), Some(*version))
            }
            (Call::Set { value, .. }, None) => state.written(Some(*value), None),
            (Call::CompareAndSet { expected, value, .. }, Some(Answer::Written { version })) => {
                (state.value == *expected).then_some(())?;
                state.written(Some(*value), Some(*version))
            }
            (Call::CompareAndSet { expected, value, .. }, None) => {
                (state.value == *expected).then_some(())?;
                state.written(Some(*value), None)
            }
            (Call::CompareAndSet { expected, .. }, Some(Answer::Mismatch { value, version })) => {
                (value != expected).then_some(())?;
                state.read(*value, *version)
            }
            (Call::Delete { .. }, Some(Answer::Deleted { existed, version })) => {
                (state.value.is_some() == *existed).then_some(())?;
                state.written(None, Some(*version))
            }
            (Call::Delete { .. }, None) => {
                state.value?;
                state.written(None, None)
            }
            _ => None,
        }
    }

    fn rank(&self, _call: &Call, answer: &Answer) -> Option<u64> {
        match answer {
            Answer::Written { version } | Answer::Deleted { version, .. } => Some(*version),
            _ => None,
        }
    }

    fn settle(&self, entries: &mut Vec<Entry<'_>>) {
        settle(entries);
    }

    fn worthwhile(&self, state: &RegisterState, entry: &Entry<'_>) -> bool {
        state.value.is_none() || !entry.anonymous
    }

    fn guess(&self, entries: &[Entry<'_>]) -> Option<Vec<usize>> {
        guess(entries)
    }
}
