//! Snapshots and compaction: what the invariants accept of them, and what they reject.

use stormglass_sim::history::NodeRole::{Candidate, Follower, Leader};
use stormglass_sim::history::{NodeEvent, SnapshotSeen};

use crate::events::*;

/// Node 3 of a cluster with five committed entries follows in term 1 and has the first of them, durably.
fn far_behind() -> Vec<Step> {
    let begins = vec![role(3, Follower, 1), appended(3, 1, 1), durable(3, 1, None, 1)];
    after(many_committed(5), begins)
}

/// Node 3 has got a snapshot up to entry 4, and goes on from there.
fn caught_up() -> Vec<Step> {
    after(
        far_behind(),
        vec![
            received(3, snapshot(4, 1)),
            durable(3, 1, None, 4),
            acknowledges(3, 1, 4),
            installed(3, 4),
            appended(3, 5, 1),
            durable(3, 1, None, 5),
            acknowledges(3, 1, 5),
            committed(3, 5),
            applied(3, 5, 1),
        ],
    )
}

#[test]
fn a_node_that_was_sent_a_snapshot_goes_on_after_it() {
    accepts("it follows", caught_up());
    accepts("it leads", after(caught_up(), elect(3, 2, 2, [5, 5])));
    accepts(
        "it restarts from the snapshot and applies what follows",
        after(
            caught_up(),
            vec![stopped(3), started_from(3, 1, snapshot(4, 1), &[1]), committed(3, 5), applied(3, 5, 1)],
        ),
    );
}

#[test]
fn a_snapshot_covers_nothing_but_what_is_committed() {
    let name = "state machine safety";
    rejects(name, "more than is committed", after(far_behind(), vec![received(3, snapshot(6, 1))]));
    rejects(name, "another term", after(far_behind(), vec![received(3, snapshot(4, 2))]));
    rejects(name, "the place before the first entry", after(far_behind(), vec![received(3, snapshot(0, 0))]));
    let members = SnapshotSeen { members: voters(&[1, 2]), ..snapshot(4, 1) };
    rejects(name, "other members than there were", after(far_behind(), vec![received(3, members)]));
    let restart = |snapshot| after(caught_up(), vec![stopped(3), started_from(3, 1, snapshot, &[1])]);
    rejects(name, "a restart from more than is committed", restart(snapshot(6, 1)));
    rejects(name, "a restart from beyond all bounds", restart(snapshot(u64::MAX, 1)));
    rejects(name, "a restart from another term", restart(snapshot(4, 9)));
}

#[test]
fn a_snapshot_leads_to_the_state_that_its_last_entry_leads_to() {
    let name = "state machine safety";
    let got = |more| after(far_behind(), after(vec![received(3, snapshot(4, 1))], more));
    let stored = |more| got(after(vec![durable(3, 1, None, 4)], more));
    let other = (3, NodeEvent::Installed { index: 4, state: 1 });
    rejects(name, "another state", stored(vec![other]));
    rejects(name, "before it is durable", got(vec![installed(3, 4)]));
    rejects(name, "twice", stored(vec![installed(3, 4), installed(3, 4)]));
    rejects(
        name,
        "an entry that it covers is applied as well",
        stored(vec![installed(3, 4), applied(3, 4, 1)]),
    );
    rejects(name, "an entry is applied before the snapshot is installed", stored(vec![applied(3, 1, 1)]));
    let next = vec![installed(3, 4), appended(3, 5, 1), durable(3, 1, None, 5), committed(3, 5)];
    let state = NodeEvent::Applied { index: 5, slot: slot(1), state: 99 };
    rejects(name, "the entry after it leads to another state", stored(after(next, vec![(3, state)])));
}

#[test]
fn only_what_was_applied_is_let_go_of() {
    let name = "state machine safety";
    accepts("applied entries", after(many_committed(3), vec![compacted(1, 2), compacted(1, 3)]));
    let ahead = vec![appended(1, 4, 1), compacted(1, 4)];
    rejects(name, "an entry that is not applied", after(many_committed(3), ahead));
    let back = vec![compacted(1, 3), compacted(1, 2)];
    rejects("monotonic terms and indexes", "what was let go of comes back", after(many_committed(3), back));
    rejects("well-formed events", "more than there is", after(many_committed(3), vec![compacted(1, 4)]));
}

