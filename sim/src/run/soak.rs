//! Long runs: the same nodes live through round after round.
//!
//! Each round is the scenario once more, under a seed of its own: its faults, then calm, then a verdict over the
//! whole round by every check there is. Nodes, disks and logs go on from one round to the next; clients start anew
//! and turn to objects that nobody has used before. So a round's history can be let go of when it is judged, and
//! what the invariants keep of the logs once all nodes have put it into snapshots: a long run takes no more memory
//! than a short one, and stops at the first violation.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use rand::RngExt;

use super::execute::{
    Lives, Options, Outcome, found, harvest, judge, panic_message, select_bug, send_clients, weather,
};
use super::operator::Desk;
use super::terms::strays_within_its_bound;
use super::witnesses::Witnesses;
use crate::check::Verdict;
use crate::nemesis::Process;
use crate::plan::{FaultKind, RedisHarm, Scenario, Schedule, expand};
use crate::rng::Streams;
use crate::world::{World, run_in_fresh_thread};

/// What to go on with, and for how long.
#[derive(Clone, Debug)]
pub struct Soak {
    /// The scenario of every round. As [`repeatable`] gives it.
    pub scenario: Scenario,
    /// The seed of the world and of the first round; the others derive from it.
    pub seed: u64,
    /// How many rounds, 1 or more.
    pub rounds: u64,
    /// How to run.
    pub options: Options,
}

/// One round, over and judged.
#[derive(Debug)]
pub struct Round {
    /// Its number, from 1.
    pub number: u64,
    /// What ran, in the time of the whole run.
    pub schedule: Schedule,
    /// What came of it. Statistics and marks count from the beginning of the run; there are none, nor a trace, if
    /// the run broke.
    pub outcome: Outcome,
}

/// The scenario as it can be gone through again and again on the same nodes, and the kinds of fault that its swarm
/// draws no more for it: those after which the nodes are not what they were.
///
/// # Errors
/// What it has of its own that does not leave the nodes what they were.
pub fn repeatable(mut scenario: Scenario) -> Result<(Scenario, Vec<FaultKind>), String> {
    let spent =
        |kind: &FaultKind| matches!(kind, FaultKind::Members | FaultKind::Replace | FaultKind::Upgrade);
    let refuse = |what: &str| Err(format!("it has {what}, after which its nodes are not what they were"));
    if let Some(kind) = scenario.faults.iter().map(|fault| fault.kind).find(spent) {
        return refuse(&format!("faults of kind {}", kind.name()));
    }
    if scenario.faults.iter().any(|fault| fault.harm == Some(RedisHarm::Empty)) {
        return refuse("Redis servers that are emptied");
    }
    let mut left_out = Vec::new();
    if let Some(swarm) = &mut scenario.swarm {
        left_out = swarm.kinds.extract_if(.., |kind| spent(kind)).collect();
        if swarm.kinds.is_empty() {
            return refuse("a swarm of nothing but changes of the members");
        }
    }
    Ok((scenario, left_out))
}

/// The kinds of fault that it has or may draw.
fn kinds(scenario: &Scenario) -> impl Iterator<Item = FaultKind> {
    let of_swarm = scenario.swarm.iter().flat_map(|swarm| swarm.kinds.iter().copied());
    scenario.faults.iter().map(|fault| fault.kind).chain(of_swarm)
}

/// Whether some round needs an operator who has the leadership handed over.
fn hands_over(scenario: &Scenario) -> bool {
    kinds(scenario).any(FaultKind::is_operation)
}

/// Runs round after round, handing each to `take` when it is judged, until `take` says `false`, a round is not
/// valid, or all are done.
pub fn soak(soak: &Soak, take: impl FnMut(&Round) -> bool + Send + 'static) {
    let (seed, options) = (soak.seed, soak.options);
    let present = Arc::new(Mutex::new(Present { number: 0, schedule: None, witnesses: None }));
    let take: Taker = Arc::new(Mutex::new(Box::new(take)));
    let (inside, owned, taker) = (Arc::clone(&present), soak.clone(), Arc::clone(&take));
    let result = run_in_fresh_thread(seed, move || {
        select_bug(options.plant);
        async move { rounds(&owned, &inside, &taker).await }.boxed()
    });
    if let Err(payload) = result {
        let present = present.lock().unwrap_or_else(PoisonError::into_inner);
        if let (number, Some(schedule), Some(witnesses)) =
            (present.number, &present.schedule, &present.witnesses)
        {
            select_bug(options.plant);
            let outcome = judge(schedule, witnesses, None, Some(panic_message(payload.as_ref())));
            select_bug(None);
            hand_over(&take, &Round { number, schedule: schedule.clone(), outcome });
        }
    }
}

type Taker = Arc<Mutex<Box<dyn FnMut(&Round) -> bool + Send>>>;

/// The round that goes on, for who has to judge a run that broke.
struct Present {
    number: u64,
    schedule: Option<Schedule>,
    witnesses: Option<Witnesses>,
}

fn hand_over(take: &Taker, round: &Round) -> bool {
    let mut take = take.lock().unwrap_or_else(PoisonError::into_inner);
    (*take)(round)
}

async fn rounds(soak: &Soak, present: &Mutex<Present>, take: &Taker) {
    let mut lives = Lives::default();
    let mut standing: Option<(World, Desk, Witnesses)> = None;
    for number in 1..=soak.rounds {
        let now_ms = standing.as_ref().map_or(0, |(world, ..)| world.now().0.div_ceil(1_000_000));
        let schedule = schedule_of(soak, number, now_ms);
        let judges_lines = strays_within_its_bound(&schedule);
        let (world, desk, witnesses) = match standing.take() {
            None => {
                let witnesses = Witnesses::new(&schedule, judges_lines);
                let (world, desk) = found(&schedule, soak.options, &witnesses, hands_over(&soak.scenario));
                (world, desk, witnesses)
            }
            Some((world, desk, before)) => (world, desk, before.next_round(&schedule, judges_lines)),
        };
        *present.lock().unwrap_or_else(PoisonError::into_inner) =
            Present { number, schedule: Some(schedule.clone()), witnesses: Some(witnesses.clone()) };
        desk.clear();
        send_clients(&world, &schedule, &witnesses, &mut lives);
        let timeline = weather(&schedule, &world, &desk, &witnesses).await;
        let outcome = judge(&schedule, &witnesses, Some(harvest(&world, timeline)), None);
        let is_valid = outcome.verdict == Verdict::Valid;
        let goes_on = hand_over(take, &Round { number, schedule: schedule.clone(), outcome });
        if !is_valid || !goes_on {
            return;
        }
        for client in 1..=schedule.cluster.clients {
            world.crash_process(Process::Client(client), false);
        }
        standing = Some((world, desk, witnesses));
    }
}

/// The schedule of one round, which begins at `now_ms`.
fn schedule_of(soak: &Soak, number: u64, now_ms: u64) -> Schedule {
    let seed = match number {
        1 => soak.seed,
        _ => Streams::new(soak.seed).stream(&format!("soak/{number}")).random(),
    };
    let mut schedule = expand(&soak.scenario, seed).shifted(now_ms);
    // Some workloads do with even keys what they do not do with odd ones.
    let keys = schedule.workload.keys.next_multiple_of(2);
    schedule.workload.keys_before = (number - 1) * keys;
    schedule
}
