//! How fast the core is, by itself: three cores in memory, on one thread, whose stores complete at once and
//! whose messages arrive at once. Proposals of 128 bytes, committed and handed out for applying on the
//! leader and on the followers.
//!
//! `proposals/N` counts proposals per second when N of them share one call of `effects`; `steps/N` is the
//! same run counted in inputs stepped, on all three cores together.

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stormglass_nodes::ids::{LocalTime, NodeId};
use stormglass_nodes::raft::{Config, Core, Effects, Input, Message, Recovered, Role};

const NODES: u64 = 3;
const COMMAND_BYTES: usize = 128;
/// Proposals of one measured run: enough to amortize, few enough to keep the logs in memory small.
const PROPOSALS: u64 = 16_384;
const BATCHES: [u64; 5] = [1, 16, 64, 256, 1024];

struct Cluster {
    cores: Vec<Core>,
    network: VecDeque<Message>,
    /// Used again for every step of every core, as a driver would.
    effects: Effects,
    command: Bytes,
    steps: u64,
    applied: u64,
    now: LocalTime,
}

impl Cluster {
    /// A cluster whose first node leads.
    fn elected() -> Self {
        let voters: Vec<_> = (1..=NODES).map(NodeId).collect();
        let core = |&id: &NodeId| {
            Core::new(Config::new(id, voters.clone()), Recovered::default(), id.0, LocalTime(0))
        };
        let mut cluster = Self {
            cores: voters.iter().map(core).collect(),
            network: VecDeque::new(),
            effects: Effects::default(),
            command: Bytes::from(vec![7; COMMAND_BYTES]),
            steps: 0,
            applied: 0,
            now: LocalTime(0),
        };
        cluster.now = cluster.cores[0].deadline();
        cluster.step(0, Input::Tick);
        cluster.settle(0);
        cluster.run_network();
        assert_eq!(cluster.cores[0].status().role, Role::Leader, "the first node leads");
        (cluster.steps, cluster.applied) = (0, 0);
        cluster
    }

    fn step(&mut self, at: usize, input: Input) {
        self.steps += 1;
        self.cores[at].step(input, self.now);
    }

    /// Carries out what one core asks for, until it asks for nothing more to be stored.
    fn settle(&mut self, at: usize) {
        loop {
            self.cores[at].effects_into(&mut self.effects);
            self.network.extend(self.effects.messages.drain(..));
            self.network.extend(self.effects.messages_after.drain(..).map(|(_, message)| message));
            if let Some(last) = self.effects.committed.last() {
                self.applied += self.effects.committed.len() as u64;
                let index = last.index;
                black_box(&self.effects.committed);
                self.step(at, Input::Applied(index));
            }
            match self.effects.store.take() {
                Some(store) => self.step(at, Input::Stored(store.token)),
                None => return,
            }
        }
    }

    fn run_network(&mut self) {
        while let Some(message) = self.network.pop_front() {
            let at = message.to.0 as usize - 1;
            self.step(at, Input::Receive(message));
            self.settle(at);
        }
    }

    /// Proposes everything in batches and sees it committed.
    fn run(&mut self, batch: u64) {
        for first in (0..PROPOSALS).step_by(batch as usize) {
            for id in first..(first + batch).min(PROPOSALS) {
                let command = self.command.clone();
                self.step(0, Input::Propose { id, command });
            }
            self.settle(0);
            self.run_network();
        }
    }
}

/// The steps of one run. Also makes sure that a run does what it claims.
fn steps_of(batch: u64) -> u64 {
    let mut cluster = Cluster::elected();
    cluster.run(batch);
    let committed = cluster.cores[0].status().commit_index.0;
    assert_eq!(committed, PROPOSALS + 1, "every proposal commits");
    assert!(cluster.applied > (NODES - 1) * PROPOSALS, "nearly every entry is applied on every node");
    cluster.steps
}

fn bench(criterion: &mut Criterion) {
    for (name, per_run) in [("proposals", None), ("steps", Some(()))] {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20);
        for batch in BATCHES {
            group.throughput(Throughput::Elements(per_run.map_or(PROPOSALS, |()| steps_of(batch))));
            group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
                bencher.iter_batched_ref(
                    Cluster::elected,
                    |cluster| cluster.run(batch),
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
