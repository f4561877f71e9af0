//! Processes' lives: start, crash, pause, resume, and the end of the world.
//!
//! What madsim is asked to do is asked outside the lock, because it runs programs' destructors.

use std::sync::Arc;

use super::core::{Life, Shared};
use super::env::{SimEnv, attributed};
use super::trace::{TraceKind, digest};
use super::{Process, VirtualTime};
use crate::history::NodeEvent;
use crate::nemesis::CrashEffect;

impl Shared {
    fn index(&self, process: Process) -> u32 {
        self.lock().index(process).unwrap_or_else(|| panic!("there is no process {process:?}"))
    }

    /// Starts a process that is down. False if it was up.
    pub(super) fn start(self: &Arc<Self>, process: Process) -> bool {
        let index = self.index(process);
        let now = self.now_ns();
        let (program, incarnation, madsim_node) = {
            let mut core = self.lock();
            let state = &mut core.processes[index as usize];
            if state.is_up() {
                return false;
            }
            let program = state.program.clone();
            let program = program.unwrap_or_else(|| panic!("no program was set for {process:?}"));
            state.incarnation += 1;
            state.life = Life::Running;
            let origin_us = state.draw_origin_us();
            state.clock.restart(VirtualTime(now), origin_us);
            let (incarnation, node) = (state.incarnation, state.home.id());
            core.statistics.starts += 1;
            let detail = digest(&[1, u64::from(incarnation), origin_us]);
            core.tracer.record_of(now, TraceKind::Lifecycle, process, detail);
            (program, incarnation, node)
        };
        self.handle.restart(madsim_node);
        let home = self.handle.get_node(madsim_node).expect("madsim forgets no node");
        self.lock().processes[index as usize].home = home.clone();
        let env = SimEnv::new(self.clone(), process, index, incarnation, home.clone());
        let shared = self.clone();
        home.spawn(async move {
            // The program's own call inside, too: it may panic before it makes a future.
            let task = async move { program(env).await };
            attributed(shared.clone(), process, "main", task).await;
            shared.exited(process, incarnation);
        });
        true
    }

    /// A process's program came to its end: the process ends, and with it its other tasks.
    fn exited(self: &Arc<Self>, process: Process, incarnation: u32) {
        let index = self.index(process);
        if self.lock().is_alive(index, incarnation) {
            self.crash(process, false);
        }
    }

    /// Kills a process, if it is up, and with `power_loss` its machine.
    pub(super) fn crash(self: &Arc<Self>, process: Process, power_loss: bool) -> CrashEffect {
        let index = self.index(process);
        let now = self.now_ns();
        let mut effect = CrashEffect::default();
        let madsim_node = {
            let mut core = self.lock();
            let state = &mut core.processes[index as usize];
            effect.killed = state.is_up();
            state.life = Life::Down;
            let (incarnation, node) = (state.incarnation, state.home.id());
            if effect.killed {
                core.statistics.stops += 1;
                core.network.inboxes[index as usize].clear();
                core.cancel_timers_of(index);
                effect.writes_torn = core.machines[index as usize].interrupt(power_loss);
                let detail = digest(&[2, u64::from(incarnation), effect.writes_torn]);
                core.tracer.record_of(now, TraceKind::Lifecycle, process, detail);
            }
            if power_loss {
                let loss = core.machines[index as usize].lose_power();
                effect.unsynced_bytes_lost = loss.bytes;
                effect.writes_torn += loss.torn;
                let detail = digest(&[3, loss.bytes, loss.torn]);
                core.tracer.record_of(now, TraceKind::Fault, process, detail);
            }
            node
        };
        if effect.killed {
            self.handle.kill(madsim_node);
            if let Process::Node(node) = process {
                self.record_event(node, NodeEvent::Stopped);
            }
        }
        effect
    }

    /// Stops a process where it stands. False if it was not running.
    pub(super) fn pause(&self, process: Process) -> bool {
        let index = self.index(process);
        let now = self.now_ns();
        let madsim_node = {
            let mut core = self.lock();
            let state = &mut core.processes[index as usize];
            if state.life != Life::Running {
                return false;
            }
            state.life = Life::Paused;
            let node = state.home.id();
            core.tracer.record_of(now, TraceKind::Fault, process, digest(&[4]));
            node
        };
        self.handle.pause(madsim_node);
        true
    }

    /// Lets a paused process go on. Says how many frames awaited it.
    pub(super) fn resume(&self, process: Process) -> u64 {
        let index = self.index(process);
        let now = self.now_ns();
        let (madsim_node, waiting) = {
            let mut core = self.lock();
            let state = &mut core.processes[index as usize];
            if state.life != Life::Paused {
                return 0;
            }
            state.life = Life::Running;
            let node = state.home.id();
            let waiting = core.network.inboxes[index as usize].len() as u64;
            core.tracer.record_of(now, TraceKind::Fault, process, digest(&[5, waiting]));
            (node, waiting)
        };
        self.handle.resume(madsim_node);
        waiting
    }

    /// Ends the world: kills every process and the pump, and lets go of programs and observer, which may
    /// hold handles to the world and would keep it alive for ever.
    pub(super) fn end(&self) {
        let mut nodes = Vec::new();
        let mut programs = Vec::new();
        {
            let mut core = self.lock();
            for state in &mut core.processes {
                state.life = Life::Down;
                nodes.push(state.home.id());
                programs.push(state.program.take());
            }
            nodes.extend(core.pump_home.take());
        }
        for node in nodes {
            self.handle.kill(node);
        }
        let observer = self.observers().observer.take();
        drop((programs, observer));
    }
}
