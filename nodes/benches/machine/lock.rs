//! What the locks cost: bytes per place in line and per lock held, and time per operation, by how many places
//! are taken. An operation is one entry applied by the whole machine, its session's table included.
//!
//! ```text
//! cargo bench -p stormglass-nodes --bench machine_lock
//! ```
//!
//! Bytes are counted while the waiters come, whose sessions have carried out a command before. So of a lock that is
//! held and awaited, the lock itself, its name, its hold and its holder are there before and not counted, nor are the
//! sessions that will wait; what is counted is the wait with all that it makes others longer by: the line, the
//! session's claims, its remembered commands, its ends. What a lock and its hold take is counted by itself.
//!
//! Before a session for which somebody waits stands in line, a cycle is looked for: that takes as many steps
//! as there are who wait for each other, but no more than `WAIT_GRAPH_STEPS_MAX`, beyond which it is refused. It is the
//! one operation whose time is bounded by that and not by the size of the tables.
//!
//! How both are measured is in `measure`.

mod lock_operations;
mod measure;

use std::process::ExitCode;

use stormglass_nodes::ids::{ClusterTime, Sequence, SessionId};
use stormglass_nodes::machine::{
    Action, Command, LockAction, LockGrant, LockMode, LockReply, LockRequest, Machine, MachineEvent, Outcome,
    REQUESTS_MAX, Reply, WAIT_GRAPH_STEPS_MAX, WAITERS_MAX,
};

use lock_operations::POOL;
use measure::{BYTES_MAX, HOUR_US, RUN, RUNS, each_ns, median, peak_bytes};

/// Places in line, or locks held, when bytes are counted.
const COUNTED: usize = 1_000_000;
/// Locks that one session holds when locks held are counted.
const HELD_EACH: usize = 1_000;
/// Waits of one session, and waiters of one lock, when waits for one lock each are counted: as few as there must be of
/// a session, of which there are 65,536 at most. Many more of both would have the search for deadlocks go through more
/// of them than it may.
const WAITS_EACH: usize = 16;
const LINE: usize = 16;
/// A lock that is held all the time.
const KEPT: &str = "kept";

/// A machine and what its clients know.
struct Bench {
    machine: Machine,
    /// The next number of each session.
    sequences: std::collections::BTreeMap<SessionId, u64>,
    time_us: u64,
}

impl Bench {
    fn new() -> Self {
        Self { machine: Machine::new(), sequences: std::collections::BTreeMap::new(), time_us: 0 }
    }

    fn apply(&mut self, command: &Command) -> (Outcome, Vec<MachineEvent>) {
        let applied = self.machine.apply(self.machine.index().next(), ClusterTime(self.time_us), command);
        (applied.outcome, applied.events)
    }

    fn open(&mut self) -> SessionId {
        self.open_for(HOUR_US)
    }

    fn open_for(&mut self, lease_us: u64) -> SessionId {
        match self.apply(&Command::OpenSession { lease_us }).0 {
            Ok(Reply::SessionOpened { session }) => session,
            other => panic!("opening a session led to {other:?}"),
        }
    }

    fn command(&mut self, session: SessionId, action: LockAction) -> Command {
        let next = self.sequences.entry(session).or_default();
        *next += 1;
        let sequence = Sequence(*next);
        let lowest_open = Sequence(next.saturating_sub(1).max(1));
        Command::Once { session, sequence, lowest_open, open_below: Vec::new(), action: Action::Lock(action) }
    }

    fn act(&mut self, session: SessionId, action: LockAction) -> Outcome {
        let command = self.command(session, action);
        self.apply(&command).0
    }

    /// Groups of locks, each held by one session, and sessions enough to fill their lines. Returns the waiting
    /// sessions, with their groups.
    fn hold_groups(&mut self, places: usize) -> Vec<(SessionId, usize)> {
        let waiters = places.div_ceil(REQUESTS_MAX);
        for group in 0..waiters.div_ceil(WAITERS_MAX) {
            let holder = self.open();
            assert!(matches!(self.act(holder, acquire(group_names(group), 0)), Ok(Reply::Lock(_))));
        }
        (0..waiters).map(|waiter| (self.open(), waiter / WAITERS_MAX)).collect()
    }

