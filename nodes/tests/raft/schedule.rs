//! Random schedules: one seed, one cluster, one storm, then calm.
//!
//! Each seed draws its own mix of faults (swarm testing, Groce et al., ISSTA 2012), so that some runs are
//! all crashes, some all loss, some nearly calm. After every step every invariant is checked; at the end
//! everything heals, and what was promised has to come to pass.

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::membership::{MemberChange, MembershipChange, Transition};
use stormglass_nodes::raft::{Config, Input, Role};

use crate::checks::{Checker, Violation};
use crate::cluster::Cluster;
use crate::show;

/// Virtual time that a healed cluster may take to serve again: a good dozen election timeouts.
const HEAL_US_MAX: u64 = 8_000_000;
/// A step of time once everything is healed.
const HEAL_STEP_US: u64 = 10_000;
/// Messages under way, at most; beyond it the oldest is lost.
const NETWORK_MESSAGES_MAX: usize = 200;

/// What a schedule may do next.
#[derive(Clone, Copy, Debug)]
enum Action {
    Deliver,
    DeliverInOrder,
    Drop,
    Double,
    Store,
    Time,
    Propose,
    Read,
    Crash,
    CrashLeader,
    Restart,
    Isolate,
    Rejoin,
    ReadAnywhere,
    Snapshot,
    Change,
    Transfer,
    Unreachable,
}

/// What the cluster may be asked for besides proposals and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing else: the members stay, and the log is kept.
    Plain,
    /// Everything: snapshots, changes of the members, transfers, leases, silence.
    Mixed,
}

/// Nodes that are no members at first, in a mixed schedule.
const SPARE_NODES: u64 = 2;

/// What happened in a run: proof that it was not an empty one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) elections: u64,
    pub(crate) committed: u64,
    pub(crate) reads_ready: u64,
    pub(crate) truncations: u64,
    pub(crate) crashes: u64,
    pub(crate) changes: u64,
    pub(crate) snapshots: u64,
}

/// A run.
struct Schedule {
    cluster: Cluster,
    checker: Checker,
    rng: Xoshiro256PlusPlus,
    weights: Vec<(Action, u64)>,
    time_step_us_max: u64,
    isolated: Option<NodeId>,
    names: u64,
    crashes: u64,
    /// What happened, in words, if somebody wants to read it.
    told: Option<String>,
}

/// Runs the schedule of `seed` on `size` nodes for `steps` steps, heals it and sees it serve again.
///
/// # Errors
/// The first invariant that does not hold.
pub(crate) fn run(kind: Kind, seed: u64, size: u64, steps: u64, strict: bool) -> Result<Summary, Violation> {
    let mut schedule = Schedule::new(kind, seed, size, strict);
    for _ in 0..steps {
        schedule.act();
        schedule.observe()?;
    }
    schedule.heal()?;
    Ok(Summary {
        elections: schedule.checker.elections,
        committed: schedule.checker.committed.len() as u64,
        reads_ready: schedule.checker.reads_ready,
        truncations: schedule.checker.truncations,
        crashes: schedule.crashes,
        changes: schedule.checker.changes,
        snapshots: schedule.checker.snapshots,
    })
}

/// The same, with everything that happens in words.
pub(crate) fn tell(kind: Kind, seed: u64, size: u64, steps: u64) -> (String, Result<(), Violation>) {
    let mut schedule = Schedule::new(kind, seed, size, true);
    schedule.told = Some(String::new());
    let storm = (0..steps).try_for_each(|_| {
        schedule.act();
        schedule.observe()
    });
    let result = storm.and_then(|()| schedule.heal());
    (schedule.told.unwrap_or_default(), result)
}

