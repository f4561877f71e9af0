//! Corners in which a message, an order or a change comes at the worst moment. Each is told as a script or
//! played on a single core, and judged by what must not be.

use bytes::Bytes;
use stormglass_nodes::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Term};
use stormglass_nodes::raft::membership::Membership;
use stormglass_nodes::raft::{
    Body, Config, Core, Effects, Entry, HardState, Input, Message, Payload, Recovered, SnapshotChunk,
    SnapshotMeta,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::script;

/// The last lines of a transcript, from the echo of its last command on.
fn ending(script: &str) -> String {
    let transcript = script::run(script);
    let last = script.trim().lines().last().unwrap_or_default();
    let at = transcript.rfind(&format!("> {last}")).expect("the last command is echoed");
    transcript[at..].to_owned()
}

fn chunk(index: u64, term: u64) -> Body {
    let data = Bytes::from(vec![index as u8; 16]);
    let membership = Membership::new((1..=3).map(NodeId).collect(), Vec::new());
    let meta =
        SnapshotMeta { index: LogIndex(index), term: Term(term), membership, ..SnapshotMeta::default() };
    let (total_bytes, checksum) = (data.len() as u64, xxh3_64(&data));
    Body::SnapshotChunk(Box::new(SnapshotChunk { meta, total_bytes, checksum, offset_bytes: 0, data }))
}

/// n2, whose log of ten entries is of term 1, in term 2; and what it does when n1 sends it `body`.
pub(crate) struct Follower(pub(crate) Core);

impl Follower {
    pub(crate) fn new() -> Self {
        let entries = (1..=10).map(|index| Entry {
            index: LogIndex(index),
            term: Term(1),
            time: ClusterTime(0),
            payload: Payload::Noop,
        });
        let hard_state = HardState { term: Term(2), voted_for: None };
        let recovered = Recovered { hard_state, snapshot: None, entries: entries.collect() };
        let config = Config::new(NodeId(2), (1..=3).map(NodeId).collect());
        Self(Core::new(config, recovered, 1, LocalTime(0)))
    }

    pub(crate) fn receive(&mut self, body: Body) -> Effects {
        let message = Message { from: NodeId(1), to: NodeId(2), term: Term(2), body };
        self.0.step(Input::Receive(message), LocalTime(1));
        self.0.effects()
    }
}

#[test]
fn an_earlier_snapshot_is_not_acknowledged_before_the_one_that_covers_it_is_durable() {
    let mut follower = Follower::new();
    let effects = follower.receive(chunk(20, 2));
    assert!(effects.store.is_some_and(|request| request.snapshot.is_some()), "the log is being replaced");
    // A late piece of an earlier snapshot, sent before this node was removed and added again. The disk still
    // holds entries of term 1 there.
    let effects = follower.receive(chunk(8, 2));
    let accepted = |message: &&Message| matches!(message.body, Body::AppendAccepted { .. });
    assert_eq!(effects.messages.iter().find(accepted), None, "nothing of the leader's log is durable here");
}

#[test]
fn an_earlier_snapshot_does_not_wait_for_a_write_that_does_not_hold_it() {
    let mut follower = Follower::new();
    let payload = Payload::Noop;
    let entry = Entry { index: LogIndex(11), term: Term(2), time: ClusterTime(0), payload };
    let (prev_index, prev_term) = (LogIndex(10), Term(1));
    let append =
        Body::AppendRequest { prev_index, prev_term, entries: vec![entry].into(), commit_index: LogIndex(0) };
    let first = follower.receive(append).store.expect("an entry is to be stored").token;
    assert!(follower.receive(chunk(20, 2)).store.is_none(), "one write at a time");
    let effects = follower.receive(chunk(15, 2));
    assert!(
        effects.messages_after.iter().all(|(token, _)| *token != first),
        "the write that is out holds no entry 15: {:?}",
        effects.messages_after
    );
}

#[test]
fn a_snapshot_of_a_term_that_its_sender_has_not_reached_is_ignored() {
    let effects = Follower::new().receive(chunk(20, 3));
    assert!(
        effects.store.is_none(),
        "the disk's log would be ahead of its term, and refused at the next start"
    );
}

#[test]
fn a_snapshot_beyond_every_index_is_ignored() {
    let effects = Follower::new().receive(chunk(u64::MAX, 2));
    assert!(effects.store.is_none());
}

#[test]
fn a_candidate_that_learns_of_its_removal_does_not_lead() {
    let ending = ending(
        "cluster 5
elect 1
change 1 -2
deliver 1->2
deliver 1->3
deliver 1->4
deliver 1->5
store 1
store 2
store 3
store 4
store 5
deliver 3->1
deliver 4->1
deliver 5->1
deliver 1->3 all            # only n3 hears that the change is committed
crash 1
drop 1
wait 1000ms
tick 2
deliver 2->4
deliver 2->5
drop 2->3
deliver 4->2
deliver 5->2                # n2 campaigns in good faith
store 2
deliver 2->3
store 3
deliver 3->2                # with its vote n3 says that n2 has left
deliver 2->4
store 4
deliver 4->2
deliver 2->5
store 5
deliver 5->2
state
",
    );
    let n2 = ending.lines().find(|line| line.contains("n2")).expect("n2 is up");
    assert!(!n2.contains("leader"), "n2 was removed and leads on:\n{ending}");
}

#[test]
fn an_order_to_campaign_that_a_pre_candidate_gets_is_carried_out_at_once() {
    let ending = ending(
        "cluster 3
elect 1
reign 1 100ms
cut 1->2
reign 1 700ms 1 3
tick 2
drop 2
heal
transfer 1 2
deliver 1->2                # n2 is in the middle of asking for pre-votes
stabilize
state
",
    );
    assert!(ending.contains("n2 leader, t2"), "the order is lost, or kept for later:\n{ending}");
}

#[test]
fn a_silent_node_that_is_made_to_campaign_tries_again() {
    let ending = ending(
        "cluster 3 quiesce_after_intervals=1
elect 1
quietly reign 1 250ms
campaign 2
drop all
wait 5000ms
tick 2 0ms
network
",
    );
    assert!(ending.contains("n2"), "n2 has asked once and then fallen asleep:\n{ending}");
}

#[test]
fn a_learner_that_starts_again_in_a_silent_group_makes_itself_heard() {
    let ending = ending(
        "cluster 3 spare=1 quiesce_after_intervals=1
elect 1
change 1 learn4
stabilize
reign 1 1000ms
crash 4
restart 4
wait 5000ms
tick 4 0ms
stabilize
tick 1 0ms
stabilize
state
",
    );
    let n4 = ending.lines().find(|line| line.contains("n4")).expect("n4 is up");
    assert!(!n4.contains("committed 0"), "n4 knows of nothing committed, and nobody tells it:\n{ending}");
}

#[test]
fn a_learners_question_that_is_lost_in_a_silent_group_is_asked_again() {
    let ending = ending(
        "cluster 3 spare=1 quiesce_after_intervals=1
elect 1
change 1 learn4
stabilize
reign 1 1000ms
read-anywhere 4 1
drop 4
wait 5000ms
tick 4 0ms
network
",
    );
    assert!(ending.contains("n4"), "n4's reader waits for ever:\n{ending}");
}

#[test]
fn pieces_of_a_snapshot_on_their_way_are_bounded_in_number_too() {
    let ending = ending(
        "cluster 3 append_bytes_max=8 inflight_messages_max=2 trailing_entries=0
elect 1
cut 1->3 3->1
propose 1 a
stabilize 1 2
propose 1 b
stabilize 1 2
snapshot 1
stabilize 1 2
drop all
heal
unreachable 1 3
network
",
    );
    let pieces = ending.lines().filter(|line| line.contains("snapshot")).count();
    assert!((1..=2).contains(&pieces), "{pieces} pieces are on their way:\n{ending}");
}

#[test]
fn a_leader_that_writes_a_long_snapshot_of_its_own_leads_on() {
    let ending = ending(
        "cluster 3 store_stall_us_max=200000
elect 1
propose 1 a
stabilize
reign 1 50ms
snapshot 1                  # n1's disk is busy with it from now on
propose 1 b
tick 1 50ms
stabilize 2 3
deliver 1->2 all
deliver 1->3 all
stabilize 2 3
deliver 2->1 all
deliver 3->1 all
tick 1 50ms
deliver 1->2 all
deliver 1->3 all
stabilize 2 3
deliver 2->1 all
deliver 3->1 all
tick 1 50ms
deliver 1->2 all
deliver 1->3 all
stabilize 2 3
deliver 2->1 all
deliver 3->1 all
tick 1 60ms
state
",
    );
    let n1 = ending.lines().find(|line| line.contains("n1")).expect("n1 is up");
    assert!(n1.contains("leader"), "n1 gave up for having taken a snapshot:\n{ending}");
}

#[test]
fn a_new_voter_that_forgets_so_in_a_restart_does_not_block_the_others_for_ever() {
    let ending = ending(
        "cluster 1 spare=1
elect 1
change 1 learn2
stabilize
reign 1 100ms
change 1 +2
stabilize
reign 1 100ms
snapshot 1
stabilize
propose 1 a                 # n1's disk is slow
deliver 1->2
store 2
crash 1
crash 2
restart 1                   # knows from its snapshot that n2 votes, and lacks the last entry
restart 2                   # has the last entry, and takes itself for a learner
drop all
tick 1 1000ms
tick 2 0ms
stabilize
tick 1 1000ms
tick 2 0ms
stabilize
tick 1 1000ms
tick 2 1000ms
stabilize
tick 1 1000ms
tick 2 1000ms
stabilize
state
",
    );
    assert!(ending.contains("leader"), "nobody leads, ever again:\n{ending}");
}

#[test]
fn an_agreement_to_silence_that_was_overtaken_by_work_does_not_count() {
    let ending = ending(
        "cluster 3 quiesce_after_intervals=1
elect 1
tick 1
stabilize
tick 1
deliver 1->2
deliver 2->1                # n2 agrees to be silent
drop 1->3
read 1 7                    # there is something to do
deliver 1->2
drop 2->1                   # n2 is awake, which n1 does not hear
stabilize 1 3
crash 2
tick 1
stabilize
tick 1
stabilize
state
",
    );
    let n1 = ending.lines().find(|line| line.contains("n1")).expect("n1 is up");
    assert!(!n1.contains("silent"), "n1 fell silent though n2 is gone:\n{ending}");
}

#[test]
fn an_answer_to_an_earlier_proposal_of_silence_does_not_count() {
    let ending = ending(
        "cluster 3 quiesce_after_intervals=1
elect 1
tick 1
stabilize
tick 1
deliver 1->2                # its agreement stays on the way for long
drop 1->3
propose 1 a
stabilize 1 3
deliver 1->2 all
store 2
tick 1
deliver 1->2                # n2 is awake
crash 2
deliver 2->1                # the agreement
drop 2->1 1                 # the call that woke n2
deliver 2->1                # n2 holds the entry
drop 2->1
stabilize 1 3
tick 1
stabilize 1 3
tick 1
stabilize 1 3
state
",
    );
    let n1 = ending.lines().find(|line| line.contains("n1")).expect("n1 is up");
    assert!(!n1.contains("silent"), "n1 fell silent though n2 is gone:\n{ending}");
}

#[test]
fn a_follower_whose_disk_hangs_forgets_a_leader_that_is_gone() {
    let ending = ending(
        "cluster 3 store_stall_us_max=200000
elect 1
propose 1 a
deliver 1->2                # n2's disk does not answer from here on
crash 1
tick 2
",
    );
    assert!(ending.contains("n2 is follower in t1, leader nobody"), "it does not campaign either:\n{ending}");
    assert!(!ending.contains("vote"), "{ending}");
}
