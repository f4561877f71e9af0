//! What the queue costs: bytes per message beside its payload, and time per operation, by how many messages
//! a topic holds. An operation is one entry applied by the whole machine, its session's table included.
//!
//! ```text
//! cargo bench -p stormglass-nodes --bench machine_queue
//! ```
//!
//! Bytes are counted while the messages come. How both are measured is in `measure`.

mod measure;
mod queue_operations;

use std::process::ExitCode;

use bytes::Bytes;
use stormglass_nodes::ids::{ClusterTime, MessageId, Receipt, Sequence, SessionId};
use stormglass_nodes::machine::{
    Action, Command, Machine, NewMessage, Outcome, QueueAction, QueueReply, Reply, TopicSettings,
};

use measure::{BYTES_MAX, HOUR_US, RUN, RUNS, each_ns, median, peak_bytes};

/// Messages when bytes are counted.
const COUNTED: u64 = 1_000_000;
const PAYLOAD_BYTES: usize = 16;
const BATCH: u64 = 1_000;

/// Makes the message of a number.
type Make<'a> = &'a dyn Fn(u64) -> NewMessage;

/// A machine with one session and one topic.
struct Bench {
    machine: Machine,
    sequence: u64,
    time_us: u64,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self { machine: Machine::new(), sequence: 0, time_us: 0 };
        let opened = bench.apply(&Command::OpenSession { lease_us: HOUR_US });
        assert_eq!(opened, Ok(Reply::SessionOpened { session: SessionId(1) }));
        let settings =
            TopicSettings { depth_max: 2 * COUNTED, attempts_max: 10_000, ..TopicSettings::default() };
        bench.act(QueueAction::Declare { topic: topic(), settings });
        bench
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        self.machine.apply(self.machine.index().next(), ClusterTime(self.time_us), command).outcome
    }

    fn act(&mut self, action: QueueAction) -> QueueReply {
        let command = self.command(action);
        reply(self.apply(&command))
    }

    fn command(&mut self, action: QueueAction) -> Command {
        self.sequence += 1;
        let sequence = Sequence(self.sequence);
        let action = Action::Queue(action);
        Command::Once {
            session: SessionId(1),
            sequence,
            lowest_open: sequence,
            open_below: Vec::new(),
            action,
        }
    }

    fn fill(&mut self, messages: u64, like: Make) {
        for batch in 0..messages / BATCH {
            let messages = (batch * BATCH..(batch + 1) * BATCH).map(like).collect();
            self.act(QueueAction::Enqueue { topic: topic(), messages, producer: None });
        }
    }

    fn take_all(&mut self, messages: u64) {
        for _ in 0..messages / BATCH {
            self.act(dequeue(BATCH as u32));
        }
    }

    /// Applies each command, and returns the nanoseconds that one took, and what was answered.
    fn timed(&mut self, actions: Vec<QueueAction>) -> (f64, Vec<QueueReply>) {
        let count = actions.len();
        let commands: Vec<Command> = actions.into_iter().map(|action| self.command(action)).collect();
        let mut outcomes = Vec::with_capacity(count);
        let (took, ()) =
            each_ns(count, || outcomes.extend(commands.iter().map(|command| self.apply(command))));
        (took, outcomes.into_iter().map(reply).collect())
    }
}

fn topic() -> String {
    "jobs".to_owned()
}

fn reply(outcome: Outcome) -> QueueReply {
    match outcome {
        Ok(Reply::Queue(reply)) => reply,
        other => panic!("the bench asks for what can be done: {other:?}"),
    }
}

fn plain(number: u64) -> NewMessage {
    let mut payload = vec![0; PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&number.to_le_bytes());
    NewMessage { payload: Bytes::from(payload), ..NewMessage::default() }
}

fn dequeue(count_max: u32) -> QueueAction {
    QueueAction::Dequeue { topic: topic(), count_max, visibility_us: HOUR_US, wait_us: 0 }
}

fn main() -> ExitCode {
    measure::run(|| {
        let fits = print_bytes();
        measure::print_times("messages in the topic", times);
        fits
    })
}

/// Returns whether every kind of message keeps to the bound.
fn print_bytes() -> bool {
    println!("bytes per message beside {PAYLOAD_BYTES} of payload, {COUNTED} messages (bound {BYTES_MAX})");
    let delayed = |n| NewMessage { delay_us: HOUR_US, ..plain(n) };
    let mortal = |n| NewMessage { ttl_us: Some(HOUR_US), ..plain(n) };
    let both = |n| NewMessage { delay_us: HOUR_US, ttl_us: Some(2 * HOUR_US), ..plain(n) };
    let mixed = |n: u64| NewMessage { priority: (n % 5) as u8, ..plain(n) };
    let grouped = |n: u64| NewMessage { group: Some(format!("group {}", n % 1_000)), ..plain(n) };
    let kinds: [(&str, Make, bool); 7] = [
        ("ready", &plain, false),
        ("ready, five priorities", &mixed, false),
        ("ready, with a time to live", &mortal, false),
        ("delayed", &delayed, false),
        ("delayed, with a time to live", &both, false),
        ("in flight", &plain, true),
        ("ready, in one of 1000 groups", &grouped, false),
    ];
    let mut fits = true;
    for (name, like, in_flight) in kinds {
        let bytes = bytes_per_message(like, in_flight);
        println!("  {bytes:7.1}  {name}");
        fits &= bytes <= BYTES_MAX;
    }
    let dead = bytes_per_dead(None);
    println!("  {dead:7.1}  given up, in the topic's own list");
    let moved = bytes_per_dead(Some("grave"));
    println!("  {moved:7.1}  given up, in a dead-letter topic (says where it comes from)");
    let alone =
        bytes_per_message(&|n| NewMessage { group: Some(format!("group {n:010}")), ..plain(n) }, false);
    println!("  {alone:7.1}  ready, with a group of its own and its name of 16 bytes (no bound)");
    fits && dead <= BYTES_MAX && moved <= BYTES_MAX
}

