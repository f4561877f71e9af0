//! Writes of clients that read near at a node which does not lead.

use super::tests::{Cluster, N1, N2, N3};
use crate::api::{RequestBody, ResponseBody};
use crate::coherence::{
    AskNumber, Claim, DirectoryStats, KEY_BYTES_MAX, Key, Life, LineState, SURRENDERS_MAX, Surrender,
};
use crate::ids::NodeId;
use crate::machine::{CacheQuery, MachineError};

impl Cluster {
    fn begin_write(&mut self, id: NodeId, key: &str) -> Vec<Surrender> {
        let asked = self.ask(id, RequestBody::BeginWrite { keys: vec![key.to_owned()] });
        match self.answers.remove(&asked) {
            Some(Ok(ResponseBody::Surrendered(surrenders))) => surrenders,
            other => panic!("not answered at once: {other:?}"),
        }
    }

    /// A client of `holder` sends its write to `id`.
    fn begin_set_of(
        &mut self,
        id: NodeId,
        (holder, surrenders): (NodeId, Vec<Surrender>),
        value: &'static str,
    ) -> u64 {
        let command = self.setting("key", value);
        self.ask(id, RequestBody::CommandOfHolder { command, holder, surrenders })
    }

    fn begin_near(&mut self, id: NodeId) -> u64 {
        self.ask(id, RequestBody::QueryNear(CacheQuery::Get { key: "key".to_owned() }))
    }

    fn state(&mut self, id: NodeId) -> Option<LineState> {
        let node = self.node(id);
        node.replica.near.holder.state("key", node.now())
    }

    fn directed(&mut self) -> DirectoryStats {
        self.node(N1).replica.near.directory.stats()
    }
}

/// N2 holds the key's line, and nobody else.
fn held_by_a_follower() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.set(N1, "key", "zero");
    assert_eq!(cluster.near(N2, "key"), Some("zero".to_owned()));
    assert_eq!(cluster.state(N2), Some(LineState::Exclusive));
    cluster
}

#[test]
fn a_follower_writes_its_exclusive_line_again_and_again_without_an_invalidation() {
    let mut cluster = held_by_a_follower();
    let before = cluster.directed();
    for (written, value) in (1..).zip(["one", "two", "three"]) {
        let surrenders = cluster.begin_write(N2, "key");
        assert_eq!(surrenders.len(), 1);
        assert_eq!(cluster.state(N2), Some(LineState::Modified));
        let hits = cluster.hits(N2);
        let reader = cluster.begin_near(N2);
        assert!(!cluster.answers.contains_key(&reader), "nobody reads it while the write is under way");
        let asked = cluster.begin_set_of(N1, (N2, surrenders), value);
        cluster.is_written(asked);
        assert!(cluster.answers.remove(&reader).is_some_and(|answer| answer.is_ok()), "it has the result");
        assert_eq!(cluster.hits(N2), hits);
        assert_eq!(cluster.state(N2), Some(LineState::Exclusive));
        assert_eq!(cluster.near(N2, "key"), Some(value.to_owned()));
        assert_eq!(cluster.hits(N2), hits + 1);
        let after = cluster.directed();
        assert_eq!(after.invalidations, before.invalidations, "nobody was told");
        assert_eq!(after.writes_held_back, before.writes_held_back, "nobody was waited for");
        assert_eq!(after.given_up, before.given_up + written);
        assert_eq!(after.granted_exclusive, before.granted_exclusive + written);
        assert_eq!((after.asks, after.rounds), (before.asks, before.rounds), "no question of its own");
    }
    assert_eq!(cluster.node(N2).replica.near.holder.stats().surrenders, 3);
}

#[test]
fn the_line_is_the_writers_alone_afterwards_whoever_read_it_before() {
    let mut cluster = held_by_a_follower();
    for id in [N1, N3] {
        cluster.near(id, "key");
        assert_eq!(cluster.state(id), Some(LineState::Shared));
    }
    let surrenders = cluster.begin_write(N2, "key");
    let asked = cluster.begin_set_of(N1, (N2, surrenders), "one");
    cluster.is_written(asked);
    assert_eq!([N1, N2, N3].map(|id| cluster.state(id)), [None, Some(LineState::Exclusive), None]);
    assert_eq!(cluster.near(N3, "key"), Some("one".to_owned()));
}

#[test]
fn a_write_that_never_comes_leaves_a_line_that_nobody_reads_and_that_is_given_up() {
    let mut cluster = held_by_a_follower();
    assert_eq!(cluster.begin_write(N2, "key").len(), 1);
    let (hits, reader) = (cluster.hits(N2), cluster.begin_near(N2));
    cluster.pass_ms(99);
    assert_eq!(cluster.state(N2), Some(LineState::Modified));
    assert!(!cluster.answers.contains_key(&reader));
    cluster.pass_ms(2);
    assert_eq!(cluster.state(N2), None);
    assert!(cluster.answers.remove(&reader).is_some_and(|answer| answer.is_ok()), "by a round of the leader");
    assert_eq!(cluster.hits(N2), hits);
    // And the next one brings it back.
    cluster.near(N2, "key");
    assert_eq!(cluster.state(N2), Some(LineState::Exclusive));
}