#[test]
fn a_snapshot_does_not_make_the_log_durable_before_it_is_stored() {
    let name = "acknowledged is durable";
    let got = |more| after(far_behind(), after(vec![received(3, snapshot(4, 1))], more));
    accepts("what was durable before is durable still", got(vec![acknowledges(3, 1, 1)]));
    rejects(name, "the snapshot is in memory only", got(vec![acknowledges(3, 1, 4)]));
    let older_write = vec![
        appended(3, 2, 1),
        write_began(3),
        received(3, snapshot(4, 1)),
        durable(3, 1, None, 2),
        acknowledges(3, 1, 2),
        acknowledges(3, 1, 4),
    ];
    rejects(name, "a write that began before stored entries of before", after(far_behind(), older_write));
}

#[test]
fn a_log_that_a_snapshot_replaced_is_not_counted() {
    // Node 3 has entries of its own, durably, where the snapshot has others.
    let name = "acknowledged is durable";
    let own = vec![
        appended(3, 1, 9),
        appended(3, 2, 9),
        role(3, Follower, 9),
        durable(3, 9, None, 2),
        received(3, snapshot(4, 1)),
    ];
    let with = |more| after(many_committed(5), after(own.clone(), more));
    rejects(name, "its own entries", with(vec![acknowledges(3, 9, 1)]));
    accepts("once the snapshot is durable", with(vec![durable(3, 9, None, 4), acknowledges(3, 9, 4)]));
    let kept = with(vec![stopped(3), started(3, 9, None, &[9, 9])]);
    accepts("until then a restart may find them again", kept);
}

#[test]
fn a_restart_recovers_the_snapshot_or_what_was_durable_before() {
    let name = "durable log";
    let restart =
        |steps, snapshot, terms: &[u64]| after(steps, vec![stopped(3), started_from(3, 1, snapshot, terms)]);
    rejects(name, "the entry after the snapshot is lost", restart(caught_up(), snapshot(4, 1), &[]));
    rejects(name, "the entry after the snapshot has changed", restart(caught_up(), snapshot(4, 1), &[7]));
    accepts("a later snapshot covers it", restart(caught_up(), snapshot(5, 1), &[]));
    accepts("an earlier snapshot and the whole log", restart(caught_up(), snapshot(2, 1), &[1, 1, 1]));
    rejects(name, "the snapshot is lost", after(caught_up(), vec![stopped(3), started(3, 1, None, &[1])]));
    let in_memory = after(far_behind(), vec![received(3, snapshot(4, 1)), stopped(3)]);
    accepts(
        "a snapshot that was in memory only is lost",
        after(in_memory.clone(), vec![started(3, 1, None, &[1])]),
    );
    rejects(name, "and so is what was durable before it", after(in_memory, vec![started(3, 1, None, &[])]));
}

#[test]
fn snapshots_count_as_the_entries_that_they_cover() {
    let append = |node| vec![appended(node, 6, 1), durable(node, 1, (node < 3).then_some(1), 6)];
    accepts("for a quorum", after(caught_up(), [append(1), append(3), vec![committed(1, 6)]].concat()));
    let gone = after(caught_up(), [append(1), vec![appended(3, 6, 1), committed(1, 6)]].concat());
    rejects("committed is durable", "but for no more", gone);
    let lost =
        [append(1), append(3), vec![committed(1, 6), stopped(3), started_from(3, 1, snapshot(5, 1), &[])]];
    rejects("committed is durable", "what is committed stays durable", after(caught_up(), lost.concat()));
}

#[test]
fn only_a_follower_is_sent_a_snapshot_and_only_a_later_one() {
    let leads = after(many_committed(5), vec![received(1, snapshot(5, 1))]);
    rejects("leader append-only", "a leader's log is replaced", leads);
    let earlier = after(caught_up(), vec![received(3, snapshot(4, 1))]);
    rejects("monotonic terms and indexes", "a snapshot of what is committed there", earlier);
    // Leader completeness holds of a log that begins behind a snapshot as well.
    let short = after(far_behind(), vec![received(3, snapshot(4, 1)), durable(3, 1, None, 4)]);
    let elected = after(short, vec![role(3, Candidate, 2), voted(3, 2, 3), durable(3, 2, Some(3), 4)]);
    let by_two = vec![role(2, Follower, 2), voted(2, 2, 3), durable(2, 2, Some(3), 5), role(3, Leader, 2)];
    rejects("leader completeness", "a leader without the entry after the snapshot", after(elected, by_two));
}
