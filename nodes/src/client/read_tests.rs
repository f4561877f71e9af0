//! Watches, reads within an age, what is lost, and whom a client turns to while the leadership changes hands:
//! the test is the cluster.

use bytes::Bytes;

use super::tests::{Bench, done};
use super::{ClientConfig, ClientError, LifeLeft, ReadFrom};
use crate::api::{ApiError, RequestBody, Response, ResponseBody};
use crate::env::Env;
use crate::ids::{Address, ClientId, LogIndex, NodeId};
use crate::machine::{
    CacheReply, LockMode, LockReply, LockState, MachineError, Outcome, Reply, Versioned, WAIT_US_MAX,
};
use crate::transport::Frame;

/// Answers the only request under way.
fn answer(bench: &Bench, result: impl FnOnce(&RequestBody) -> Result<ResponseBody, ApiError>) -> Address {
    let mut requests = bench.requests();
    let (Some((to, request)), true) = (requests.pop(), requests.is_empty()) else {
        panic!("there is not one request")
    };
    let response = Response { id: request.id, result: result(&request.body) };
    bench.env.deliver(to, Frame::Response(response).encode());
    to
}

fn state(version: u64) -> Outcome {
    let state = LockState { version: LogIndex(version), ..LockState::default() };
    Ok(Reply::Lock(LockReply::State(Box::new(state))))
}

const DOOR: &str = "door";

#[test]
fn a_watch_goes_on_in_parts_until_there_is_a_change() {
    let bench = Bench::new(1);
    let watched = bench.begin(|client| async move { client.watch_lock(DOOR, LogIndex(7), 2_500_000).await });
    let is_part = |body: &RequestBody, part_us| {
        let expected = RequestBody::Watch { resource: DOOR.to_owned(), seen: LogIndex(7), wait_us: part_us };
        assert_eq!(*body, expected);
    };
    bench.env.advance_us(1_000_000);
    answer(&bench, |body| {
        is_part(body, 1_000_000);
        Ok(ResponseBody::Outcome(state(7)))
    });
    assert_eq!(done(&watched), None, "that is no change");
    bench.env.advance_us(900_000);
    answer(&bench, |body| {
        is_part(body, 1_000_000);
        Ok(ResponseBody::Outcome(state(9)))
    });
    assert!(matches!(done(&watched), Some(Ok(LockState { version: LogIndex(9), .. }))));
}

#[test]
fn a_watch_ends_with_its_time_and_moves_on_from_a_node_that_is_silent() {
    let bench = Bench::new(1);
    let watched = bench.begin(|client| async move { client.watch_lock(DOOR, LogIndex(7), 500_000).await });
    let first = bench.requests();
    assert_eq!(first[0].0, Address::Node(NodeId(1)));
    bench.env.advance_us(800_000);
    let asked = answer(&bench, |_| Ok(ResponseBody::Outcome(state(3))));
    assert_eq!(asked, Address::Node(NodeId(2)));
    assert!(
        matches!(done(&watched), Some(Ok(LockState { version: LogIndex(3), .. }))),
        "what that node knows, though it lags behind"
    );
}

#[test]
fn a_watch_that_nobody_answers_is_definitely_not_done() {
    let bench = Bench::new(1);
    let watched = bench.begin(|client| async move { client.watch_lock(DOOR, LogIndex(7), 500_000).await });
    for _ in 0..200 {
        bench.env.advance_us(50_000);
        drop(bench.requests());
    }
    assert!(matches!(done(&watched), Some(Err(ClientError::NotDone(_)))));
}

#[test]
fn a_refused_watch_says_why() {
    let bench = Bench::new(1);
    let watched = bench.begin(|client| async move { client.watch_lock("", LogIndex(0), WAIT_US_MAX).await });
    let error = MachineError::InvalidArgument("the resource must have a name".to_owned());
    answer(&bench, |_| Ok(ResponseBody::Outcome(Err(error.clone()))));
    assert_eq!(done(&watched), Some(Err(ClientError::Refused(error))));
}

#[test]
fn a_read_within_an_age_goes_where_reads_go_and_tells_the_age() {
    let mut config = ClientConfig::new(ClientId(1), (1..=3).map(NodeId).collect());
    config.read_from = ReadFrom::Node(2);
    let bench = Bench::with(1, config);
    let read = bench.begin(|client| async move { client.get_within("k", 9_000).await });
    let found = Versioned { value: Bytes::from_static(b"v"), version: LogIndex(4) };
    let value = Some(found.clone());
    let asked = answer(&bench, |body| {
        assert!(matches!(body, RequestBody::QueryWithin { age_us_max: 9_000, .. }));
        let outcome = Ok(Reply::Cache(CacheReply::Value(value)));
        Ok(ResponseBody::AgedOutcome { outcome, age_us: 8_000 })
    });
    assert_eq!(asked, Address::Node(NodeId(3)));
    assert_eq!(done(&read), Some(Ok((Some(found), 8_000))));
}