    fn stand_in_line(&mut self, waiters: &[(SessionId, usize)]) {
        for &(session, group) in waiters {
            let outcome = self.act(session, acquire(group_names(group), HOUR_US));
            assert!(matches!(outcome, Ok(Reply::Waiting { .. })), "{outcome:?}");
        }
    }

    /// Applies each command; returns the nanoseconds that one took, and the outcomes and events.
    fn timed(&mut self, commands: &[Command]) -> (f64, Vec<(Outcome, Vec<MachineEvent>)>) {
        let mut applied = Vec::with_capacity(commands.len());
        let (took, ()) =
            each_ns(commands.len(), || applied.extend(commands.iter().map(|command| self.apply(command))));
        (took, applied)
    }
}

fn group_names(group: usize) -> Vec<String> {
    (0..REQUESTS_MAX).map(|lock| format!("group {group}, lock {lock}")).collect()
}

fn acquire(names: Vec<String>, wait_us: u64) -> LockAction {
    let mode = LockMode::Exclusive;
    let requests = names.into_iter().map(|resource| LockRequest { resource, mode }).collect();
    LockAction::Acquire { requests, wait_us }
}

fn grants(outcome: &Outcome) -> Vec<LockGrant> {
    match outcome {
        Ok(Reply::Lock(LockReply::Granted { grants })) => grants.clone(),
        other => panic!("the bench asks for what is free: {other:?}"),
    }
}

fn main() -> ExitCode {
    measure::run(|| {
        println!("bytes, {COUNTED} of each");
        let place = bytes_per_place();
        println!("  {place:7.1}  place in line, of a wait for {REQUESTS_MAX} locks (bound {BYTES_MAX})");
        let wait = bytes_per_wait(LINE, WAITS_EACH);
        println!("  {wait:7.1}  wait for one lock, in lines of {LINE} (bound {BYTES_MAX})");
        let alone = bytes_per_wait(1, WAITS_EACH);
        println!("  {alone:7.1}  wait for one lock, alone in line (bound {BYTES_MAX})");
        let crowded = bytes_per_wait(1, HELD_EACH);
        println!("  {crowded:7.1}  the same, {HELD_EACH} of one session (no bound)");
        println!("  {:7.1}  lock held, with its name of 16 bytes (no bound)", bytes_per_hold());
        measure::print_times("places taken in lines", times);
        println!(
            "  where more than {WAIT_GRAPH_STEPS_MAX} steps would be on both sides of a search for deadlocks, the wait is refused"
        );
        [place, wait, alone].iter().all(|&bytes| bytes <= BYTES_MAX)
    })
}

fn bytes_per_place() -> f64 {
    let mut bench = Bench::new();
    let waiters = bench.hold_groups(COUNTED);
    let first = peak_bytes(|| {
        for &(session, group) in &waiters {
            assert!(bench.act(session, acquire(group_names(group), 0)).is_err(), "it is held");
        }
    });
    println!("  {:7.1}  first command of a session (no bound)", first / waiters.len() as f64);
    peak_bytes(|| bench.stand_in_line(&waiters)) / COUNTED as f64
}

/// Waits for one lock each, so many by each session, in lines so long.
fn bytes_per_wait(line: usize, waits_each: usize) -> f64 {
    let mut bench = Bench::new();
    let name = |group: usize, lock: usize| format!("{group:08}/{lock:07}");
    let groups = COUNTED / (line * waits_each);
    let names = (0..groups).flat_map(|group| (0..waits_each).map(move |lock| name(group, lock)));
    let mut holder = SessionId(0);
    for (place, name) in names.enumerate() {
        if place.is_multiple_of(HELD_EACH) {
            holder = bench.open();
        }
        assert!(bench.act(holder, acquire(vec![name], 0)).is_ok(), "it is free");
    }
    let waiters: Vec<(usize, SessionId)> = (0..groups)
        .flat_map(|group| (0..line).map(move |_| group))
        .map(|group| (group, bench.open()))
        .collect();
    let bytes = peak_bytes(|| {
        for &(group, session) in &waiters {
            for lock in 0..waits_each {
                let acquire = acquire(vec![name(group, lock)], HOUR_US);
                let command = lock_operations::beside_others(&mut bench, session, acquire);
                let outcome = bench.apply(&command).0;
                assert!(matches!(outcome, Ok(Reply::Waiting { .. })), "{outcome:?}");
            }
        }
    });
    bytes / (groups * line * waits_each) as f64
}

