//! What a core tells its driver and its peers of what was asked: each asker gets an outcome, and the one that
//! is true.

use bytes::Bytes;
use stormglass_nodes::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Term};
use stormglass_nodes::raft::membership::{MemberChange, Membership, MembershipChange};
use stormglass_nodes::raft::{
    Body, Config, Core, Entry, Input, Message, Payload, ReadIndexAnswer, ReadOutcome, Reconfiguration,
    Recovered, Refusal, TransferOutcome,
};

use crate::corners::Follower;

/// n1, which leads n2 and n3 in term 1; n2 has acknowledged the first entry.
fn leader(adjust: impl FnOnce(&mut Config)) -> Core {
    let mut config = Config::new(NodeId(1), (1..=3).map(NodeId).collect());
    config.pre_vote = false;
    adjust(&mut config);
    let mut core = Core::new(config, Recovered::default(), 1, LocalTime(0));
    let mut step = |input| {
        core.step(input, LocalTime(1));
        while let Some(request) = core.effects().store {
            core.step(Input::Stored(request.token), LocalTime(1));
        }
    };
    let from_n2 = |body| Input::Receive(Message { from: NodeId(2), to: NodeId(1), term: Term(1), body });
    step(Input::Campaign);
    step(from_n2(Body::VoteResponse { granted: true, committed: Default::default() }));
    step(from_n2(Body::AppendAccepted { match_index: LogIndex(1) }));
    core
}

#[test]
fn a_peer_for_which_the_next_entry_is_too_heavy_is_paused() {
    let mut core = leader(|config| {
        config.inflight_bytes_max = 200;
        config.append_bytes_max = 200;
    });
    let mut propose = |length| {
        core.step(Input::Propose { id: 1, command: Bytes::from(vec![7; length]) }, LocalTime(1));
        drop(core.effects());
        core.peers()[0].clone()
    };
    assert!(!propose(68).is_paused, "there is room for more");
    let peer = propose(100);
    assert_eq!(peer.inflight_messages, 1, "100 bytes are left, and the next entry weighs more");
    assert!(peer.is_paused, "nothing is sent to it before it answers");
}

#[test]
fn every_transfer_asked_for_at_once_has_an_outcome_of_its_own() {
    let mut core = leader(|_| {});
    for to in [9, 2, 3] {
        core.step(Input::Transfer { to: Some(NodeId(to)) }, LocalTime(1));
    }
    let refused = TransferOutcome::Refused;
    assert_eq!(
        core.effects().transfers,
        [refused(Refusal::NoSuchVoter), refused(Refusal::Transferring { to: NodeId(2) })]
    );
}

#[test]
fn an_overloaded_leader_says_so_to_a_follower_that_asks_for_a_read_index() {
    let mut core = leader(|config| config.pending_reads_max = 1);
    core.step(Input::Read { id: 1 }, LocalTime(1));
    let question = Body::ReadIndexRequest { read: 5 };
    let message = Message { from: NodeId(2), to: NodeId(1), term: Term(1), body: question };
    core.step(Input::Receive(message), LocalTime(1));
    let answer = Body::ReadIndexResponse { read: 5, answer: ReadIndexAnswer::Overloaded };
    assert!(core.effects().messages.iter().any(|message| message.body == answer));
}

#[test]
fn a_follower_hands_on_why_its_leader_gave_no_read_index() {
    for (answer, reason) in [
        (ReadIndexAnswer::Overloaded, Refusal::Overloaded),
        (ReadIndexAnswer::NotLeader, Refusal::NotLeader { leader: Some(NodeId(1)) }),
    ] {
        let mut follower = Follower::new();
        follower.receive(Body::Heartbeat { commit_index: LogIndex(0), read_round: 0, quiesce: false });
        follower.0.step(Input::ReadAnywhere { id: 3 }, LocalTime(1));
        let asked = follower.0.effects().messages;
        let [Message { body: Body::ReadIndexRequest { read }, .. }] = asked[..] else { panic!("{asked:?}") };
        let effects = follower.receive(Body::ReadIndexResponse { read, answer });
        assert_eq!(effects.reads, [ReadOutcome::Refused { id: 3, reason }]);
    }
}

#[test]
fn a_node_that_is_no_member_any_more_answers_its_forwarded_reads() {
    let mut follower = Follower::new();
    follower.receive(Body::Heartbeat { commit_index: LogIndex(0), read_round: 0, quiesce: false });
    follower.0.step(Input::ReadAnywhere { id: 3 }, LocalTime(1));
    drop(follower.0.effects());
    let after = Membership::new(vec![NodeId(1), NodeId(3)], Vec::new());
    let change = MembershipChange::of(vec![MemberChange::Remove(NodeId(2))]);
    let payload = Payload::Membership(Box::new(Reconfiguration { change, after }));
    let entry = Entry { index: LogIndex(11), term: Term(2), time: ClusterTime(0), payload };
    let (prev_index, prev_term) = (LogIndex(10), Term(1));
    let entries = vec![entry].into();
    let stored =
        follower.receive(Body::AppendRequest { prev_index, prev_term, entries, commit_index: LogIndex(11) });
    let mut effects = stored;
    let mut reads = Vec::new();
    for _ in 0..3 {
        if let Some(request) = effects.store.take() {
            follower.0.step(Input::Stored(request.token), LocalTime(1));
        }
        if let Some(last) = effects.committed.last() {
            follower.0.step(Input::Applied(last.index), LocalTime(1));
        }
        effects = follower.0.effects();
        reads.append(&mut effects.reads);
    }
    let [ReadOutcome::Refused { id: 3, reason: Refusal::NotLeader { .. } }] = reads[..] else {
        panic!("the read waits for a leader that will never call again: {reads:?}")
    };
}
