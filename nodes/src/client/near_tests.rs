//! A client that reads near tells its near node of its writes: the test is that node, and the cluster.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::tests::{Bench, done};
use super::{ClientConfig, ClientError, ReadFrom};
use crate::api::{ApiError, Request, RequestBody, Response, ResponseBody};
use crate::coherence::{AskNumber, Claim, Key, Life, Surrender};
use crate::ids::{Address, ClientId, LogIndex, NodeId};
use crate::machine::Command;
use crate::transport::Frame;

const NEAR: Address = Address::Node(NodeId(2));
const LEADER: Address = Address::Node(NodeId(1));

type Written = Arc<Mutex<Option<Result<LogIndex, ClientError>>>>;

/// A client whose near node is the second, and whose leader is the first.
fn bench() -> Bench {
    let mut config = ClientConfig::new(ClientId(1), (1..=3).map(NodeId).collect());
    config.read_from = ReadFrom::Near(1);
    let mut bench = Bench::with(1, config);
    let opened = bench.begin(|client| async move { client.open_session().await });
    bench.serve();
    assert!(done(&opened).is_some_and(|opened| opened.is_ok()), "nobody is told of that");
    bench
}

fn set(bench: &Bench) -> Written {
    bench.begin(|client| async move { client.set("key", Bytes::from_static(b"1")).await })
}

fn given() -> Vec<Surrender> {
    let claim = Claim { life: Life(5), number: AskNumber(9) };
    vec![Surrender { key: Key::from("key"), claim }]
}

/// The only request under way, and to whom.
fn request(bench: &Bench) -> (Address, Request) {
    let mut requests = bench.requests();
    let (Some(request), true) = (requests.pop(), requests.is_empty()) else {
        panic!("there is not one request")
    };
    request
}

fn answer(bench: &Bench, (to, request): &(Address, Request), result: Result<ResponseBody, ApiError>) {
    let response = Response { id: request.id, result };
    bench.env.deliver(*to, Frame::Response(response).encode());
}

/// The near node is told of the write, and answers so.
fn surrender(bench: &Bench, surrenders: Vec<Surrender>) {
    let told = request(bench);
    assert_eq!(told.0, NEAR);
    assert_eq!(told.1.body, RequestBody::BeginWrite { keys: vec!["key".to_owned()] });
    answer(bench, &told, Ok(ResponseBody::Surrendered(surrenders)));
}

/// What a request gives up with its command, which the leader applies and answers.
fn serve(bench: &mut Bench, (to, request): (Address, Request)) -> Option<(NodeId, Vec<Surrender>)> {
    let Request { id, body } = request;
    let given = match &body {
        RequestBody::CommandOfHolder { holder, surrenders, .. } => Some((*holder, surrenders.clone())),
        _ => None,
    };
    let body = body.without_surrenders();
    assert!(matches!(body, RequestBody::Command(Command::Once { .. })), "{body:?}");
    bench.apply(vec![(to, Request { id, body })]);
    given
}

#[test]
fn the_leader_is_brought_what_the_near_node_gives_up_for_a_write() {
    let mut bench = bench();
    for _ in 0..2 {
        let written = set(&bench);
        surrender(&bench, given());
        let sent = request(&bench);
        assert_eq!(sent.0, LEADER);
        assert_eq!(serve(&mut bench, sent), Some((NodeId(2), given())));
        assert!(matches!(done(&written), Some(Ok(_))));
    }
}

#[test]
fn a_near_node_that_has_nothing_to_give_up_costs_no_more_than_being_asked() {
    let mut bench = bench();
    let written = set(&bench);
    surrender(&bench, Vec::new());
    let sent = request(&bench);
    assert_eq!(serve(&mut bench, sent), None);
    assert!(matches!(done(&written), Some(Ok(_))));
}

#[test]
fn another_leader_is_brought_the_same() {
    let mut bench = bench();
    let written = set(&bench);
    surrender(&bench, given());
    let first = request(&bench);
    answer(&bench, &first, Err(ApiError::NotLeader { leader: Some(NodeId(3)) }));
    let second = request(&bench);
    assert_eq!(second.0, Address::Node(NodeId(3)));
    assert_eq!(serve(&mut bench, second), Some((NodeId(2), given())));
    assert!(matches!(done(&written), Some(Ok(_))));
}

#[test]
fn after_an_attempt_without_an_answer_the_command_goes_alone() {
    let mut bench = bench();
    let written = set(&bench);
    surrender(&bench, given());
    drop(request(&bench));
    bench.env.advance_us(300_000);
    let sent = request(&bench);
    assert_eq!(serve(&mut bench, sent), None);
    assert!(matches!(done(&written), Some(Ok(_))));
}

#[test]
fn a_silent_near_node_is_waited_for_briefly_and_not_told_again_for_a_while() {
    let mut bench = bench();
    let written = set(&bench);
    let (to, told) = request(&bench);
    assert!(to == NEAR && matches!(told.body, RequestBody::BeginWrite { .. }));
    bench.env.advance_us(74_999);
    assert_eq!(bench.requests(), []);
    bench.env.advance_us(1);
    let sent = request(&bench);
    assert_eq!(serve(&mut bench, sent), None);
    assert!(matches!(done(&written), Some(Ok(_))));
    let written = set(&bench);
    let sent = request(&bench);
    assert_eq!((sent.0, serve(&mut bench, sent)), (LEADER, None));
    assert!(matches!(done(&written), Some(Ok(_))));
    bench.env.advance_us(900_000);
    drop(bench.requests());
    let _written = set(&bench);
    surrender(&bench, given());
}

#[test]
fn a_near_node_that_leads_is_not_told_beforehand() {
    let mut bench = bench();
    let written = set(&bench);
    surrender(&bench, Vec::new());
    let first = request(&bench);
    answer(&bench, &first, Err(ApiError::NotLeader { leader: Some(NodeId(2)) }));
    let sent = request(&bench);
    assert_eq!((sent.0, serve(&mut bench, sent)), (NEAR, None));
    assert!(matches!(done(&written), Some(Ok(_))));
    let written = set(&bench);
    let sent = request(&bench);
    assert_eq!((sent.0, serve(&mut bench, sent)), (NEAR, None));
    assert!(matches!(done(&written), Some(Ok(_))));
}

#[test]
fn who_reads_elsewhere_can_have_writes_go_by_a_near_node_as_well() {
    let mut config = ClientConfig::new(ClientId(1), (1..=3).map(NodeId).collect());
    assert_eq!(config.told_of_writes(), None);
    config.read_from = ReadFrom::Node(2);
    assert_eq!(config.told_of_writes(), None, "it holds no lines for this client");
    config.writes_near = Some(1);
    assert_eq!(config.told_of_writes(), Some(1));
}
