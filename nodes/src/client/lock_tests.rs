//! What a client believes of its locks.

use bytes::Bytes;

use super::ClientError;
use super::tests::{Bench, done};

use crate::env::Env;
use crate::ids::{ClusterTime, Sequence};
use crate::machine::{
    Action, Command, LockAction, LockError, LockMode, LockQuery, LockReply, LockRequest, Query, Reply,
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
