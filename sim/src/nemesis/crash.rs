//! `crash` and `power-loss`: a node dies and comes back. A crash may hit clients, too.
//!
//! **Legal:** a process may die at any instant, in the middle of any write. After a crash the machine lives
//! on, and with it everything that the process had written, synced or not. After a power loss what was not
//! synced survives wholly, in part or not at all, write by write. Any number of nodes may die at once.
//! A client that dies leaves what it had asked for open; another process takes its place, under a clock of a new
//! origin and with a session of its own, and knows nothing of what the first one had.
//! A disk never loses what it has synced: that would be another fault, of a disk that lies.
//!
//! **Effect:** at least one live process was killed. (How much was lost is measured and shown; that nothing
//! was unsynced at the moment is no fault of the fault.)

use std::collections::BTreeSet;

use super::family::{Active, Reach, clients_of, nodes_of};
use super::{Effect, Process};

pub(super) struct Crash {
    nodes: Vec<u64>,
    clients: Vec<u64>,
    effect: Effect,
}

pub(super) fn begin(targets: &BTreeSet<Process>, power_loss: bool, reach: &mut Reach<'_>) -> Crash {
    let (nodes, clients) = (nodes_of(targets), clients_of(targets));
    let mut effect = Effect::default();
    for node in &nodes {
        let crash = reach.holds.crash(reach.surface, *node, power_loss);
        effect.processes_killed += u64::from(crash.killed);
        effect.unsynced_bytes_lost += crash.unsynced_bytes_lost;
        effect.writes_torn += crash.writes_torn;
    }
    for client in &clients {
        effect.processes_killed += u64::from(reach.holds.crash_client(reach.surface, *client));
    }
    Crash { nodes, clients, effect }
}

impl Active for Crash {
    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        for node in &self.nodes {
            self.effect.processes_restarted += u64::from(reach.holds.restart(reach.surface, *node));
        }
        for client in &self.clients {
            self.effect.processes_restarted += u64::from(reach.holds.restart_client(reach.surface, *client));
        }
        (self.effect, self.effect.processes_killed > 0)
    }
}
