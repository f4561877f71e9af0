//! `[expect]`: a violation that a scenario is there to show.

use serde::{Deserialize, Serialize};

use super::validate::{Judgement, problem};

/// Most checks that a scenario may name.
pub const EXPECTED_CHECKS_MAX: usize = 8;
/// Longest name of a check.
const NAME_CHARS_MAX: usize = 64;

/// `[expect]`: what breaks in this scenario, because something that a promise rests on is not given.
///
/// Such a run is valid if one of the named checks found a violation and nothing else is wrong, and unknown if
/// none of them did: it shows that the promise needs what was taken from it, and that the check sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectSpec {
    /// The checks of the clients' history of which at least one finds a violation. No other check may.
    pub violation_of: Vec<String>,
}

/// Judges what is expected.
pub(super) fn expect(expect: Option<&ExpectSpec>) -> Judgement {
    let Some(ExpectSpec { violation_of }) = expect else { return Ok(()) };
    let key = "expect.violation_of";
    if !(1..=EXPECTED_CHECKS_MAX).contains(&violation_of.len()) {
        let hint = format!("name 1 to {EXPECTED_CHECKS_MAX} checks, such as \"cache safety\"");
        return problem(key, format!("{} checks are named", violation_of.len()), hint);
    }
    let is_name = |name: &String| !name.trim().is_empty() && name.chars().count() <= NAME_CHARS_MAX;
    if let Some(position) = violation_of.iter().position(|name| !is_name(name)) {
        let message = format!("{:?} is no name of a check", violation_of[position]);
        return problem(format!("{key}.{position}"), message, "the report of a run names its checks");
    }
    Ok(())
}
