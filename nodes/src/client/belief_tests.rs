//! What answers that come late, or to another attempt, do to a client's belief in its locks.

use std::sync::{Arc, Mutex};

use super::lock_tests::{another, force, go_on, held};
use super::tests::{Bench, done};
use super::{ClientConfig, ClientError, LockGuard};
use crate::api::{Request, RequestBody, Response, ResponseBody};
use crate::env::Env;
use crate::ids::{Address, ClientId, FenceToken, NodeId};
use crate::machine::{Command, LockMode, LockQuery, LockReply, Query, Reply};
use crate::transport::Frame;

fn lease_us() -> u64 {
    ClientConfig::new(ClientId(1), vec![NodeId(1)]).lease_us
}

/// What was sent, keep-alives and the rest.
fn keep_alives_apart(bench: &Bench) -> [Vec<(Address, Request)>; 2] {
    let is_keep_alive = |(_, request): &(Address, Request)| {
        matches!(request.body, RequestBody::Command(Command::KeepAlive { .. }))
    };
    let (keep_alives, others) = bench.requests().into_iter().partition(is_keep_alive);
    [keep_alives, others]
}

/// Who holds this, by the cluster.
fn holders(bench: &Bench, resource: &str) -> usize {
    let query = LockQuery::State { resource: resource.to_owned() };
    match bench.machine.query(&Query::Lock(query)) {
        Ok(Reply::Lock(LockReply::State(state))) => state.holders.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_keep_alive_that_joined_another_renews_nothing_and_is_sent_again_at_once() {
    let mut bench = Bench::ready();
    let guard = held(&mut bench, "r");
    let until = bench.client.belief_ends(&guard).expect("it is held");
    let mut joined = 0;
    while bench.client.has_session() {
        bench.env.advance_us(50_000);
        for (to, request) in bench.requests() {
            joined += 1;
            let result =
                Ok(ResponseBody::Known(Ok(Reply::Renewed { taken_at: guard.token.granting_index() })));
            bench.env.deliver(to, Frame::Response(Response { id: request.id, result }).encode());
        }
    }
    assert_eq!(
        bench.client.belief_ends(&guard),
        Some(until),
        "whatever they joined may have been sent before"
    );
    assert!(joined > 10, "{joined} were sent, though none renewed anything");
}

#[test]
fn a_lease_is_counted_from_before_its_request_was_sent_however_long_the_process_stood_still_then() {
    let mut bench = Bench::ready();
    let guard = held(&mut bench, "r");
    let until = bench.client.belief_ends(&guard).expect("it is held");
    // A keep-alive goes out, and the cluster takes it at once.
    bench.env.stand_still_after_sending_us(200_000);
    bench.env.advance_us(lease_us() / 3);
    let sent_by = bench.env.now().0 - 200_000;
    bench.serve();
    let renewed = bench.client.belief_ends(&guard).expect("it is held");
    let config = ClientConfig::new(ClientId(1), vec![NodeId(1)]);
    assert!(renewed > until, "the keep-alive was answered");
    assert!(renewed.0 <= sent_by + config.belief_us(), "{renewed:?} for what was sent by {sent_by}");
}

/// An operator ends this hold.
fn forced(bench: &mut Bench, resource: &str, token: FenceToken) {
    let operator = another(bench);
    force(bench, operator, 1, resource, token);
}

/// Has an acquire granted whose answers are lost, until the session has been kept alive after `meanwhile`.
fn granted_unheard_of(
    bench: &mut Bench,
    meanwhile: impl FnOnce(&mut Bench, FenceToken),
) -> Arc<Mutex<Option<Result<LockGuard, ClientError>>>> {
    let acquired =
        bench.begin(|client| async move { client.acquire("r", LockMode::Exclusive, 60_000_000).await });
    let [_, sent] = keep_alives_apart(bench);
    bench.apply_unanswered(sent);
    let query = LockQuery::State { resource: "r".to_owned() };
    let Ok(Reply::Lock(LockReply::State(state))) = bench.machine.query(&Query::Lock(query)) else { panic!() };
    meanwhile(bench, state.holders[0].token);
    for _ in 0..lease_us() / 200_000 {
        bench.env.advance_us(100_000);
        let [keep_alives, lost] = keep_alives_apart(bench);
        bench.apply(keep_alives);
        drop(lost);
    }
    assert!(done(&acquired).is_none(), "nobody has answered");
    acquired
}

#[test]
fn a_grant_that_was_ended_by_force_before_it_was_heard_of_is_not_believed_in() {
    let mut bench = Bench::ready();
    let acquired = granted_unheard_of(&mut bench, |bench, token| forced(bench, "r", token));
    go_on(&mut bench, 2_000_000);
    let guard = done(&acquired).expect("it is answered").expect("as it was before");
    assert!(!bench.client.believes(&guard), "the cluster has said in between that something was taken");
    let later = held(&mut bench, "r");
    go_on(&mut bench, 3 * lease_us());
    assert!(bench.client.believes(&later) && !bench.client.believes(&guard));
}

#[test]
fn a_grant_that_is_heard_of_late_is_believed_in_if_it_is_what_is_left() {
    let mut bench = Bench::ready();
    let taken = held(&mut bench, "taken");
    let acquired = granted_unheard_of(&mut bench, |bench, _| forced(bench, "taken", taken.token));
    go_on(&mut bench, 2_000_000);
    let guard = done(&acquired).expect("it is answered").expect("as it was before");
    go_on(&mut bench, 3 * lease_us());
    assert!(bench.client.believes(&guard) && !bench.client.believes(&taken));
}

#[test]
fn a_grant_of_which_nobody_says_whether_it_is_left_is_not_believed_in() {
    let mut bench = Bench::ready();
    let acquired = granted_unheard_of(&mut bench, |bench, token| forced(bench, "r", token));
    let guard = loop {
        bench.env.advance_us(100_000);
        let sent = bench.requests().into_iter();
        bench.apply(sent.filter(|(_, request)| matches!(request.body, RequestBody::Command(_))).collect());
        if let Some(acquired) = done(&acquired) {
            break acquired.expect("as it was before");
        }
    };
    assert!(bench.client.has_session() && !bench.client.believes(&guard));
}

#[test]
fn a_belief_that_ended_because_nobody_renewed_it_did_not_end_later() {
    let mut bench = Bench::ready();
    let guard = held(&mut bench, "r");
    let until = bench.client.belief_ends(&guard).expect("it is held");
    forced(&mut bench, "r", guard.token);
    while bench.env.now() <= until.plus_us(200_000) {
        bench.env.advance_us(100_000);
        let other = bench.begin(|client| async move { client.delete("a").await });
        let [_, commands] = keep_alives_apart(&bench);
        bench.apply(commands);
        assert!(matches!(done(&other), Some(Ok(_))));
    }
    assert!(bench.client.has_session() && !bench.client.believes(&guard));
    go_on(&mut bench, lease_us());
    assert_eq!(bench.client.belief_ends(&guard), Some(until));
}

#[test]
fn a_release_that_nobody_heard_of_is_asked_for_until_it_is_done() {
    let mut bench = Bench::ready();
    let guard = held(&mut bench, "r");
    let released = bench.begin(move |client| async move { client.release(&guard).await });
    let ended = loop {
        let [keep_alives, lost] = keep_alives_apart(&bench);
        bench.apply(keep_alives);
        drop(lost);
        bench.env.advance_us(100_000);
        if let Some(ended) = done(&released) {
            break ended;
        }
    };
    assert!(matches!(ended, Err(ClientError::Unknown(_))), "{ended:?}");
    assert_eq!((holders(&bench, "r"), bench.client.has_session()), (1, true));
    go_on(&mut bench, lease_us() / 3 + 300_000);
    assert_eq!(holders(&bench, "r"), 0, "the session lives on, and nothing stands for this hold");
}

#[test]
fn a_release_whose_caller_is_gone_is_done_all_the_same() {
    let mut bench = Bench::ready();
    let guard = held(&mut bench, "r");
    let env = bench.env.clone();
    let gone = bench.begin(move |client| async move {
        let until = env.now().plus_us(100_000);
        tokio::select! {
            biased;
            released = client.release(&guard) => Some(released),
            () = env.sleep_until(until) => None,
        }
    });
    drop(bench.requests());
    bench.env.advance_us(200_000);
    assert_eq!(done(&gone), Some(None), "given up by the caller");
    go_on(&mut bench, lease_us() / 3 + 300_000);
    assert_eq!(holders(&bench, "r"), 0);
}
