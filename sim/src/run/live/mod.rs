//! One live run: the schedule of a simulated run, its clients, its operator and its judgement, on real
//! processes.

mod client;
mod node;

use std::collections::BTreeMap;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::plant::Bug;
use stormglass_reports as reports;
use tempfile::TempDir;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::client::Crew;
use super::execute::{
    CLIENTS_POLL_US, Harvest, Options, Outcome, given_up_at, judge, needs_operator, panic_message, select_bug,
};
use super::operator::Desk;
use super::witnesses::Witnesses;
use crate::history::VirtualTime;
use crate::live::{Clock, Launch, LiveConfig, LiveWorld};
use crate::nemesis::{self, Pacer, Timeline};
use crate::plan::Schedule;
use crate::world::{FramesDropped, WorldStatistics};

pub use self::node::{NodeArguments, node_main};

/// What stands in the place of a trace's hash.
const NO_TRACE: &str = "none: real processes do not repeat a run";
/// What the report says of the one thing that is not judged.
const LINES: &str = "the rules of near-caches' lines are not judged in live runs";
/// Threads that the harness has for proxies, besides one for each client.
const PROXY_THREADS: usize = 2;
/// How this process ends that is told to end a second time, as a shell has it of SIGINT.
const ENDED_AT_ONCE: i32 = 130;
/// Last lines of what a node wrote to its standard error that are shown when it ends of its own.
const LAST_LINES: usize = 6;

/// How a live run is made, besides what the schedule says.
#[derive(Clone, Debug, Default)]
pub struct LiveOptions {
    /// The bug to plant in nodes and clients.
    pub plant: Option<Bug>,
    /// Where the folder of the run is made; the system's folder for temporary files if absent.
    pub data: Option<PathBuf>,
}

/// A live run could not be made.
#[derive(Debug, Error)]
#[error("{what}: {error}")]
pub struct LiveError {
    /// What could not be done.
    pub what: String,
    /// Why.
    pub error: io::Error,
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> LiveError {
    let what = what.to_owned();
    move |error| LiveError { what, error }
}

/// Runs a schedule on real processes and judges it. The schedule must be one that can be run:
/// [`crate::live::refusals`].
///
/// SIGTERM and SIGINT end the run: its processes are killed and its folder goes, as at its end.
///
/// # Errors
/// If the run cannot begin: no folder, no ports, no processes. And if it is ended by a signal.
pub fn execute_live(schedule: &Schedule, options: &LiveOptions) -> Result<Outcome, LiveError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(PROXY_THREADS)
        .thread_name("proxies")
        .enable_all()
        .build()
        .map_err(failed("cannot start the harness"))?;
    // Before there is anything that a signal would leave behind.
    let mut signals = {
        let _inside = runtime.enter();
        Signals::take().map_err(failed("cannot listen for signals"))?
    };
    let folder = match &options.data {
        Some(data) => tempfile::Builder::new().prefix("stormglass-").tempdir_in(data),
        None => tempfile::Builder::new().prefix("stormglass-").tempdir(),
    };
    let folder = folder.map_err(failed("cannot make a folder for the run"))?;
    // The rules of near-caches count the time of leases, and it is not known exactly when nodes did something.
    let witnesses = Witnesses::new(schedule, false);
    select_bug(options.plant);
    // A panic must not leave processes behind, nor keep the run from being judged.
    let stormed = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(storm(schedule, options, &witnesses, &folder, &mut signals))
    }));
    drop(folder);
    // Nothing is left to be removed; to judge may take a while.
    runtime.spawn(async move {
        signals.next().await;
        std::process::exit(ENDED_AT_ONCE);
    });
    let (harvest, broken) = match stormed {
        Ok(result) => {
            let (harvest, broken) = result?;
            (Some(harvest), broken)
        }
        Err(payload) => (None, Some(panic_message(payload.as_ref()))),
    };
    let mut outcome = judge(schedule, &witnesses, harvest, broken);
    runtime.shutdown_background();
    select_bug(None);
    if let Some(check) = outcome.checks.iter_mut().find(|check| check.name == "no panic") {
        check.source = "a node ends when it is told to, and only then".to_owned();
        check.detail = "a node ended of its own, or the harness broke, which ended the run".to_owned();
    }
    Ok(outcome)
}

