//! Events of near-caches that the rules of coherence accept, and such that each of them rejects.

use stormglass_sim::check::Drift;
use stormglass_sim::check::coherence::Coherence;
use stormglass_sim::history::LineMode::{self, Exclusive, Modified, Shared};
use stormglass_sim::history::{LineSeen, NodeEvent, VirtualTime};

/// When in microseconds, at which node, what.
type Step = (u64, u64, LineSeen);

const LEASE_US: u64 = 100;

fn key() -> String {
    "k".to_owned()
}

fn asked(at: u64, node: u64, number: u64) -> Step {
    (at, node, LineSeen::Asked { key: key(), number })
}

fn closed(at: u64, node: u64, number: u64) -> Step {
    (at, node, LineSeen::Closed { key: key(), number })
}

/// Granted in term 2, as of this entry.
fn taken(at: u64, node: u64, number: u64, as_of: u64, mode: LineMode) -> Step {
    of_term(2, (at, node, LineSeen::Taken { key: key(), number, term: 0, as_of, mode, left_us: LEASE_US }))
}

fn of_term(term: u64, mut step: Step) -> Step {
    match &mut step.2 {
        LineSeen::Taken { term: of, .. } | LineSeen::Released { term: of, .. } => *of = term,
        _ => {}
    }
    step
}

fn turned(at: u64, node: u64, mode: LineMode) -> Step {
    (at, node, LineSeen::Turned { key: key(), mode })
}

fn dropped(at: u64, node: u64) -> Step {
    (at, node, LineSeen::Dropped { key: key() })
}

fn disowned(at: u64, node: u64, number: u64) -> Step {
    (at, node, LineSeen::Disowned { key: key(), number })
}

fn recalled(at: u64, node: u64, term: u64) -> Step {
    (at, node, LineSeen::Recalled { term })
}

fn read(at: u64, node: u64, as_of: u64) -> Step {
    (at, node, LineSeen::Read { key: key(), as_of })
}

/// By node 1, which leads in term 2.
fn released(at: u64) -> Step {
    (at, 1, LineSeen::Released { keys: vec![key()], term: 2 })
}

fn changed(at: u64, node: u64, index: u64) -> Step {
    (at, node, LineSeen::Changed { key: key(), index })
}

fn run(steps: &[Step], drift: Drift) -> Result<Coherence, String> {
    let mut rules = Coherence::new(drift);
    for (place, (at, node, line)) in steps.iter().enumerate() {
        let event = NodeEvent::Line { line: line.clone() };
        if let Err(violation) = rules.observe(VirtualTime(at * 1_000), *node, &event) {
            assert_eq!(place + 1, steps.len(), "too early: {violation}");
            return Err(violation.invariant.to_owned());
        }
    }
    Ok(rules)
}

fn accepts(what: &str, steps: &[Step]) {
    let result = run(steps, Drift::default()).map(drop);
    assert_eq!(result, Ok(()), "{what}");
}

/// The last of the steps, and no earlier one, is rejected by the rule of this name.
fn rejects(rule: &str, what: &str, steps: &[Step]) {
    assert_eq!(run(steps, Drift::default()).err().as_deref(), Some(rule), "{what}");
}

#[test]
fn nothing_is_said_of_what_was_not_seen() {
    let rules = run(&[], Drift::default()).expect("nothing is wrong");
    assert!(rules.report().is_empty());
    let rules = run(&[asked(1, 2, 7)], Drift::default()).expect("nothing is wrong");
    let names: Vec<&str> = rules.report().iter().map(|report| report.name).collect();
    assert_eq!(names, ["one question a key"]);
}

#[test]
fn leaders_lost_between_invalidation_and_commit_are_counted() {
    let lost_after = |steps: &[Step], killed| {
        let mut rules = run(steps, Drift::default()).expect("nothing is wrong");
        let stopped = rules.observe(VirtualTime(1_000_000), killed, &NodeEvent::Stopped);
        assert_eq!(stopped.map_err(|violation| violation.to_string()), Ok(()));
        rules.leaders_lost()
    };
    let given_up = || vec![taken(0, 2, 7, 5, Shared), dropped(2, 2), disowned(2, 2, 7)];
    let on_its_way = || [given_up(), vec![released(3)]].concat();
    assert_eq!(lost_after(&on_its_way(), 1), 1);
    assert_eq!(lost_after(&on_its_way(), 2), 0, "another node");
    assert_eq!(lost_after(&given_up(), 1), 0, "the write is not let into the log");
    assert_eq!(lost_after(&[released(3)], 1), 0, "nobody gave up a line");
    assert_eq!(lost_after(&[on_its_way(), vec![changed(4, 3, 6)]].concat(), 1), 0, "somebody applied it");
    let next = [on_its_way(), vec![changed(4, 3, 6), released(5)]].concat();
    assert_eq!(lost_after(&next, 1), 0, "for the next write nobody gave up anything");
}

#[test]
fn of_one_term_one_line_is_exclusive() {
    let rule = "exclusive lines";
    let first = || taken(1, 2, 7, 5, Exclusive);
    let with = |step: Step| vec![first(), step];
    accepts("a shared one beside it, of which it has not heard", &with(taken(9, 3, 8, 5, Shared)));
    accepts("after its end", &with(taken(101, 3, 8, 5, Exclusive)));
    accepts("after it was dropped", &[first(), dropped(4, 2), taken(9, 3, 8, 5, Exclusive)]);
    accepts("of another term", &with(of_term(3, taken(9, 3, 8, 5, Exclusive))));
    accepts("its own again", &with(taken(9, 2, 8, 5, Exclusive)));
    rejects(rule, "two", &with(taken(9, 3, 8, 5, Exclusive)));
    rejects(rule, "two, at its last moment", &with(taken(100, 3, 8, 5, Exclusive)));
    let writes = vec![first(), taken(3, 3, 8, 5, Shared), turned(4, 3, Modified)];
    accepts("one that writes before the other has heard of it", &writes);
}

