//! What a check reports.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of a check, or of a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What was judged is as it should be.
    Valid,
    /// There was nothing to judge, or not enough budget to judge it.
    Unknown,
    /// It is not as it should be, for certain.
    Invalid,
}

impl Verdict {
    /// The verdict over several: invalid if one is, else unknown if one is or if there is none, else valid.
    #[must_use]
    pub fn of_all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().max().unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        })
    }
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The check's name.
    pub name: String,
    /// Where what it checks is written down: a paper and its section.
    pub source: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What was judged, in few words, or why nothing could be; particulars after a semicolon; one line.
    pub detail: String,
    /// Steps that it took; events or operations judged, for checks without a search.
    pub cost_steps: u64,
    /// What is wrong, if something is; several lines.
    pub counterexample: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::Verdict::{self, Invalid, Unknown, Valid};

    #[test]
    fn the_worst_verdict_wins_and_no_verdict_is_unknown() {
        assert_eq!(Verdict::of_all([Valid, Unknown, Invalid]), Invalid);
        assert_eq!(Verdict::of_all([Valid, Unknown]), Unknown);
        assert_eq!(Verdict::of_all([Valid, Valid]), Valid);
        assert_eq!(Verdict::of_all([]), Unknown);
    }
}
