//! Sequences of events that each invariant accepts, and such that it rejects. Those with snapshots and with
//! changes of the members are in files of their own.

use stormglass_sim::check::Verdict;
use stormglass_sim::check::invariants::InvariantSet;
use stormglass_sim::history::NodeRole::{Candidate, Follower, Leader};
use stormglass_sim::history::{LogSlot, NodeEvent, VirtualTime};

use crate::events::*;

#[test]
fn an_ordinary_life_is_accepted_and_judged_by_every_invariant() {
    let steps = after(
        one_committed(),
        [
            // Node 1 dies and comes back; node 2 leads on and brings node 3 along.
            vec![stopped(1)],
            elect(2, 3, 2, [1, 0]),
            vec![
                appended(2, 2, 2),
                durable(2, 2, Some(2), 2),
                appended(3, 1, 1),
                appended(3, 2, 2),
                durable(3, 2, Some(2), 2),
                acknowledges(3, 2, 2),
                committed(2, 2),
                applied(2, 2, 2),
                committed(3, 2),
                applied(3, 1, 1),
                applied(3, 2, 2),
                started(1, 1, Some(1), &[1]),
                role(1, Follower, 2),
                committed(1, 1),
                applied(1, 1, 1),
            ],
        ]
        .concat(),
    );
    let (set, result) = run(&steps);
    assert_eq!(result, Ok(()));
    for report in set.report() {
        assert_eq!(report.verdict(), Verdict::Valid, "{report:?}");
    }
}

#[test]
fn an_invariant_that_judged_nothing_is_unknown() {
    let set = InvariantSet::new(1..=3);
    assert!(set.report().iter().all(|report| report.verdict() == Verdict::Unknown));
    assert_eq!(set.report().len(), 15);
}

#[test]
fn election_safety() {
    let name = "election safety";
    accepts("a leader of each term", after(one_committed(), elect(2, 3, 2, [1, 0])));
    rejects(name, "two leaders in one term", after(one_committed(), vec![role(3, Leader, 1)]));
    rejects(
        name,
        "two leaders in one term, the first one dead",
        after(one_committed(), vec![stopped(1), role(2, Leader, 1)]),
    );
}

#[test]
fn durable_vote() {
    let name = "durable vote";
    rejects(name, "two votes in one term", after(boot(), vec![voted(1, 1, 2), voted(1, 1, 3)]));
    accepts("the same vote again", after(boot(), vec![voted(1, 1, 2), voted(1, 1, 2)]));
    accepts(
        "a vote that was not durable is forgotten and given to another",
        after(boot(), vec![voted(1, 1, 2), stopped(1), started(1, 1, None, &[]), voted(1, 1, 3)]),
    );
    accepts(
        "a vote whose durability nobody reported survives",
        after(boot(), vec![voted(1, 1, 2), stopped(1), started(1, 1, Some(2), &[]), voted(1, 1, 2)]),
    );
    rejects(
        name,
        "a durable vote is forgotten",
        after(boot(), vec![voted(1, 1, 2), durable(1, 1, Some(2), 0), stopped(1), started(1, 1, None, &[])]),
    );
    rejects(
        name,
        "a recovered vote is not kept",
        after(boot(), vec![voted(1, 1, 2), stopped(1), started(1, 1, Some(2), &[]), voted(1, 1, 3)]),
    );
    rejects(
        name,
        "another vote is recovered than was given",
        after(boot(), vec![voted(1, 1, 2), stopped(1), started(1, 1, Some(3), &[])]),
    );
    rejects(
        name,
        "a leader by votes that are not durable",
        after(boot(), vec![voted(1, 1, 1), durable(1, 1, Some(1), 0), voted(2, 1, 1), role(1, Leader, 1)]),
    );
    accepts(
        "a vote stands once a later term is durable",
        after(
            boot(),
            vec![
                role(1, Candidate, 1),
                voted(1, 1, 1),
                durable(1, 1, Some(1), 0),
                voted(2, 1, 1),
                role(2, Follower, 2),
                durable(2, 2, None, 0),
                role(1, Leader, 1),
            ],
        ),
    );
}

