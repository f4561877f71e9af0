//! A client alone: the test is the network and the cluster, whose machine is the real one.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{Client, ClientConfig, ClientError, LockGuard};
use crate::api::{ApiError, Request, RequestBody, Response, ResponseBody};
use crate::env::Env;
use crate::fake_env::FakeEnv;
use crate::ids::{Address, ClientId, ClusterTime, LogIndex, NodeId, SessionId};
use crate::machine::{
    CacheReply, Command, LockError, LockMode, LockRequest, Machine, OPEN_BELOW_MAX, OPEN_COMMANDS_MAX,
    Outcome, Query, Reply, SessionState,
};
use crate::transport::Frame;

pub(super) struct Bench {
    pub(super) env: FakeEnv,
    pub(super) client: Client<FakeEnv>,
    pub(super) machine: Machine,
    pub(super) index: LogIndex,
}

impl Bench {
    pub(super) fn new(entropy: u64) -> Self {
        Self::with(entropy, ClientConfig::new(ClientId(1), (1..=3).map(NodeId).collect()))
    }

    pub(super) fn with(entropy: u64, config: ClientConfig) -> Self {
        let env = FakeEnv::with_entropy(entropy);
        let client = Client::start(env.clone(), config);
        Self { env, client, machine: Machine::new(), index: LogIndex(0) }
    }

    /// With a session.
    pub(super) fn ready() -> Self {
        let mut bench = Self::new(1);
        let opened = bench.begin(|client| async move { client.open_session().await });
        bench.serve();
        assert!(opened.lock().expect("one thread").take().is_some_and(|opened| opened.is_ok()));
        bench
    }

    /// Begins an operation; its result appears in the slot.
    pub(super) fn begin<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        operation: impl FnOnce(Client<FakeEnv>) -> F,
    ) -> Arc<Mutex<Option<T>>> {
        let slot = Arc::new(Mutex::new(None));
        let (operation, inside) = (operation(self.client.clone()), Arc::clone(&slot));
        self.env.spawn("operation", async move {
            let result = operation.await;
            *inside.lock().expect("one thread") = Some(result);
        });
        self.env.advance_us(0);
        slot
    }

    /// The requests sent since the last call, and to whom.
    pub(super) fn requests(&self) -> Vec<(Address, Request)> {
        let decoded = self.env.take_sent().into_iter();
        let request = |(to, frame): (Address, Bytes)| match Frame::decode(&frame) {
            Ok(Frame::Request(request)) => (to, request),
            other => panic!("no request: {other:?}"),
        };
        decoded.map(request).collect()
    }

    /// Applies what was sent, in this order, and answers what has an answer at once.
    pub(super) fn serve(&mut self) {
        let requests = self.requests();
        self.apply(requests);
    }

    pub(super) fn apply(&mut self, requests: Vec<(Address, Request)>) {
        for (to, request) in requests {
            let outcome = self.take(&request);
            if !matches!(outcome, Ok(Reply::Waiting { .. })) {
                let response = Response { id: request.id, result: Ok(ResponseBody::Outcome(outcome)) };
                self.env.deliver(to, Frame::Response(response).encode());
            }
        }
    }

    /// Applies all this, and every answer is lost.
    pub(super) fn apply_unanswered(&mut self, requests: Vec<(Address, Request)>) {
        requests.iter().for_each(|(_, request)| drop(self.take(request)));
    }

    fn take(&mut self, request: &Request) -> Outcome {
        let command = match &request.body {
            RequestBody::Command(command) => command,
            RequestBody::Query(query) => return self.machine.query(query),
            other => panic!("commands and questions only, not {other:?}"),
        };
        self.index = self.index.next();
        self.machine.apply(self.index, ClusterTime(self.env.now().0), command).outcome
    }
}

pub(super) fn done<T>(slot: &Arc<Mutex<Option<T>>>) -> Option<T> {
    slot.lock().expect("one thread").take()
}

#[test]
fn operations_of_one_client_at_the_same_time_do_not_abort_each_other() {
    let mut bench = Bench::ready();
    let first = bench.begin(|client| async move { client.set("a", Bytes::from_static(b"1")).await });
    let second = bench.begin(|client| async move { client.set("b", Bytes::from_static(b"2")).await });
    let mut requests = bench.requests();
    requests.reverse();
    bench.apply(requests);
    assert!(matches!(done(&second), Some(Ok(_))));
    assert!(matches!(done(&first), Some(Ok(_))), "overtaken by the second, and yet it is done");
}