fn bytes_per_hold() -> f64 {
    let mut bench = Bench::new();
    let sessions: Vec<SessionId> = (0..COUNTED / HELD_EACH).map(|_| bench.open()).collect();
    let names = (0..COUNTED).map(|lock| format!("{lock:016}"));
    let bytes = peak_bytes(|| {
        for (place, name) in names.enumerate() {
            let outcome = bench.act(sessions[place / HELD_EACH], acquire(vec![name], 0));
            assert!(outcome.is_ok(), "{outcome:?}");
        }
    });
    bytes / COUNTED as f64
}

/// The median time of each operation beside this many places that are taken.
fn times(places: u64) -> Vec<(&'static str, f64)> {
    let mut bench = Bench::new();
    let waiters = bench.hold_groups(places as usize);
    bench.stand_in_line(&waiters);
    let keeper = bench.open();
    assert!(bench.act(keeper, acquire(vec![KEPT.to_owned()], 0)).is_ok(), "nobody else knows it");
    let clients: Vec<SessionId> = (0..2 * RUN).map(|_| bench.open()).collect();
    let pool = LockAction::DeclareSemaphore { resource: POOL.to_owned(), permits: RUN as u32 };
    assert_eq!(bench.act(keeper, pool), Ok(Reply::Done));
    let mut runs: Vec<(&str, Vec<f64>)> = Vec::new();
    for _ in 0..RUNS {
        let mut took = one_of_each(&mut bench, &clients);
        took.extend(lock_operations::all(&mut bench, keeper, &clients));
        let last = waiters.last().expect("there are places").1;
        for (name, awaited_by) in [("stand in line, holding", None), ("the same, awaited", Some(clients[1]))]
        {
            took.push((name, lock_operations::search(&mut bench, clients[0], awaited_by, group_names(last))));
        }
        runs.resize_with(took.len(), Default::default);
        for (run, (name, took)) in runs.iter_mut().zip(took) {
            run.0 = name;
            run.1.push(took);
        }
    }
    runs.into_iter().map(|(name, runs)| (name, median(runs))).collect()
}

/// Half of the clients hold a lock each, for which the other half waits. Returns the time of each operation.
fn one_of_each(bench: &mut Bench, clients: &[SessionId]) -> Vec<(&'static str, f64)> {
    let (holders, others) = clients.split_at(RUN);
    let name = |client: usize| vec![format!("client {client}")];
    let all = |bench: &mut Bench, sessions: &[SessionId], wait_us| -> Vec<Command> {
        let each = sessions.iter().enumerate();
        each.map(|(client, &session)| bench.command(session, acquire(name(client), wait_us))).collect()
    };
    let release = |bench: &mut Bench, session, grants| bench.command(session, LockAction::Release { grants });
    let mut took = Vec::new();

    let commands = all(bench, holders, 0);
    let (acquire_ns, held) = bench.timed(&commands);
    took.push(("acquire", acquire_ns));
    let commands = all(bench, others, HOUR_US);
    let (line_ns, _) = bench.timed(&commands);
    took.push(("stand in line", line_ns));
    let commands: Vec<Command> =
        (holders.iter().zip(&held)).map(|(&id, (outcome, _))| release(bench, id, grants(outcome))).collect();
    let (hand_off_ns, handed) = bench.timed(&commands);
    took.push(("release and hand off", hand_off_ns));
    let completed = |events: &Vec<MachineEvent>| {
        events.iter().find_map(|event| match event {
            MachineEvent::Completed { outcome, .. } => Some(grants(outcome)),
            _ => None,
        })
    };
    let commands: Vec<Command> = (others.iter().zip(&handed))
        .map(|(&id, (_, events))| release(bench, id, completed(events).expect("the next in line has it")))
        .collect();
    let (release_ns, _) = bench.timed(&commands);
    took.push(("release", release_ns));

    let mut commands = Vec::new();
    for &session in others {
        let outcome = bench.act(session, acquire(vec![KEPT.to_owned()], HOUR_US));
        assert!(matches!(outcome, Ok(Reply::Waiting { .. })), "{outcome:?}");
        let sequence = Sequence(bench.sequences[&session]);
        commands.push(bench.command(session, LockAction::Cancel { sequence }));
    }
    took.push(("cancel", bench.timed(&commands).0));
    took
}
