//! For the nemesis's own tests: a cluster that consists of its levers only, and writes down each pull.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Mutex;

use super::{
    Counters, CrashEffect, LinkAction, MembersInForce, Operator, Order, Pacer, Process, RuleEffect, RuleId,
    Surface,
};
use crate::history::{MembersSeen, VirtualTime};

/// What a test can set and read.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) now_us: u64,
    pub(super) leader: Option<u64>,
    /// From this time on the run is cut short.
    pub(super) cut_short_at_us: Option<u64>,
    /// At this time somebody becomes leader.
    pub(super) leader_at_us: Option<(u64, u64)>,
    pub(super) down: BTreeSet<u64>,
    pub(super) clients_down: BTreeSet<u64>,
    pub(super) paused: BTreeSet<Process>,
    pub(super) stalled: BTreeSet<u64>,
    pub(super) drift: BTreeMap<Process, (i64, u64, i64)>,
    pub(super) rules: BTreeMap<u64, (BTreeSet<Process>, BTreeSet<Process>)>,
    pub(super) rules_made: u64,
    /// Whether rules and stalls find something to harm.
    pub(super) inert: bool,
    pub(super) counters: Counters,
    /// The nodes above this number are spares. 0: there are none.
    pub(super) founders: u64,
    pub(super) members: Option<MembersInForce>,
    pub(super) applied: BTreeMap<u64, u64>,
    pub(super) version: u16,
    pub(super) upgraded: BTreeSet<u64>,
    pub(super) servers_down: BTreeSet<Process>,
    pub(super) done: BTreeSet<usize>,
    pub(super) log: Vec<String>,
}

/// Nodes, clients, and the state behind a lock.
#[derive(Debug)]
pub(super) struct ModelCluster {
    pub(super) nodes: u64,
    pub(super) clients: u64,
    pub(super) state: Mutex<State>,
}

impl ModelCluster {
    pub(super) fn new(nodes: u64, clients: u64, leader: Option<u64>) -> Self {
        Self { nodes, clients, state: Mutex::new(State { leader, ..State::default() }) }
    }

    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap())
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.with(|state| state.log.clone())
    }

    fn note(&self, text: &str) {
        self.with(|state| {
            let line = format!("{:>7} {text}", state.now_us / 1_000);
            state.log.push(line);
        });
    }
}

impl Operator for ModelCluster {
    /// The cluster does at once what it is asked, unless it is inert.
    fn order(&self, number: usize, order: Order, _give_up_at: VirtualTime) {
        self.note(&format!("{order:?}"));
        let mut now = self.members();
        self.with(|state| {
            if state.inert {
                return;
            }
            state.done.insert(number);
            match order {
                Order::Transfer { to } => state.leader = to.or(Some(self.nodes)),
                Order::Members(steps) => {
                    for step in steps {
                        let comes = [&step.add[..], &step.add_once_caught_up].concat();
                        now.members.voters.retain(|node| !step.remove.contains(node));
                        now.members.voters.extend(&comes);
                        now.members.learners.extend(step.add_learners);
                        (now.index, now.changes) = (now.index + 10, now.changes + 1);
                        state.applied.extend(comes.into_iter().map(|node| (node, now.index)));
                    }
                    state.members = Some(now);
                }
            }
        });
    }

    fn is_done(&self, number: usize) -> bool {
        self.with(|state| state.done.contains(&number))
    }

    /// The node stops at once; once all have, the version rises.
    fn stop_for_upgrade(&self, node: u64) {
        self.note(&format!("stop n{node}"));
        self.with(|state| {
            if !state.inert {
                state.down.insert(node);
                state.upgraded.insert(node);
            }
        });
    }
}

impl Surface for ModelCluster {
    fn nodes(&self) -> u64 {
        self.nodes
    }

    fn clients(&self) -> u64 {
        self.clients
    }

    fn leader(&self) -> Option<u64> {
        self.with(|state| state.leader.filter(|leader| !state.down.contains(leader)))
    }

    fn members(&self) -> MembersInForce {
        self.with(|state| {
            state.members.clone().unwrap_or_else(|| {
                let founders = if state.founders == 0 { self.nodes } else { state.founders };
                let members = MembersSeen { voters: (1..=founders).collect(), ..MembersSeen::default() };
                MembersInForce { members, ..MembersInForce::default() }
            })
        })
    }

    fn applied(&self, node: u64) -> u64 {
        self.with(|state| state.applied.get(&node).copied().unwrap_or(0))
    }

    fn version(&self) -> u16 {
        self.with(|state| state.version)
    }

    fn operator(&self) -> Option<Process> {
        None
    }

    fn destroy(&self, node: u64) -> CrashEffect {
        self.note(&format!("destroy n{node}"));
        CrashEffect { killed: self.with(|state| state.down.insert(node)), ..CrashEffect::default() }
    }

    fn is_up(&self, node: u64) -> bool {
        self.with(|state| !state.down.contains(&node))
    }

    fn crash(&self, node: u64, power_loss: bool) -> CrashEffect {
        self.note(&format!("crash n{node}{}", if power_loss { " power" } else { "" }));
        let killed = self.with(|state| state.down.insert(node));
        CrashEffect { killed, unsynced_bytes_lost: if power_loss { 512 } else { 0 }, writes_torn: 0 }
    }

