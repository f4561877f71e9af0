//! What the locks cost: bytes per place in line and per lock held, and time per operation, by how many places
//! are taken. An operation is one entry applied by the whole machine, its session's table included.
//!
//! ```text
//! cargo bench -p stormglass-nodes --bench machine_lock
//! ```
//!
//! Bytes are counted while the waiters come, whose sessions have carried out a command before. How both are
//! measured is in `measure`.

mod measure;

use std::process::ExitCode;

use stormglass_nodes::ids::{ClusterTime, Sequence, SessionId};
use stormglass_nodes::machine::{
    Action, Command, LockAction, LockGrant, LockMode, LockReply, LockRequest, Machine, MachineEvent, Outcome,
    REQUESTS_MAX, Reply, WAITERS_MAX,
};

use measure::{BYTES_MAX, HOUR_US, RUN, RUNS, each_ns, median, peak_bytes};

/// Places in line, or locks held, when bytes are counted.
const COUNTED: usize = 1_000_000;
/// Locks that one session holds when locks held are counted.
const HELD_EACH: usize = 1_000;
/// A lock that is held all the time.
const KEPT: &str = "kept";

/// A machine and what its clients know.
struct Bench {
    machine: Machine,
    /// The next number of each session.
    sequences: std::collections::BTreeMap<SessionId, u64>,
}

impl Bench {
    fn new() -> Self {
        Self { machine: Machine::new(), sequences: std::collections::BTreeMap::new() }
    }

    fn apply(&mut self, command: &Command) -> (Outcome, Vec<MachineEvent>) {
        let applied = self.machine.apply(self.machine.index().next(), ClusterTime(0), command);
        (applied.outcome, applied.events)
    }

    fn open(&mut self) -> SessionId {
        match self.apply(&Command::OpenSession { lease_us: HOUR_US }).0 {
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
        println!("  {place:7.1}  place in line (bound {BYTES_MAX})");
        println!("  {:7.1}  lock held (no bound)", bytes_per_hold());
        measure::print_times("places taken in lines", times);
        place <= BYTES_MAX
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
    let names = ["acquire", "stand in line", "release and hand off", "release", "cancel"];
    let mut runs = vec![Vec::new(); names.len()];
    for _ in 0..RUNS {
        for (run, took) in runs.iter_mut().zip(one_of_each(&mut bench, &clients)) {
            run.push(took);
        }
    }
    names.into_iter().zip(runs.into_iter().map(median)).collect()
}

/// Half of the clients hold a lock each, for which the other half waits. Returns the time of each operation.
fn one_of_each(bench: &mut Bench, clients: &[SessionId]) -> Vec<f64> {
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
    took.push(acquire_ns);
    let commands = all(bench, others, HOUR_US);
    let (line_ns, _) = bench.timed(&commands);
    took.push(line_ns);
    let commands: Vec<Command> =
        (holders.iter().zip(&held)).map(|(&id, (outcome, _))| release(bench, id, grants(outcome))).collect();
    let (hand_off_ns, handed) = bench.timed(&commands);
    took.push(hand_off_ns);
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
    took.push(release_ns);

    let mut commands = Vec::new();
    for &session in others {
        let outcome = bench.act(session, acquire(vec![KEPT.to_owned()], HOUR_US));
        assert!(matches!(outcome, Ok(Reply::Waiting { .. })), "{outcome:?}");
        let sequence = Sequence(bench.sequences[&session]);
        commands.push(bench.command(session, LockAction::Cancel { sequence }));
    }
    took.push(bench.timed(&commands).0);
    took
}
