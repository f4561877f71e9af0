//! What the cache costs: bytes per key beside key and value, and time per operation by how many keys there
//! are; and what a hit in the near-cache costs. An operation is one entry applied by the whole machine, with
//! its session's table; a question is one answered from the applied state.
//!
//! ```text
//! cargo bench -p stormglass-nodes --bench machine_cache
//! ```
//!
//! Bytes are those asked of the allocator at their highest, times the thread's own CPU time, medians.

use std::hint::black_box;
use std::process::ExitCode;

use alloc_tracker::Session;
use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use stormglass_nodes::coherence::{
    Claim, CoherenceBody, CoherenceMessage, Content, Holder, Key, Life, NearRead, ReaderId, Settings,
};
use stormglass_nodes::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Sequence, SessionId, Term};
use stormglass_nodes::machine::{
    Action, CacheAction, CacheQuery, CacheSettings, Command, Machine, Query, Reply, Room,
};

#[global_allocator]
static ALLOCATOR: alloc_tracker::Allocator<std::alloc::System> = alloc_tracker::Allocator::system();

/// What the process says of a call that it does not understand.
const USAGE_ERROR: u8 = 64;
/// What a key that lives for ever may cost beside itself and its value.
const BYTES_MAX: f64 = 200.0;
/// Keys when bytes are counted.
const COUNTED: u64 = 1_000_000;
/// Keys when time is taken.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Operations timed together.
const RUN: u64 = 100;
/// Runs of each operation.
const RUNS: u64 = 200;
const VALUE_BYTES: usize = 16;
const HOUR_US: u64 = 3_600_000_000;
const SESSION: SessionId = SessionId(1);

/// Keys that are neither neighbours nor far apart in time.
const STRIDE: u64 = 7_919;

struct Bench {
    machine: Machine,
    sequence: u64,
    keys: u64,
}

impl Bench {
    /// `stride` has no divisor in common with `keys`: keys come in their order with 1, scattered otherwise.
    fn of(keys: u64, stride: u64, ttl_us: Option<u64>) -> Self {
        let mut machine = Machine::new();
        machine.apply(LogIndex(1), ClusterTime(0), &Command::OpenSession { lease_us: HOUR_US });
        let mut bench = Self { machine, sequence: 0, keys };
        for number in (0..keys).map(|number| number * stride % keys) {
            let ttl_us = ttl_us.map(|ttl_us| ttl_us + number % 1_000 * 10_000);
            bench.act(CacheAction::Set { key: key(number), value: value(number), ttl_us });
        }
        bench
    }

    fn command(&mut self, action: CacheAction) -> Command {
        self.sequence += 1;
        let sequence = Sequence(self.sequence);
        Command::Once {
            session: SESSION,
            sequence,
            lowest_open: sequence,
            open_below: Vec::new(),
            action: Action::Cache(action),
        }
    }

    fn apply(&mut self, command: &Command) {
        let applied = self.machine.apply(self.machine.index().next(), ClusterTime(0), command);
        assert!(applied.outcome.is_ok(), "the bench asks for what can be done: {:?}", applied.outcome);
    }

    fn act(&mut self, action: CacheAction) {
        let command = self.command(action);
        self.apply(&command);
    }

    /// The median of the nanoseconds that one of these took.
    fn timed(&mut self, like: impl Fn(u64) -> CacheAction) -> f64 {
        let mut runs = Vec::new();
        for run in 0..RUNS {
            let commands: Vec<Command> =
                (0..RUN).map(|n| self.command(like((run * RUN + n) * STRIDE % self.keys))).collect();
            runs.push(per_operation(|| commands.iter().for_each(|command| self.apply(command))));
        }
        median(runs)
    }
}

fn key(number: u64) -> String {
    format!("key/{number:08}")
}

fn value(number: u64) -> Bytes {
    let mut value = vec![0; VALUE_BYTES];
    value[..8].copy_from_slice(&number.to_le_bytes());
    Bytes::from(value)
}

fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds of one of a run's operations.
fn per_operation(run: impl FnOnce()) -> f64 {
    let from = cpu_ns();
    run();
    (cpu_ns() - from) as f64 / RUN as f64
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if !arguments.is_empty() {
        eprintln!("usage: [--bench]");
        return ExitCode::from(USAGE_ERROR);
    }
    let fits = print_bytes();
    print_times();
    print_near();
    if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns whether a key keeps to its bound.
fn print_bytes() -> bool {
    let payload = key(0).len() + VALUE_BYTES;
    println!("bytes per key beside {payload} of key and value, {COUNTED} keys (bound {BYTES_MAX})");
    let mut fits = true;
    for (name, stride, ttl_us, is_bound) in [
        ("scattered, lives for ever", STRIDE, None, true),
        // Keys that come in their order leave the nodes of the tables half full.
        ("in order, lives for ever", 1, None, true),
        // One more index, and no bound for it.
        ("scattered, with an end (no bound)", STRIDE, Some(HOUR_US), false),
        ("in order, with an end (no bound)", 1, Some(HOUR_US), false),
    ] {
        let session = Session::new().no_stdout().no_file();
        {
            let operation = session.operation("fill");
            let _span = operation.measure_thread().iterations(1);
            black_box(Bench::of(COUNTED, stride, ttl_us));
        }
        let report = session.to_report();
        let (_, operation) = report.operations().next().expect("one operation was counted");
        let peak = operation.peak_outstanding_bytes().expect("a span of one iteration has a peak");
        let each = peak / COUNTED as f64 - payload as f64;
        fits &= !is_bound || each <= BYTES_MAX;
        println!("  {name:<34} {each:>8.1}");
    }
    fits
}

fn print_times() {
    println!("\nnanoseconds per operation, by the number of keys");
    println!("{:<22}{}", "", SIZES.map(|size| format!("{size:>11}")).concat());
    let mut rows: Vec<(&str, Vec<f64>)> = [
        "get",
        "set",
        "set with a life",
        "compare and set",
        "add",
        "delete and set",
        "configure",
        "one victim",
    ]
    .map(|name| (name, Vec::new()))
    .into();
    for size in SIZES {
        let mut bench = Bench::of(size, STRIDE, None);
        let mut counters = Bench::of(0, STRIDE, None);
        for number in 0..size {
            counters.act(CacheAction::Add { key: key(number), delta: 1, initial: 0, ttl_us: None });
        }
        counters.keys = size;
        let times = [
            gets(&bench),
            bench.timed(|n| CacheAction::Set { key: key(n), value: value(n), ttl_us: None }),
            bench.timed(|n| CacheAction::Set {
                key: key(n),
                value: value(n),
                ttl_us: Some(HOUR_US + n * 10_000),
            }),
            bench.timed(|n| CacheAction::CompareAndSet {
                key: key(n),
                expected: stormglass_nodes::machine::Expected::Value(value(n)),
                value: value(n),
                ttl_us: None,
            }),
            counters.timed(|n| CacheAction::Add { key: key(n), delta: 1, initial: 0, ttl_us: None }),
            bench.timed(|n| CacheAction::Delete { key: key(n) })
                + bench.timed(|n| CacheAction::Set { key: key(n), value: value(n), ttl_us: None }),
            bench.timed(|_| CacheAction::Configure(CacheSettings::default())),
            victims(&mut bench),
        ];
        rows.iter_mut().zip(times).for_each(|((_, row), time)| row.push(time));
    }
    for (name, row) in rows {
        println!("{name:<22}{}", row.iter().map(|time| format!("{time:>11.0}")).collect::<String>());
    }
}

fn gets(bench: &Bench) -> f64 {
    let mut runs = Vec::new();
    for run in 0..RUNS {
        let queries: Vec<Query> = (0..RUN)
            .map(|n| Query::Cache(CacheQuery::Get { key: key((run * RUN + n) * STRIDE % bench.keys) }))
            .collect();
        runs.push(per_operation(|| {
            for query in &queries {
                assert!(matches!(black_box(bench.machine.query(query)), Ok(Reply::Cache(_))));
            }
        }));
    }
    median(runs)
}

/// Whom to evict for one more key, of a cache that is full.
fn victims(bench: &mut Bench) -> f64 {
    let settings = CacheSettings { entries_max: bench.keys, ..CacheSettings::default() };
    bench.act(CacheAction::Configure(settings));
    let runs = (0..RUNS).map(|_| {
        per_operation(|| {
            for _ in 0..RUN {
                let victims =
                    bench.machine.victims(Room { entries: 1, bytes: 1 }, Room::default(), |_| false);
                assert_eq!(black_box(victims).len(), 1);
            }
        })
    });
    median(runs.collect())
}

/// A hit in the near-cache: no message, no log entry.
fn print_near() {
    println!("\nnanoseconds per hit in a near-cache, by the number of its lines");
    for size in [1_000, 10_000, 65_536] {
        let mut holder = Holder::new(Life(1), Settings { lease_us: HOUR_US, ..Settings::default() });
        holder.set_leader(Term(1), Some(NodeId(1)));
        for number in 1..=size {
            let name = key(number);
            holder.read(&name, ReaderId(number), LocalTime(0));
            let body = CoherenceBody::Grant {
                key: Key::from(name),
                claim: Claim { life: Life(1), number: stormglass_nodes::coherence::AskNumber(number) },
                content: Some(Content { value: value(number), version: LogIndex(number) }),
                as_of: LogIndex(number),
                lease_us: HOUR_US,
                exclusive: false,
            };
            holder.receive(NodeId(1), CoherenceMessage { term: Term(1), body }, LocalTime(1));
            holder.take_effects();
        }
        let mut runs = Vec::new();
        for run in 0..RUNS {
            let keys: Vec<String> = (0..RUN).map(|n| key(1 + (run * RUN + n) * STRIDE % size)).collect();
            runs.push(per_operation(|| {
                for key in &keys {
                    let read = holder.read(black_box(key), ReaderId(0), LocalTime(2));
                    assert!(matches!(read, NearRead::Hit(_)));
                }
            }));
        }
        println!("  {size:>8} {:>8.0}", median(runs));
    }
}
