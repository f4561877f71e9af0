//! The nemesis's levers, on the simulated world.

use std::collections::BTreeSet;

use stormglass_nodes::marks;

use super::core::Core;
use super::kernel::Event;
use super::net::Drop;
use super::trace::{TraceKind, digest};
use super::{Process, VirtualTime, World};
use crate::nemesis::{Counters, CrashEffect, LinkAction, MembersInForce, RuleEffect, RuleId, Surface};

impl Surface for World {
    fn nodes(&self) -> u64 {
        self.shared.lock().nodes
    }

    fn clients(&self) -> u64 {
        self.shared.lock().clients
    }

    fn leader(&self) -> Option<u64> {
        let core = self.shared.lock();
        core.view.leader(|node| core.is_node_up(node))
    }

    fn members(&self) -> MembersInForce {
        self.shared.lock().view.members.clone()
    }

    fn applied(&self, node: u64) -> u64 {
        self.shared.lock().view.applied(node)
    }

    fn version(&self) -> u16 {
        self.shared.lock().view.version
    }

    fn operator(&self) -> Option<Process> {
        let core = self.shared.lock();
        (core.operators > 0).then(|| Process::Client(core.clients + 1))
    }

    fn is_up(&self, node: u64) -> bool {
        self.shared.lock().is_node_up(node)
    }

    fn crash(&self, node: u64, power_loss: bool) -> CrashEffect {
        self.shared.crash(Process::Node(node), power_loss)
    }

    fn destroy(&self, node: u64) -> CrashEffect {
        let effect = self.shared.crash(Process::Node(node), true);
        let now = self.shared.now_ns();
        let mut core = self.shared.lock();
        let index = core.expect_index(Process::Node(node));
        core.machines[index as usize].destroy();
        core.tracer.record_of(now, TraceKind::Fault, Process::Node(node), digest(&[11]));
        effect
    }

    fn restart(&self, node: u64) -> bool {
        self.shared.start(Process::Node(node))
    }

    fn crash_client(&self, client: u64) -> bool {
        self.shared.crash(Process::Client(client), false).killed
    }

    fn restart_client(&self, client: u64) -> bool {
        self.shared.start(Process::Client(client))
    }

    fn redis_of(&self, node: u64) -> Option<Process> {
        let servers = self.shared.lock().services.count;
        match servers {
            0 => None,
            1 => Some(self.service(1)),
            _ => Some(self.service(node)),
        }
    }

    fn crash_redis(&self, server: Process, power_loss: bool) -> CrashEffect {
        self.shared.crash(server, power_loss)
    }

    fn start_redis(&self, server: Process) -> bool {
        self.shared.start(server)
    }

    fn empty_redis(&self, server: Process) {
        self.empty_disk(server);
    }

    fn has_refused(&self, node: u64) -> bool {
        self.shared.lock().services.refused.contains(&node)
    }

    fn stall_redis(&self, server: Process) {
        self.stall(server);
    }

    fn resume_redis(&self, server: Process) -> u64 {
        self.unstall(server)
    }

    fn cut_from_redis(&self, node: u64, server: Process) {
        self.cut_streams(Process::Node(node), server);
    }

    fn heal_to_redis(&self, node: u64, server: Process) -> u64 {
        self.heal_streams(Process::Node(node), server)
    }

    fn pause(&self, process: Process) -> bool {
        self.shared.pause(process)
    }

    fn resume(&self, process: Process) -> u64 {
        self.shared.resume(process)
    }

    fn add_link_rule(&self, from: &BTreeSet<Process>, to: &BTreeSet<Process>, action: LinkAction) -> RuleId {
        let now = self.shared.now_ns();
        self.shared.lock().add_link_rule(now, from, to, action)
    }

    fn remove_link_rule(&self, rule: RuleId) -> RuleEffect {
        let now = self.shared.now_ns();
        let mut core = self.shared.lock();
        let effect = core.network.links.remove_rule(rule).unwrap_or_default();
        let detail = digest(&[7, rule.0, effect.dropped, effect.duplicated, effect.delayed]);
        core.tracer.record(now, TraceKind::Fault, None, None, detail);
        effect
    }