    fn restart(&self, node: u64) -> bool {
        let was_down = self.with(|state| state.down.remove(&node));
        if was_down {
            self.note(&format!("restart n{node}"));
            self.with(|state| {
                if state.upgraded.len() as u64 == self.nodes {
                    state.version = 2;
                }
            });
        }
        was_down
    }

    fn crash_client(&self, client: u64) -> bool {
        self.note(&format!("crash c{client}"));
        self.with(|state| state.clients_down.insert(client))
    }

    fn restart_client(&self, client: u64) -> bool {
        self.note(&format!("restart c{client}"));
        self.with(|state| state.clients_down.remove(&client))
    }

    fn redis_of(&self, node: u64) -> Option<Process> {
        Some(Process::Client(self.clients + node))
    }

    fn crash_redis(&self, server: Process, power_loss: bool) -> CrashEffect {
        self.note(&format!("crash redis {server:?}{}", if power_loss { " power" } else { "" }));
        CrashEffect { killed: self.with(|state| state.servers_down.insert(server)), ..CrashEffect::default() }
    }

    fn start_redis(&self, server: Process) -> bool {
        self.note(&format!("start redis {server:?}"));
        self.with(|state| state.servers_down.remove(&server))
    }

    fn empty_redis(&self, server: Process) {
        self.note(&format!("empty redis {server:?}"));
    }

    fn has_refused(&self, node: u64) -> bool {
        self.with(|state| !state.inert) && !self.is_up(node)
    }

    fn stall_redis(&self, server: Process) {
        self.note(&format!("stall redis {server:?}"));
    }

    fn resume_redis(&self, server: Process) -> u64 {
        self.note(&format!("unstall redis {server:?}"));
        u64::from(!self.with(|state| state.inert)) * 7
    }

    fn cut_from_redis(&self, node: u64, server: Process) {
        self.note(&format!("cut n{node} from {server:?}"));
    }

    fn heal_to_redis(&self, node: u64, server: Process) -> u64 {
        self.note(&format!("heal n{node} to {server:?}"));
        u64::from(!self.with(|state| state.inert))
    }

    fn pause(&self, process: Process) -> bool {
        self.note(&format!("pause {process:?}"));
        let is_down = matches!(process, Process::Node(node) if !self.is_up(node));
        !is_down && self.with(|state| state.paused.insert(process))
    }

    fn resume(&self, process: Process) -> u64 {
        self.note(&format!("resume {process:?}"));
        self.with(|state| state.paused.remove(&process));
        3
    }

    fn add_link_rule(&self, from: &BTreeSet<Process>, to: &BTreeSet<Process>, action: LinkAction) -> RuleId {
        let verb = if matches!(action, LinkAction::Cut) { "cut" } else { "degrade" };
        self.note(&format!("{verb} {from:?} -> {to:?}"));
        self.with(|state| {
            state.rules_made += 1;
            state.rules.insert(state.rules_made, (from.clone(), to.clone()));
            RuleId(state.rules_made)
        })
    }

    fn remove_link_rule(&self, rule: RuleId) -> RuleEffect {
        self.note("mend");
        self.with(|state| {
            let (from, to) = state.rules.remove(&rule.0).expect("a rule is removed once");
            let harmed = !state.inert && !from.is_empty() && !to.is_empty();
            let count = u64::from(harmed) * 5;
            RuleEffect { dropped: count, duplicated: count, delayed: count }
        })
    }

    fn stall_disk(&self, node: u64) {
        self.note(&format!("stall n{node}"));
        self.with(|state| assert!(state.stalled.insert(node), "a disk is stalled once"));
    }

    fn resume_disk(&self, node: u64) -> u64 {
        self.note(&format!("unstall n{node}"));
        self.with(|state| {
            assert!(state.stalled.remove(&node));
            u64::from(!state.inert) * 7
        })
    }

    fn set_clock_drift(&self, process: Process, ppm: i64) -> i64 {
        self.note(&format!("drift {process:?} {ppm}"));
        self.with(|state| {
            let now_us = state.now_us;
            let (rate, since_us, strayed) = state.drift.get(&process).copied().unwrap_or_default();
            let rate = if state.inert { 0 } else { rate };
            let strayed = strayed + rate * (now_us - since_us) as i64 / 1_000_000;
            state.drift.insert(process, (ppm, now_us, strayed));
            strayed
        })
    }

    fn counters(&self) -> Counters {
        self.with(|state| {
            state.counters.campaigns += 1;
            state.counters
        })
    }
}

impl Pacer for ModelCluster {
    fn now(&self) -> VirtualTime {
        VirtualTime(self.with(|state| state.now_us) * 1_000)
    }

    fn sleep_until(&self, deadline: VirtualTime) -> impl Future<Output = ()> + Send {
        self.with(|state| {
            state.now_us = state.now_us.max(deadline.as_us());
            if let Some((at_us, leader)) = state.leader_at_us
                && at_us <= state.now_us
            {
                state.leader = Some(leader);
            }
        });
        std::future::ready(())
    }

    fn is_cut_short(&self) -> bool {
        self.with(|state| state.cut_short_at_us.is_some_and(|at_us| at_us <= state.now_us))
    }
}
