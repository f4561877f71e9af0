//! Test support: what every store has to do, whatever it stands on.
//!
//! These parts know nothing but the contract at the top of [`crate::storage`]. The suite of the write-ahead log
//! ([`super::run_suite`]) goes further: it knows the files, and damages them.

use std::future::Future;

use futures_util::FutureExt;

use super::SuiteReport;
use super::images::{expect, expect_state};
use super::model::{
    IDENTITY, append, entries, forget, forgetful_script, keep, replace, request, short_script, snapshot,
    snapshot_script,
};
use super::random::Requests;
use crate::ids::NodeId;
use crate::raft::{Recovered, StoreRequest};
use crate::storage::{Identity, LogStore, StorageError};

/// A store that can be opened again and again, and whose ground can be taken away.
pub trait StoreUnderTest {
    /// The store.
    type Store: LogStore;

    /// Opens it for a node, or begins it. The store that was opened before is not used any more.
    fn open(
        &self,
        identity: Identity,
    ) -> impl Future<Output = Result<(Self::Store, Recovered), StorageError>>;

    /// What the store stands on dies now and comes back: what was not made durable may be lost. `false` if that
    /// cannot be staged; nothing happens then.
    fn crash(&self) -> impl Future<Output = bool>;
}

/// How a part ended: `Ok(false)` if it needs a crash and there is none to be had.
type Outcome = Result<bool, String>;

/// Runs every part, each on a store of its own from `fresh`.
///
/// # Errors
///
/// The name of the first part that failed, and why.
pub async fn run_contract_suite<T, F>(mut fresh: impl FnMut() -> F) -> Result<SuiteReport, String>
where
    T: StoreUnderTest,
    F: Future<Output = T>,
{
    let mut report = SuiteReport::default();
    macro_rules! run {
        ($($part:ident),* $(,)?) => {$(
            let name = stringify!($part);
            match $part(&fresh().await).await {
                Ok(true) => report.passed.push(name),
                Ok(false) => report.skipped.push(name),
                Err(reason) => return Err(format!("{name}: {reason}")),
            }
        )*};
    }
    run!(
        a_new_store_is_empty,
        whole_scripts_are_recovered,
        every_restart_recovers_exactly,
        truncation_makes_room_for_other_entries,
        an_installed_snapshot_takes_the_place_of_any_log,
        a_large_snapshot_comes_back_whole,
        what_is_forgotten_is_not_handed_back,
        an_empty_request_changes_nothing,
        an_abandoned_request_poisons_the_store,
        nobody_is_handed_the_log_of_another,
        random_requests_and_restarts_agree_with_the_model,
        a_crash_after_any_request_keeps_all_of_it,
        random_requests_and_crashes_agree_with_the_model,
    );
    Ok(report)
}

async fn open<T: StoreUnderTest>(t: &T) -> Result<(T::Store, Recovered), String> {
    t.open(IDENTITY).await.map_err(|error| format!("the store does not open: {error}"))
}

async fn store_all<S: LogStore>(store: &mut S, requests: &[StoreRequest]) -> Result<(), String> {
    for request in requests {
        store.store(request).await.map_err(|error| format!("a request fails: {error}"))?;
    }
    Ok(())
}

/// Stores a script and opens again.
async fn comes_back<T: StoreUnderTest>(t: &T, script: &[StoreRequest]) -> Outcome {
    let (mut store, _) = open(t).await?;
    store_all(&mut store, script).await?;
    drop(store);
    let (_, recovered) = open(t).await?;
    expect_state(&recovered, script, || "after a restart".to_owned())?;
    Ok(true)
}

async fn a_new_store_is_empty<T: StoreUnderTest>(t: &T) -> Outcome {
    for _ in 0..2 {
        let (_, recovered) = open(t).await?;
        expect(recovered == Recovered::default(), || format!("found {recovered:?}"))?;
    }
    Ok(true)
}

async fn whole_scripts_are_recovered<T: StoreUnderTest>(t: &T) -> Outcome {
    comes_back(t, &forgetful_script()).await
}

async fn every_restart_recovers_exactly<T: StoreUnderTest>(t: &T) -> Outcome {
    let script = snapshot_script();
    for (position, request) in script.iter().enumerate() {
        let (mut store, recovered) = open(t).await?;
        expect_state(&recovered, &script[..position], || format!("at restart {position}"))?;
        store_all(&mut store, std::slice::from_ref(request)).await?;
    }
    let (_, recovered) = open(t).await?;
    expect_state(&recovered, &script, || "in the end".to_owned())?;
    Ok(true)
}

async fn truncation_makes_room_for_other_entries<T: StoreUnderTest>(t: &T) -> Outcome {
    let script = [
        request(1, None, None, entries(1, 6, 1)),
        request(2, None, Some(4), entries(4, 2, 2)),
        append(entries(6, 3, 2)),
        // All that there is, and nothing instead.
        request(3, Some(1), Some(1), vec![]),
        append(entries(1, 2, 3)),
        // What is beyond the end.
        request(4, None, Some(9), entries(3, 1, 4)),
    ];
    comes_back(t, &script).await
}