#[test]
fn a_wait_for_a_lock_goes_on_while_the_same_client_does_something_else() {
    let mut bench = Bench::ready();
    let other = Command::OpenSession { lease_us: 3_000_000 };
    bench.index = bench.index.next();
    let Ok(Reply::SessionOpened { session }) =
        bench.machine.apply(bench.index, ClusterTime(0), &other).outcome
    else {
        panic!("a second session")
    };
    let action = crate::machine::Action::Lock(crate::machine::LockAction::Acquire {
        requests: vec![crate::machine::LockRequest { resource: "r".to_owned(), mode: LockMode::Exclusive }],
        wait_us: 0,
    });
    let one = crate::ids::Sequence(1);
    let command = Command::Once { session, sequence: one, lowest_open: one, open_below: Vec::new(), action };
    bench.index = bench.index.next();
    bench.machine.apply(bench.index, ClusterTime(0), &command).outcome.expect("the lock is free");

    let acquired =
        bench.begin(|client| async move { client.acquire("r", LockMode::Exclusive, 9_000_000).await });
    bench.serve();
    let written = bench.begin(|client| async move { client.set("a", Bytes::from_static(b"1")).await });
    bench.serve();
    assert!(matches!(done(&written), Some(Ok(_))));
    bench.index = bench.index.next();
    let close = Command::CloseSession { session };
    bench.machine.apply(bench.index, ClusterTime(0), &close).outcome.expect("closing never fails");
    // It asks again, lest it miss its turn.
    bench.env.advance_us(1_000_000);
    bench.serve();
    assert!(matches!(done(&acquired), Some(Ok(_))), "its place in line was kept");
}

#[test]
fn a_command_beyond_those_whose_replies_the_cluster_keeps_is_refused_by_the_client_itself() {
    let bench = Bench::ready();
    let mut slots = Vec::new();
    for _ in 0..=OPEN_COMMANDS_MAX + OPEN_BELOW_MAX {
        slots.push(bench.begin(|client| async move { client.delete("a").await }));
    }
    let last = slots.pop().expect("there are some");
    assert!(matches!(done(&last), Some(Err(ClientError::NotDone(_)))));
    assert!(slots.iter().all(|slot| done(slot).is_none()));
}

#[test]
fn a_wait_left_open_blocks_nothing_that_comes_after_it() {
    let mut bench = Bench::ready();
    let waits = bench.begin(|client| async move { client.dequeue("jobs", 1, 5_000_000, 60_000_000).await });
    bench.serve();
    for _ in 0..3 * OPEN_COMMANDS_MAX {
        let set = bench.begin(|client| async move { client.set("a", Bytes::from_static(b"1")).await });
        bench.serve();
        assert!(matches!(done(&set), Some(Ok(_))));
    }
    assert!(done(&waits).is_none());
    let put = bench.begin(|client| async move { client.enqueue("jobs", Default::default()).await });
    bench.serve();
    assert!(matches!(done(&put), Some(Ok(_))));
    // It asks again, and the place in the table is still its own.
    bench.env.advance_us(1_000_000);
    bench.serve();
    assert!(matches!(done(&waits), Some(Ok(given)) if given.len() == 1));
}

#[test]
fn an_answer_to_an_attempt_that_was_no_entry_renews_no_belief() {
    let bench = Bench::ready();
    let before = bench.client.believed_until();
    bench.env.advance_us(100_000);
    let set = bench.begin(|client| async move { client.set("a", Bytes::from_static(b"1")).await });
    let (to, request) = bench.requests().pop().expect("it was sent");
    let outcome = Ok(Reply::Cache(CacheReply::Written { version: LogIndex(7) }));
    let response = Response { id: request.id, result: Ok(ResponseBody::Known(outcome)) };
    bench.env.deliver(to, Frame::Response(response).encode());
    assert_eq!(done(&set), Some(Ok(LogIndex(7))));
    assert_eq!(bench.client.believed_until(), before);
}

