//! Runs that are to show a violation, because their scenario takes away what a promise rests on.

use crate::check::{CheckReport, Verdict};
use crate::plan::Schedule;

/// The names of the checks whose violation this schedule expects; mostly none.
pub(super) fn names(schedule: &Schedule) -> &[String] {
    schedule.expect.as_ref().map_or(&[], |expect| expect.violation_of.as_slice())
}

/// Whether this check found what the schedule expects it to find.
pub(super) fn is_expected(schedule: &Schedule, check: &CheckReport) -> bool {
    check.verdict == Verdict::Invalid && names(schedule).contains(&check.name)
}

/// Judges whether the expected violation was seen; nothing if none is expected.
pub(super) fn check(schedule: &Schedule, checks: &[CheckReport]) -> Option<CheckReport> {
    schedule.expect.as_ref()?;
    let named: Vec<&CheckReport> =
        checks.iter().filter(|check| names(schedule).contains(&check.name)).collect();
    let seen = named.iter().find(|check| check.verdict == Verdict::Invalid);
    let detail = match seen {
        Some(check) => {
            let what = check.counterexample.as_ref().unwrap_or(&check.detail);
            format!("seen by {}; {}", check.name, what.lines().next().unwrap_or_default())
        }
        None if named.is_empty() => format!("no check of this run is called {}", list(schedule)),
        None => format!("not seen by {}, though this scenario is there to show it", list(schedule)),
    };
    Some(CheckReport {
        name: "expected violation".to_owned(),
        source: "the scenario's own claim".to_owned(),
        verdict: if seen.is_some() { Verdict::Valid } else { Verdict::Unknown },
        detail,
        cost_steps: named.len() as u64,
        counterexample: None,
    })
}

fn list(schedule: &Schedule) -> String {
    names(schedule).join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ExpectSpec, Scenario, expand};

    fn schedule(violation_of: &[&str]) -> Schedule {
        let violation_of = violation_of.iter().map(|name| (*name).to_owned()).collect();
        let expect = Some(ExpectSpec { violation_of });
        expand(&Scenario { claim: "X.".to_owned(), expect, ..Scenario::default() }, 1)
    }

    fn report(name: &str, verdict: Verdict) -> CheckReport {
        CheckReport {
            name: name.to_owned(),
            source: String::new(),
            verdict,
            detail: "judged".to_owned(),
            cost_steps: 0,
            counterexample: (verdict == Verdict::Invalid).then(|| "stale\nmore".to_owned()),
        }
    }

    #[test]
    fn a_violation_that_a_named_check_finds_is_what_was_expected() {
        let schedule = schedule(&["cache safety", "linearizable cache"]);
        let checks = [report("cache safety", Verdict::Valid), report("linearizable cache", Verdict::Invalid)];
        let expected = check(&schedule, &checks).unwrap();
        assert_eq!(expected.verdict, Verdict::Valid);
        assert_eq!(expected.detail, "seen by linearizable cache; stale");
        assert!(is_expected(&schedule, &checks[1]) && !is_expected(&schedule, &checks[0]));
    }

    #[test]
    fn a_violation_that_another_check_finds_is_not() {
        let schedule = schedule(&["cache safety"]);
        let other = report("liveness", Verdict::Invalid);
        assert!(!is_expected(&schedule, &other));
        let checks = [other, report("cache safety", Verdict::Valid)];
        assert_eq!(check(&schedule, &checks).unwrap().verdict, Verdict::Unknown);
    }

    #[test]
    fn a_check_that_was_not_made_or_did_not_decide_has_seen_nothing() {
        let schedule = schedule(&["cache safety"]);
        let absent = check(&schedule, &[]).unwrap();
        assert_eq!((absent.verdict, absent.detail.starts_with("no check")), (Verdict::Unknown, true));
        let undecided = [report("cache safety", Verdict::Unknown)];
        assert_eq!(check(&schedule, &undecided).unwrap().verdict, Verdict::Unknown);
    }

    #[test]
    fn who_expects_nothing_gets_no_check() {
        let schedule = expand(&Scenario { claim: "X.".to_owned(), ..Scenario::default() }, 1);
        assert_eq!(check(&schedule, &[report("cache safety", Verdict::Invalid)]), None);
    }
}
