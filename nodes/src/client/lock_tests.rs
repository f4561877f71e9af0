//! What a client believes of its locks.

use bytes::Bytes;

use super::tests::{Bench, done};
use super::{ClientConfig, ClientError, LockGuard};

use crate::api::RequestBody;
use crate::env::Env;
use crate::ids::{ClientId, ClusterTime, FenceToken, NodeId, Sequence, SessionId};
use crate::machine::{
    Action, Command, FORCED_RELEASES_KEPT, LockAction, LockError, LockMode, LockQuery, LockReply,
    LockRequest, NewMessage, Query, QueueQuery, QueueReply, Reply,
};

#[test]
fn a_lock_that_the_cluster_says_is_not_held_is_no_longer_believed_in() {
    let mut bench = Bench::ready();
    let acquired = bench.begin(|client| async move { client.try_acquire("r", LockMode::Shared).await });
    bench.serve();
    let Some(Ok(guard)) = done(&acquired) else { panic!("the lock is free") };
    let token = guard.token;
    let forced = bench.begin(move |client| async move { client.force_release("r", token, "stuck").await });
    bench.serve();
    assert_eq!(done(&forced), Some(Ok(())));
    let held = guard.clone();
    let upgraded = bench.begin(|client| async move { client.upgrade(&held, 0).await });
    bench.serve();
    assert_eq!(done(&upgraded), Some(Err(ClientError::Refused(LockError::NotHeld.into()))));
    let believes = bench.begin(|client| async move { client.believes(&guard) });
    assert_eq!(done(&believes), Some(false), "the cluster has just said that it is not held");
}

#[test]
fn an_acquire_that_nobody_awaits_any_more_ends_up_holding_nothing() {
    let mut bench = Bench::ready();
    let other = Command::OpenSession { lease_us: 60_000_000 };
    bench.index = bench.index.next();
    let Ok(Reply::SessionOpened { session }) =
        bench.machine.apply(bench.index, ClusterTime(0), &other).outcome
    else {
        panic!()
    };
    let take = LockAction::Acquire {
        requests: vec![LockRequest { resource: "r".to_owned(), mode: LockMode::Exclusive }],
        wait_us: 0,
    };
    let one = Sequence(1);
    let action = Action::Lock(take);
    let command = Command::Once { session, sequence: one, lowest_open: one, open_below: Vec::new(), action };
    bench.index = bench.index.next();
    bench.machine.apply(bench.index, ClusterTime(0), &command).outcome.expect("free");
    let env = bench.env.clone();
    let gone = bench.begin(|client| async move {
        let until = env.now().plus_us(500_000);
        tokio::select! {
            biased;
            got = client.acquire("r", LockMode::Exclusive, 9_000_000) => Some(got),
            () = env.sleep_until(until) => None,
        }
    });
    bench.serve();
    bench.env.advance_us(600_000);
    assert!(matches!(done(&gone), Some(None)), "given up by the caller");
    bench.index = bench.index.next();
    bench
        .machine
        .apply(bench.index, ClusterTime(bench.env.now().0), &Command::CloseSession { session })
        .outcome
        .unwrap();
    // The client lives on for a minute and does other things.
    for _ in 0..60 {
        let other = bench.begin(|client| async move { client.set("a", Bytes::from_static(b"1")).await });
        bench.serve();
        assert!(matches!(done(&other), Some(Ok(_))));
        bench.env.advance_us(1_000_000);
        bench.serve();
    }
    let query = LockQuery::State { resource: "r".to_owned() };
    let state = bench.machine.query(&Query::Lock(query));
    let Ok(Reply::Lock(LockReply::State(state))) = state else { panic!() };
    assert_eq!(state.holders, vec![], "held for a caller that is gone");
}

/// Lets the client's own time go by, and answers what it sends meanwhile.
pub(super) fn go_on(bench: &mut Bench, us: u64) {
    for _ in 0..us / 100_000 {
        bench.env.advance_us(100_000);
        bench.serve();
        // What is asked in answer to an answer.
        bench.env.advance_us(0);
        bench.serve();
    }
}

/// Another session, which the test keeps, and what it does.
pub(super) fn another(bench: &mut Bench) -> SessionId {
    let opened = apply(bench, &Command::OpenSession { lease_us: 3_600_000_000 });
    let Ok(Reply::SessionOpened { session }) = opened else { panic!("{opened:?}") };
    session
}

pub(super) fn apply(bench: &mut Bench, command: &Command) -> crate::machine::Outcome {
    bench.index = bench.index.next();
    bench.machine.apply(bench.index, ClusterTime(bench.env.now().0), command).outcome
}

