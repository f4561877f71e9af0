//! `stormglass cluster`: a cluster of real nodes on this machine, to try things out.
//!
//! The nodes are this very program, started again as the daemon that it has inside; so there is nothing else to build
//! or to find. If the reader of what is printed goes away, the nodes go on.

#![expect(clippy::disallowed_methods, reason = "it lives in the real world: folders, signals, seconds")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;
use stormglass_nodes::daemon::local::{LocalCluster, LocalConfig, fresh_name};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::UsageError;
use super::args;
use super::output::{print, say, tell};
use crate::live::{RedisHome, RedisProcess, redis_version};
use crate::plan::Appendfsync;

/// The first argument that makes this program the daemon.
pub(super) const DAEMON: &str = "daemon";

/// What is said in the place of a URL to have a Redis started.
const SPAWN: &str = "spawn";

/// The daemon's option and variable that name the cluster.
const NAME: &str = "--cluster-name";
const NAME_VARIABLE: &str = "STORMGLASS_CLUSTER_NAME";

/// The daemon's variable that names the Redis: an argument could be read, and a password in it, by everyone on this
/// machine.
const REDIS_VARIABLE: &str = "STORMGLASS_REDIS";

/// Nodes that have not started after this time are told of, and again after as long.
const SLOW_START: Duration = Duration::from_secs(3);

/// Attempts to remove a folder into which nodes that were killed this moment may be writing.
const REMOVALS_MAX: usize = 1_000;

/// How often the nodes are asked how they are.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a node that was killed stays away: time to see how the others do without it.
const AWAY: Duration = Duration::from_secs(5);

pub(super) fn cluster(arguments: &args::Cluster) -> Result<ExitCode, UsageError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        UsageError::new(format!("no cluster: {error}"), "look at the limits of this process")
    })?;
    let mut folder = Folder::of(arguments.data.as_deref());
    let result = runtime.block_on(run(arguments, &mut folder));
    // It goes after all that was begun: a thread may still be making folders in it.
    drop(runtime);
    drop(folder);
    result
}