impl Schedule {
    fn new(kind: Kind, seed: u64, size: u64, strict: bool) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut draw = |bound: u64| rng.next_u64() % bound;
        let append_bytes_max = [1, 80, 256 * 1024][draw(3) as usize];
        let inflight_messages_max = [1, 2, 64][draw(3) as usize];
        let inflight_bytes_max = [1, 200, 4 * 1024 * 1024][draw(3) as usize];
        let mut weights = vec![
            (Action::Deliver, 1 + draw(40)),
            (Action::DeliverInOrder, 10 + draw(60)),
            (Action::Drop, draw(8)),
            (Action::Double, draw(8)),
            (Action::Store, 10 + draw(40)),
            (Action::Time, 5 + draw(20)),
            (Action::Propose, 1 + draw(8)),
            (Action::Read, draw(6)),
            (Action::Crash, draw(3)),
            (Action::CrashLeader, draw(3)),
            (Action::Restart, 2 + draw(8)),
            (Action::Isolate, draw(2)),
            (Action::Rejoin, 1 + draw(3)),
        ];
        let time_step_us_max = [5_000, 30_000, 120_000][draw(3) as usize];
        let mut adjust: Box<dyn Fn(&mut Config)> = Box::new(|_| {});
        let mut spare = 0;
        if kind == Kind::Mixed {
            spare = SPARE_NODES;
            weights.extend([
                (Action::ReadAnywhere, draw(6)),
                (Action::Snapshot, draw(8)),
                (Action::Change, draw(4)),
                (Action::Transfer, draw(3)),
                (Action::Unreachable, draw(2)),
            ]);
            let trailing_entries = [0, 3, 1024][draw(3) as usize];
            let promotion_lag_entries = [0, 4][draw(2) as usize];
            let lease_drift_ppm_max = [None, Some(10_000)][draw(2) as usize];
            let quiesce_after_intervals = [None, Some(1)][draw(2) as usize];
            let favourite = draw(2 * size);
            adjust = Box::new(move |config| {
                config.trailing_entries = trailing_entries;
                config.promotion_lag_entries = promotion_lag_entries;
                config.lease_drift_ppm_max = lease_drift_ppm_max;
                config.quiesce_after_intervals = quiesce_after_intervals;
                config.priority = u8::from(config.id.0 == favourite);
                config.store_stall_us_max = 400_000;
            });
        }
        let cluster = Cluster::new(size, spare, seed, |config| {
            config.append_bytes_max = append_bytes_max;
            config.inflight_messages_max = inflight_messages_max;
            config.inflight_bytes_max = inflight_bytes_max;
            adjust(config);
        });
        let checker = Checker::new(&cluster, strict);
        Self {
            cluster,
            checker,
            rng,
            weights,
            time_step_us_max,
            isolated: None,
            names: 0,
            crashes: 0,
            told: None,
        }
    }

    fn draw(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound.max(1)
    }

    fn any_node(&mut self) -> NodeId {
        let size = self.cluster.nodes.len() as u64;
        NodeId(1 + self.draw(size))
    }

    /// Proposals and reads go to whoever thinks it leads, mostly.
    fn likely_leader(&mut self) -> NodeId {
        let leads =
            |id: &NodeId| self.cluster.core(*id).is_some_and(|core| core.status().role == Role::Leader);
        let leaders: Vec<_> = self.cluster.nodes.keys().copied().filter(leads).collect();
        match self.draw(leaders.len() as u64 + 1) {
            0 => self.any_node(),
            n => leaders[n as usize - 1],
        }
    }

    fn observe(&mut self) -> Result<(), Violation> {
        let happened = std::mem::take(&mut self.cluster.happened);
        if let Some(told) = &mut self.told {
            for happening in &happened {
                told.push_str(&show::happening(happening));
                told.push('\n');
            }
        }
        self.checker.observe(&self.cluster, &happened)?;
        if let Some(isolated) = self.isolated {
            self.cluster.network.retain(|message| message.from != isolated && message.to != isolated);
        }
        let excess = self.cluster.network.len().saturating_sub(NETWORK_MESSAGES_MAX);
        self.cluster.network.drain(..excess);
        Ok(())
    }

    fn act(&mut self) {
        let total = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut at = self.draw(total);
        let chosen = self.weights.iter().find(|(_, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        let (action, _) = *chosen.expect("the weights add up to the total");
        self.perform(action);
    }

    fn perform(&mut self, action: Action) {
        let under_way = self.cluster.network.len() as u64;
        match action {
            Action::Deliver if under_way > 0 => {
                let position = self.draw(under_way);
                self.cluster.deliver(position as usize);
            }
            Action::DeliverInOrder if under_way > 0 => self.cluster.deliver(0),
            Action::Drop if under_way > 0 => {
                let position = self.draw(under_way);
                self.cluster.network.remove(position as usize);
            }
            Action::Double if under_way > 0 => {
                let position = self.draw(under_way);
                let message = self.cluster.network[position as usize].clone();
                self.cluster.network.push(message);
            }
            Action::Store => {
                let id = self.any_node();
                self.cluster.complete_store(id);
            }
            Action::Time => {
                self.cluster.now_us += self.draw(self.time_step_us_max);
                let id = self.any_node();
                self.cluster.step(id, Input::Tick);
            }
            Action::Propose => {
                let id = self.likely_leader();
                self.propose(id);
            }
            Action::Read => {
                let id = self.likely_leader();
                self.read(id);
            }
            Action::Crash => {
                let id = self.any_node();
                self.crash(id);
            }
            Action::CrashLeader => {
                let id = self.likely_leader();
                self.crash(id);
            }
            Action::Restart => {
                let id = self.any_node();
                if self.cluster.core(id).is_none() {
                    self.cluster.start(id);
                }
            }
            Action::Isolate => self.isolated = Some(self.any_node()),
            Action::Rejoin => self.isolated = None,
            Action::ReadAnywhere => {
                self.names += 1;
                let id = self.any_node();
                if self.cluster.core(id).is_some() {
                    self.cluster.step(id, Input::ReadAnywhere { id: self.names });
                }
            }
            Action::Snapshot => {
                let id = self.any_node();
                self.cluster.snapshot(id);
            }
            Action::Change => {
                self.names += 1;
                let (id, change) = (self.likely_leader(), self.some_change());
                self.cluster.change(id, self.names, change);
            }
            Action::Transfer => {
                let (id, to) = (self.likely_leader(), self.any_node());
                let to = (self.draw(2) == 0).then_some(to);
                self.cluster.step(id, Input::Transfer { to });
            }
            Action::Unreachable => {
                let (id, peer) = (self.likely_leader(), self.any_node());
                self.cluster.step(id, Input::Unreachable(peer));
            }
            Action::Deliver | Action::DeliverInOrder | Action::Drop | Action::Double => {}
        }
    }

    /// One to three members changed at random; now and then the end of a joint state.
    fn some_change(&mut self) -> MembershipChange {
        if self.draw(4) == 0 {
            return MembershipChange::leave_joint();
        }
        let count = 1 + self.draw(3);
        let mut changes = Vec::new();
        for _ in 0..count {
            let id = self.any_node();
            changes.push(match self.draw(5) {
                0 | 1 => MemberChange::AddVoter(id),
                2 => MemberChange::AddVoterOnceCaughtUp(id),
                3 => MemberChange::AddLearner(id),
                _ => MemberChange::Remove(id),
            });
        }
        let transition =
            [Transition::Auto, Transition::Auto, Transition::JointImplicit, Transition::JointExplicit]
                [self.draw(4) as usize];
        MembershipChange { transition, changes, ..MembershipChange::default() }
    }

    /// Crashes a node that is up; of the store that is out, any part may be on disk.
    fn crash(&mut self, id: NodeId) {
        let kept = self.draw(5);
        if self.cluster.core(id).is_some() {
            self.crashes += 1;
            self.cluster.crash(id, kept as usize);
        }
    }

    fn propose(&mut self, id: NodeId) {
        self.names += 1;
        let command = Bytes::from(format!("c{}", self.names));
        self.cluster.propose(id, self.names, command);
    }

    fn read(&mut self, id: NodeId) {
        self.names += 1;
        if self.cluster.core(id).is_some() {
            self.cluster.step(id, Input::Read { id: self.names });
        }
    }

    /// All nodes up, nothing lost any more: within a bounded time a proposal commits, every node applies
    /// everything, and a read is answered.
    fn heal(&mut self) -> Result<(), Violation> {
        self.isolated = None;
        let ids: Vec<_> = self.cluster.nodes.keys().copied().collect();
        for &id in &ids {
            if self.cluster.core(id).is_none() {
                self.cluster.start(id);
                self.observe()?;
            }
        }
        let (mut committed_before, mut reads_before) = (None, None);
        for _ in 0..HEAL_US_MAX / HEAL_STEP_US {
            self.calm_step(&ids)?;
            let is_leader =
                |id: &&NodeId| self.cluster.core(**id).is_some_and(|core| core.status().role == Role::Leader);
            let leaders: Vec<_> = ids.iter().filter(is_leader).copied().collect();
            let &[leader] = leaders.as_slice() else { continue };
            let committed = self.checker.committed.len();
            let before = *committed_before.get_or_insert(committed);
            if committed == before {
                self.propose(leader);
                continue;
            }
            let before = *reads_before.get_or_insert(self.checker.reads_ready);
            if self.checker.reads_ready == before {
                self.read(leader);
            } else if self.checker.all_applied() {
                return Ok(());
            }
        }
        let states: Vec<_> = ids.iter().filter_map(|id| self.cluster.core(*id)).map(|c| c.status()).collect();
        Err(Violation {
            invariant: "liveness",
            detail: format!("the healed cluster does not serve: {states:#?}"),
        })
    }

    /// Everything under way arrives, everything to store is stored, time passes.
    fn calm_step(&mut self, ids: &[NodeId]) -> Result<(), Violation> {
        for _ in 0..self.cluster.network.len() + 1 {
            ids.iter().for_each(|&id| self.cluster.complete_store(id));
            self.observe()?;
            if !self.cluster.network.is_empty() {
                self.cluster.deliver(0);
                self.observe()?;
            }
        }
        self.cluster.now_us += HEAL_STEP_US;
        for &id in ids {
            self.cluster.step(id, Input::Tick);
            self.observe()?;
        }
        Ok(())
    }
}
