//! One run: a world is built, tormented, calmed, and judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use stormglass_nodes::env::Env;
use stormglass_nodes::marks;
use stormglass_nodes::plant::Bug;
use tokio::sync::Notify;

use super::operator::Desk;
use super::service::{NodesService, ProcessTime, TrueTime};
use super::terms::{self, has_topics, idle_us_max, strayed_ppm_max, strays_within_its_bound};
use super::witnesses::Witnesses;
use super::{expected, operator, program, served};
use crate::check::invariants::Violation;
use crate::check::{self, CheckReport, Drift, Evidence, Verdict, linearizability, liveness};
use crate::history::{Asker, History, VirtualTime};
use crate::nemesis::{self, Pacer, Process, Surface, Timeline};
use crate::plan::Schedule;
#[cfg(feature = "planted-bugs")]
use crate::plant;
use crate::rng::Streams;
use crate::workload::{Record, Worker};
use crate::world::{SimEnv, Trace, World, WorldConfig, WorldStatistics, run_in_fresh_thread};

/// Grace after the last operation's own deadline; what is open even then never returns.
const LAST_GRACE_US: u64 = 2_000_000;
/// Time to take out of the topics what is left there when the clients are done, besides the time for which it
/// may be held back.
const DRAIN_GRACE_US: u64 = 60_000_000;
/// How often the end of the clients' work is looked for.
pub(super) const CLIENTS_POLL_US: u64 = 50_000;

/// How to run besides what the schedule says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The bug to plant in the nodes.
    pub plant: Option<Bug>,
    /// Whether to keep the trace's records, to find the first difference between two runs.
    pub keep_trace: bool,
}

/// Everything that a run leaves.
#[derive(Debug)]
pub struct Outcome {
    /// The verdict over everything.
    pub verdict: Verdict,
    /// Why it is not valid, most telling first; empty if it is.
    pub reasons: Vec<String>,
    /// What the faults did.
    pub timeline: Timeline,
    /// What the clients did.
    pub history: History,
    /// Each check's result.
    pub checks: Vec<CheckReport>,
    /// What the world counted; absent if the run broke.
    pub statistics: Option<WorldStatistics>,
    /// The trace, with its records if they were asked for; absent if the run broke.
    pub trace: Option<Trace>,
    /// Coverage marks hit.
    pub marks: BTreeMap<&'static str, u64>,
    /// When the run ended.
    pub ended: VirtualTime,
    /// When nodes became leader.
    pub elections: Vec<VirtualTime>,
    /// Campaigns for votes begun.
    pub campaigns: u64,
    /// Leaders killed between an invalidation and the commit of the write that it was for, as the rules of lines saw it.
    pub leaders_lost: u64,
}

/// What the inside of a run brings out.
pub(super) struct Harvest {
    pub(super) timeline: Timeline,
    pub(super) statistics: WorldStatistics,
    /// Of a simulated run.
    pub(super) trace: Option<Trace>,
    pub(super) marks: BTreeMap<&'static str, u64>,
    pub(super) ended: VirtualTime,
}

/// Runs a schedule on a thread of its own and judges it.
#[must_use]
pub fn execute(schedule: &Schedule, options: Options) -> Outcome {
    let witnesses = Witnesses::new(schedule, strays_within_its_bound(schedule));
    let (inside, owned) = (witnesses.clone(), schedule.clone());
    let result = run_in_fresh_thread(schedule.seed, move || {
        select_bug(options.plant);
        async move { storm(&owned, options, inside).await }.boxed()
    });
    let broken = match &result {
        Ok(_) => None,
        Err(payload) => Some(panic_message(payload.as_ref())),
    };
    select_bug(options.plant);
    let outcome = judge(schedule, &witnesses, result.ok(), broken);
    select_bug(None);
    outcome
}

#[cfg(feature = "planted-bugs")]
pub(super) fn select_bug(bug: Option<Bug>) {
    stormglass_nodes::plant::select(bug);
    plant::select(bug.and_then(|bug| plant::Flaw::named(bug.name())));
}

