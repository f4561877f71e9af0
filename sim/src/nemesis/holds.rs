//! Which processes are harmed at present, and by how many faults at once.

use std::collections::{BTreeMap, BTreeSet};

use super::{CrashEffect, Process, Surface};

/// Counts the faults that hold each process in each kind of harm, so that the first of two to end does not
/// undo the other.
#[derive(Debug, Default)]
pub(super) struct Holds {
    down: BTreeMap<u64, u32>,
    clients_down: BTreeMap<u64, u32>,
    paused: BTreeMap<Process, u32>,
    stalled: BTreeMap<u64, u32>,
    drifting: BTreeMap<Process, Vec<(usize, i64)>>,
    lost: BTreeSet<u64>,
    redis_down: BTreeMap<Process, u32>,
    redis_stalled: BTreeMap<Process, u32>,
}

impl Holds {
    /// Kills a node, or only takes note if it is down already.
    pub(super) fn crash(&mut self, surface: &dyn Surface, node: u64, power_loss: bool) -> CrashEffect {
        *self.down.entry(node).or_default() += 1;
        surface.crash(node, power_loss)
    }

    /// Kills a client, or only takes note if it is down already. Says whether it killed it.
    pub(super) fn crash_client(&mut self, surface: &dyn Surface, client: u64) -> bool {
        *self.clients_down.entry(client).or_default() += 1;
        surface.crash_client(client)
    }

    /// Lets another process take a killed client's place unless another fault still holds it down. Says whether it
    /// did.
    pub(super) fn restart_client(&mut self, surface: &dyn Surface, client: u64) -> bool {
        let started = release(&mut self.clients_down, &client) && surface.restart_client(client);
        if started && self.paused.contains_key(&Process::Client(client)) {
            surface.pause(Process::Client(client));
        }
        started
    }

    /// Kills a node whose disk is lost: it is never started again.
    pub(super) fn destroy(&mut self, surface: &dyn Surface, node: u64) -> CrashEffect {
        self.lost.insert(node);
        surface.destroy(node)
    }

    /// Takes note that a node has lost what it knew, and will refuse to start.
    pub(super) fn give_up(&mut self, node: u64) {
        self.lost.insert(node);
    }

    /// Kills a Redis server, or only takes note if it is down already.
    pub(super) fn crash_redis(
        &mut self,
        surface: &dyn Surface,
        server: Process,
        power_loss: bool,
    ) -> CrashEffect {
        *self.redis_down.entry(server).or_default() += 1;
        surface.crash_redis(server, power_loss)
    }

    /// Starts a Redis server again unless another fault still holds it down. Says whether it started it.
    pub(super) fn restart_redis(&mut self, surface: &dyn Surface, server: Process) -> bool {
        if !release(&mut self.redis_down, &server) {
            return false;
        }
        let started = surface.start_redis(server);
        if started && self.paused.contains_key(&server) {
            surface.pause(server);
        }
        started
    }

    /// Stalls the disk under a Redis server.
    pub(super) fn stall_redis(&mut self, surface: &dyn Surface, server: Process) {
        let holders = self.redis_stalled.entry(server).or_default();
        *holders += 1;
        if *holders == 1 {
            surface.stall_redis(server);
        }
    }

    /// Ends such a stall unless another fault still holds it. Says how many operations it held up.
    pub(super) fn unstall_redis(&mut self, surface: &dyn Surface, server: Process) -> u64 {
        if release(&mut self.redis_stalled, &server) { surface.resume_redis(server) } else { 0 }
    }

    /// Whether a node's disk is lost.
    pub(super) fn is_lost(&self, node: u64) -> bool {
        self.lost.contains(&node)
    }

    /// Takes note that a node is to go down by itself, and stay down until it is restarted.
    pub(super) fn keep_down(&mut self, node: u64) {
        *self.down.entry(node).or_default() += 1;
    }

    /// Starts a node again unless another fault still holds it down, or its disk is lost. Says whether it
    /// started it.
    pub(super) fn restart(&mut self, surface: &dyn Surface, node: u64) -> bool {
        if !release(&mut self.down, &node) || self.is_lost(node) {
            return false;
        }
        let started = surface.restart(node);
        if started && self.paused.contains_key(&Process::Node(node)) {
            surface.pause(Process::Node(node));
        }
        started
    }

    /// Stops a process, or only takes note if it stands already. Says whether it stopped it.
    pub(super) fn pause(&mut self, surface: &dyn Surface, process: Process) -> bool {
        let holders = self.paused.entry(process).or_default();
        *holders += 1;
        *holders == 1 && surface.pause(process)
    }

    /// Lets a process go on unless another fault still holds it. Says how many frames awaited it.
    pub(super) fn resume(&mut self, surface: &dyn Surface, process: Process) -> u64 {
        if release(&mut self.paused, &process) { surface.resume(process) } else { 0 }
    }

    /// Stalls a node's disk.
    pub(super) fn stall(&mut self, surface: &dyn Surface, node: u64) {
        let holders = self.stalled.entry(node).or_default();
        *holders += 1;
        if *holders == 1 {
            surface.stall_disk(node);
        }
    }

    /// Ends a stall unless another fault still holds it. Says how many operations it held up.
    pub(super) fn unstall(&mut self, surface: &dyn Surface, node: u64) -> u64 {
        if release(&mut self.stalled, &node) { surface.resume_disk(node) } else { 0 }
    }

    /// Makes a clock drift on behalf of a fault; the latest fault's drift counts. Says by how many
    /// microseconds the clock has strayed so far.
    pub(super) fn drift(&mut self, surface: &dyn Surface, process: Process, fault: usize, ppm: i64) -> i64 {
        self.drifting.entry(process).or_default().push((fault, ppm));
        surface.set_clock_drift(process, ppm)
    }

    /// Ends a fault's drift: the latest of those that remain counts, or none.
    pub(super) fn undrift(&mut self, surface: &dyn Surface, process: Process, fault: usize) -> i64 {
        let stack = self.drifting.entry(process).or_default();
        stack.retain(|(holder, _)| *holder != fault);
        surface.set_clock_drift(process, stack.last().map_or(0, |(_, ppm)| *ppm))
    }

    /// Whether some fault holds a process down, paused, or its disk stalled.
    pub(super) fn is_held(&self, process: Process) -> bool {
        let is_down = match process {
            Process::Node(node) => {
                self.down.contains_key(&node) || self.stalled.contains_key(&node) || self.is_lost(node)
            }
            Process::Client(client) => self.clients_down.contains_key(&client),
        };
        is_down || self.paused.contains_key(&process)
    }
}

/// Takes one holder away; says whether it was the last.
fn release<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) -> bool {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => {
            *count -= 1;
            false
        }
        Some(_) => {
            counts.remove(key);
            true
        }
        None => false,
    }
}
