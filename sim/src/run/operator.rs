//! The operator: a client process of its own that asks the cluster for other members or another leader, and
//! tells nodes to stop, through our client library and over the network.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use stormglass_nodes::client::{Client, ClientConfig, ClientError};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::{ClientId, LocalTime, NodeId};
use stormglass_nodes::machine::NEWEST_VERSION;
use stormglass_nodes::raft::membership::{MemberChange, MembershipChange, Transition};
use tokio::sync::Notify;

use super::service::{ProcessTime, TrueTime};
use crate::history::VirtualTime;
use crate::nemesis::{MemberStep, Operator, Order, Process};
use crate::plan::Schedule;
use crate::world::{SimEnv, World};

/// How long one call of the client library may take before the operator calls again.
const CALL_US: u64 = 1_000_000;
/// How long the operator pauses after a call that failed.
const PAUSE_US: u64 = 20_000;

/// The operator's desk: what is asked of it, what is done, and the switches of the nodes.
#[derive(Clone, Default)]
pub(super) struct Desk {
    state: Arc<Mutex<DeskState>>,
    bell: Arc<Notify>,
    orders: Arc<Notify>,
}

#[derive(Default)]
struct DeskState {
    waiting: VecDeque<Job>,
    done: BTreeSet<usize>,
    /// What tells the present life of each node to stop.
    switches: BTreeMap<u64, Arc<Notify>>,
    upgraded: BTreeSet<u64>,
    /// Nodes without a switch here that are to be told to stop.
    to_stop: VecDeque<u64>,
}

struct Job {
    number: usize,
    order: Order,
    give_up_at: VirtualTime,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node starts: what will tell this life of it to stop.
    pub(super) fn new_switch(&self, node: u64) -> Arc<Notify> {
        let switch = Arc::new(Notify::new());
        self.state().switches.insert(node, Arc::clone(&switch));
        switch
    }

    /// The version that a node is to speak at its next start, if it is another than its first.
    pub(super) fn version_of(&self, node: u64) -> Option<u16> {
        self.state().upgraded.contains(&node).then_some(NEWEST_VERSION)
    }

    /// Nothing that was asked for is wanted any more, nor remembered to be done: orders are numbered anew.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.waiting.clear();
        state.done.clear();
    }

    /// The next node that has no switch here and is to be told to stop: it is a process of its own.
    pub(super) async fn next_to_stop(&self) -> u64 {
        loop {
            if let Some(node) = self.state().to_stop.pop_front() {
                return node;
            }
            self.orders.notified().await;
        }
    }

    async fn next_job(&self) -> Job {
        loop {
            if let Some(job) = self.state().waiting.pop_front() {
                return job;
            }
            self.bell.notified().await;
        }
    }
}

impl Operator for Desk {
    fn order(&self, number: usize, order: Order, give_up_at: VirtualTime) {
        self.state().waiting.push_back(Job { number, order, give_up_at });
        self.bell.notify_one();
    }

    fn is_done(&self, number: usize) -> bool {
        self.state().done.contains(&number)
    }

    fn stop_for_upgrade(&self, node: u64) {
        let mut state = self.state();
        state.upgraded.insert(node);
        match state.switches.get(&node) {
            Some(switch) => switch.notify_one(),
            None => {
                state.to_stop.push_back(node);
                self.orders.notify_one();
            }
        }
    }
}

/// The operator's program.
pub(super) fn program(
    world: World,
    desk: Desk,
    schedule: &Schedule,
) -> impl Fn(SimEnv) -> BoxFuture<'static, ()> + Send + Sync + 'static {
    let schedule = schedule.clone();
    move |env| {
        let (world, process) = (world.clone(), Process::Client(number_of(&schedule)));
        serve(env, ProcessTime { world, process }, desk.clone(), &schedule).boxed()
    }
}

/// The operator's number among the clients: after all others.
pub(super) const fn number_of(schedule: &Schedule) -> u64 {
    schedule.cluster.clients + 1
}

/// Takes orders from the desk, for as long as its process lives.
pub(super) fn serve<E: Env, T: TrueTime>(
    env: E,
    time: T,
    desk: Desk,
    schedule: &Schedule,
) -> impl Future<Output = ()> + Send + use<E, T> {
    let nodes = (1..=schedule.cluster.nodes_in_all()).map(NodeId).collect();
    let mut config = ClientConfig::new(ClientId(number_of(schedule)), nodes);
    config.operation_timeout_us = CALL_US;
    config.drift_ppm_max = schedule.clocks.drift_ppm_max;
    async move {
        let client = Client::start(env.clone(), config);
        loop {
            let job = desk.next_job().await;
            let patience_us = job.give_up_at.since_ns(time.now()) / 1_000;
            let give_up_at = env.now().plus_us(patience_us);
            env.spawn("order", carry_out(env.clone(), client.clone(), desk.clone(), job, give_up_at));
        }
    }
}

/// Carries out an order, as far as time allows.
async fn carry_out<E: Env>(env: E, client: Client<E>, desk: Desk, job: Job, give_up_at: LocalTime) {
    let steps = async {
        match &job.order {
            Order::Transfer { to } => {
                insist(&env, || client.transfer_leadership(to.map(NodeId))).await;
            }
            Order::Members(steps) => {
                for step in steps {
                    insist(&env, || client.change_members(change_of(step))).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = steps => {
            desk.state().done.insert(job.number);
        }
        () = env.sleep_until(give_up_at) => {}
    }
}

/// Calls until the cluster has done it. The caller bounds the time.
async fn insist<E: Env, T, F>(env: &E, mut call: impl FnMut() -> F)
where
    F: Future<Output = Result<T, ClientError>>,
{
    while call().await.is_err() {
        env.sleep_until(env.now().plus_us(PAUSE_US)).await;
    }
}

fn change_of(step: &MemberStep) -> MembershipChange {
    let MemberStep { add, add_once_caught_up, add_learners, remove, joint } = step;
    let mut changes = Vec::new();
    changes.extend(add.iter().map(|node| MemberChange::AddVoter(NodeId(*node))));
    changes.extend(add_once_caught_up.iter().map(|node| MemberChange::AddVoterOnceCaughtUp(NodeId(*node))));
    changes.extend(add_learners.iter().map(|node| MemberChange::AddLearner(NodeId(*node))));
    changes.extend(remove.iter().map(|node| MemberChange::Remove(NodeId(*node))));
    let transition = if *joint { Transition::JointImplicit } else { Transition::Auto };
    MembershipChange { transition, ..MembershipChange::of(changes) }
}