async fn run(arguments: &args::Cluster, folder: &mut Folder) -> Result<ExitCode, UsageError> {
    // Before anything is there that has to be removed.
    let mut signals = Signals::take()?;
    let program = std::env::current_exe().map_err(|error| {
        UsageError::new(format!("this program does not find itself: {error}"), "start it by its path")
    })?;
    // It is let go of last: nodes that stop hand over and write until then.
    let mut redis = start_redis(arguments, &program, &folder.path)?;
    let name = name_for(&arguments.daemon, &folder.path)?;
    let mut options = arguments.daemon.clone();
    options.extend(name.iter().flat_map(|name| ["--cluster-name".to_owned(), name.clone()]));
    let config = LocalConfig {
        program: vec![program.into(), DAEMON.into()],
        count: arguments.nodes,
        folder: folder.path.clone(),
        arguments: options,
        own_arguments: BTreeMap::new(),
        environment: redis.iter().map(|redis| (REDIS_VARIABLE.to_owned(), redis.url.clone())).collect(),
    };
    let started = tokio::select! {
        biased;
        started = LocalCluster::start(config) => started,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
        never = tell_of_slow_start(&folder.path) => match never {},
    };
    let mut cluster = match started {
        Ok(cluster) => cluster,
        Err(error) => {
            let refused = not_started(&error.to_string());
            if error.kind() == std::io::ErrorKind::InvalidInput {
                return Err(refused);
            }
            tell!("error: {refused}\nhint: {}", refused.hint());
            return Ok(ExitCode::FAILURE);
        }
    };
    introduce(&cluster, folder, redis.as_ref());
    let is_well = tokio::select! {
        biased;
        () = signals.next() => true,
        () = watch(&mut cluster, redis.as_mut()) => false,
    };
    say!("\nstopping");
    let in_order = cluster.stop_all().await.unwrap_or(false);
    drop(redis);
    if folder.is_ours && !(in_order && is_well) {
        folder.is_ours = false;
        say!("logs and data are left in {}", folder.path.display());
    }
    Ok(if in_order && is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where the nodes keep their data.
struct Folder {
    path: PathBuf,
    /// Whether it goes when this does.
    is_ours: bool,
}

impl Folder {
    /// The one that was asked for, or one that goes with the nodes.
    fn of(wanted: Option<&Path>) -> Self {
        match wanted {
            Some(path) => Self { path: path.to_owned(), is_ours: false },
            None => {
                let name = format!("stormglass-cluster-{}", std::process::id());
                Self { path: std::env::temp_dir().join(name), is_ours: true }
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let gone = || match std::fs::remove_dir_all(&self.path) {
            Ok(()) => true,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if self.is_ours && !(0..REMOVALS_MAX).any(|_| gone()) {
            tell!("{} could not be removed", self.path.display());
        }
    }
}

/// Says from time to time that the nodes have not started yet; it never ends.
async fn tell_of_slow_start(folder: &Path) -> Infallible {
    loop {
        tokio::time::sleep(SLOW_START).await;
        tell!("not all nodes are ready yet; {} has their logs, and says why", folder.display());
    }
}

/// The signals that end it, taken over from their default actions.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn take() -> Result<Self, UsageError> {
        let take = |kind| {
            signal(kind).map_err(|error| {
                UsageError::new(
                    format!("cannot listen for signals: {error}"),
                    "look at what restricts this process",
                )
            })
        };
        Ok(Self { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    /// Returns on the next Ctrl-C or SIGTERM.
    async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The cluster's name, unless the nodes are given one: a new one for each start, so that clusters which share a Redis
/// are told apart; the same as before in a folder that knows it.
fn name_for(options: &[String], folder: &Path) -> Result<Option<String>, UsageError> {
    let names_it = |option: &String| option == NAME || option.starts_with(&format!("{NAME}="));
    if options.iter().any(names_it) || std::env::var_os(NAME_VARIABLE).is_some() {
        return Ok(None);
    }
    let file = folder.join("cluster-name");
    let kept_or_new = match std::fs::read_to_string(&file) {
        Ok(name) => Ok(name.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => fresh_name().and_then(|name| {
            std::fs::create_dir_all(folder)?;
            std::fs::write(&file, format!("{name}\n")).map(|()| name)
        }),
        Err(error) => Err(error),
    };
    kept_or_new.map(Some).map_err(|error| {
        UsageError::new(
            format!("{}: {error}", file.display()),
            "it keeps the cluster's name: look at the folder, which --data names",
        )
    })
}

/// A node that does not start says why as this program does, with a hint of its own, which is the better one.
fn not_started(said: &str) -> UsageError {
    let ours = "what follows `--` goes to the nodes: `stormglass daemon --help` explains it";
    let (message, hint) = said.split_once("\nhint: ").unwrap_or((said, ours));
    UsageError::new(message.replacen(": error: ", ": ", 1), hint.trim())
}

/// The Redis in which the nodes keep their logs.
struct Redis {
    url: String,
    /// The server, if it is a private one.
    private: Option<RedisProcess>,
}

/// The Redis that was asked for, if any was; a private one is started in a folder beside those of the nodes.
fn start_redis(
    arguments: &args::Cluster,
    program: &Path,
    folder: &Path,
) -> Result<Option<Redis>, UsageError> {
    let Some(wanted) = &arguments.redis else { return Ok(None) };
    if wanted != SPAWN {
        return Ok(Some(Redis { url: wanted.clone(), private: None }));
    }
    let hint = "install redis-server (Debian: `apt-get install redis-server`), or name a Redis that runs: --redis redis://HOST";
    redis_version().map_err(|why| UsageError::new(format!("--redis {SPAWN}: {why}"), hint))?;
    // It goes by absolute paths: a server changes into its folder.
    let home = std::path::absolute(folder.join("redis"))
        .map(|folder| RedisHome::new(folder, Appendfsync::Always))
        .and_then(|home| std::fs::create_dir_all(home.folder()).map(|()| home));
    let started = home.and_then(|home| Ok((RedisProcess::start(program, &home)?, home)));
    let (process, home) = started.map_err(|error| {
        UsageError::new(format!("--redis {SPAWN}: {error}"), "look at the folder, which --data names")
    })?;
    Ok(Some(Redis { url: format!("unix://{}", home.socket().display()), private: Some(process) }))
}

fn introduce(cluster: &LocalCluster, folder: &Folder, redis: Option<&Redis>) {
    let urls: Vec<String> =
        cluster.nodes().iter().filter_map(|node| node.http).map(|http| format!("http://{http}")).collect();
    let goes = if folder.is_ours { ", which goes when they stop" } else { "" };
    say!("{} nodes; data and logs in {}{goes}", urls.len(), folder.path.display());
    if let Some(redis) = redis {
        match &redis.private {
            Some(_) => say!("  a private redis-server keeps the logs: {}", redis.url),
            None => say!("  the logs are in the Redis that you named, and stay there"),
        }
    }
    for (node, url) in cluster.nodes().iter().zip(&urls) {
        let process = node.process().map_or_else(String::new, |id| format!(", process {id}"));
        say!("  node {}  {url}  (nodes talk at {}{process})", node.id, node.address);
    }
    let (Some(first), Some(last)) = (urls.first(), urls.last()) else { return };
    say!(
        "\nTry, in another terminal:\n  \
         curl -X POST {first}/lock -d '{{\"resource\":\"file-1\",\"client_id\":\"client-A\"}}'\n  \
         curl -X PUT {first}/v1/cache/greeting --data-binary hello && curl {last}/v1/cache/greeting\n  \
         curl {last}/v1/cluster/nodes\n\n\
         {first}/ lists all that can be asked. A node that is killed comes back after {} s. Ctrl-C stops the nodes.\n",
        AWAY.as_secs()
    );
}

/// Shows how the nodes are, until one of them fails, or their private Redis. One that was killed is started again.
async fn watch(cluster: &mut LocalCluster, mut redis: Option<&mut Redis>) {
    let began = Instant::now();
    let is_terminal = std::io::stdout().is_terminal();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut shown = String::new();
    let mut back_at = BTreeMap::new();
    let ids: Vec<u64> = cluster.nodes().iter().map(|node| node.id).collect();
    loop {
        ticks.tick().await;
        for &id in &ids {
            if !is_fine(cluster, id, &mut back_at).await {
                return;
            }
        }
        if let Some(process) = redis.as_mut().and_then(|redis| redis.private.as_mut())
            && !matches!(process.ended(), Ok(None))
        {
            say!("\nthe private redis-server has ended; redis.log beside the nodes' says why");
            return;
        }
        let asked = ids.iter().map(async |id| cluster.request(*id, "GET", "/status", "", b"").await);
        let answers = futures_util::future::join_all(asked).await;
        let states: Vec<Option<Value>> =
            answers.into_iter().map(|answer| answer.ok().map(|a| a.json())).collect();
        let (roles, progress) = line(&ids, &states);
        let seconds = began.elapsed().as_secs();
        if is_terminal {
            print(&format!("\r\x1b[2K{seconds:>5} s  {roles}  {progress}"));
            // Whoever does not see it does not miss it.
            drop(std::io::stdout().flush());
        } else if roles != shown {
            say!("{seconds:>5} s  {roles}  {progress}");
        }
        shown = roles;
    }
}

/// Whether a node runs, or is away for a while: one that was killed is started again when its time has come. One that
/// has ended by itself has a reason.
async fn is_fine(cluster: &mut LocalCluster, id: u64, back_at: &mut BTreeMap<u64, Instant>) -> bool {
    let log = cluster.folder_of(id).with_extension("log");
    match cluster.take_ended(id) {
        Some(status) if status.signal().is_some() => {
            say!("\nnode {id} was killed; it comes back in {} s", AWAY.as_secs());
            back_at.insert(id, Instant::now() + AWAY);
        }
        Some(_) => {
            say!("\nnode {id} has ended; {} says why", log.display());
            return false;
        }
        None => {}
    }
    if back_at.get(&id).is_none_or(|at| Instant::now() < *at) {
        return true;
    }
    back_at.remove(&id);
    if let Err(error) = cluster.restart_in_place(id).await {
        say!("\nnode {id} does not come back: {error}");
        return false;
    }
    let node = cluster.nodes().iter().find(|node| node.id == id);
    let http = node.and_then(|node| node.http).map_or_else(String::new, |http| format!(": http://{http}"));
    let process =
        node.and_then(|node| node.process()).map_or_else(String::new, |id| format!(", process {id}"));
    say!("\nnode {id} is back{http}{process}");
    true
}

/// What the nodes say, in two parts: that which is news when it changes, and that which always changes.
fn line(ids: &[u64], states: &[Option<Value>]) -> (String, String) {
    let leading = states.iter().flatten().filter(|state| state["role"] == "leader");
    let leader = leading.max_by_key(|state| state["term"].as_u64());
    let nodes = ids.iter().zip(states).map(|(id, state)| match state {
        Some(state) => format!("{id} {}", state["role"].as_str().unwrap_or("?")),
        None => format!("{id} does not answer"),
    });
    let nodes = nodes.collect::<Vec<_>>().join(", ");
    match leader {
        Some(leader) => {
            (format!("term {}: {nodes}", leader["term"]), format!("committed {}", leader["commit_index"]))
        }
        None => (format!("no leader: {nodes}"), String::new()),
    }
}

/// The daemon's arguments, if this program was started as one.
pub(super) fn daemon_arguments() -> Option<Vec<std::ffi::OsString>> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == DAEMON)
        .then(|| std::iter::once("stormglass daemon".into()).chain(arguments).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_hint_of_a_node_that_does_not_start_is_shown() {
        let error = super::not_started("node 1 does not start: error: --redis: no URL\nhint: write one\n");
        assert_eq!(error.to_string(), "node 1 does not start: --redis: no URL");
        assert_eq!(error.hint(), "write one");
        let error = super::not_started("no port is free");
        assert_eq!(error.to_string(), "no port is free");
        assert!(error.hint().contains("daemon --help"));
    }

    #[test]
    fn the_line_tells_who_leads_and_who_does_not_answer() {
        let leader = json!({"role": "leader", "term": 3, "commit_index": 12});
        let follower = json!({"role": "follower", "term": 3, "commit_index": 11});
        let old = json!({"role": "leader", "term": 2, "commit_index": 9});
        let (roles, progress) = super::line(&[1, 2, 3], &[Some(old), Some(leader), None]);
        assert_eq!(roles, "term 3: 1 leader, 2 leader, 3 does not answer");
        assert_eq!(progress, "committed 12");
        let (roles, progress) = super::line(&[1], &[Some(follower)]);
        assert_eq!((roles.as_str(), progress.as_str()), ("no leader: 1 follower", ""));
    }
}