#[test]
fn leader_append_only() {
    let name = "leader append-only";
    rejects(
        name,
        "a leader cuts its log",
        after(boot(), after(elect(1, 2, 1, [0, 0]), vec![appended(1, 1, 1), truncated(1, 1)])),
    );
    rejects(
        name,
        "a leader creates an entry of another term",
        after(boot(), after(elect(1, 2, 2, [0, 0]), vec![appended(1, 1, 1)])),
    );
    accepts(
        "a deposed leader cuts its log",
        after(
            boot(),
            after(elect(1, 2, 1, [0, 0]), vec![appended(1, 1, 1), role(1, Follower, 2), truncated(1, 1)]),
        ),
    );
}

#[test]
fn log_matching() {
    let name = "log matching";
    rejects(
        name,
        "the same entry after different ones",
        after(boot(), vec![appended(1, 1, 1), appended(1, 2, 3), appended(2, 1, 2), appended(2, 2, 3)]),
    );
    let forged = NodeEvent::Appended { index: 1, slot: LogSlot { term: 1, digest: 5, change: None } };
    rejects(name, "two entries of one index and term", after(boot(), vec![appended(1, 1, 1), (2, forged)]));
    rejects(
        name,
        "a restart brings back a mixed log",
        after(boot(), vec![appended(1, 1, 1), appended(1, 2, 3), stopped(2), started(2, 3, None, &[2, 3])]),
    );
    accepts("different terms at one index", after(boot(), vec![appended(1, 1, 1), appended(2, 1, 2)]));
}

#[test]
fn leader_completeness() {
    let name = "leader completeness";
    let short = after(one_committed(), elect(3, 2, 2, [0, 1]));
    rejects(name, "a leader without a committed entry", short);
    let other = after(one_committed(), after(vec![appended(3, 1, 9)], elect(3, 2, 10, [1, 1])));
    rejects(name, "a leader with another entry instead", other);
    accepts("a leader with all of them", after(one_committed(), elect(2, 3, 2, [1, 0])));
    let late = [
        boot(),
        elect(3, 2, 1, [0, 0]).into_iter().take(6).collect(),
        elect(1, 2, 2, [0, 0]),
        vec![
            appended(1, 1, 2),
            durable(1, 2, Some(1), 1),
            appended(2, 1, 2),
            durable(2, 2, Some(1), 1),
            committed(1, 1),
            role(3, Leader, 1),
        ],
    ]
    .concat();
    accepts("a leader of an earlier term learns of its election late", late);
}

#[test]
fn state_machine_safety() {
    let name = "state machine safety";
    let with = |more| after(one_committed(), more);
    rejects(name, "another entry is committed", with(vec![appended(3, 1, 9), committed(3, 1)]));
    rejects(name, "the commit index is beyond the log", with(vec![committed(3, 1)]));
    rejects(
        name,
        "an entry is applied before it is committed",
        with(vec![appended(3, 1, 1), applied(3, 1, 1)]),
    );
    rejects(name, "an entry is applied twice", with(vec![applied(2, 1, 1)]));
    rejects(
        name,
        "an entry is skipped",
        with(vec![
            appended(1, 2, 1),
            appended(1, 3, 1),
            durable(1, 1, Some(1), 3),
            appended(2, 2, 1),
            appended(2, 3, 1),
            durable(2, 1, Some(1), 3),
            committed(1, 3),
            committed(2, 3),
            applied(2, 3, 1),
        ]),
    );
    rejects(
        name,
        "the log holds another entry than is applied",
        with(vec![appended(3, 1, 1), committed(3, 1), applied(3, 1, 2)]),
    );
    let state = NodeEvent::Applied { index: 1, slot: slot(1), state: 99 };
    rejects(
        name,
        "the same entry leads to another state",
        with(vec![appended(3, 1, 1), committed(3, 1), (3, state)]),
    );
    rejects(name, "a committed entry leaves a log", with(vec![role(2, Follower, 2), truncated(2, 1)]));
    rejects(
        name,
        "a committed entry leaves the log of a node that does not know",
        with(vec![appended(3, 1, 1), truncated(3, 1)]),
    );
    accepts(
        "a restarted node applies from the beginning",
        with(vec![stopped(2), started(2, 1, Some(1), &[1]), committed(2, 1), applied(2, 1, 1)]),
    );
}