#[test]
fn a_counter_lives_as_long_as_whoever_began_it_said_and_tells_how_long_that_is() {
    let mut bench = Bench::ready();
    let mut counted = Vec::new();
    for ttl_us in [Some(5_000_000), Some(60_000_000), None] {
        let one = bench.begin(move |client| async move { client.count_for("window", 1, 0, ttl_us).await });
        bench.serve();
        counted.push(done(&one).expect("it is answered").expect("it counts").0);
        bench.env.advance_us(1_000_000);
    }
    assert_eq!(counted, [1, 2, 3]);
    let mut left = Vec::new();
    for key in ["window", "a", "none"] {
        let written = bench.begin(|client| async move { client.set("a", Bytes::from_static(b"1")).await });
        bench.serve();
        assert!(matches!(done(&written), Some(Ok(_))));
        let asked = bench.begin(move |client| async move { client.life_left(key).await });
        bench.serve();
        left.push(done(&asked).expect("it is answered").expect("a read is"));
    }
    assert_eq!(left, [LifeLeft::Us(2_000_000), LifeLeft::Unlimited, LifeLeft::NoSuchKey]);
}

#[test]
fn the_loss_of_a_session_is_told_when_the_belief_ends_and_not_before() {
    let bench = Bench::ready();
    let until = bench.client.believed_until().expect("it has a session");
    let lost = bench.begin(|client| async move { client.session_lost().await });
    bench.env.advance_us(until.since_us(bench.env.now()) - 1);
    assert_eq!(done(&lost), None);
    bench.env.advance_us(1);
    assert_eq!(done(&lost), Some(()));
    let at_once = bench.begin(|client| async move { client.session_lost().await });
    assert_eq!(done(&at_once), Some(()), "there is none to lose");
}

#[test]
fn a_session_that_is_renewed_is_not_told_to_be_lost() {
    let mut bench = Bench::ready();
    let lost = bench.begin(|client| async move { client.session_lost().await });
    for _ in 0..200 {
        bench.env.advance_us(50_000);
        bench.serve();
    }
    assert_eq!(done(&lost), None);
    let _closed = bench.begin(|client| async move { client.close_session().await });
    bench.serve();
    assert_eq!(done(&lost), Some(()), "it was closed");
}

#[test]
fn a_guard_is_told_to_be_lost_when_it_is_given_back_or_its_session_ends() {
    let mut bench = Bench::ready();
    let mut guards = Vec::new();
    for resource in ["a", "b"] {
        let acquired =
            bench.begin(|client| async move { client.acquire(resource, LockMode::Exclusive, 0).await });
        bench.serve();
        guards.push(done(&acquired).expect("it is answered").expect("it is free"));
    }
    let lost = guards.iter().cloned();
    let lost: Vec<_> =
        lost.map(|guard| bench.begin(|client| async move { client.lost(&guard).await })).collect();
    let first = guards[0].clone();
    let _released = bench.begin(|client| async move { client.release(&first).await });
    bench.env.advance_us(0);
    assert_eq!((done(&lost[0]), done(&lost[1])), (Some(()), None));
    drop(bench.requests());
    bench.env.advance_us(3_000_000);
    assert_eq!(done(&lost[1]), Some(()));
}

#[test]
fn those_who_need_a_session_at_the_same_time_share_one() {
    let mut bench = Bench::new(1);
    let both = [(); 2].map(|()| bench.begin(|client| async move { client.ensure_session().await }));
    bench.serve();
    bench.env.advance_us(0);
    let [first, second] = both.map(|slot| done(&slot).expect("it is open").expect("it is open"));
    assert_eq!(first, second);
}

#[test]
fn a_client_turns_to_the_heir_while_the_leadership_is_handed_over() {
    let bench = Bench::new(1);
    let _opened = bench.begin(|client| async move { client.open_session().await });
    let mut asked = vec![answer(&bench, |_| Err(ApiError::Transferring { to: NodeId(3) }))];
    // The heir has begun to campaign, and knows of no leader.
    for _ in 0..4 {
        bench.env.advance_us(1_000);
        asked.push(answer(&bench, |_| Err(ApiError::NotLeader { leader: None })));
    }
    bench.env.advance_us(1_000);
    // It lost, or was never asked: the client believes it.
    asked.push(answer(&bench, |_| Err(ApiError::NotLeader { leader: Some(NodeId(1)) })));
    asked.push(answer(&bench, |_| Err(ApiError::Overloaded)));
    let [old, heir] = [1, 3].map(|id| Address::Node(NodeId(id)));
    assert_eq!(asked, [old, heir, heir, heir, heir, heir, old]);
}

#[test]
fn an_heir_that_never_leads_is_not_asked_for_ever() {
    let bench = Bench::new(1);
    let _opened = bench.begin(|client| async move { client.open_session().await });
    answer(&bench, |_| Err(ApiError::Transferring { to: NodeId(3) }));
    let mut others = 0;
    for _ in 0..100 {
        bench.env.advance_us(160_000);
        for (to, request) in bench.requests() {
            others += u32::from(to != Address::Node(NodeId(3)));
            let refused = Response { id: request.id, result: Err(ApiError::NotLeader { leader: None }) };
            bench.env.deliver(to, Frame::Response(refused).encode());
        }
    }
    assert!(others > 0);
}