pub(super) fn force(bench: &mut Bench, by: SessionId, number: u64, resource: &str, token: FenceToken) {
    let (resource, reason) = (resource.to_owned(), "stuck".to_owned());
    let action = Action::Lock(LockAction::ForceRelease { resource, token, reason });
    let (sequence, lowest_open) = (Sequence(number), Sequence(number));
    let command = Command::Once { session: by, sequence, lowest_open, open_below: Vec::new(), action };
    assert_eq!(apply(bench, &command), Ok(Reply::Done));
}

pub(super) fn held(bench: &mut Bench, resource: &'static str) -> LockGuard {
    let acquired =
        bench.begin(move |client| async move { client.try_acquire(resource, LockMode::Exclusive).await });
    bench.serve();
    done(&acquired).expect("it was answered").expect("the lock is free")
}

#[test]
fn who_lost_a_lock_to_an_operator_learns_it_with_the_next_keep_alive() {
    let mut bench = Bench::ready();
    let (taken, kept) = (held(&mut bench, "taken"), held(&mut bench, "kept"));
    let guard = taken.clone();
    let lost = bench.begin(|client| async move { client.lost(&guard).await });
    let operator = another(&mut bench);
    force(&mut bench, operator, 1, "taken", taken.token);
    let lease_us = ClientConfig::new(ClientId(1), vec![NodeId(1)]).lease_us;
    go_on(&mut bench, lease_us / 3 + 100_000);
    assert!(!bench.client.believes(&taken), "a keep-alive was answered since");
    assert_eq!(done(&lost), Some(()));
    assert!(bench.client.believes(&kept) && bench.client.has_session(), "nobody took these");
    // It is told of the same release with every keep-alive, and has looked.
    let later = held(&mut bench, "later");
    go_on(&mut bench, 10 * lease_us);
    assert!(bench.client.believes(&kept) && bench.client.believes(&later));
}

#[test]
fn a_lock_is_not_believed_in_beyond_a_lease_while_nobody_says_what_was_taken() {
    let mut bench = Bench::ready();
    let guard = held(&mut bench, "r");
    let operator = another(&mut bench);
    force(&mut bench, operator, 1, "r", guard.token);
    let lease_us = ClientConfig::new(ClientId(1), vec![NodeId(1)]).lease_us;
    // Other commands renew the session, and the questions are never answered.
    for _ in 0..lease_us / 100_000 {
        bench.env.advance_us(100_000);
        let other = bench.begin(|client| async move { client.delete("a").await });
        let asked = bench.requests().into_iter();
        let commands = asked.filter(|(_, request)| matches!(request.body, RequestBody::Command(_))).collect();
        bench.apply(commands);
        assert!(matches!(done(&other), Some(Ok(_))));
    }
    assert!(bench.client.has_session());
    assert!(!bench.client.believes(&guard), "it was taken a lease ago");
}

#[test]
fn a_forced_release_that_is_no_longer_on_record_is_learnt_all_the_same() {
    let mut bench = Bench::ready();
    let guard = held(&mut bench, "r");
    let operator = another(&mut bench);
    force(&mut bench, operator, 1, "r", guard.token);
    for number in 0..FORCED_RELEASES_KEPT as u64 {
        let requests = vec![LockRequest { resource: "other".to_owned(), mode: LockMode::Exclusive }];
        let action = Action::Lock(LockAction::Acquire { requests, wait_us: 0 });
        let sequence = Sequence(2 + 2 * number);
        let (lowest_open, open_below) = (sequence, Vec::new());
        let command = Command::Once { session: operator, sequence, lowest_open, open_below, action };
        let granted = apply(&mut bench, &command);
        let Ok(Reply::Lock(LockReply::Granted { grants })) = granted else { panic!("{granted:?}") };
        force(&mut bench, operator, 3 + 2 * number, "other", grants[0].token);
    }
    let lease_us = ClientConfig::new(ClientId(1), vec![NodeId(1)]).lease_us;
    go_on(&mut bench, lease_us / 3 + 100_000);
    assert!(!bench.client.believes(&guard));
}