#[test]
fn a_write_goes_into_the_log_when_nobody_reads_its_keys() {
    let rule = "writes wait for lines";
    let line = || taken(1, 2, 7, 5, Shared);
    let with = |steps: Vec<Step>| [vec![line()], steps].concat();
    accepts("dropped", &with(vec![dropped(4, 2), released(9)]));
    accepts("over", &with(vec![released(101)]));
    accepts("writing itself", &with(vec![turned(4, 2, Modified), released(9)]));
    accepts("a recall of earlier terms", &with(vec![recalled(4, 2, 3), of_term(3, released(9))]));
    accepts("a leader that was deposed", &[of_term(3, line()), released(9)]);
    rejects(rule, "read", &with(vec![released(100)]));
    rejects(rule, "no recall", &with(vec![of_term(3, released(9))]));
    rejects(rule, "a recall of terms before", &with(vec![recalled(4, 2, 2), released(9)]));
    let another = [dropped(4, 2), taken(5, 3, 2, 5, Shared), released(9)];
    rejects(rule, "another reads it", &with(another.to_vec()));
}

#[test]
fn how_long_a_line_is_read_for_certain_depends_on_the_clocks() {
    let fast = Drift { fast_ppm_max: 250_000 };
    let judged = |at| run(&[taken(0, 2, 7, 5, Shared), released(at)], fast).is_ok();
    assert_eq!([judged(79), judged(80)], [false, true], "100 us by a clock that is a quarter fast");
}

#[test]
fn no_line_is_read_that_does_not_show_what_is_applied() {
    let rule = "lines are current";
    let line = |as_of| taken(1, 2, 7, as_of, Shared);
    accepts("it shows it", &[line(6), changed(9, 1, 6), read(10, 2, 6)]);
    accepts("dropped before", &[line(5), dropped(8, 2), changed(9, 1, 6), taken(10, 2, 8, 6, Shared)]);
    accepts("over before", &[line(5), changed(101, 1, 6)]);
    accepts("applied elsewhere later", &[changed(1, 1, 6), line(6), changed(9, 2, 6)]);
    rejects(rule, "a change while it is read", &[line(5), changed(9, 1, 6)]);
    rejects(rule, "a late grant", &[changed(1, 1, 6), taken(9, 2, 7, 5, Shared)]);
    rejects(rule, "a late read", &[line(5), changed(102, 1, 6), read(103, 2, 5)]);
}

#[test]
fn what_a_node_said_of_its_lines_stays_true() {
    let rule = "words are kept";
    let invalidated = [asked(1, 2, 7), closed(2, 2, 7), disowned(2, 2, 7)];
    let then = |step: Step| [invalidated.to_vec(), vec![step]].concat();
    accepts("a later question", &then(taken(9, 2, 8, 5, Shared)));
    rejects(rule, "a late grant of the question that it disowned", &then(taken(9, 2, 7, 5, Shared)));
    rejects(rule, "it has the line still", &[taken(1, 2, 7, 5, Shared), disowned(3, 2, 7)]);
    accepts("it has a later line", &[taken(1, 2, 7, 5, Shared), disowned(3, 2, 6)]);
    let writes =
        [taken(1, 2, 7, 5, Shared), asked(2, 2, 8), turned(3, 2, Modified), closed(3, 2, 8), asked(3, 2, 9)];
    let then_granted = |number| [writes.to_vec(), vec![taken(9, 2, number, 6, Exclusive)]].concat();
    accepts("the result of its own write", &then_granted(9));
    rejects(rule, "a question that it closed as it wrote", &then_granted(8));
    let recall = recalled(1, 2, 3);
    rejects(rule, "a grant of a term before the recall", &[recall.clone(), taken(9, 2, 7, 5, Shared)]);
    accepts("of its term", &[recall, of_term(3, taken(9, 2, 7, 5, Shared))]);
    let mut reborn = Coherence::new(Drift::default());
    for (at, node, line) in invalidated {
        assert_eq!(reborn.observe(VirtualTime(at), node, &NodeEvent::Line { line }), Ok(()));
    }
    assert_eq!(reborn.observe(VirtualTime(3), 2, &NodeEvent::Stopped), Ok(()));
    let line = taken(9, 2, 1, 5, Shared).2;
    assert_eq!(reborn.observe(VirtualTime(9), 2, &NodeEvent::Line { line }), Ok(()), "another life");
}

#[test]
fn a_missing_key_costs_one_question_a_node() {
    let rule = "one question a key";
    accepts("two nodes", &[asked(1, 2, 7), asked(2, 3, 7)]);
    accepts("one after the other", &[asked(1, 2, 7), taken(3, 2, 7, 5, Shared), asked(4, 2, 8)]);
    accepts("given up in between", &[asked(1, 2, 7), closed(3, 2, 7), asked(4, 2, 8)]);
    rejects(rule, "two at once", &[asked(1, 2, 7), asked(4, 2, 8)]);
}
