//! What the cache costs: bytes per key beside key and value, and time per operation by how many keys there
//! are; and what a hit in the near-cache costs. An operation is one entry applied by the whole machine, with
//! its session's table; a question is one answered from the applied state.
//!
//! ```text
//! cargo bench -p stormglass-nodes --bench machine_cache
//! ```
//!
//! Bytes are counted while the keys come. How both are measured is in `measure`.
//!
//! What a question costs more beside more keys is what memory costs that is in no cache of the processor: the same
//! keys are looked up, in the same run, in the maps of the standard library and in the persistent map that the
//! machine's tables are made of.

mod measure;

use std::collections::BTreeMap;
#[expect(clippy::disallowed_types, reason = "it is looked into, never iterated")]
use std::collections::HashMap;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use stormglass_nodes::coherence::{
    Claim, CoherenceBody, CoherenceMessage, Content, Holder, Key, Life, NearRead, ReaderId, Settings,
};
use stormglass_nodes::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Sequence, SessionId, Term};
use stormglass_nodes::machine::{
    Action, CacheAction, CacheQuery, CacheSettings, Command, Expected, Machine, Query, Reply, Room, Victim,
};

use measure::{BYTES_MAX, HOUR_US, RUN, RUNS, each_ns, median, peak_bytes};

/// Keys when bytes are counted.
const COUNTED: u64 = 1_000_000;
const VALUE_BYTES: usize = 16;
const SESSION: SessionId = SessionId(1);

/// The life of keys that end while time is taken, in microseconds.
const BRIEF_US: u64 = 20_000;
/// Keys that are neither neighbours nor far apart in time.
const STRIDE: u64 = 7_919;

struct Bench {
    machine: Machine,
    sequence: u64,
    keys: u64,
    time_us: u64,
}

