//! Liveness: once faults have ended, the cluster serves again within a stated time.
//!
//! An operation that was pending when faults ended, or was invoked later, must be answered within
//! `recover_within` of the later of the two moments; the time for which it waits by its own wish comes on top. Giving up, for
//! sure or not knowing the outcome, is no answer: a read that nobody answers fails for sure, and is as
//! little served as a write. It is forgiven only until `recover_within` after the end of faults. An
//! operation whose time runs beyond the end of the run is not judged, and a run in which none succeeded
//! after the faults has shown nothing.
//!
//! What is judged is what clients are served, by whoever are the members then. A node that was removed, or
//! has not joined yet, owes nothing; that no client is left asking such nodes for ever is the cluster's and
//! the client library's business.
//!
//! Nor may a client be kept from beginning anything: one that cannot so much as open a session leaves no
//! operation to judge. So each client begins its next operation within `recover_within` and the longest
//! time that a client which is served stays idle.

use std::collections::BTreeMap;

use super::{CheckReport, Verdict};
use crate::history::{Asker, History, Operation, Outcome, VirtualTime, WITHDRAWN};

/// The times that liveness is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the last fault ended; the beginning, in a run without faults.
    pub faults_end: VirtualTime,
    /// Within how many nanoseconds of virtual time the cluster has to serve again.
    pub recover_within_ns: u64,
    /// When the run ended.
    pub ended: VirtualTime,
    /// The clients that are to be served, numbered from 1.
    pub clients: u64,
    /// How long a client that is served stays between two operations at most, in nanoseconds.
    pub idle_ns_max: u64,
    /// From when on clients begin nothing more.
    pub until: VirtualTime,
}

impl Times {
    const fn recovered(&self) -> VirtualTime {
        VirtualTime(self.faults_end.0.saturating_add(self.recover_within_ns))
    }

    /// By when an operation must have completed.
    fn deadline(&self, operation: &Operation) -> VirtualTime {
        let wait_ns = operation.call.wait_us().saturating_mul(1_000);
        let from = operation.invoked_ns.max(self.faults_end);
        VirtualTime(from.0.saturating_add(self.recover_within_ns).saturating_add(wait_ns))
    }
}

/// What one operation says.
enum Finding {
    /// It was over before faults ended, or ran into the end of the run.
    Nothing,
    /// It gave up while the cluster had not yet to serve.
    Forgiven,
    /// It succeeded in time.
    Succeeded,
    /// It did not complete as it should.
    Late(String),
}

/// Checks a history.
#[must_use]
pub fn check(history: &History, times: &Times) -> CheckReport {
    let (mut succeeded, mut forgiven) = (0_u64, 0_u64);
    let mut late = Vec::new();
    for operation in &history.operations {
        match judge(operation, times) {
            Finding::Nothing => {}
            Finding::Forgiven => forgiven += 1,
            Finding::Succeeded => succeeded += 1,
            Finding::Late(how) => late.push((operation, how)),
        }
    }
    let counterexample = late
        .first()
        .map(|(operation, how)| {
            format!(
                "{} operations did not complete in time, the first of them #{} of client {} ({} {:?}), invoked \
                 at {}: {how}\n",
                late.len(),
                operation.id,
                operation.client,
                operation.call.kind(),
                operation.call.object(),
                operation.invoked_ns
            )
        })
        .or_else(|| shut_out(history, times));
    let verdict = match counterexample {
        Some(_) => Verdict::Invalid,
        None if succeeded > 0 => Verdict::Valid,
        None => Verdict::Unknown,
    };
    CheckReport {
        name: "liveness".to_owned(),
        source: "eventual progress under partial synchrony; Raft paper, section 5.6".to_owned(),
        verdict,
        detail: format!(
            "{succeeded} operations done after faults ended at {}; {forgiven} gave up before the cluster had to \
             serve again",
            times.faults_end
        ),
        cost_steps: history.operations.len() as u64,
        counterexample,
    }
}

/// A client that began nothing for longer than it may after faults ended.
fn shut_out(history: &History, times: &Times) -> Option<String> {
    let patience_ns = times.recover_within_ns.saturating_add(times.idle_ns_max);
    let mut idle_since: BTreeMap<u64, VirtualTime> =
        (1..=times.clients).map(|client| (client, times.faults_end)).collect();
    let silent = |client: u64, since: VirtualTime, until: VirtualTime| {
        (until.since_ns(since) > patience_ns)
            .then(|| format!("client {client} began no operation between {since} and {until}\n"))
    };
    for operation in &history.operations {
        let Some(since) = idle_since.get_mut(&Asker::of(operation.client).client) else { continue };
        if let Some(found) = silent(Asker::of(operation.client).client, *since, operation.invoked_ns) {
            return Some(found);
        }
        *since = operation.returned_ns.unwrap_or(times.ended).max(*since);
    }
    let end = times.until.min(times.ended);
    idle_since.into_iter().find_map(|(client, since)| silent(client, since, end))
}

/// Whether its client had no use for the answer any more, so that nobody knows when it would have come.
pub(crate) fn is_withdrawn(operation: &Operation) -> bool {
    matches!(&operation.outcome, Outcome::Unknown { reason } if reason == WITHDRAWN)
}

fn judge(operation: &Operation, times: &Times) -> Finding {
    if operation.call.is_own_work() || is_withdrawn(operation) {
        return Finding::Nothing;
    }
    let deadline = times.deadline(operation);
    let Some(returned) = operation.returned_ns else {
        return if deadline <= times.ended {
            Finding::Late(format!("still open when the run ended at {}", times.ended))
        } else {
            Finding::Nothing
        };
    };
    if returned <= times.faults_end && operation.invoked_ns <= times.faults_end {
        return Finding::Nothing;
    }
    match &operation.outcome {
        Outcome::Unknown { .. } | Outcome::Fail { .. } if returned <= times.recovered() => Finding::Forgiven,
        Outcome::Unknown { reason } => {
            Finding::Late(format!("given up at {returned}, its outcome unknown: {reason}"))
        }
        Outcome::Fail { reason } => Finding::Late(format!("not served at {returned}: {reason}")),
        Outcome::Ok { .. } if returned > deadline => Finding::Late(format!("completed only at {returned}")),
        Outcome::Ok { .. } => Finding::Succeeded,
    }
}
