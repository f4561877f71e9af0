//! Private Redis servers for nodes that keep their logs in one: real `redis-server` processes from the PATH, one for
//! each node or one for all, each in a folder of its own, reached by a Unix socket.
//!
//! Between a node and its server there is a link of the harness (`link`), which can be cut. A server that is killed
//! keeps what it has written, since the system does; one that is emptied comes back without it.
//!
//! Deliberately absent: a loss of power, and a disk that stalls. A killed server leaves its writes to the system's page
//! cache, which keeps them.

mod link;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::link::RedisLink;
use crate::plan::{Appendfsync, StorageKind, StorageSpec};

pub use self::server::{RedisHome, RedisProcess, redis_version, serve_under};

/// From this release on a node can ask a Redis that syncs once a second to wait for the sync.
const WAITAOF_SINCE: (u64, u64) = (7, 2);

/// Why a live run cannot have the Redis that a scenario asks for; `None` if it can.
#[must_use]
pub fn redis_is_wanting(storage: &StorageSpec) -> Option<String> {
    if storage.kind != StorageKind::Redis {
        return None;
    }
    match redis_version() {
        Err(why) => Some(why),
        Ok(version) if storage.appendfsync == Appendfsync::Everysec && version < WAITAOF_SINCE => {
            Some(format!(
                "`appendfsync = \"everysec\"` takes a redis-server of release 7.2 or later, and this is {}.{}",
                version.0, version.1
            ))
        }
        Ok(_) => None,
    }
}

/// The servers of a live run, and the links to them.
#[derive(Debug, Default)]
pub(super) struct RedisServers {
    /// This program, which becomes the server.
    program: PathBuf,
    /// Where each server lives.
    homes: BTreeMap<u64, RedisHome>,
    /// The way of each node to its server.
    links: BTreeMap<u64, RedisLink>,
    lives: Mutex<Lives>,
}

#[derive(Debug, Default)]
struct Lives {
    running: BTreeMap<u64, RedisProcess>,
    emptied: BTreeSet<u64>,
}

impl RedisServers {
    /// Makes room for the servers of so many nodes, and opens the links; no server runs yet. Inside a runtime.
    ///
    /// # Errors
    /// If a folder or a socket cannot be made.
    #[expect(clippy::disallowed_methods, reason = "real servers have real folders")]
    pub(super) fn open(
        program: PathBuf,
        folder: &Path,
        nodes: u64,
        storage: &StorageSpec,
    ) -> io::Result<Self> {
        let servers = storage.servers(nodes);
        let mut opened = Self { program, ..Self::default() };
        for server in 1..=servers {
            let home = RedisHome::new(folder.join(format!("redis-{server}")), storage.appendfsync);
            std::fs::create_dir_all(home.folder())?;
            opened.homes.insert(server, home);
        }
        for node in (1..=nodes).filter(|_| servers > 0) {
            let server = if servers == 1 { 1 } else { node };
            let link = RedisLink::open(
                folder.join(format!("redis-of-{node}.sock")),
                server,
                opened.homes[&server].socket(),
            )?;
            opened.links.insert(node, link);
        }
        Ok(opened)
    }

    fn lives(&self) -> MutexGuard<'_, Lives> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The servers, by number.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.homes.keys().copied()
    }

    /// The server of a node, if it has one.
    pub(super) fn server_of(&self, node: u64) -> Option<u64> {
        self.links.get(&node).map(RedisLink::server)
    }

    /// Where a node finds its server.
    pub(super) fn socket_of(&self, node: u64) -> Option<&Path> {
        self.links.get(&node).map(RedisLink::socket)
    }

    /// Starts a server. False if it runs. It takes connections a moment later: nodes try until it does.
    ///
    /// # Errors
    /// If the system cannot start it.
    pub(super) fn start(&self, server: u64) -> io::Result<bool> {
        let mut lives = self.lives();
        if lives.running.contains_key(&server) {
            return Ok(false);
        }
        let process = RedisProcess::start(&self.program, &self.homes[&server])?;
        lives.running.insert(server, process);
        Ok(true)
    }

    /// Kills a server where it stands. False if there was none.
    pub(super) fn kill(&self, server: u64) -> bool {
        self.lives().running.remove(&server).is_some()
    }

    /// Makes a server stand still. False if none runs.
    pub(super) fn stand_still(&self, server: u64) -> bool {
        let lives = self.lives();
        let running = lives.running.get(&server);
        running.inspect(|process| process.stand_still());
        running.is_some()
    }

    /// Lets a server go on.
    pub(super) fn go_on(&self, server: u64) {
        self.lives().running.get(&server).inspect(|process| process.go_on());
    }

    /// Removes what a killed server has written.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(super) fn empty(&self, server: u64) -> io::Result<()> {
        self.lives().emptied.insert(server);
        self.homes[&server].empty()
    }

    /// Whether what a node has written is gone.
    pub(super) fn was_emptied(&self, node: u64) -> bool {
        self.server_of(node).is_some_and(|server| self.lives().emptied.contains(&server))
    }

    /// Cuts a node from its server.
    pub(super) fn cut(&self, node: u64) {
        self.links.get(&node).inspect(|link| link.cut());
    }

    /// Ends a cut. Says how often something was to pass since the first of those in force.
    pub(super) fn heal(&self, node: u64) -> u64 {
        self.links.get(&node).map_or(0, RedisLink::heal)
    }

    /// Servers that have ended of their own, and how.
    pub(super) fn ended(&self) -> Vec<(u64, String)> {
        let mut ended = Vec::new();
        let mut lives = self.lives();
        for (server, process) in &mut lives.running {
            match process.ended() {
                Ok(None) => {}
                Ok(Some(status)) => ended.push((*server, status.to_string())),
                Err(error) => ended.push((*server, error.to_string())),
            }
        }
        for (server, _) in &ended {
            lives.running.remove(server);
        }
        ended
    }
}