#[cfg(not(feature = "planted-bugs"))]
pub(super) fn select_bug(bug: Option<Bug>) {
    assert_eq!(bug, None, "this build has no planted bugs");
}

/// The run itself, inside its runtime.
async fn storm(schedule: &Schedule, options: Options, witnesses: Witnesses) -> Harvest {
    let (world, desk) = found(schedule, options, &witnesses, needs_operator(schedule));
    send_clients(&world, schedule, &witnesses, &mut Lives::default());
    let timeline = weather(schedule, &world, &desk, &witnesses).await;
    harvest(&world, timeline)
}

/// What there is to bring out of a world in which nothing is left to be done.
pub(super) fn harvest(world: &World, timeline: Timeline) -> Harvest {
    Harvest {
        timeline,
        statistics: world.statistics(),
        trace: Some(world.trace()),
        marks: marks::counts(),
        ended: world.now(),
    }
}

/// A new world with all nodes, their Redis servers, and an operator if one is needed, at work.
pub(super) fn found(
    schedule: &Schedule,
    options: Options,
    witnesses: &Witnesses,
    has_operator: bool,
) -> (World, Desk) {
    let world = World::new(WorldConfig {
        seed: schedule.seed,
        nodes: schedule.cluster.nodes_in_all(),
        spares: schedule.cluster.spares,
        clients: schedule.cluster.clients,
        operators: u64::from(has_operator),
        services: schedule.storage.servers(schedule.cluster.nodes_in_all()),
        network: schedule.network,
        disk: schedule.disk,
        clocks: schedule.clocks,
        keep_trace: options.keep_trace,
    });
    watch(&world, witnesses);
    let desk = Desk::default();
    program::start_redis(&world, schedule);
    for node in 1..=schedule.cluster.nodes_in_all() {
        world.set_program(Process::Node(node), program::node(world.clone(), node, schedule, desk.clone()));
        world.start(Process::Node(node));
    }
    if let Some(operator) = world.operator() {
        world.set_program(operator, operator::program(world.clone(), desk.clone(), schedule));
        world.start(operator);
    }
    (world, desk)
}

/// The lives that each client has begun. Shared by all rounds of a long run, so that no two ask under one number.
#[derive(Debug, Default)]
pub(super) struct Lives(BTreeMap<u64, Arc<AtomicU64>>);

/// Sets the clients to work.
pub(super) fn send_clients(world: &World, schedule: &Schedule, witnesses: &Witnesses, lives: &mut Lives) {
    for client in 1..=schedule.cluster.clients {
        let lives = Arc::clone(lives.0.entry(client).or_default());
        let program = client_program(world, client, schedule, witnesses, lives);
        world.set_program(Process::Client(client), program);
        world.start(Process::Client(client));
    }
}

/// Faults, calm, and the end of the clients' work; all of it only until an invariant is violated.
pub(super) async fn weather(
    schedule: &Schedule,
    world: &World,
    desk: &Desk,
    witnesses: &Witnesses,
) -> Timeline {
    let pacer = WorldPacer {
        world: world.clone(),
        violated: Arc::clone(&witnesses.violated),
        is_cut_short: AtomicBool::new(false),
    };
    let timeline = nemesis::execute(schedule, world, desk, &pacer).await;
    if !pacer.is_cut_short() {
        tokio::select! {
            biased;
            () = witnesses.violated.notified() => {}
            () = calm(schedule, world, &witnesses.finished) => {}
        }
    }
    timeline
}

/// Waits until the run is over and the clients have done their work.
async fn calm(schedule: &Schedule, world: &World, finished: &AtomicU64) {
    world.sleep_until(VirtualTime::from_ms(schedule.timing.end_ms)).await;
    let give_up = given_up_at(schedule);
    while world.now() < give_up && finished.load(Ordering::Relaxed) < schedule.cluster.clients {
        world.sleep_until(VirtualTime(world.now().0 + CLIENTS_POLL_US * 1_000)).await;
    }
}

