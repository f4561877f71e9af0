//! The nemesis's levers, on real processes.

use std::collections::BTreeSet;

use super::LiveWorld;
use crate::nemesis::{
    Counters, CrashEffect, LinkAction, MembersInForce, Process, RuleEffect, RuleId, Surface,
};

impl Surface for LiveWorld {
    fn nodes(&self) -> u64 {
        self.shared.config.nodes
    }

    fn clients(&self) -> u64 {
        self.shared.config.clients
    }

    fn leader(&self) -> Option<u64> {
        // Not both locks at once: see `Shared::heard`.
        let up: BTreeSet<u64> = self.shared.processes().running.keys().copied().collect();
        self.shared.heard().view.leader(|node| up.contains(&node))
    }

    fn members(&self) -> MembersInForce {
        self.shared.heard().view.members.clone()
    }

    fn applied(&self, node: u64) -> u64 {
        self.shared.heard().view.applied(node)
    }

    fn version(&self) -> u16 {
        self.shared.heard().view.version
    }

    fn operator(&self) -> Option<Process> {
        (self.shared.config.operators > 0).then(|| Process::Client(self.shared.config.clients + 1))
    }

    fn is_up(&self, node: u64) -> bool {
        self.look();
        self.shared.processes().running.contains_key(&node)
    }

    /// Where the schedule takes the power of nodes, they keep in memory what they have not synced (`volatile`), so that
    /// every kill is a loss of power. How much was lost nobody lives to tell.
    fn crash(&self, node: u64, _power_loss: bool) -> CrashEffect {
        self.shared.proxies.goes_on(Process::Node(node));
        CrashEffect { killed: self.shared.kill(node), ..CrashEffect::default() }
    }

    #[expect(clippy::disallowed_methods, reason = "a lost disk is a real folder that is removed")]
    fn destroy(&self, node: u64) -> CrashEffect {
        let effect = self.crash(node, false);
        if let Err(error) = std::fs::remove_dir_all(self.folder_of(node)) {
            self.shared.fail(format!("the folder of node {node} cannot be removed: {error}"));
        }
        effect
    }

    fn restart(&self, node: u64) -> bool {
        self.start(node).unwrap_or_else(|error| {
            self.shared.fail(format!("node {node} cannot be started: {error}"));
            false
        })
    }

    fn crash_client(&self, _client: u64) -> bool {
        unreachable!("crashes of clients are refused before a live run");
    }

    fn restart_client(&self, _client: u64) -> bool {
        unreachable!("crashes of clients are refused before a live run");
    }

    fn redis_of(&self, node: u64) -> Option<Process> {
        self.shared.redis.server_of(node).map(|server| Process::Client(self.before_servers() + server))
    }

    /// A server that loses its power as well is one that is emptied.
    fn crash_redis(&self, server: Process, _power_loss: bool) -> CrashEffect {
        let killed = self.server(server).is_some_and(|server| self.shared.redis.kill(server));
        CrashEffect { killed, ..CrashEffect::default() }
    }

    fn start_redis(&self, server: Process) -> bool {
        let Some(number) = self.server(server) else { return false };
        self.shared.redis.start(number).unwrap_or_else(|error| {
            self.shared.fail(format!("redis {number} cannot be started: {error}"));
            false
        })
    }

    fn empty_redis(&self, server: Process) {
        let Some(number) = self.server(server) else { return };
        if let Err(error) = self.shared.redis.empty(number) {
            self.shared.fail(format!("what redis {number} wrote cannot be removed: {error}"));
        }
    }

    fn has_refused(&self, node: u64) -> bool {
        self.look();
        self.shared.processes().refused.contains(&node)
    }

    fn cut_from_redis(&self, node: u64, _server: Process) {
        self.shared.redis.cut(node);
    }

    fn heal_to_redis(&self, node: u64, _server: Process) -> u64 {
        self.shared.redis.heal(node)
    }

    fn stall_redis(&self, _server: Process) {
        unreachable!("stalls of disks are refused before a live run");
    }

    fn resume_redis(&self, _server: Process) -> u64 {
        unreachable!("stalls of disks are refused before a live run");
    }

    fn pause(&self, process: Process) -> bool {
        if let Some(server) = self.server(process) {
            return self.shared.redis.stand_still(server);
        }
        let is_paused = match process {
            Process::Node(node) => match self.shared.processes().running.get(&node) {
                Some(running) => {
                    running.stand_still();
                    true
                }
                None => false,
            },
            Process::Client(client) => self.shared.gates.get(&client).is_some_and(super::Gate::shut),
        };
        if is_paused {
            self.shared.proxies.stands_still(process);
        }
        is_paused
    }

    fn resume(&self, process: Process) -> u64 {
        if let Some(server) = self.server(process) {
            self.shared.redis.go_on(server);
            return 0;
        }
        match process {
            Process::Node(node) => {
                if let Some(running) = self.shared.processes().running.get(&node) {
                    running.go_on();
                }
            }
            Process::Client(client) => {
                if let Some(gate) = self.shared.gates.get(&client) {
                    gate.open();
                }
            }
        }
        self.shared.proxies.goes_on(process)
    }

    fn add_link_rule(&self, from: &BTreeSet<Process>, to: &BTreeSet<Process>, action: LinkAction) -> RuleId {
        self.shared.proxies.add_rule(from, to, action)
    }

    fn remove_link_rule(&self, rule: RuleId) -> RuleEffect {
        self.shared.proxies.remove_rule(rule).unwrap_or_default()
    }

    fn stall_disk(&self, _node: u64) {
        unreachable!("stalls of disks are refused before a live run");
    }

    fn resume_disk(&self, _node: u64) -> u64 {
        unreachable!("stalls of disks are refused before a live run");
    }

    fn set_clock_drift(&self, _process: Process, _ppm: i64) -> i64 {
        unreachable!("drifts of clocks are refused before a live run");
    }

    fn counters(&self) -> Counters {
        let frames = self.frames();
        let heard = self.shared.heard();
        Counters {
            leaders_elected: heard.view.leaders_elected,
            campaigns: heard.view.campaigns,
            frames_delivered: frames.delivered,
            syncs: heard.syncs,
        }
    }
}

impl LiveWorld {
    /// Redis servers are numbered after clients and operators.
    fn before_servers(&self) -> u64 {
        self.shared.config.clients + self.shared.config.operators
    }

    /// The number of a process that is a Redis server.
    fn server(&self, process: Process) -> Option<u64> {
        match process {
            Process::Client(number) => number.checked_sub(self.before_servers()).filter(|server| *server > 0),
            Process::Node(_) => None,
        }
    }
}
