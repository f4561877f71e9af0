//! A node of a live run, in a process of its own: the same node as an operator runs, on the seam's real side,
//! configured as the simulated one of the same schedule, and telling the harness what it does.

use std::io::{self, BufRead, PipeWriter};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use stormglass_nodes::env::StreamAddress;
use stormglass_nodes::ids::{Address, NodeId};
use stormglass_nodes::plant::Bug;
use stormglass_nodes::server::{self, NodeError, Observed, Probe};
use stormglass_nodes::storage::StorageError;
use stormglass_nodes::tokio_env::{TokioConfig, TokioEnv};
use tokio::sync::Notify;

use crate::live::{FORGOT, STOP, Teller, Volatile, Word, die_with_parent};
use crate::plan::{FaultKind, load_schedule};
use crate::run::execute::select_bug;
use crate::run::program::{configured, events_of, redis_at};

/// Threads that carry the node's tasks.
const THREADS: usize = 2;
/// How a node ends that cannot go on, as a panicking program does.
const BROKEN: u8 = 101;

/// What a node process is told by the harness that starts it.
#[derive(Clone, Debug)]
pub struct NodeArguments {
    /// The node.
    pub node: u64,
    /// The file that says how it is configured.
    pub schedule: PathBuf,
    /// Its folder.
    pub data: PathBuf,
    /// The process that starts it.
    pub harness: u32,
    /// Where it finds the others.
    pub peers: Vec<(u64, SocketAddr)>,
    /// The version that it speaks, if it was upgraded.
    pub speaks: Option<u16>,
    /// The socket of the Redis that it keeps its log in, if it does.
    pub redis: Option<PathBuf>,
    /// The bug to plant in it.
    pub plant: Option<Bug>,
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Runs a node until it is told to stop, by a word on its standard input, or the harness is gone.
#[must_use]
pub fn node_main(arguments: NodeArguments) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the node stops: {error}");
            let forgot = matches!(
                error.downcast_ref::<NodeError>(),
                Some(NodeError::Storage(StorageError::Forgot { .. }))
            );
            ExitCode::from(if forgot { FORGOT } else { BROKEN })
        }
    }
}

fn run(arguments: NodeArguments) -> Result<(), Broken> {
    die_with_parent(arguments.harness)?;
    let schedule = load_schedule(&arguments.schedule)?;
    let pipe = PipeWriter::from(io::stdout().as_fd().try_clone_to_owned()?);
    let teller = Arc::new(Teller::new(arguments.node, pipe));
    let mut config = configured(arguments.node, &schedule);
    config.raft.version = arguments.speaks.unwrap_or(config.raft.version);
    config.redis = arguments.redis.map(|socket| redis_at(StreamAddress::Unix(socket), &schedule.storage));
    let plant = arguments.plant;
    let loses_power = schedule.faults.iter().any(|fault| fault.action.kind() == FaultKind::PowerLoss);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .on_thread_start(move || select_bug(plant))
        .build()?;
    let stop = Arc::new(Notify::new());
    obey(stop.clone())?;
    // A task that panics leaves a node of which a part is missing: the whole of it ends.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(i32::from(BROKEN));
    }));
    let node = runtime.spawn(async move {
        let env = TokioEnv::start(TokioConfig {
            me: Address::Node(NodeId(arguments.node)),
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            peers: arguments.peers.iter().map(|(peer, place)| (NodeId(*peer), *place)).collect(),
            data: arguments.data,
        });
        let env = env.await?;
        let port = env.listening_on().map_or(0, |place| place.port());
        teller.tell(&Word::Listens(port))?;
        let probe = Reports { teller, version_max: config.raft.version };
        let loses = Volatile::new(env.clone(), loses_power);
        let ended = server::run_until(loses, config, probe, stop.notified()).await;
        env.shutdown().await;
        ended.map_err(Broken::from)
    });
    runtime.block_on(node)?
}

/// Listens to the harness. The end of its words is the harness's end, and this process's.
fn obey(stop: Arc<Notify>) -> io::Result<()> {
    std::thread::Builder::new().name("orders".to_owned()).spawn(move || {
        for line in io::stdin().lock().lines() {
            match line {
                Ok(line) if line == STOP => stop.notify_one(),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        std::process::exit(i32::from(BROKEN));
    })?;
    Ok(())
}

/// Tells the harness what the node does.
#[derive(Clone)]
struct Reports {
    teller: Arc<Teller>,
    /// The latest version that the node's program speaks.
    version_max: u16,
}

impl Probe for Reports {
    const WATCHING: bool = true;

    fn observe(&self, observed: Observed<'_>) {
        events_of(self.version_max, observed, |event| {
            if self.teller.tell(&Word::Did(event)).is_err() {
                // Nobody judges any more what this node does.
                std::process::exit(i32::from(BROKEN));
            }
        });
    }
}