/// When clients that have not come to the end of their work are waited for no longer.
pub(super) fn given_up_at(schedule: &Schedule) -> VirtualTime {
    // The last operation may be a wait for a lock, which is then kept for a while and given back.
    let spec = &schedule.workload;
    let last_ms = 2 * spec.timeout_ms + spec.wait_ms.max_ms + spec.hold_ms.max_ms;
    let drain_us = if has_topics(schedule) { spec.drain_us_max() + DRAIN_GRACE_US } else { 0 };
    let patience_us = last_ms * 1_000 + LAST_GRACE_US + drain_us;
    VirtualTime(VirtualTime::from_ms(schedule.timing.end_ms).0 + patience_us * 1_000)
}

/// Runs in which nobody asks for anything have no operator.
pub(super) fn needs_operator(schedule: &Schedule) -> bool {
    schedule.faults.iter().any(|fault| fault.action.kind().is_operation())
}

/// Hears of every event.
fn watch(world: &World, witnesses: &Witnesses) {
    let witnesses = witnesses.clone();
    world.set_observer(Box::new(move |at, node, event| witnesses.observe(at, node, event)));
}

fn client_program(
    world: &World,
    client: u64,
    schedule: &Schedule,
    witnesses: &Witnesses,
    lives: Arc<AtomicU64>,
) -> impl Fn(SimEnv) -> BoxFuture<'static, ()> + Send + Sync + 'static {
    let time = ProcessTime { world: world.clone(), process: Process::Client(client) };
    let schedule = schedule.clone();
    let (record, finished) = (witnesses.record.clone(), Arc::clone(&witnesses.finished));
    move |env| {
        let life = lives.fetch_add(1, Ordering::Relaxed);
        let work = life_of_client(env, time.clone(), client, life, &schedule, &record);
        let finished = Arc::clone(&finished);
        let done = move |()| {
            finished.fetch_add(1, Ordering::Relaxed);
        };
        work.map(done).boxed()
    }
}

/// What a client does in one of its lives, counted from 0: in as many threads as it has operations open.
pub(super) fn life_of_client<E: Env, T: TrueTime>(
    env: E,
    time: T,
    client: u64,
    life: u64,
    schedule: &Schedule,
    record: &Record,
) -> impl Future<Output = ()> + Send + use<E, T> {
    let (open_max, askers) = (schedule.workload.open_max, schedule.workload.askers());
    let first = life * askers;
    let dead = first.saturating_sub(askers)..first;
    dead.for_each(|among| record.bury(Asker { client, among }, time.now()));
    let service = Arc::new(NodesService::start(time, client, env, schedule));
    let thread = |among| {
        let stream = if among == 0 { format!("client/{client}") } else { format!("client/{client}/{among}") };
        let worker = Worker::new(
            Asker { client, among },
            Arc::clone(&service),
            schedule.workload.clone(),
            Streams::new(schedule.seed).stream(&stream),
            record.clone(),
            VirtualTime::from_ms(schedule.timing.end_ms),
        );
        worker.work()
    };
    join_all((first..first + open_max).map(thread)).map(drop)
}

/// The world's time, until an invariant is violated.
struct WorldPacer {
    world: World,
    violated: Arc<Notify>,
    is_cut_short: AtomicBool,
}

impl Pacer for WorldPacer {
    fn now(&self) -> VirtualTime {
        self.world.now()
    }

    async fn sleep_until(&self, deadline: VirtualTime) {
        tokio::select! {
            biased;
            () = self.violated.notified() => self.is_cut_short.store(true, Ordering::Relaxed),
            () = self.world.sleep_until(deadline) => {}
        }
    }

    fn is_cut_short(&self) -> bool {
        self.is_cut_short.load(Ordering::Relaxed)
    }
}