#[test]
fn an_answer_that_comes_after_its_attempt_was_given_up_counts_and_all_attempts_open_one_session() {
    let mut bench = Bench::new(1);
    let began = bench.env.now();
    let opened = bench.begin(|client| async move { client.open_session().await });
    let mut attempts = Vec::new();
    for _ in 0..7 {
        attempts.extend(bench.requests());
        bench.env.advance_us(300_000);
    }
    assert_eq!((attempts.len(), done(&opened)), (7, None));
    // The cluster takes two seconds for each.
    let later = attempts.split_off(1);
    bench.apply(attempts);
    let Some(Ok(session)) = done(&opened) else { panic!("the first attempt was answered") };
    let config = ClientConfig::new(ClientId(1), vec![NodeId(1)]);
    assert_eq!(bench.client.believed_until(), Some(began.plus_us(config.belief_us())));
    bench.apply(later);
    let openings = (1..=bench.index.0).map(SessionId);
    let is_open = |session: &SessionId| {
        bench.machine.query(&Query::Session { session: *session })
            != Ok(Reply::Session(SessionState::NotOpen))
    };
    assert_eq!(openings.filter(is_open).collect::<Vec<_>>(), [session]);
}

#[test]
fn a_refusal_that_comes_late_ends_nothing() {
    let mut bench = Bench::ready();
    let set = bench.begin(|client| async move { client.set("a", Bytes::from_static(b"1")).await });
    let (to, first) = bench.requests().pop().expect("it was sent");
    bench.env.advance_us(300_000);
    let refused = Response { id: first.id, result: Err(ApiError::NotLeader { leader: None }) };
    bench.env.deliver(to, Frame::Response(refused).encode());
    assert!(done(&set).is_none());
    bench.serve();
    assert!(matches!(done(&set), Some(Ok(_))), "the second attempt goes on");
}

#[test]
fn what_comes_for_earlier_attempts_while_the_client_pauses_is_looked_at_before_the_next() {
    let mut bench = Bench::ready();
    let refuse = |bench: &Bench, (to, request): &(Address, Request)| {
        let refused = Response { id: request.id, result: Err(ApiError::Overloaded) };
        bench.env.deliver(*to, Frame::Response(refused).encode());
    };
    let set = bench.begin(|client| async move { client.set("a", Bytes::from_static(b"1")).await });
    let first = bench.requests().pop().expect("it was sent");
    bench.env.advance_us(300_000);
    let second = bench.requests().pop().expect("it was sent again");
    bench.env.advance_us(300_000);
    let third = bench.requests().pop().expect("it was sent again");
    refuse(&bench, &third);
    // It pauses now, and hears of the others meanwhile.
    refuse(&bench, &first);
    bench.apply(vec![second]);
    assert!(done(&set).is_none());
    bench.env.advance_us(10_000);
    assert_eq!(bench.requests(), []);
    assert!(matches!(done(&set), Some(Ok(_))));
}

#[test]
fn a_response_to_an_earlier_run_of_the_client_is_not_taken_for_one_to_this_run() {
    let mut before = Bench::ready();
    let set = before.begin(|client| async move { client.set("a", Bytes::from_static(b"1")).await });
    let (_, late) = before.requests().pop().expect("it was sent");
    assert!(done(&set).is_none());

    // The process dies and starts again, and sends as many requests as before.
    let mut after = Bench::new(0x1234_5678_9abc_def0);
    let opened = after.begin(|client| async move { client.open_session().await });
    after.serve();
    assert!(done(&opened).is_some());
    let again = after.begin(|client| async move { client.set("a", Bytes::from_static(b"2")).await });
    let outcome = Ok(Reply::Cache(CacheReply::Written { version: LogIndex(7) }));
    let response = Response { id: late.id, result: Ok(ResponseBody::Outcome(outcome)) };
    after.env.deliver(Address::Node(NodeId(1)), Frame::Response(response).encode());
    assert!(done(&again).is_none(), "nobody has answered this request");
    before.serve();
}

#[test]
fn operations_that_fail_together_do_not_turn_full_circle_back_to_the_dead_node() {
    let bench = Bench::ready();
    let slots: Vec<_> =
        (0..3).map(|_| bench.begin(|client| async move { client.delete("a").await })).collect();
    let targets = |bench: &Bench| bench.requests().into_iter().map(|(to, _)| to).collect::<Vec<_>>();
    assert_eq!(targets(&bench), [Address::Node(NodeId(1)); 3]);
    bench.env.advance_us(300_000);
    assert_eq!(targets(&bench), [Address::Node(NodeId(2)); 3]);
    assert!(slots.iter().all(|slot| done(slot).is_none()));
}