/// The report of a live run. `replay` is the command that makes another of the same schedule.
#[must_use]
pub fn live_report(
    schedule: &Schedule,
    options: &LiveOptions,
    outcome: &Outcome,
    replay: String,
) -> reports::Report {
    let simulated = Options { plant: options.plant, keep_trace: false };
    let mut report = super::report(schedule, simulated, outcome, replay);
    report.live = true;
    report.trace_hash = NO_TRACE.to_owned();
    let disks = match nemesis::redis_text(schedule) {
        None => "this machine's".to_owned(),
        Some(redis) => format!("this machine's, {redis}, each a private redis-server"),
    };
    report.cluster.disk = format!("{disks}; {LINES}");
    report.cluster.network = network(schedule);
    report
}

fn network(schedule: &Schedule) -> String {
    let network = &schedule.network;
    let mut text = "loopback through proxies".to_owned();
    if network.latency_us >= crate::live::LATENCY_US_MIN {
        text += &format!(", {} us + {} us tail added", network.latency_us, network.latency_tail_us);
    }
    for (chance, what) in [(network.loss, "loss"), (network.duplicate, "duplicates")] {
        if chance > 0.0 {
            text += &format!(", {what} {chance}");
        }
    }
    text
}

/// The run itself.
async fn storm(
    schedule: &Schedule,
    options: &LiveOptions,
    witnesses: &Witnesses,
    folder: &TempDir,
    signals: &mut Signals,
) -> Result<(Harvest, Option<String>), LiveError> {
    let written = folder.path().join("schedule.toml");
    tokio::fs::write(&written, schedule.to_toml()).await.map_err(failed("cannot write the schedule"))?;
    let desk = Desk::default();
    let operators = u64::from(needs_operator(schedule));
    let config = LiveConfig {
        seed: schedule.seed,
        nodes: schedule.cluster.nodes_in_all(),
        spares: schedule.cluster.spares,
        clients: schedule.cluster.clients,
        operators,
        network: schedule.network,
        storage: schedule.storage,
        program: std::env::current_exe().map_err(failed("cannot find this program"))?,
        folder: folder.path().to_owned(),
    };
    let observed = witnesses.clone();
    let launch = launch(&config, written, options.plant, desk.clone());
    let world =
        LiveWorld::open(config, launch, Box::new(move |at, node, event| observed.observe(at, node, event)));
    let world = world.await.map_err(failed("cannot open the links, or start a Redis"))?;
    for node in 1..=schedule.cluster.nodes_in_all() {
        world.start(node).map_err(failed("cannot start a node"))?;
    }
    let mut crew = Crew::new(options.plant);
    for client in 1..=schedule.cluster.clients {
        crew.client(&world, client, schedule, witnesses, folder.path())
            .map_err(failed("cannot start a client"))?;
    }
    if operators > 0 {
        crew.operator(&world, &desk, schedule, folder.path()).map_err(failed("cannot start the operator"))?;
    }
    let timeline = tokio::select! {
        biased;
        () = signals.next() => None,
        timeline = weather(schedule, &world, &desk, witnesses) => Some(timeline),
    };
    let ended = world.clock().now();
    let panicked = crew.go_home(&world);
    world.end();
    let interrupted =
        || failed("the run was ended")(io::Error::new(io::ErrorKind::Interrupted, "a signal came"));
    let timeline = timeline.ok_or_else(interrupted)?;
    let broken = world.failed().map(|failure| with_last_words(failure, folder.path())).or(panicked);
    let harvest =
        Harvest { timeline, statistics: statistics(&world), trace: None, marks: BTreeMap::new(), ended };
    Ok((harvest, broken))
}

/// The signals that end a run, taken over from their default actions.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Inside a runtime.
    fn take() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns on the next of them.
    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Faults, calm, and the end of the clients' work; all of it only until something is found.
