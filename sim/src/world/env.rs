//! The seam's simulated side: the world as one run of one process sees it.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use madsim::net::TcpStream;
use madsim::runtime::NodeHandle;
use rand::Rng;
use stormglass_nodes::env::{Env, StreamAddress};
use stormglass_nodes::ids::LocalTime;

use super::core::Shared;
use super::disk::SimDisk;
use super::net::SimNet;
use super::redis::SimStream;
use super::timers::{Sleep, Sleeper};
use super::trace::process_name;
use crate::history::VirtualTime;
use crate::nemesis::Process;

/// Tasks spawned between two sweeps of madsim's list of tasks, which otherwise only grows.
const SPAWNS_PER_SWEEP: u64 = 4_096;

/// A process's environment. A handle that outlives the run of its process is inert: it sends nothing,
/// spawns nothing, and what it waits for never comes.
#[derive(Clone)]
pub struct SimEnv {
    net: SimNet,
    disk: SimDisk,
    home: NodeHandle,
    name: Process,
}

impl SimEnv {
    pub(super) fn new(
        shared: Arc<Shared>,
        name: Process,
        process: u32,
        incarnation: u32,
        home: NodeHandle,
    ) -> Self {
        let disk = SimDisk { shared: shared.clone(), process, incarnation };
        Self { net: SimNet { shared, process, incarnation }, disk, home, name }
    }

    /// The process that this is the environment of.
    #[must_use]
    pub const fn process(&self) -> Process {
        self.name
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.net.shared
    }

    /// A stream that somebody opened to this process, which is a service.
    pub(super) fn accepted(&self, stream: TcpStream, from: SocketAddr) -> SimStream {
        SimStream::accepted(self.shared().clone(), self.net.process, from.ip(), stream)
    }

    fn is_alive(&self) -> bool {
        self.shared().lock().is_alive(self.net.process, self.net.incarnation)
    }
}

impl Env for SimEnv {
    type Net = SimNet;
    type Disk = SimDisk;
    type Stream = SimStream;

    fn now(&self) -> LocalTime {
        let now = self.shared().now_ns();
        let mut core = self.shared().lock();
        let process = &mut core.processes[self.net.process as usize];
        process.note_use(now);
        process.clock.local(VirtualTime(now))
    }

    fn sleep_until(&self, deadline: LocalTime) -> impl Future<Output = ()> + Send {
        let sleeper = Sleeper::Process { process: self.net.process, incarnation: self.net.incarnation };
        Sleep::new(self.shared().clone(), sleeper, deadline.0)
    }

    fn entropy(&self) -> u64 {
        self.shared().lock().processes[self.net.process as usize].entropy.next_u64()
    }

    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        if !self.is_alive() {
            return;
        }
        let spawned = {
            let mut core = self.shared().lock();
            core.spawned += 1;
            core.spawned
        };
        if spawned % SPAWNS_PER_SWEEP == 0 {
            self.shared().handle.metrics().num_tasks();
        }
        self.home.spawn(attributed(self.shared().clone(), self.name, name, task));
    }

    async fn connect(&self, to: &StreamAddress) -> std::io::Result<SimStream> {
        SimStream::connect(self.shared().clone(), self.net.process, to).await
    }

    fn net(&self) -> &SimNet {
        &self.net
    }

    fn disk(&self) -> &SimDisk {
        &self.disk
    }
}

/// Runs `task`; if it panics, ends the run with a message that says whose task it was, and when.
pub(super) async fn attributed(
    shared: Arc<Shared>,
    process: Process,
    name: &'static str,
    task: impl Future<Output = ()>,
) {
    let Err(payload) = AssertUnwindSafe(task).catch_unwind().await else { return };
    let message = (payload.downcast_ref::<String>().map(String::as_str))
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    let at = VirtualTime(shared.now_ns());
    let process = process_name(process);
    // Not a new panic: the hook has reported this one already.
    std::panic::resume_unwind(Box::new(format!("{process}, task {name:?}, panicked at {at}: {message}")))
}