#[test]
fn a_session_that_was_closed_by_somebody_else_is_no_longer_believed_in_once_a_keep_alive_says_so() {
    let mut bench = Bench::ready();
    let guard = held(&mut bench, "r");
    let held_on = guard.clone();
    let lost = bench.begin(|client| async move { client.lost(&held_on).await });
    let closed = apply(&mut bench, &Command::CloseSession { session: guard.session });
    assert_eq!(closed, Ok(Reply::Done));
    let lease_us = ClientConfig::new(ClientId(1), vec![NodeId(1)]).lease_us;
    go_on(&mut bench, lease_us / 3 + 100_000);
    assert!(!bench.client.has_session() && !bench.client.believes(&guard));
    assert_eq!(done(&lost), Some(()));
}

#[test]
fn a_command_that_finds_its_session_closed_ends_the_belief_in_it() {
    let mut bench = Bench::ready();
    let guard = held(&mut bench, "r");
    apply(&mut bench, &Command::CloseSession { session: guard.session }).expect("closing never fails");
    let other = bench.begin(|client| async move { client.delete("a").await });
    bench.serve();
    assert!(matches!(done(&other), Some(Err(ClientError::Unknown(_)))));
    assert!(!bench.client.has_session() && !bench.client.believes(&guard));
}

/// Has an operation end without an answer, though all that it sends is applied; the session is kept alive.
pub(super) fn unanswered<T>(bench: &mut Bench, slot: &std::sync::Arc<std::sync::Mutex<Option<T>>>) -> T {
    loop {
        let (kept_alive, lost): (Vec<_>, Vec<_>) = bench.requests().into_iter().partition(|(_, request)| {
            matches!(request.body, RequestBody::Command(Command::KeepAlive { .. }))
        });
        bench.apply(kept_alive);
        bench.apply_unanswered(lost);
        bench.env.advance_us(100_000);
        if let Some(ended) = done(slot) {
            return ended;
        }
    }
}

#[test]
fn a_lock_granted_by_an_acquire_that_never_heard_of_it_is_given_back() {
    let mut bench = Bench::ready();
    let acquired = bench.begin(|client| async move { client.acquire("r", LockMode::Exclusive, 0).await });
    let ended = unanswered(&mut bench, &acquired);
    assert!(matches!(ended, Err(ClientError::Unknown(_))), "{ended:?}");
    let lease_us = ClientConfig::new(ClientId(1), vec![NodeId(1)]).lease_us;
    go_on(&mut bench, lease_us / 3 + 300_000);
    let guard = held(&mut bench, "r");
    assert!(bench.client.believes(&guard), "the session is not in its own way");
}

#[test]
fn messages_delivered_to_nobody_come_back_before_their_visibility_ends() {
    const HOUR_US: u64 = 3_600_000_000;
    let mut bench = Bench::ready();
    let put = bench.begin(|client| async move { client.enqueue("jobs", NewMessage::default()).await });
    bench.serve();
    assert!(matches!(done(&put), Some(Ok(_))));
    let got = bench.begin(|client| async move { client.dequeue("jobs", 1, HOUR_US, 0).await });
    let ended = unanswered(&mut bench, &got);
    assert!(matches!(ended, Err(ClientError::Unknown(_))), "{ended:?}");
    let lease_us = ClientConfig::new(ClientId(1), vec![NodeId(1)]).lease_us;
    go_on(&mut bench, lease_us / 3 + 300_000);
    let again = bench.begin(|client| async move { client.dequeue("jobs", 1, HOUR_US, 0).await });
    bench.serve();
    assert!(matches!(done(&again), Some(Ok(given)) if given.len() == 1), "it was rejected for its session");
}

#[test]
fn a_dequeue_that_nobody_awaits_any_more_leaves_the_line() {
    const HOUR_US: u64 = 3_600_000_000;
    let mut bench = Bench::ready();
    let env = bench.env.clone();
    let gone = bench.begin(|client| async move {
        let until = env.now().plus_us(100_000);
        tokio::select! {
            biased;
            got = client.dequeue("jobs", 1, HOUR_US, HOUR_US) => Some(got),
            () = env.sleep_until(until) => None,
        }
    });
    bench.serve();
    bench.env.advance_us(200_000);
    assert_eq!(done(&gone), Some(None), "given up by the caller");
    go_on(&mut bench, 300_000);
    let put = bench.begin(|client| async move { client.enqueue("jobs", NewMessage::default()).await });
    bench.serve();
    assert!(matches!(done(&put), Some(Ok(_))));
    let query = Query::Queue(QueueQuery::Stats { topic: "jobs".to_owned() });
    let stats = bench.machine.query(&query);
    let Ok(Reply::Queue(QueueReply::Stats(stats))) = stats else { panic!("{stats:?}") };
    assert_eq!((stats.ready, stats.in_flight), (1, 0), "it was delivered to nobody");
}