async fn weather(schedule: &Schedule, world: &LiveWorld, desk: &Desk, witnesses: &Witnesses) -> Timeline {
    let pacer = LivePacer { clock: world.clock(), world, witnesses, is_cut_short: AtomicBool::new(false) };
    let switches = async {
        loop {
            let node = desk.next_to_stop().await;
            world.tell_to_stop(node);
        }
    };
    let storm = async {
        let timeline = nemesis::execute(schedule, world, desk, &pacer).await;
        let end = VirtualTime::from_ms(schedule.timing.end_ms);
        pacer.sleep_until(end).await;
        let give_up = given_up_at(schedule);
        let has_work = || witnesses.finished.load(Ordering::Relaxed) < schedule.cluster.clients;
        while !pacer.is_cut_short() && pacer.now() < give_up && has_work() {
            pacer.sleep_until(VirtualTime(pacer.now().0 + CLIENTS_POLL_US * 1_000)).await;
        }
        timeline
    };
    tokio::select! {
        biased;
        () = switches => unreachable!("it goes on for ever"),
        timeline = storm => timeline,
    }
}

/// True time, until something is found.
struct LivePacer<'a> {
    clock: Clock,
    world: &'a LiveWorld,
    witnesses: &'a Witnesses,
    is_cut_short: AtomicBool,
}

impl Pacer for LivePacer<'_> {
    fn now(&self) -> VirtualTime {
        self.clock.now()
    }

    async fn sleep_until(&self, deadline: VirtualTime) {
        if self.is_cut_short() {
            return;
        }
        tokio::select! {
            biased;
            () = self.witnesses.violated.notified() => self.is_cut_short.store(true, Ordering::Relaxed),
            _ = self.world.failure() => self.is_cut_short.store(true, Ordering::Relaxed),
            () = self.clock.sleep_until(deadline) => {}
        }
    }

    fn is_cut_short(&self) -> bool {
        self.is_cut_short.load(Ordering::Relaxed)
    }
}

/// Nodes are this program, started again with a command of its own.
fn launch(config: &LiveConfig, schedule: PathBuf, plant: Option<Bug>, desk: Desk) -> Launch {
    let (program, folder) = (config.program.clone(), config.folder.clone());
    Box::new(move |node, book| {
        let mut command = Command::new(&program);
        command.arg("live-node").arg("--node").arg(node.to_string());
        command.arg("--schedule").arg(&schedule).arg("--data").arg(folder.join(format!("n{node}")));
        command.arg("--harness").arg(std::process::id().to_string());
        for (NodeId(peer), place) in book {
            command.arg("--peer").arg(format!("{peer}={place}"));
        }
        if let Some(version) = desk.version_of(node) {
            command.arg("--speaks").arg(version.to_string());
        }
        if let Some(bug) = plant {
            command.arg("--plant").arg(bug.name());
        }
        command.stderr(log_of(&folder, node).unwrap_or_else(|_| Stdio::null()));
        command
    })
}

#[expect(
    clippy::disallowed_types,
    reason = "what real processes write to their standard error goes to a real file"
)]
fn log_of(folder: &Path, node: u64) -> io::Result<Stdio> {
    let path = folder.join(format!("n{node}.log"));
    Ok(Stdio::from(std::fs::OpenOptions::new().create(true).append(true).open(path)?))
}

/// A failure that names a node or a Redis, with what that said last.
#[expect(clippy::disallowed_methods, reason = "it reads what a real process left")]
fn with_last_words(failure: String, folder: &Path) -> String {
    let mut words = failure.split(' ');
    let log = match (words.next(), words.next()) {
        (Some("node"), Some(number)) => std::fs::read(folder.join(format!("n{number}.log"))),
        (Some("redis"), Some(number)) => std::fs::read(folder.join(format!("redis-{number}.log"))),
        _ => return failure,
    };
    let log = log.unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    last.iter().fold(failure, |text, line| format!("{text}\n{line}"))
}

fn statistics(world: &LiveWorld) -> WorldStatistics {
    let (frames, counts) = (world.frames(), world.counts());
    WorldStatistics {
        frames_sent: frames.sent,
        bytes_sent: frames.bytes_sent,
        frames_delivered: frames.delivered,
        frames_duplicated: frames.duplicated,
        frames_dropped: FramesDropped {
            loss: frames.dropped_by_loss,
            rule: frames.dropped_by_rule,
            receiver_down: frames.dropped_at_receiver,
            ..FramesDropped::default()
        },
        disk_syncs: counts.syncs,
        starts: counts.starts,
        stops: counts.stops,
        node_events: counts.node_events,
        ..WorldStatistics::default()
    }
}
