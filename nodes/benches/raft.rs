//! How fast the core is, by itself and beside raft-rs: three nodes in memory, on one thread, whose stores
//! complete at once and whose messages arrive at once. The clusters and the choices made for raft-rs are
//! those of `beside_raft_rs`, which measures CPU time in alternating rounds; here criterion takes its own
//! statistics, and keeps them from run to run.
//!
//! `proposals/NAME/N` counts proposals of 128 bytes per second, N of them in a round, committed and handed
//! out for applying on all nodes. `catch_up/NAME` counts entries per second that a follower takes over which
//! was away.

#[path = "beside_raft_rs/contenders.rs"]
mod contenders;
#[path = "beside_raft_rs/ours.rs"]
mod ours;
#[path = "beside_raft_rs/system.rs"]
mod system;
#[path = "beside_raft_rs/theirs.rs"]
mod theirs;

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use crate::contenders::{CATCHING_UP, CONTENDERS, Contender};
use crate::system::{BATCHES, NODES, System};

/// Proposals of one measured run: enough to amortize, few enough to keep the logs in memory small.
const PROPOSALS: u64 = 16_384;
/// Entries that a follower lacks when it comes back.
const CATCH_UP_ENTRIES: u64 = 100_000;
/// Batch in which the log grows meanwhile.
const CATCH_UP_BATCH: u64 = 256;
const SAMPLES: usize = 10;
const WARM_UP: Duration = Duration::from_millis(300);
const MEASUREMENT: Duration = Duration::from_secs(1);

/// Makes sure that a run does what it claims.
fn check(contender: Contender, batch: u64) {
    let mut cluster = contender.elected();
    cluster.run(PROPOSALS, batch);
    assert!(cluster.committed_everywhere() >= PROPOSALS, "every proposal commits");
    assert!(
        cluster.applied() >= NODES * PROPOSALS - (NODES - 1) * batch,
        "every entry is applied on every node"
    );
}

/// A cluster whose last node was away while the log grew.
fn left_behind(contender: Contender) -> Box<dyn System> {
    let mut cluster = contender.elected();
    cluster.run(CATCH_UP_BATCH, CATCH_UP_BATCH);
    cluster.leave();
    cluster.run(CATCH_UP_ENTRIES, CATCH_UP_BATCH);
    cluster
}

fn proposals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("proposals");
    group.sample_size(SAMPLES).warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
    group.throughput(Throughput::Elements(PROPOSALS));
    for batch in BATCHES {
        for contender in CONTENDERS {
            check(contender, batch);
            group.bench_function(BenchmarkId::new(contender.name, batch), |bencher| {
                let elected = || contender.elected();
                bencher.iter_batched_ref(
                    elected,
                    |cluster| cluster.run(PROPOSALS, batch),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn catch_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("catch_up");
    group.sample_size(SAMPLES).warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
    group.throughput(Throughput::Elements(CATCH_UP_ENTRIES));
    for contender in CATCHING_UP {
        group.bench_function(contender.name, |bencher| {
            let left_behind = || left_behind(contender);
            bencher.iter_batched_ref(left_behind, |cluster| cluster.catch_up(), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, proposals, catch_up);
criterion_main!(benches);