#[test]
fn monotonicity() {
    let name = "monotonic terms and indexes";
    rejects(name, "the term goes back", after(boot(), vec![role(1, Follower, 3), role(1, Follower, 2)]));
    rejects(name, "a vote in a past term", after(boot(), vec![role(1, Follower, 3), voted(1, 2, 2)]));
    rejects(
        name,
        "the durable term goes back",
        after(boot(), vec![durable(1, 3, None, 0), durable(1, 2, None, 0)]),
    );
    rejects(
        name,
        "a restart forgets the term",
        after(boot(), vec![durable(1, 3, None, 0), stopped(1), started(1, 2, None, &[])]),
    );
    accepts(
        "a restart forgets a term that was not durable",
        after(boot(), vec![role(1, Follower, 3), stopped(1), started(1, 0, None, &[])]),
    );
    rejects(name, "the commit index goes back", after(one_committed(), vec![committed(2, 0)]));
}

#[test]
fn durable_log() {
    let name = "durable log";
    let two = || after(boot(), vec![appended(1, 1, 1), appended(1, 2, 1), durable(1, 1, None, 2)]);
    let restart = |steps, terms: &[u64]| after(steps, vec![stopped(1), started(1, 1, None, terms)]);
    accepts("all is recovered", restart(two(), &[1, 1]));
    accepts(
        "more is recovered than was reported",
        restart(after(two(), vec![appended(1, 3, 1)]), &[1, 1, 1]),
    );
    rejects(name, "a durable entry is lost", restart(two(), &[1]));
    rejects(name, "a durable entry has changed", restart(two(), &[1, 2]));
    rejects(name, "the durable log shrinks", after(two(), vec![durable(1, 1, None, 1)]));
    accepts("an entry that was not durable is lost", restart(after(two(), vec![appended(1, 3, 1)]), &[1, 1]));
    accepts("a cut log is recovered as it was", restart(after(two(), vec![truncated(1, 2)]), &[1, 1]));
    accepts("a cut log is recovered cut", restart(after(two(), vec![truncated(1, 2)]), &[1]));
    let rewritten = || {
        let cut = vec![write_began(1), truncated(1, 2), appended(1, 2, 2), durable(1, 2, None, 2)];
        after(two(), cut)
    };
    let restart_later = |steps, terms: &[u64]| after(steps, vec![stopped(1), started(1, 2, None, terms)]);
    accepts("a write that began before a cut stored the log before it", restart_later(rewritten(), &[1, 1]));
    let settled = || after(rewritten(), vec![durable(1, 2, None, 2)]);
    rejects(
        name,
        "a write that began after the cut stored the log after it",
        restart_later(settled(), &[1, 1]),
    );
    accepts("and it is recovered", restart_later(settled(), &[1, 2]));
}

#[test]
fn committed_is_durable() {
    let name = "committed is durable";
    let base = || after(boot(), elect(1, 2, 1, [0, 0]));
    rejects(
        name,
        "only the leader's own log is durable",
        after(base(), vec![appended(1, 1, 1), durable(1, 1, Some(1), 1), appended(2, 1, 1), committed(1, 1)]),
    );
    rejects(
        name,
        "a durable entry was cut since",
        after(
            base(),
            vec![
                appended(1, 1, 1),
                durable(1, 1, Some(1), 1),
                appended(2, 1, 1),
                durable(2, 1, Some(1), 1),
                role(2, Follower, 2),
                truncated(2, 1),
                committed(1, 1),
            ],
        ),
    );
    rejects(
        name,
        "the other log holds another entry there",
        after(
            base(),
            vec![
                appended(1, 1, 1),
                durable(1, 1, Some(1), 1),
                role(2, Follower, 2),
                appended(2, 1, 2),
                durable(2, 2, None, 1),
                committed(1, 1),
            ],
        ),
    );
    rejects(
        name,
        "a durable entry was cut and came back, but only in memory",
        after(
            base(),
            vec![
                appended(1, 1, 1),
                durable(1, 1, Some(1), 1),
                appended(2, 1, 1),
                durable(2, 1, Some(1), 1),
                truncated(2, 1),
                appended(2, 1, 1),
                committed(1, 1),
            ],
        ),
    );
    accepts(
        "two others are enough without the leader",
        after(
            base(),
            vec![
                appended(1, 1, 1),
                appended(2, 1, 1),
                durable(2, 1, Some(1), 1),
                appended(3, 1, 1),
                durable(3, 1, None, 1),
                committed(1, 1),
            ],
        ),
    );
    accepts(
        "one that has died still counts",
        after(
            base(),
            vec![
                appended(1, 1, 1),
                durable(1, 1, Some(1), 1),
                appended(2, 1, 1),
                durable(2, 1, Some(1), 1),
                stopped(2),
                committed(1, 1),
            ],
        ),
    );
}

