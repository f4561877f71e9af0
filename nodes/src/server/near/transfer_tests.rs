//! What comes due, or is asked for, while a leader tries in vain to hand over.

use super::tests::{Cluster, N1, N2, N3};
use crate::api::RequestBody;
use crate::machine::{CacheQuery, Command, LEASE_US_MIN};
use crate::raft::Refusal;

/// Longer than a leader tries.
const IN_VAIN_MS: u64 = 1_000;

fn hand_over_to_nobody(cluster: &mut Cluster) {
    cluster.cut_off = vec![N3];
    cluster.ask(N1, RequestBody::Transfer { to: Some(N3) });
    assert!(cluster.node(N1).replica.is_handing_over());
}

#[test]
fn a_lease_that_ends_while_a_transfer_fails_ends_all_the_same() {
    let mut cluster = Cluster::new();
    cluster.ask(N1, RequestBody::Command(Command::OpenSession { lease_us: LEASE_US_MIN }));
    cluster.pass_ms(LEASE_US_MIN / 1_000 - 50);
    hand_over_to_nobody(&mut cluster);
    cluster.pass_ms(100);
    let refused = cluster.node(N1).replica.tick_refused;
    assert_eq!(refused, Some(Refusal::Transferring { to: N3 }), "its end came during the transfer");
    cluster.pass_ms(IN_VAIN_MS);
    let leader = &cluster.node(N1).replica;
    assert!(leader.leads() && !leader.is_handing_over());
    assert!(leader.next_expiry() > Some(leader.cluster_time()), "nothing is overdue");
}

#[test]
fn near_caches_agree_after_a_transfer_that_failed() {
    let mut cluster = Cluster::new();
    cluster.set(N1, "key", "one");
    hand_over_to_nobody(&mut cluster);
    let get = || RequestBody::QueryNear(CacheQuery::Get { key: "key".to_owned() });
    cluster.ask(N2, get());
    assert_eq!(cluster.node(N1).replica.machine.near_terms(), None, "nothing can be proposed meanwhile");
    cluster.pass_ms(IN_VAIN_MS);
    assert!(cluster.node(N1).replica.leads());
    cluster.ask(N2, get());
    let own = cluster.node(N1).replica.near.terms;
    assert_eq!(cluster.node(N1).replica.machine.near_terms(), Some(own));
}