    fn stall_disk(&self, node: u64) {
        self.stall(Process::Node(node));
    }

    fn resume_disk(&self, node: u64) -> u64 {
        self.unstall(Process::Node(node))
    }

    fn set_clock_drift(&self, process: Process, ppm: i64) -> i64 {
        let now = self.shared.now_ns();
        let mut core = self.shared.lock();
        let index = core.expect_index(process);
        let clock = &mut core.processes[index as usize].clock;
        clock.set_drift(VirtualTime(now), ppm);
        let strayed_us = clock.strayed_us(VirtualTime(now));
        core.reschedule_timers_of(index);
        let detail = digest(&[10, ppm as u64, strayed_us as u64]);
        core.tracer.record_of(now, TraceKind::Fault, process, detail);
        strayed_us
    }

    fn counters(&self) -> Counters {
        let core = self.shared.lock();
        Counters {
            leaders_elected: core.view.leaders_elected,
            campaigns: core.view.campaigns,
            frames_delivered: core.statistics.frames_delivered,
            syncs: core.statistics.disk_syncs,
        }
    }
}

impl World {
    fn stall(&self, process: Process) {
        let now = self.shared.now_ns();
        let mut core = self.shared.lock();
        let index = core.expect_index(process);
        core.machines[index as usize].stall();
        core.tracer.record_of(now, TraceKind::Fault, process, digest(&[8]));
    }

    fn unstall(&self, process: Process) -> u64 {
        let now = self.shared.now_ns();
        let mut core = self.shared.lock();
        let index = core.expect_index(process);
        let held = core.resume_disk_of(now, index);
        core.tracer.record_of(now, TraceKind::Fault, process, digest(&[9, held]));
        held
    }
}

impl Core {
    fn is_node_up(&self, node: u64) -> bool {
        self.index(Process::Node(node)).is_some_and(|index| self.processes[index as usize].is_up())
    }

    pub(super) fn expect_index(&self, process: Process) -> u32 {
        self.index(process).unwrap_or_else(|| panic!("there is no process {process:?}"))
    }

    /// A cut drops what is on its way at once, so that even the shortest one loses it.
    fn add_link_rule(
        &mut self,
        now: u64,
        from: &BTreeSet<Process>,
        to: &BTreeSet<Process>,
        action: LinkAction,
    ) -> RuleId {
        let rule = self.network.links.add_rule(from, to, action);
        let (from, to) = (digest_processes(from), digest_processes(to));
        let detail = digest(&[6, rule.0, from, to, digest_action(action)]);
        self.tracer.record(now, TraceKind::Fault, None, None, detail);
        let links = &self.network.links;
        let doomed = self
            .queue
            .remove(|event| matches!(event, Event::Deliver { link, .. } if links.is_cut_by(rule, *link)));
        self.network.links.count_dropped(rule, doomed.len() as u64);
        for event in doomed {
            let Event::Deliver { link, frame } = event else { continue };
            marks::hit("world.frame_cut_on_its_way");
            let (from, to) = self.network.links.leave(link, frame.len());
            self.drop_frame(now, from, Some(to), Drop::Rule, &frame);
        }
        rule
    }
}

fn digest_processes(processes: &BTreeSet<Process>) -> u64 {
    let words = processes.iter().map(|process| match process {
        Process::Node(node) => node << 1,
        Process::Client(client) => client << 1 | 1,
    });
    digest(&words.collect::<Vec<_>>())
}

fn digest_action(action: LinkAction) -> u64 {
    match action {
        LinkAction::Cut => 0,
        LinkAction::Degrade { loss, duplicate, extra_delay_us, jitter_us } => {
            digest(&[loss.to_bits(), duplicate.to_bits(), extra_delay_us, jitter_us])
        }
    }
}