/// All messages are delivered, and given up when their leases run out.
fn bytes_per_dead(dead_letter: Option<&str>) -> f64 {
    let peak = peak_bytes(|| {
        let mut bench = Bench::new();
        let roomy = TopicSettings { depth_max: 2 * COUNTED, ..TopicSettings::default() };
        let dead_letter = dead_letter.map(str::to_owned);
        if let Some(topic) = dead_letter.clone() {
            bench.act(QueueAction::Declare { topic, settings: roomy.clone() });
        }
        let settings = TopicSettings { attempts_max: 1, dead_letter, ..roomy };
        bench.act(QueueAction::Declare { topic: topic(), settings });
        bench.fill(COUNTED, &plain);
        for _ in 0..COUNTED / BATCH {
            let brief = QueueAction::Dequeue {
                topic: topic(),
                count_max: BATCH as u32,
                visibility_us: 1_000,
                wait_us: 0,
            };
            bench.act(brief);
        }
        bench.time_us += 1_000;
        while bench.apply(&Command::Tick).is_ok() && bench.machine.is_behind() {}
        bench
    });
    peak / COUNTED as f64 - PAYLOAD_BYTES as f64
}

fn bytes_per_message(like: Make, in_flight: bool) -> f64 {
    let peak = peak_bytes(|| {
        let mut bench = Bench::new();
        bench.fill(COUNTED, like);
        if in_flight {
            bench.take_all(COUNTED);
        }
        bench
    });
    peak / COUNTED as f64 - PAYLOAD_BYTES as f64
}

/// The median time of each operation on a topic that holds this many messages.
fn times(depth: u64) -> Vec<(&'static str, f64)> {
    let mut bench = Bench::new();
    bench.fill(depth, &|n| NewMessage { ttl_us: Some(HOUR_US * 24), priority: (n % 3) as u8, ..plain(n) });
    queue_operations::declare_strict(&mut bench);
    let mut runs: Vec<(&str, Vec<f64>)> = Vec::new();
    for run in 0..RUNS {
        let mut took = one_of_each(&mut bench);
        took.extend(queue_operations::all(&mut bench, (run * RUN) as u64));
        runs.resize_with(took.len(), Default::default);
        for (run, (name, took)) in runs.iter_mut().zip(took) {
            run.0 = name;
            run.1.push(took);
        }
    }
    let medians = runs.into_iter().map(|(name, runs)| (name, median(runs)));
    medians.collect::<Vec<_>>().into_iter().chain(queue_operations::delete(bench)).collect()
}

/// Enqueues as many as it acknowledges, so that the depth stays.
fn one_of_each(bench: &mut Bench) -> Vec<(&'static str, f64)> {
    let enqueue = |n| QueueAction::Enqueue { topic: topic(), messages: vec![plain(n)], producer: None };
    let (enqueued, _) = bench.timed((0..RUN as u64).map(enqueue).collect());
    let (dequeued, replies) = bench.timed(vec![dequeue(1); RUN]);
    let extend = |(id, receipt)| QueueAction::Extend { topic: topic(), id, receipt, visibility_us: HOUR_US };
    let (extended, _) = bench.timed(receipts(&replies).map(extend).collect());
    let reject = |(id, receipt)| QueueAction::Reject { topic: topic(), id, receipt, delay_us: 0 };
    let (rejected, _) = bench.timed(receipts(&replies).map(reject).collect());
    let (again, replies) = bench.timed(vec![dequeue(1); RUN]);
    let acknowledge = |receipt| QueueAction::Acknowledge { topic: topic(), receipts: vec![receipt] };
    let (acknowledged, _) = bench.timed(receipts(&replies).map(acknowledge).collect());
    vec![
        ("enqueue", enqueued),
        ("dequeue", dequeued),
        ("extend", extended),
        ("reject", rejected),
        ("dequeue again", again),
        ("acknowledge", acknowledged),
        ("lease expires", expire(bench)),
    ]
}

/// Lets leases run out together, and returns the time for each.
fn expire(bench: &mut Bench) -> f64 {
    let brief =
        QueueAction::Dequeue { topic: topic(), count_max: RUN as u32, visibility_us: 1_000, wait_us: 0 };
    let reply = bench.act(brief);
    assert_eq!(receipts(&[reply]).count(), RUN);
    bench.time_us += 1_000;
    let (took, ticked) = each_ns(RUN, || bench.apply(&Command::Tick));
    ticked.expect("a tick is never refused");
    took
}

fn receipts(replies: &[QueueReply]) -> impl Iterator<Item = (MessageId, Receipt)> {
    replies.iter().flat_map(|reply| match reply {
        QueueReply::Delivered(deliveries) => {
            deliveries.iter().map(|delivery| (delivery.id, delivery.receipt))
        }
        other => panic!("the topic has messages: {other:?}"),
    })
}
