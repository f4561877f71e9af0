//! Members whose near-caches are set otherwise than the cluster has agreed.

use super::super::replica::Replica;
use super::super::{NodeConfig, NodeError, Silent};
use super::tests::{Cluster, N1, N2, N3};
use crate::coherence::{Directory, Key, Settings, WriteId};
use crate::fake_env::FakeEnv;
use crate::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Term};
use crate::machine::{Command, Machine, NearTerms};
use crate::raft::membership::Membership;
use crate::raft::{HardState, Recovered, Snapshot, SnapshotMeta};

#[test]
fn the_first_question_for_a_line_makes_the_members_agree_and_who_is_set_otherwise_stops() {
    let mut cluster = Cluster::new();
    cluster.node(N3).replica.near.terms.lease_us = 50_000;
    cluster.set(N1, "key", "one");
    assert_eq!(cluster.node(N1).replica.machine.near_terms(), None);
    assert_eq!(cluster.near(N2, "key"), Some("one".to_owned()));
    let own = cluster.node(N2).replica.near.terms;
    assert_eq!(cluster.node(N2).replica.machine.near_terms(), Some(own));
    assert!(
        cluster.node(N1).replica.take_failure().is_none()
            && cluster.node(N2).replica.take_failure().is_none()
    );
    let failure = cluster.node(N3).replica.take_failure();
    assert!(matches!(failure, Some(NodeError::NearTerms { agreed, .. }) if agreed == own), "{failure:?}");
}

#[test]
fn a_node_set_otherwise_than_its_snapshot_says_does_not_start() {
    let agreed = NearTerms { lease_us: 150_000, drift_ppm_max: 1_000 };
    let mut machine = Machine::new();
    let agree = Command::AgreeOnNear { terms: agreed, replaces: None };
    machine.apply(LogIndex(1), ClusterTime(0), &agree).outcome.expect("nothing was agreed on");
    let mut data = vec![0; super::super::applying::STATE_HASH_BYTES];
    let mut frozen = machine.snapshot();
    while let Some(piece) = frozen.next_piece(1024) {
        data.extend_from_slice(&piece);
    }
    let membership = Membership::new(vec![NodeId(1)], Vec::new());
    let meta =
        SnapshotMeta { index: LogIndex(1), term: Term(1), membership, version: 1, ..SnapshotMeta::default() };
    let start = |settings: Settings| {
        let snapshot = Some(Snapshot { meta: meta.clone(), data: data.clone().into() });
        let hard_state = HardState { term: Term(1), voted_for: None };
        let recovered = Recovered { hard_state, snapshot, entries: Vec::new() };
        let config = NodeConfig { near: settings, ..NodeConfig::new(1, NodeId(1), vec![NodeId(1)]) };
        Replica::new(FakeEnv::with_entropy(1), Silent, &config, recovered)
    };
    assert!(start(Settings::default()).is_ok());
    for other in [
        Settings { lease_us: 149_999, ..Settings::default() },
        Settings { lease_us: 0, ..Settings::default() },
        Settings { drift_ppm_max: 2_000, ..Settings::default() },
    ] {
        let refused = start(other).err();
        assert!(matches!(refused, Some(NodeError::NearTerms { agreed: found, .. }) if found == agreed));
    }
}

#[test]
fn a_new_leader_waits_for_the_longest_lease_ever_agreed_on_and_for_knowing_it() {
    let settings = Settings { lease_us: 10, ..Settings::default() };
    let mut directory = Directory::new(settings, LocalTime(0));
    directory.set_members([N1, N2].into(), LocalTime(0));
    directory.elected(Term(2), LocalTime(1_000_000));
    let write =
        directory.take_write([Key::from("key")].into(), None, LocalTime(1_000_000)).expect("it leads");
    let proposable = |directory: &mut Directory, at| -> Vec<WriteId> {
        directory.tick(LocalTime(at));
        directory.take_effects().proposable
    };
    assert_eq!(proposable(&mut directory, 1_900_000), [], "it has applied nothing of its term");
    directory.set_agreement(true, 2_000_000);
    directory.ready(LocalTime(1_900_000));
    assert_eq!(proposable(&mut directory, 2_999_999), [], "n2 has not answered");
    assert_eq!(proposable(&mut directory, 3_000_000), [write]);
}