async fn an_installed_snapshot_takes_the_place_of_any_log<T: StoreUnderTest>(t: &T) -> Outcome {
    let script = [
        request(1, None, None, entries(1, 6, 1)),
        replace(2, snapshot(4, 2, 40), entries(5, 1, 2)),
        replace(3, snapshot(20, 3, 0), vec![]),
        append(entries(21, 2, 3)),
        replace(4, snapshot(22, 4, 10), entries(23, 3, 4)),
    ];
    for end in 1..=script.len() {
        let (mut store, recovered) = open(t).await?;
        expect_state(&recovered, &script[..end - 1], || format!("before request {end}"))?;
        store_all(&mut store, &script[end - 1..end]).await?;
    }
    let (_, recovered) = open(t).await?;
    expect_state(&recovered, &script, || "in the end".to_owned())?;
    Ok(true)
}

async fn a_large_snapshot_comes_back_whole<T: StoreUnderTest>(t: &T) -> Outcome {
    const SEVERAL_TRANSACTIONS_BYTES: usize = 20_000_000;
    let script = [
        request(1, None, None, entries(1, 5, 1)),
        keep(snapshot(2, 1, SEVERAL_TRANSACTIONS_BYTES)),
        keep(snapshot(3, 1, 100)),
        keep(snapshot(4, 1, SEVERAL_TRANSACTIONS_BYTES - 1)),
        forget(4),
    ];
    comes_back(t, &script).await
}

async fn what_is_forgotten_is_not_handed_back<T: StoreUnderTest>(t: &T) -> Outcome {
    let script = [
        request(1, None, None, entries(1, 9, 1)),
        keep(snapshot(6, 1, 30)),
        forget(3),
        append(entries(10, 3, 1)),
        forget(6),
        // Neither a smaller wish nor the same again matters.
        forget(2),
        forget(6),
        request(2, None, Some(8), entries(8, 1, 2)),
        keep(snapshot(8, 2, 1)),
        forget(8),
        append(entries(9, 4, 2)),
    ];
    comes_back(t, &script).await
}

async fn an_empty_request_changes_nothing<T: StoreUnderTest>(t: &T) -> Outcome {
    let script = short_script();
    let (mut store, _) = open(t).await?;
    store_all(&mut store, &[append(vec![])]).await?;
    store_all(&mut store, &script).await?;
    store_all(&mut store, &[append(vec![])]).await?;
    drop(store);
    let (_, recovered) = open(t).await?;
    expect_state(&recovered, &script, || "after a restart".to_owned())?;
    Ok(true)
}

async fn an_abandoned_request_poisons_the_store<T: StoreUnderTest>(t: &T) -> Outcome {
    let script = short_script();
    let (mut store, _) = open(t).await?;
    store_all(&mut store, &script[..1]).await?;
    let begun = store.store(&script[1]).now_or_never();
    expect(begun.is_none(), || format!("a request ended at once: {begun:?}"))?;
    let first = store.store(&script[1]).await;
    expect(matches!(first, Err(StorageError::Failed { .. })), || format!("expected Failed, got {first:?}"))?;
    let again = store.store(&append(vec![])).await;
    expect(again == first, || format!("expected the same error again, got {again:?}"))?;
    Ok(true)
}

async fn nobody_is_handed_the_log_of_another<T: StoreUnderTest>(t: &T) -> Outcome {
    let script = short_script();
    let (mut store, _) = open(t).await?;
    store_all(&mut store, &script).await?;
    drop(store);
    for other in [Identity { cluster: 8, ..IDENTITY }, Identity { node: NodeId(4), ..IDENTITY }] {
        match t.open(other).await {
            Err(StorageError::WrongIdentity { expected, found, .. }) => {
                expect(expected == other && found == IDENTITY, || format!("{expected} found {found}"))?;
            }
            Ok((mut store, recovered)) => {
                expect(recovered == Recovered::default(), || format!("{other} was handed {recovered:?}"))?;
                store_all(&mut store, &[request(9, None, None, entries(1, 2, 9))]).await?;
            }
            Err(error) => return Err(format!("{other}: {error}")),
        }
    }
    let (_, recovered) = open(t).await?;
    expect_state(&recovered, &script, || "after others had tried".to_owned())?;
    Ok(true)
}

async fn random_requests_and_restarts_agree_with_the_model<T: StoreUnderTest>(t: &T) -> Outcome {
    random(t, 11, false).await
}

async fn random_requests_and_crashes_agree_with_the_model<T: StoreUnderTest>(t: &T) -> Outcome {
    random(t, 12, true).await
}

/// Requests of every kind, as a core could make them, with restarts in between.
async fn random<T: StoreUnderTest>(t: &T, seed: u64, with_crashes: bool) -> Outcome {
    const LIVES: u64 = 12;
    let mut requests = Requests::new(seed);
    for life in 0..LIVES {
        let (mut store, recovered) = open(t).await?;
        expect(recovered == *requests.state(), || {
            format!("life {life}: found {recovered:?}, expected {:?}", requests.state())
        })?;
        for _ in 0..=life {
            let request = requests.next();
            store_all(&mut store, &[request]).await?;
        }
        drop(store);
        if with_crashes && !t.crash().await {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn a_crash_after_any_request_keeps_all_of_it<T: StoreUnderTest>(t: &T) -> Outcome {
    let script = forgetful_script();
    for (position, request) in script.iter().enumerate().take(30) {
        let (mut store, recovered) = open(t).await?;
        expect_state(&recovered, &script[..position], || format!("after crash {position}"))?;
        store_all(&mut store, std::slice::from_ref(request)).await?;
        drop(store);
        if !t.crash().await {
            return Ok(false);
        }
    }
    Ok(true)
}