#[test]
fn a_lock_that_is_being_given_back_is_no_longer_believed_in() {
    let mut bench = Bench::ready();
    let acquired = bench.begin(|client| async move { client.acquire("r", LockMode::Exclusive, 0).await });
    bench.serve();
    let Some(Ok(guard)) = done(&acquired) else { panic!("the lock is free") };
    assert!(bench.client.believes(&guard));
    let given_back: LockGuard = guard.clone();
    let released = bench.begin(|client| async move { client.release(&given_back).await });
    assert!(!bench.client.believes(&guard), "the release may take effect at any moment");
    bench.serve();
    assert_eq!(done(&released), Some(Ok(())));
    assert!(!bench.client.believes(&guard));
    assert!(bench.client.has_session());
}

#[test]
fn stale_hints_in_a_circle_do_not_keep_a_client_from_the_leader() {
    let bench = Bench::new(1);
    let _opened = bench.begin(|client| async move { client.open_session().await });
    let mut asked = Vec::new();
    for _ in 0..40 {
        for (to, request) in bench.requests() {
            asked.push(to);
            // The first two nodes have left the cluster long ago, and each takes the other for the leader.
            let leader = match to {
                Address::Node(NodeId(1)) => Some(NodeId(2)),
                Address::Node(NodeId(2)) => Some(NodeId(1)),
                _ => continue,
            };
            let refused = Response { id: request.id, result: Err(ApiError::NotLeader { leader }) };
            bench.env.deliver(to, Frame::Response(refused).encode());
        }
        bench.env.advance_us(50_000);
    }
    assert!(asked.contains(&Address::Node(NodeId(3))), "{asked:?}");
}

#[test]
fn a_guard_is_replaced_by_an_upgrade_and_by_a_downgrade() {
    let mut bench = Bench::ready();
    let acquired = bench.begin(|client| async move { client.acquire("r", LockMode::Shared, 0).await });
    bench.serve();
    let Some(Ok(shared)) = done(&acquired) else { panic!("the lock is free") };

    let before = shared.clone();
    let upgraded = bench.begin(|client| async move { client.upgrade(&before, 0).await });
    assert!(bench.client.believes(&shared), "until it is granted the shared hold is good");
    bench.serve();
    let Some(Ok(exclusive)) = done(&upgraded) else { panic!("there is no other sharer") };
    assert_eq!(exclusive.mode, LockMode::Exclusive);
    assert!(exclusive.token > shared.token);
    assert!(bench.client.believes(&exclusive) && !bench.client.believes(&shared));

    let before = exclusive.clone();
    let downgraded = bench.begin(|client| async move { client.downgrade(&before).await });
    assert!(!bench.client.believes(&exclusive), "the downgrade may take effect at any moment");
    bench.serve();
    let Some(Ok(again)) = done(&downgraded) else { panic!("it is held exclusively") };
    assert!(again.mode == LockMode::Shared && bench.client.believes(&again));
}

#[test]
fn several_locks_come_with_a_guard_each_and_go_together() {
    let mut bench = Bench::ready();
    let request = |resource: &str, mode| LockRequest { resource: resource.to_owned(), mode };
    let requests = vec![request("a", LockMode::Exclusive), request("b", LockMode::Shared)];
    let acquired = bench.begin(|client| async move { client.acquire_all(requests, 0).await });
    bench.serve();
    let Some(Ok(guards)) = done(&acquired) else { panic!("both are free") };
    let named: Vec<(&str, LockMode)> =
        guards.iter().map(|guard| (guard.resource.as_str(), guard.mode)).collect();
    assert_eq!(named, [("a", LockMode::Exclusive), ("b", LockMode::Shared)]);
    assert!(guards.iter().all(|guard| bench.client.believes(guard)));

    let given_back = guards.clone();
    let released = bench.begin(|client| async move { client.release_all(&given_back).await });
    bench.serve();
    assert_eq!(done(&released), Some(Ok(())));
    assert!(guards.iter().all(|guard| !bench.client.believes(guard)));
}

#[test]
fn an_upgrade_that_is_refused_leaves_the_shared_hold_as_it_was() {
    let mut bench = Bench::ready();
    let acquired = bench.begin(|client| async move { client.try_acquire("r", LockMode::Shared).await });
    bench.serve();
    let Some(Ok(guard)) = done(&acquired) else { panic!("the lock is free") };
    let stale = LockGuard { token: crate::ids::FenceToken(1), ..guard.clone() };
    let upgraded = bench.begin(|client| async move { client.upgrade(&stale, 0).await });
    bench.serve();
    assert_eq!(done(&upgraded), Some(Err(ClientError::Refused(LockError::NotHeld.into()))));
    assert!(bench.client.believes(&guard));
}