#[test]
fn a_write_that_never_comes_holds_up_nobody_else() {
    let mut cluster = held_by_a_follower();
    let lost = cluster.begin_write(N2, "key");
    cluster.set(N1, "key", "one");
    assert_eq!(cluster.state(N2), None, "its node was asked, and said so at once");
    let reader = cluster.begin_near(N2);
    cluster.pass_ms(101);
    assert!(cluster.answers.remove(&reader).is_some());
    assert_eq!(cluster.near(N2, "key"), Some("one".to_owned()));
    // It comes after all. The line is a later one, so its node is asked.
    let before = cluster.directed();
    let asked = cluster.begin_set_of(N1, (N2, lost), "two");
    cluster.is_written(asked);
    assert_eq!(cluster.directed().invalidations, before.invalidations + 1);
    assert_eq!(cluster.near(N3, "key"), Some("two".to_owned()));
    assert_eq!(cluster.near(N2, "key"), Some("two".to_owned()));
}

#[test]
fn a_surrender_of_old_does_not_cover_the_line_that_came_with_it() {
    let mut cluster = held_by_a_follower();
    let surrenders = cluster.begin_write(N2, "key");
    let asked = cluster.begin_set_of(N1, (N2, surrenders.clone()), "one");
    cluster.is_written(asked);
    assert_eq!(cluster.near(N2, "key"), Some("one".to_owned()));
    cluster.cut_off = vec![N2];
    let asked = cluster.begin_set_of(N1, (N2, surrenders), "two");
    cluster.pass_ms(100);
    assert!(!cluster.answers.contains_key(&asked), "somebody may still be reading it");
    assert_eq!(cluster.near(N2, "key"), Some("one".to_owned()));
    cluster.pass_ms(51);
    cluster.is_written(asked);
    assert_eq!(cluster.state(N2), None);
}

#[test]
fn surrenders_survive_an_election_as_words_and_bring_no_line() {
    let mut cluster = held_by_a_follower();
    let surrenders = cluster.begin_write(N2, "key");
    cluster.elect(N3);
    assert_eq!(cluster.state(N2), None, "who knows what becomes of the write");
    let asked = cluster.begin_set_of(N3, (N2, surrenders), "one");
    cluster.is_written(asked);
    assert_eq!(cluster.state(N2), None);
    assert_eq!(cluster.near(N2, "key"), Some("one".to_owned()));
}

#[test]
fn a_node_without_a_line_and_one_that_leads_give_up_nothing() {
    let mut cluster = held_by_a_follower();
    assert_eq!(cluster.begin_write(N3, "key"), []);
    assert_eq!(cluster.begin_write(N2, "other"), []);
    cluster.near(N1, "key");
    assert_eq!(cluster.begin_write(N1, "key"), []);
    assert_eq!(cluster.state(N1), Some(LineState::Shared), "it is read until the command comes");
}

#[test]
fn what_no_node_has_given_up_is_refused_or_counts_for_nothing() {
    let mut cluster = held_by_a_follower();
    let made_up = |key: &str| Surrender {
        key: Key::from(key),
        claim: Claim { life: Life(7), number: AskNumber(u64::MAX) },
    };
    let is_refused = |answer: Option<Result<ResponseBody, _>>| {
        matches!(answer, Some(Ok(ResponseBody::Outcome(Err(MachineError::InvalidArgument(_))))))
    };
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    for keys in [vec!["key".to_owned(); SURRENDERS_MAX + 1], vec![long.clone()]] {
        let asked = cluster.ask(N2, RequestBody::BeginWrite { keys });
        assert!(is_refused(cluster.answers.remove(&asked)));
    }
    assert_eq!(cluster.state(N2), Some(LineState::Exclusive));
    for surrenders in [vec![made_up("key"); SURRENDERS_MAX + 1], vec![made_up(&long)]] {
        let asked = cluster.begin_set_of(N1, (N2, surrenders), "one");
        assert!(is_refused(cluster.answers.remove(&asked)));
    }
    // Of another life, of another key, of no member: whoever holds the line is asked as ever.
    for (holder, key) in [(N2, "key"), (N2, "other"), (NodeId(9), "key")] {
        // What was granted to whom there is not is over.
        cluster.pass_ms(151);
        cluster.near(N2, "key");
        let before = cluster.directed();
        let asked = cluster.begin_set_of(N1, (holder, vec![made_up(key); 2]), "one");
        cluster.is_written(asked);
        assert_eq!(cluster.directed().invalidations, before.invalidations + 1, "{holder} {key}");
        assert_eq!(cluster.state(N2), None);
    }
}