pub(super) fn judge(
    schedule: &Schedule,
    witnesses: &Witnesses,
    harvest: Option<Harvest>,
    broken: Option<String>,
) -> Outcome {
    let history = witnesses.record.history();
    let watch = witnesses.watch();
    let ended = harvest.as_ref().map_or(watch.latest, |harvest| harvest.ended);
    let mut timeline = harvest.as_ref().map(|harvest| harvest.timeline.clone()).unwrap_or_default();
    watch.reigns.measure(&mut timeline, &history);
    let mut checks = check::judge(&Evidence {
        history: &history,
        invariants: &watch.invariants,
        coherence: &watch.coherence,
        expects: terms::expected(schedule),
        times: liveness::Times {
            faults_end: timeline.ended_at(),
            recover_within_ns: schedule.timing.recover_within_ms * 1_000_000,
            ended,
            clients: schedule.cluster.clients,
            idle_ns_max: idle_us_max(schedule).saturating_mul(1_000),
            until: VirtualTime::from_ms(schedule.timing.end_ms),
        },
        drift: Drift { fast_ppm_max: strayed_ppm_max(schedule) },
        calm: Some(terms::calm_after(schedule, timeline.ended_at())),
        budget_steps: linearizability::STEPS_MAX,
    });
    checks.extend(served::check(schedule, &timeline, &history));
    let online = witnesses.online();
    checks.extend(online.contradiction(&checks));
    let is_cut_short = online.violation().is_some();
    drop(online);
    let reports = watch.invariants.report().into_iter().chain(watch.coherence.report());
    let violation = reports.filter_map(|report| report.violation).next();
    let is_cut_short = is_cut_short || violation.is_some();
    if is_cut_short || broken.is_some() {
        let liveness = checks.iter_mut().filter(|check| check.name.starts_with("liveness"));
        liveness.for_each(|check| {
            check.verdict = Verdict::Unknown;
            check.counterexample = None;
            check.detail = "not judged: the run was cut short".to_owned();
        });
    }
    if let Some(message) = &broken {
        checks.push(panicked(message));
    }
    checks.extend(expected::check(schedule, &checks));
    let vacuous = if is_cut_short { Vec::new() } else { vacuity(&timeline) };
    let unexpected: Vec<&CheckReport> =
        checks.iter().filter(|check| !expected::is_expected(schedule, check)).collect();
    let reasons = reasons(violation.as_ref(), &unexpected, &vacuous);
    let verdicts = unexpected.iter().map(|check| check.verdict);
    let verdict = Verdict::of_all(verdicts.chain((!vacuous.is_empty()).then_some(Verdict::Unknown)));
    let (statistics, trace, marks) = match harvest {
        Some(harvest) => (Some(harvest.statistics), harvest.trace, harvest.marks),
        None => (None, None, BTreeMap::new()),
    };
    let (elections, campaigns) = (watch.elections.clone(), watch.campaigns);
    let leaders_lost = watch.coherence.leaders_lost();
    drop(watch);
    Outcome {
        verdict,
        reasons,
        timeline,
        history,
        checks,
        statistics,
        trace,
        marks,
        ended,
        elections,
        campaigns,
        leaders_lost,
    }
}

fn panicked(message: &str) -> CheckReport {
    CheckReport {
        name: "no panic".to_owned(),
        source: "assertions of nodes, clients and world".to_owned(),
        verdict: Verdict::Invalid,
        detail: "a program of the world panicked, which ended the run and the record of its faults"
            .to_owned(),
        cost_steps: 0,
        counterexample: Some(message.to_owned()),
    }
}

fn vacuity(timeline: &Timeline) -> Vec<String> {
    let dead = timeline.died_by_themselves.iter().map(|node| format!("node {node} had died by itself"));
    nemesis::vacuous_reasons(timeline).into_iter().chain(dead).collect()
}

fn reasons(violation: Option<&Violation>, checks: &[&CheckReport], vacuous: &[String]) -> Vec<String> {
    let mut reasons: Vec<String> = violation.iter().map(ToString::to_string).collect();
    for wanted in [Verdict::Invalid, Verdict::Unknown] {
        for check in checks.iter().filter(|check| check.verdict == wanted) {
            let text = check.counterexample.as_ref().unwrap_or(&check.detail);
            let first_line = text.lines().next().unwrap_or_default();
            if !reasons.iter().any(|reason| reason == first_line) {
                reasons.push(format!("{}: {first_line}", check.name));
            }
        }
    }
    reasons.extend_from_slice(vacuous);
    reasons
}

pub(super) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}
