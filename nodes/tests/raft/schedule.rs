//! Random schedules: one seed, one cluster, one storm, then calm.
//!
//! Each seed draws its own mix of faults (swarm testing, Groce et al., ISSTA 2012), so that some runs are
//! all crashes, some all loss, some nearly calm. After every step every invariant is checked; at the end
//! everything heals, and what was promised has to come to pass.

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::{Input, Role};

use crate::checks::{Checker, Violation};
use crate::cluster::Cluster;

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
}

/// What happened in a run: proof that it was not an empty one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) elections: u64,
    pub(crate) committed: u64,
    pub(crate) reads_ready: u64,
    pub(crate) truncations: u64,
    pub(crate) crashes: u64,
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
}

/// Runs the schedule of `seed` on `size` nodes for `steps` steps, heals it and sees it serve again.
///
/// # Errors
/// The first invariant that does not hold.
pub(crate) fn run(seed: u64, size: u64, steps: u64, strict: bool) -> Result<Summary, Violation> {
    let mut schedule = Schedule::new(seed, size, strict);
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
    })
}

impl Schedule {
    fn new(seed: u64, size: u64, strict: bool) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut draw = |bound: u64| rng.next_u64() % bound;
        let append_bytes_max = [1, 80, 256 * 1024][draw(3) as usize];
        let inflight_messages_max = [1, 2, 64][draw(3) as usize];
        let inflight_bytes_max = [1, 200, 4 * 1024 * 1024][draw(3) as usize];
        let weights = vec![
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
        let cluster = Cluster::new(size, seed, |config| {
            config.append_bytes_max = append_bytes_max;
            config.inflight_messages_max = inflight_messages_max;
            config.inflight_bytes_max = inflight_bytes_max;
        });
        let checker = Checker::new(&cluster, strict);
        Self { cluster, checker, rng, weights, time_step_us_max, isolated: None, names: 0, crashes: 0 }
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
            Action::Deliver | Action::DeliverInOrder | Action::Drop | Action::Double => {}
        }
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
