//! The terms on which a run is judged, as far as they follow from its schedule.

use std::collections::BTreeSet;

use stormglass_reports::Report;

use crate::check::{Calm, Subject};
use crate::history::VirtualTime;
use crate::plan::{Action, Schedule, WorkloadKind};

/// Whether clients leave messages behind that are to be taken out in the end.
pub(super) fn has_topics(schedule: &Schedule) -> bool {
    let mut turns = schedule.workload.turns().iter();
    turns.any(|kind| matches!(kind, WorkloadKind::Queue | WorkloadKind::Guarded))
}

/// How long a client that is served stays between two operations: it paces itself, holds a lock, works on a
/// message, and gives up what it cannot be sure of. Twice that, because it counts by a clock of its own.
pub(super) fn idle_us_max(schedule: &Schedule) -> u64 {
    let spec = &schedule.workload;
    let busy_us = (spec.hold_ms.max_ms + spec.queue.work_ms.max_ms) * 1_000;
    let abandon_us = spec.timeout_ms.saturating_mul(1_000);
    spec.pause_us_max().saturating_add(busy_us).saturating_add(abandon_us).saturating_mul(2)
}

/// So long after its end a life is over for whoever asks, once the calm is there: stamps go on with each entry, and
/// clients keep their sessions alive. In nanoseconds.
pub const EXPIRY_GRACE_NS: u64 = 2_000_000_000;

/// From when on nothing disturbs the cluster, if the last fault ended then.
pub(super) fn calm_after(schedule: &Schedule, faults_ended: VirtualTime) -> Calm {
    Calm {
        from: VirtualTime(faults_ended.0.saturating_add(schedule.timing.recover_within_ms * 1_000_000)),
        grace_ns: EXPIRY_GRACE_NS,
        slow_ppm_max: strayed_ppm_max(schedule),
        lease_us: schedule.workload.lease_ms * 1_000,
    }
}

/// The same of a run that is over, by what it left; nothing of a live run, whose clocks are real ones.
#[must_use]
pub fn calm_of(schedule: &Schedule, report: &Report) -> Option<Calm> {
    if report.live {
        return None;
    }
    // Reports tell microseconds, rounded down.
    let ended_us = report.faults.iter().map(|fault| fault.until_us.saturating_add(1)).max().unwrap_or(0);
    Some(calm_after(schedule, VirtualTime(ended_us.saturating_mul(1_000))))
}

/// How far any clock was off at most, either way, in parts per million.
#[must_use]
pub fn strayed_ppm_max(schedule: &Schedule) -> u64 {
    let strayed = schedule.faults.iter().filter_map(|fault| match &fault.action {
        Action::ClockDrift { ppm, .. } => Some(ppm.unsigned_abs()),
        _ => None,
    });
    strayed.max().unwrap_or(0).max(schedule.clocks.drift_ppm_max)
}

/// Whether no clock strays further than the bound that nodes and clients trust in.
pub(super) fn strays_within_its_bound(schedule: &Schedule) -> bool {
    strayed_ppm_max(schedule) <= schedule.clocks.drift_ppm_max
}

/// What the clients of a run work on.
pub(super) fn expected(schedule: &Schedule) -> BTreeSet<Subject> {
    let clients = schedule.cluster.clients as usize;
    let turns = schedule.workload.turns();
    let subject = |kind: &WorkloadKind| match kind {
        WorkloadKind::Lock => Subject::Lock,
        WorkloadKind::Semaphore => Subject::Semaphore,
        WorkloadKind::Queue => Subject::Queue,
        WorkloadKind::Cache => Subject::Cache,
        WorkloadKind::Guarded => Subject::Guarded,
        WorkloadKind::Register | WorkloadKind::Mixed => Subject::Register,
    };
    // Parts without a client are not expected, but those of a mixed workload always were.
    turns.iter().take(clients.max(2)).map(subject).collect()
}
