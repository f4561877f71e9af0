//! What is asked of a key of the cache, and what it answers.

use std::fmt;

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
    pub const ENDLESS: Self = Self { over_from: u64::MAX, over_by: u64::MAX };

    pub(super) const fn subsumes(self, narrow: Self) -> bool {
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
        Self { ask, from: 0, until: u64::MAX }
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

impl CacheAnswer {
    /// The version that it names as made.
    pub(in crate::check::linearizability) const fn made(&self) -> Option<u64> {
        match self {
            Self::Written { version } | Self::Counted { version, .. } | Self::Deleted { version, .. } => {
                Some(*version)
            }
            Self::Found(_) | Self::Refused(_) | Self::Foreign => None,
        }
    }

    /// Whether, as the answer to this, it says that a value was there, or this one.
    pub(super) fn finds(&self, there: Option<i64>, ask: CacheAsk) -> bool {
        match (ask, self) {
            (_, Self::Found(Some(_)) | Self::Refused(Some(_)) | Self::Deleted { existed: true, .. })
            | (CacheAsk::Compare { expected: Some(_), .. }, Self::Written { .. }) => true,
            (CacheAsk::Add(by), Self::Counted { value, .. }) => {
                let found = value.checked_sub(by);
                found != Some(0) && found == there
            }
            _ => false,
        }
    }
}

impl fmt::Display for CacheAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lives = |life: Life| if life == Life::ENDLESS { "" } else { ", for a time" };
        match *self {
            Self::Get => write!(f, "get"),
            Self::Set { value, life } => write!(f, "set {value}{}", lives(life)),
            Self::Compare { expected: None, value, life } => {
                write!(f, "set {value}{} if nothing is there", lives(life))
            }
            Self::Compare { expected: Some(expected), value, life } => {
                write!(f, "set {value}{} if version {expected} is there", lives(life))
            }
            Self::Add(by) => write!(f, "add {by}"),
            Self::Delete => write!(f, "delete"),
            Self::Vanish => write!(f, "(the end of a life, or an eviction)"),
        }
    }
}

impl fmt::Display for CacheAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Found(None) => write!(f, "nothing"),
            Self::Found(Some((value, version))) => write!(f, "{value} (version {version})"),
            Self::Written { version } => write!(f, "written (version {version})"),
            Self::Refused(None) => write!(f, "refused: nothing"),
            Self::Refused(Some((value, version))) => write!(f, "refused: {value} (version {version})"),
            Self::Counted { value, version } => write!(f, "came to {value} (version {version})"),
            Self::Deleted { existed: true, version } => write!(f, "deleted (version {version})"),
            Self::Deleted { existed: false, version } => write!(f, "nothing to delete (version {version})"),
            Self::Foreign => write!(f, "no answer of a cache"),
        }
    }
}