#[test]
fn commit_in_ones_own_term() {
    let name = "commit in one's own term";
    let base = || {
        let replicated =
            vec![appended(1, 1, 1), durable(1, 1, Some(1), 1), appended(2, 1, 1), durable(2, 1, Some(1), 1)];
        [boot(), elect(1, 2, 1, [0, 0]), replicated, elect(2, 3, 2, [1, 0])].concat()
    };
    rejects(name, "an entry of an earlier term is counted", after(base(), vec![committed(2, 1)]));
    accepts(
        "it is committed along with one of the leader's own",
        after(
            base(),
            vec![
                appended(2, 2, 2),
                durable(2, 2, Some(2), 2),
                appended(3, 1, 1),
                appended(3, 2, 2),
                durable(3, 2, Some(2), 2),
                committed(2, 2),
            ],
        ),
    );
}

#[test]
fn a_node_may_die_while_it_recovers() {
    let mut set = InvariantSet::new(1..=3);
    for (node, event) in [started(1, 0, None, &[]), stopped(1), stopped(1), started(1, 0, None, &[])] {
        assert_eq!(set.observe(VirtualTime(1), node, &event), Ok(()));
    }
}

#[test]
fn events_that_cannot_be_are_rejected() {
    let name = "well-formed events";
    rejects(name, "a node of no cluster", after(boot(), vec![role(4, Follower, 1)]));
    rejects(name, "started twice", after(boot(), vec![started(1, 0, None, &[])]));
    rejects(name, "alive after death", after(boot(), vec![stopped(1), role(1, Follower, 1)]));
    rejects(name, "a gap in the log", after(boot(), vec![appended(1, 2, 1)]));
    rejects(name, "a cut beyond the end", after(boot(), vec![truncated(1, 1)]));
    rejects(name, "before the start", vec![role(1, Follower, 1)]);
    let extreme = NodeEvent::Applied { index: u64::MAX, slot: slot(1), state: 0 };
    rejects("state machine safety", "an index beyond all bounds", after(boot(), vec![(1, extreme)]));
    let zero = NodeEvent::Applied { index: 0, slot: slot(1), state: 0 };
    rejects("state machine safety", "the index before the first", after(boot(), vec![(1, zero)]));
}

#[test]
fn events_after_a_violation_are_still_judged_and_each_invariant_keeps_its_first() {
    let mut set = InvariantSet::new(1..=3);
    let extreme = |index| NodeEvent::Applied { index, slot: slot(1), state: 0 };
    let (_, start) = started(1, 0, None, &[]);
    assert_eq!(set.observe(VirtualTime(1), 1, &start), Ok(()));
    for (time, index) in [(2, u64::MAX), (3, 1), (4, 2)] {
        assert!(set.observe(VirtualTime(time), 1, &extreme(index)).is_err());
    }
    let report = set.report().into_iter().find(|report| report.name == "state machine safety");
    let first = report.and_then(|report| report.violation).map(|violation| violation.at);
    assert_eq!(first, Some(VirtualTime(2)));
}

#[test]
fn commit_is_learnt() {
    let name = "commit is learnt";
    let ahead = vec![appended(1, 2, 1), appended(2, 2, 1), committed(2, 2)];
    rejects(name, "a follower commits what no leader has", after(one_committed(), ahead));
    let told = vec![
        appended(1, 2, 1),
        appended(2, 2, 1),
        durable(1, 1, Some(1), 2),
        durable(2, 1, Some(1), 2),
        committed(1, 2),
        committed(2, 2),
    ];
    accepts("a follower commits what its leader has", after(one_committed(), told));
    let older = vec![appended(3, 1, 1), role(3, Follower, 1), committed(3, 1)];
    accepts("another learns of it later", after(one_committed(), older));
}

