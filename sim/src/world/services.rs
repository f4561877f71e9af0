//! Processes that take streams: where they are, and their links to the nodes.
//!
//! A service is numbered as a client, after clients and operators, and has a clock, a disk and a life like any
//! other process. Streams are madsim's simulated TCP, whose links know only whole and cut; so a cut is counted
//! here, and what tries to use it meanwhile is, too. Nodes and services have addresses only in worlds that
//! have services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use madsim::net::NetSim;
use madsim::runtime::NodeBuilder;
use stormglass_nodes::env::StreamAddress;

use super::core::Core;
use super::redis::PORT;
use super::trace::{TraceKind, digest};
use super::{World, WorldConfig};
use crate::nemesis::Process;

/// The services of a world.
pub(super) struct Services {
    pub(super) count: u64,
    /// Clients and operators, after which services are numbered.
    before: u64,
    /// Cuts in force between a process and a service, and how often something was to pass since the first.
    cuts: BTreeMap<(u32, u32), (u32, u64)>,
    /// Services that have lost all that they had written.
    emptied: BTreeSet<u32>,
    /// Nodes that refused to start because of it.
    pub(super) refused: BTreeSet<u64>,
}

impl Services {
    pub(super) fn new(config: &WorldConfig) -> Self {
        if config.services > 0 {
            let least = Duration::from_micros(config.network.latency_us.max(1));
            let spread = Duration::from_micros(2 * config.network.latency_tail_us + 1);
            NetSim::current().update_config(|net| net.send_latency = least..least + spread);
        }
        let before = config.clients + config.operators;
        Self {
            count: config.services,
            before,
            cuts: BTreeMap::new(),
            emptied: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }
}

/// Gives a process its address, if it needs one.
pub(super) fn place<'a>(builder: NodeBuilder<'a>, config: &WorldConfig, process: Process) -> NodeBuilder<'a> {
    if config.services == 0 {
        return builder;
    }
    match process {
        Process::Node(node) => builder.ip(IpAddr::V4(address(node))),
        Process::Client(client) => builder.ip(IpAddr::V4(address(config.nodes + client))),
    }
}

/// The address of the process at this place among all, from 1.
fn address(place: u64) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + place as u32)
}

impl Core {
    /// Who has an address.
    pub(super) fn process_at(&self, ip: IpAddr) -> Option<u32> {
        let IpAddr::V4(ip) = ip else { return None };
        let place = ip.to_bits().checked_sub(address(0).to_bits())?.checked_sub(1)?;
        ((place as usize) < self.processes.len()).then_some(place)
    }

    /// Takes note that something is to pass between a process and a service.
    pub(super) fn note_stream_use(&mut self, process: u32, service: u32) {
        if let Some((_, held_up)) = self.services.cuts.get_mut(&(process, service)) {
            *held_up += 1;
        }
    }
}

impl World {
    /// The process of a service, from 1.
    #[must_use]
    pub fn service(&self, number: u64) -> Process {
        Process::Client(self.shared.lock().services.before + number)
    }

    /// Where a service takes streams.
    #[must_use]
    pub fn service_address(&self, number: u64) -> StreamAddress {
        self.address_of(self.service(number))
    }

    /// Where a process that is a service takes streams.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    #[must_use]
    pub fn address_of(&self, process: Process) -> StreamAddress {
        let place = u64::from(self.shared.lock().expect_index(process)) + 1;
        StreamAddress::Tcp { host: address(place).to_string(), port: PORT }
    }

    /// Cuts a process from a service, both ways. Streams stall; new ones are refused.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn cut_streams(&self, process: Process, service: Process) {
        self.set_streams(process, service, true);
    }

    /// Ends a cut. Says how often something was to pass since the first of those in force. What had been sent into
    /// the cut arrives late, up to ten seconds after the last of them has ended.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn heal_streams(&self, process: Process, service: Process) -> u64 {
        self.set_streams(process, service, false)
    }

    fn set_streams(&self, process: Process, service: Process, cut: bool) -> u64 {
        let now = self.shared.now_ns();
        let (from, to, in_force, held_up) = {
            let mut core = self.shared.lock();
            let key = (core.expect_index(process), core.expect_index(service));
            let (count, held_up) = core.services.cuts.entry(key).or_default();
            *count = if cut { *count + 1 } else { count.saturating_sub(1) };
            let (in_force, held_up) = (*count > 0, *held_up);
            if !in_force {
                core.services.cuts.remove(&key);
            }
            core.tracer.record_of(now, TraceKind::Fault, process, digest(&[12, u64::from(cut), held_up]));
            let home = |index: u32| core.processes[index as usize].home.id();
            (home(key.0), home(key.1), in_force, held_up)
        };
        let net = NetSim::current();
        for (from, to) in [(from, to), (to, from)] {
            if in_force {
                net.clog_link(from, to);
            } else {
                net.unclog_link(from, to);
            }
        }
        held_up
    }

    /// Removes all that is on a process's disk. The process is down.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    pub fn empty_disk(&self, process: Process) {
        let now = self.shared.now_ns();
        let mut core = self.shared.lock();
        let index = core.expect_index(process);
        core.machines[index as usize].destroy();
        core.services.emptied.insert(index);
        core.tracer.record_of(now, TraceKind::Fault, process, digest(&[13]));
    }

    /// Whether a process's disk was emptied.
    ///
    /// # Panics
    ///
    /// If there is no such process.
    #[must_use]
    pub fn was_emptied(&self, process: Process) -> bool {
        let core = self.shared.lock();
        core.services.emptied.contains(&core.expect_index(process))
    }

    /// Takes note that a node refused to start, because its service has lost what it had written.
    pub fn note_refusal(&self, node: u64) {
        self.shared.lock().services.refused.insert(node);
    }
}