impl Bench {
    /// `stride` has no divisor in common with `keys`: keys come in their order with 1, scattered otherwise.
    fn of(keys: u64, stride: u64, ttl_us: Option<u64>) -> Self {
        let mut machine = Machine::new();
        machine.apply(LogIndex(1), ClusterTime(0), &Command::OpenSession { lease_us: HOUR_US });
        let mut bench = Self { machine, sequence: 0, keys, time_us: 0 };
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
        let applied = self.machine.apply(self.machine.index().next(), ClusterTime(self.time_us), command);
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
                numbers(run, self.keys).map(|number| self.command(like(number))).collect();
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

/// Nanoseconds of one of a run's operations.
fn per_operation(run: impl FnOnce()) -> f64 {
    each_ns(RUN, run).0
}

/// The numbers of the keys of a run.
fn numbers(run: usize, keys: u64) -> impl Iterator<Item = u64> {
    (run * RUN..(run + 1) * RUN).map(move |n| n as u64 * STRIDE % keys)
}

fn main() -> ExitCode {
    measure::run(|| {
        let fits = print_bytes();
        measure::print_times("the number of keys", times);
        print_near();
        fits
    })
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
        let peak = peak_bytes(|| Bench::of(COUNTED, stride, ttl_us));
        let each = peak / COUNTED as f64 - payload as f64;
        fits &= !is_bound || each <= BYTES_MAX;
        println!("  {name:<34} {each:>8.1}");
    }
    fits
}

/// The median time of each operation beside this many keys.
fn times(size: u64) -> Vec<(&'static str, f64)> {
    let mut bench = Bench::of(size, STRIDE, None);
    let mut counters = Bench::of(0, STRIDE, None);
    for number in 0..size {
        counters.act(CacheAction::Add { key: key(number), delta: 1, initial: 0, ttl_us: None });
    }
    counters.keys = size;
    let set = |n| CacheAction::Set { key: key(n), value: value(n), ttl_us: None };
    let set_for = |n| CacheAction::Set { key: key(n), value: value(n), ttl_us: Some(HOUR_US + n * 10_000) };
    let compare = |n| CacheAction::CompareAndSet {
        key: key(n),
        expected: Expected::Value(value(n)),
        value: value(n),
        ttl_us: None,
    };
    let compare_and_delete =
        |n| CacheAction::CompareAndDelete { key: key(n), expected: Expected::Value(value(n)) };
    let add = |n| CacheAction::Add { key: key(n), delta: 1, initial: 0, ttl_us: None };
    let [tree, hash, persistent] = bare_maps(size);
    vec![
        ("get", gets(&bench)),
        ("  of a BTreeMap", tree),
        ("  of a HashMap", hash),
        ("  of the persistent map", persistent),
        ("set", bench.timed(set)),
        ("set with a life", bench.timed(set_for)),
        ("compare and set", bench.timed(compare)),
        ("add", counters.timed(add)),
        ("delete and set", bench.timed(|n| CacheAction::Delete { key: key(n) }) + bench.timed(set)),
        ("touch", bench.timed(|n| CacheAction::Touch { key: key(n), ttl_us: None })),
        ("compare and delete, and set", bench.timed(compare_and_delete) + bench.timed(set)),
        ("get ten", questions(&bench, |n| CacheQuery::GetMany { keys: (n..n + 10).map(key).collect() })),
        ("when a key ends", questions(&bench, |n| CacheQuery::Expiry { key: key(n) })),
        ("statistics", questions(&bench, |_| CacheQuery::Stats)),
        ("evict", evictions(&mut bench)),
        ("a life ends", lives(&mut bench)),
        ("configure", bench.timed(|_| CacheAction::Configure(CacheSettings::default()))),
        ("one victim", victims(&mut bench)),
    ]
}

/// A value as the cache keeps it, with its version and its end.
type Bare = (Arc<[u8]>, u64, u64);

/// The same look-ups in bare maps of the same keys and values, which copy the value as the cache does: in a tree, a
/// hash table, and the persistent map.
#[expect(clippy::disallowed_types, reason = "it is looked into, never iterated")]
fn bare_maps(size: u64) -> [f64; 3] {
    let item = |number: u64| -> (Arc<str>, Bare) {
        (Arc::from(key(number)), (Arc::from(value(number).as_ref()), number, u64::MAX))
    };
    let scattered = || (0..size).map(|number| number * STRIDE % size);
    let tree: BTreeMap<Arc<str>, Bare> = scattered().map(item).collect();
    let in_tree = look_ups(size, |key| tree.get(key).map(copied));
    drop(tree);
    let hash: HashMap<Arc<str>, Bare> = scattered().map(item).collect();
    let in_hash = look_ups(size, |key| hash.get(key).map(copied));
    drop(hash);
    let mut persistent: imbl::OrdMap<Arc<str>, Bare> = imbl::OrdMap::new();
    for number in scattered() {
        let (key, bare) = item(number);
        persistent.insert(key, bare);
    }
    let in_persistent = look_ups(size, |key| persistent.get(key).map(copied));
    [in_tree, in_hash, in_persistent]
}

fn copied((value, version, _): &Bare) -> (Bytes, u64) {
    (Bytes::copy_from_slice(value), *version)
}

fn look_ups(size: u64, find: impl Fn(&str) -> Option<(Bytes, u64)>) -> f64 {
    let mut runs = Vec::new();
    for run in 0..RUNS {
        let keys: Vec<String> = numbers(run, size).map(key).collect();
        runs.push(per_operation(|| {
            for key in &keys {
                assert!(black_box(find(key)).is_some());
            }
        }));
    }
    median(runs)
}

fn gets(bench: &Bench) -> f64 {
    let mut runs = Vec::new();
    for run in 0..RUNS {
        let queries: Vec<Query> = numbers(run, bench.keys)
            .map(|number| Query::Cache(CacheQuery::Get { key: key(number) }))
            .collect();
        runs.push(per_operation(|| {
            for query in &queries {
                assert!(matches!(black_box(bench.machine.query(query)), Ok(Reply::Cache(_))));
            }
        }));
    }
    median(runs)
}

fn questions(bench: &Bench, like: impl Fn(u64) -> CacheQuery) -> f64 {
    let runs = (0..RUNS).map(|run| {
        let queries: Vec<Query> = numbers(run, bench.keys).map(|number| Query::Cache(like(number))).collect();
        per_operation(|| {
            for query in &queries {
                assert!(matches!(black_box(bench.machine.query(query)), Ok(Reply::Cache(_))));
            }
        })
    });
    median(runs.collect())
}

/// Evicts keys one by one; they are set again afterwards.
fn evictions(bench: &mut Bench) -> f64 {
    let mut runs = Vec::new();
    for run in 0..RUNS {
        let evict = |number| {
            let found = bench.machine.find(&key(number)).expect("it was set again");
            Command::Evict { victims: vec![Victim { key: key(number), version: found.0.version }] }
        };
        let commands: Vec<Command> = numbers(run, bench.keys).map(evict).collect();
        runs.push(per_operation(|| commands.iter().for_each(|command| bench.apply(command))));
        for number in numbers(run, bench.keys) {
            bench.act(CacheAction::Set { key: key(number), value: value(number), ttl_us: None });
        }
    }
    median(runs)
}

/// Keys whose lives end together, beside the others; the time for each.
fn lives(bench: &mut Bench) -> f64 {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        for number in 0..RUN as u64 {
            let key = format!("brief/{number}");
            bench.act(CacheAction::Set { key, value: value(number), ttl_us: Some(BRIEF_US) });
        }
        // An end may be put off a little, so that many come together.
        bench.time_us += 2 * BRIEF_US;
        runs.push(per_operation(|| bench.apply(&Command::Tick)));
        assert_eq!(bench.machine.find("brief/0"), None, "it has ended");
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
            let keys: Vec<String> = numbers(run, size).map(|number| key(1 + number)).collect();
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
