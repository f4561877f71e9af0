//! The three verdicts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a check, a run or a sweep comes to. The order is that of gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was looked at, and it holds.
    Valid,
    /// It cannot be said: a check ran out of its budget or had nothing to judge, or a fault that was asked
    /// for had no effect.
    Unknown,
    /// It was looked at, and it does not hold.
    Invalid,
}

impl Verdict {
    /// The exit code of a command that ends with this verdict: 0 valid, 1 invalid, 2 unknown.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Unknown => 2,
        }
    }

    /// The graver of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Invalid, Unknown, Valid};

    #[test]
    fn exit_codes_are_those_that_the_manual_promises() {
        assert_eq!([Valid, Invalid, Unknown].map(super::Verdict::exit_code), [0, 1, 2]);
    }

    #[test]
    fn one_violation_outweighs_all_doubt() {
        assert_eq!(Valid.and(Unknown), Unknown);
        assert_eq!(Unknown.and(Invalid), Invalid);
        assert_eq!(Invalid.and(Valid), Invalid);
        assert_eq!(Valid.and(Valid), Valid);
    }
}
