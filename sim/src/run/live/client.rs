//! The clients of a live run: each has a thread, an environment and links of its own, and can be made to stand
//! still as a process can.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use stormglass_nodes::ids::{Address, ClientId, LocalTime};
use stormglass_nodes::plant::Bug;
use stormglass_nodes::tokio_env::{TokioConfig, TokioEnv};
use tokio::sync::watch;

use crate::history::VirtualTime;
use crate::live::{Clock, LiveWorld};
use crate::plan::Schedule;
use crate::run::execute::{life_of_client, panic_message, select_bug};
use crate::run::operator::{self, Desk};
use crate::run::service::TrueTime;
use crate::run::witnesses::Witnesses;

/// Clients are not killed in live runs.
const ONLY_LIFE: u64 = 0;

/// Real time, and the clock of one client.
#[derive(Clone)]
struct RealTime {
    clock: Clock,
    /// What true time was when the client's clock showed 0.
    zero: VirtualTime,
}

impl TrueTime for RealTime {
    fn now(&self) -> VirtualTime {
        self.clock.now()
    }

    fn of(&self, local: LocalTime) -> VirtualTime {
        VirtualTime(self.zero.0.saturating_add(local.0.saturating_mul(1_000)))
    }
}

/// The threads of all clients.
pub(super) struct Crew {
    plant: Option<Bug>,
    threads: Vec<JoinHandle<()>>,
    /// Its end sends everybody home.
    working: watch::Sender<()>,
}

impl Crew {
    pub(super) fn new(plant: Option<Bug>) -> Self {
        Self { plant, threads: Vec::new(), working: watch::Sender::new(()) }
    }

    /// Lets a client begin its work.
    pub(super) fn client(
        &mut self,
        world: &LiveWorld,
        client: u64,
        schedule: &Schedule,
        witnesses: &Witnesses,
        folder: &Path,
    ) -> io::Result<()> {
        let (witnesses, schedule) = (witnesses.clone(), schedule.clone());
        // All are made before the first is done: who comes last at the topics empties them.
        let (ready, awaited) = std::sync::mpsc::channel();
        self.thread(world, client, folder, move |env, time| async move {
            let work = life_of_client(env, time, client, ONLY_LIFE, &schedule, &witnesses.record);
            // Nobody waits any more if the run is over already.
            let _ = ready.send(());
            work.await;
            witnesses.finished.fetch_add(1, Ordering::Relaxed);
        })?;
        awaited.recv().map_err(|_| io::Error::other("its thread ended before it began"))
    }

    /// Lets the operator begin.
    pub(super) fn operator(
        &mut self,
        world: &LiveWorld,
        desk: &Desk,
        schedule: &Schedule,
        folder: &Path,
    ) -> io::Result<()> {
        let (desk, schedule) = (desk.clone(), schedule.clone());
        self.thread(world, operator::number_of(&schedule), folder, move |env, time| async move {
            operator::serve(env, time, desk, &schedule).await;
        })
    }

    /// Does `work` on a thread of its own, until it is done or the run is over.
    fn thread<F: Future<Output = ()>>(
        &mut self,
        world: &LiveWorld,
        client: u64,
        folder: &Path,
        work: impl FnOnce(TokioEnv, RealTime) -> F + Send + 'static,
    ) -> io::Result<()> {
        let (clock, gate, plant) = (world.clock(), world.gate_of_client(client), self.plant);
        let mut working = self.working.subscribe();
        let me = Address::Client(ClientId(client));
        let data = folder.join(format!("c{client}"));
        let config = TokioConfig { me, listen: None, peers: world.book_of_client(client), data };
        let thread = std::thread::Builder::new().name(format!("client {client}")).spawn(move || {
            select_bug(plant);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("the system has room for another client");
            runtime.block_on(async {
                let env = TokioEnv::start(config).await.expect("a client needs no port, only a folder");
                let time = RealTime { clock, zero: clock.at(env.origin()) };
                tokio::select! {
                    biased;
                    _ = working.changed() => {}
                    () = gate.watch() => {}
                    () = work(env.clone(), time) => {}
                }
                env.shutdown().await;
            });
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Ends all clients. Returns the message of the first that had panicked.
    pub(super) fn go_home(self, world: &LiveWorld) -> Option<String> {
        let Self { threads, working, .. } = self;
        drop(working);
        let clients = threads.len() as u64;
        (1..=clients).for_each(|client| world.gate_of_client(client).open());
        let ended: Vec<_> = threads.into_iter().map(JoinHandle::join).collect();
        ended.into_iter().find_map(|ended| ended.err().map(|payload| panic_message(payload.as_ref())))
    }
}