#[test]
fn acknowledged_is_durable() {
    let name = "acknowledged is durable";
    let base = || after(boot(), elect(1, 2, 1, [0, 0]));
    let with = |more| after(base(), more);
    accepts(
        "what is durable is acknowledged, and again",
        with(vec![
            appended(2, 1, 1),
            durable(2, 1, Some(1), 1),
            acknowledges(2, 1, 1),
            acknowledges(2, 1, 1),
        ]),
    );
    accepts("an append of nothing", with(vec![acknowledges(2, 1, 0)]));
    rejects(name, "an entry that is in memory only", with(vec![appended(2, 1, 1), acknowledges(2, 1, 1)]));
    rejects(
        name,
        "an entry that is on its way to the disk",
        with(vec![appended(2, 1, 1), write_began(2), acknowledges(2, 1, 1)]),
    );
    rejects(
        name,
        "an entry that came after the write began",
        with(vec![write_began(2), appended(2, 1, 1), durable(2, 1, Some(1), 0), acknowledges(2, 1, 1)]),
    );
    rejects(name, "a term that is not durable", with(vec![role(3, Follower, 1), acknowledges(3, 1, 0)]));
    // Node 2 has entry 1 of term 1 on its way to the disk when the leader of term 2 has another there.
    let overtaken = |more| {
        let cut =
            vec![appended(2, 1, 1), write_began(2), role(2, Follower, 2), truncated(2, 1), appended(2, 1, 2)];
        with(after(cut, after(vec![durable(2, 1, Some(1), 1)], more)))
    };
    accepts(
        "what is on the disk is acknowledged to the leader of then",
        overtaken(vec![acknowledges(2, 1, 1)]),
    );
    let term_durable = vec![write_began(2), durable(2, 2, None, 1), acknowledges(2, 2, 1)];
    accepts("the next write makes the new entry durable", overtaken(term_durable));
    let stale_write = vec![
        appended(2, 1, 1),
        durable(2, 1, Some(1), 1),
        role(2, Follower, 2),
        write_began(2),
        truncated(2, 1),
        appended(2, 1, 2),
        durable(2, 2, None, 1),
        acknowledges(2, 2, 1),
    ];
    rejects(name, "a write that began before the cut stored another entry", with(stale_write));
    let restarted = vec![
        appended(2, 1, 1),
        durable(2, 1, Some(1), 1),
        appended(2, 2, 1),
        stopped(2),
        started(2, 1, Some(1), &[1]),
        acknowledges(2, 1, 1),
        appended(2, 2, 1),
        acknowledges(2, 1, 2),
    ];
    rejects(name, "what a restart has lost", with(restarted));
}

#[test]
fn versions_only_rise_and_only_to_what_a_program_speaks() {
    let name = "monotonic terms and indexes";
    let speaks =
        |version| (1, NodeEvent::Started { version, term: 0, voted_for: None, snapshot: None, log: vec![] });
    let raised = |version| (1, NodeEvent::VersionRaised { version });
    accepts("two versions", vec![speaks(3), raised(2), raised(3)]);
    rejects(name, "a version goes back", vec![speaks(3), raised(3), raised(2)]);
    rejects(name, "a program speaks a later version than its own", vec![speaks(2), raised(3)]);
    let newer = vec![speaks(2), raised(2), stopped(1), speaks(3), raised(2), raised(3)];
    accepts("a newer program takes over", newer);
}

#[test]
fn writes_begin_and_complete_one_at_a_time() {
    let name = "well-formed events";
    rejects(name, "two writes at a time", after(boot(), vec![write_began(1), write_began(1)]));
    let died =
        vec![write_began(1), stopped(1), started(1, 0, None, &[]), write_began(1), durable(1, 0, None, 0)];
    accepts("a node dies while it writes", after(boot(), died));
    let mut set = InvariantSet::new(1..=3);
    assert_eq!(set.observe(VirtualTime(1), 1, &started(1, 0, None, &[]).1), Ok(()));
    let completed = set.observe(VirtualTime(2), 1, &durable(1, 0, None, 0).1);
    assert_eq!(completed.map_err(|violation| violation.invariant), Err(name));
}
