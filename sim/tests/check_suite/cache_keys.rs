//! Histories of one key with a counter or a life that the general search accepts, and such that it rejects. Times are
//! in microseconds.

use stormglass_sim::check::linearizability::STEPS_MAX;
use stormglass_sim::check::{CheckReport, Drift, Subject, Terms, Verdict, judge_subject};
use stormglass_sim::history::{Answer, Call};

use crate::cache_safety::{
    add, delete, get, key, mortal, row, set, set_if_absent, set_if_version, unanswered,
};
use crate::support::{Row, history};

fn reports(rows: Vec<Row>) -> Vec<CheckReport> {
    let history = history(rows);
    assert_eq!(history.verify(), Ok(()));
    let terms = Terms {
        history: &history,
        drift: Drift::default(),
        calm: None,
        budget_steps: STEPS_MAX,
        at_once: false,
    };
    judge_subject(Subject::Cache, &terms)
}

fn searched(rows: Vec<Row>) -> CheckReport {
    let mut reports = reports(rows);
    reports.retain(|report| report.name == "linearizable counters and lives");
    reports.pop().expect("the key is none of the registers")
}

fn assert_accepted(what: &str, rows: Vec<Row>) {
    let report = searched(rows);
    assert_eq!(report.verdict, Verdict::Valid, "{what}: {:?}", report.counterexample);
}

fn assert_rejected(what: &str, rows: Vec<Row>) {
    assert_eq!(searched(rows).verdict, Verdict::Invalid, "{what}");
}

#[test]
fn a_counter_goes_on_from_what_may_have_been_set() {
    let with = |found: i64| vec![set(1, 2, 5, 1), unanswered(set(3, 4, 8, 0)), add(10, 1, found + 1, 3)];
    assert_accepted("what was there", with(5));
    assert_accepted("what may have been set", with(8));
    assert_rejected("what nobody set", with(6));
    assert_rejected("nothing, which nobody left", with(0));
}

#[test]
fn a_sum_is_made_of_what_was_added() {
    let with = |sum: i64| vec![unanswered(add(1, 2, 0, 0)), unanswered(add(3, 7, 0, 0)), add(10, 1, sum, 9)];
    for sum in [1, 3, 8, 10] {
        assert_accepted("two, seven, both or neither", with(sum));
    }
    for sum in [2, 5, 9, 11] {
        assert_rejected("no sum of these", with(sum));
    }
    let twice = [with(10), vec![add(20, 1, 13, 10)]].concat();
    assert_rejected("one of them counted again", twice);
}

#[test]
fn a_condition_has_to_hold_for_a_write_of_unknown_outcome_too() {
    let absent = |until| vec![set(1, until, 5, 1), unanswered(set_if_absent(4, Answer::Declared))];
    let read = |seen| vec![get(2, 20, 21, Some(seen)), add(30, 1, seen.0 + 1, 9)];
    assert_rejected("something was there", [absent(2), read((90, 2))].concat());
    assert_rejected("it was overwritten by the first write", [absent(8), read((90, 2))].concat());
    let gone = [vec![set(1, 2, 5, 1), delete(3, 5, true, 2)], absent(2).split_off(1)].concat();
    assert_accepted("nothing was there", [gone, read((90, 3))].concat());
    let on = |expected| unanswered(set_if_version(4, Some(expected), Answer::Declared));
    let begin = || vec![set(1, 2, 5, 7)];
    assert_accepted("on what was there", [begin(), vec![on(7)], read((91, 8))].concat());
    assert_rejected("on what was not", [begin(), vec![on(6)], read((91, 8))].concat());
}

#[test]
fn a_life_ends_once_and_not_before_its_time() {
    let begin = || vec![mortal(1, 2, 5, 1, 100)];
    let with = |rows: Vec<Row>| [begin(), rows].concat();
    assert_accepted("over", with(vec![get(2, 100, 102, None)]));
    assert_rejected("not yet over", with(vec![get(2, 50, 60, None)]));
    assert_rejected("back again", with(vec![get(2, 100, 110, None), get(2, 120, 130, Some((5, 1)))]));
    // Who was answered before that came before who found nothing then.
    let beside = with(vec![get(2, 90, 110, None), get(3, 95, 100, None)]);
    assert_rejected("one of them too early", beside);
    // Two additions, both unheard of, one of them before the end of the life.
    let unheard = || vec![unanswered(add(10, 2, 0, 0)), unanswered(add(11, 3, 0, 0))];
    let then = |value: i64| with([unheard(), vec![get(2, 200, 201, Some((value, 9)))]].concat());
    for value in [7, 8, 10, 2, 3] {
        assert_accepted("added to it, or begun anew", then(value));
    }
    assert_accepted("both, begun anew", then(5));
    assert_rejected("no such sum", then(6));
}

#[test]
fn what_is_evicted_is_gone() {
    let bound = |at_us| row(9, at_us, at_us + 1, Call::CacheConfigure { entries_max: 2 }, Answer::Declared);
    let with = |at_us, rows: Vec<Row>| [vec![set(1, 2, 5, 1), bound(at_us)], rows].concat();
    assert_accepted("evicted", with(3, vec![get(2, 10, 11, None)]));
    assert_rejected("nobody evicts yet", with(20, vec![get(2, 10, 11, None)]));
    assert_rejected("back again", with(3, vec![get(2, 10, 11, None), get(2, 12, 13, Some((5, 1)))]));
    let refused = Answer::Refused { value: Some(5), version: Some(1) };
    assert_rejected("back for others", with(3, vec![get(2, 10, 11, None), set_if_absent(12, refused)]));
}

#[test]
fn a_counter_that_overflows_says_so() {
    let most = || Call::CacheIncrement { key: key(), by: i64::MAX };
    let counted = |at, value, version| row(2, at, at + 1, most(), Answer::Counted { value, version });
    assert_accepted("to the most", vec![counted(1, i64::MAX, 1)]);
    assert_rejected("beyond it", vec![counted(1, i64::MAX, 1), counted(5, -2, 2)]);
    assert_accepted("unheard of", vec![counted(1, i64::MAX, 1), unanswered(counted(5, 0, 0))]);
}

#[test]
fn registers_are_left_to_the_search_of_registers() {
    let names = |rows| reports(rows).into_iter().map(|report| report.name).collect::<Vec<_>>();
    let register = vec![set(1, 2, 5, 1), get(2, 3, 4, Some((5, 1)))];
    assert_eq!(names(register.clone()), ["cache safety", "linearizable cache"]);
    let counted = [register, vec![add(6, 1, 6, 2)]].concat();
    assert_eq!(names(counted), ["cache safety", "linearizable counters and lives"]);
}
