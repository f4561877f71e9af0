//! `redis`: harm to the Redis servers in which nodes keep their logs.
//!
//! **Legal:** what may happen to any server and the way to it. `crash`: the process dies, its machine and page
//! cache live on. `power-loss`: what its policy had not synced may be lost, which with `appendfsync everysec` is
//! up to a second of writes, none of which a node has been told is done. `pause`: it stands still. `stall`: the disk
//! under it finishes nothing for a while, and loses nothing. `cut`: the nodes and their servers do not reach each other; what was sent into the cut arrives late. `empty`: the server and
//! the node lose their power, and the server comes back without its files, as with a volume that was not mounted:
//! for a minority of the voters, for which the harm is for good. Such a node must refuse to start; it stays a
//! member without a voice.
//!
//! **Effect:** a live server was killed (`crash`, `power-loss`) or stopped (`pause`); an operation of its disk was held
//! up (`stall`); something was to pass while the cut lasted (`cut`); the server was emptied, and its node was started and refused to run (`empty`).

use std::collections::BTreeSet;

use super::family::{Active, Reach, nodes_of};
use super::{Effect, Process};
use crate::plan::RedisHarm;

/// An emptied server and its node come back after this time, or at half of the fault's.
const BACK_AFTER_US: u64 = 500_000;

pub(super) struct RedisFault {
    harm: RedisHarm,
    /// Nodes, each with its server.
    hit: Vec<(u64, Process)>,
    /// The servers, each once, as nodes may share one.
    servers: BTreeSet<Process>,
    /// When an emptied server comes back, if it has not yet.
    back_at_us: Option<u64>,
    effect: Effect,
}

pub(super) fn begin(targets: &BTreeSet<Process>, harm: RedisHarm, reach: &mut Reach<'_>) -> RedisFault {
    let mut nodes = nodes_of(targets);
    if harm == RedisHarm::Empty {
        let voters = reach.surface.voters();
        let already_lost = voters.iter().filter(|node| reach.holds.is_lost(**node)).count();
        nodes.retain(|node| !reach.holds.is_lost(*node));
        nodes.truncate((voters.len().saturating_sub(1) / 2).saturating_sub(already_lost));
    }
    let with_server = |node: u64| reach.surface.redis_of(node).map(|server| (node, server));
    let hit: Vec<(u64, Process)> = nodes.into_iter().filter_map(with_server).collect();
    let servers = hit.iter().map(|(_, server)| *server).collect();
    let mut fault = RedisFault { harm, hit, servers, back_at_us: None, effect: Effect::default() };
    match harm {
        RedisHarm::Crash | RedisHarm::PowerLoss => fault.kill(harm == RedisHarm::PowerLoss, reach),
        RedisHarm::Pause => {
            for server in &fault.servers {
                fault.effect.processes_paused += u64::from(reach.holds.pause(reach.surface, *server));
            }
        }
        RedisHarm::Stall => {
            fault.servers.iter().for_each(|server| reach.holds.stall_redis(reach.surface, *server));
        }
        RedisHarm::Cut => {
            fault.effect.cuts = 1;
            fault.hit.iter().for_each(|(node, server)| reach.surface.cut_from_redis(*node, *server));
        }
        RedisHarm::Empty => fault.empty(reach),
    }
    fault
}

impl RedisFault {
    fn kill(&mut self, power_loss: bool, reach: &mut Reach<'_>) {
        for server in &self.servers {
            let crash = reach.holds.crash_redis(reach.surface, *server, power_loss);
            self.effect.processes_killed += u64::from(crash.killed);
            self.effect.unsynced_bytes_lost += crash.unsynced_bytes_lost;
            self.effect.writes_torn += crash.writes_torn;
        }
    }

    fn empty(&mut self, reach: &mut Reach<'_>) {
        for (node, _) in &self.hit {
            reach.holds.give_up(*node);
            let crash = reach.surface.crash(*node, true);
            self.effect.processes_killed += u64::from(crash.killed);
        }
        self.kill(true, reach);
        for server in &self.servers {
            reach.surface.empty_redis(*server);
            self.effect.disks_lost += 1;
        }
        let half_us = reach.until_us.saturating_sub(reach.now_us) / 2;
        self.back_at_us = Some(reach.now_us.saturating_add(half_us.min(BACK_AFTER_US)));
    }

    /// Lets the servers serve again.
    fn restore(&mut self, reach: &mut Reach<'_>) {
        for server in &self.servers {
            self.effect.processes_restarted += u64::from(reach.holds.restart_redis(reach.surface, *server));
        }
    }
}

impl Active for RedisFault {
    fn turn(&mut self, reach: &mut Reach<'_>) -> Option<u64> {
        let back_at_us = self.back_at_us?;
        if reach.now_us < back_at_us {
            return Some(back_at_us);
        }
        self.back_at_us = None;
        self.restore(reach);
        for (node, _) in &self.hit {
            reach.surface.restart(*node);
        }
        None
    }

    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        let had_effect = match self.harm {
            RedisHarm::Crash | RedisHarm::PowerLoss => {
                self.restore(reach);
                self.effect.processes_killed > 0
            }
            RedisHarm::Pause => {
                for server in &self.servers {
                    self.effect.frames_awaiting += reach.holds.resume(reach.surface, *server);
                }
                self.effect.processes_paused > 0
            }
            RedisHarm::Stall => {
                for server in &self.servers {
                    self.effect.disk_operations_held += reach.holds.unstall_redis(reach.surface, *server);
                }
                self.effect.disk_operations_held > 0
            }
            RedisHarm::Cut => {
                for (node, server) in &self.hit {
                    self.effect.redis_uses_held += reach.surface.heal_to_redis(*node, *server);
                }
                self.effect.redis_uses_held > 0
            }
            RedisHarm::Empty => {
                let came_back = self.back_at_us.is_none();
                let refused = self.hit.iter().filter(|(node, _)| reach.surface.has_refused(*node)).count();
                self.effect.stores_refused = if came_back { refused as u64 } else { 0 };
                if !came_back {
                    self.back_at_us = None;
                    self.restore(reach);
                }
                self.effect.disks_lost > 0 && self.effect.stores_refused == self.hit.len() as u64
            }
        };
        (self.effect, had_effect)
    }
}
