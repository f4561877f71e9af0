//! A private redis-server for tests: from the PATH, in a folder of its own, stopped by its own process handle.

#[path = "../skip/mod.rs"]
mod skip;

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub(crate) use skip::skip;
use stormglass_nodes::env::StreamAddress;
use stormglass_nodes::storage::RedisConfig;
use tempfile::TempDir;
use tokio::net::UnixStream;

/// How a server keeps what it acknowledges, as arguments.
pub(crate) const SYNCED: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// Looks for the server that must be up are repeated so often; each fails at once.
const LOOKS_MAX: u32 = 2_000_000;

/// A server and its folder.
pub(crate) struct RedisServer {
    folder: TempDir,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// A server with these arguments, or `None`, with a plain statement, where there is no redis-server.
pub(crate) async fn server(arguments: &[&str]) -> Option<RedisServer> {
    let mut server = RedisServer {
        folder: TempDir::new().expect("a temporary folder"),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        child: None,
    };
    match server.start().await {
        Ok(()) => Some(server),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skip("there is no redis-server on the PATH (Debian: apt-get install redis-server)");
            None
        }
        Err(error) => panic!("redis-server does not start: {error}"),
    }
}

impl RedisServer {
    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// How to reach it.
    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::new(StreamAddress::Unix(self.socket()))
    }

    /// Starts it in its folder, and returns once it takes connections.
    pub(crate) async fn start(&mut self) -> io::Result<()> {
        let socket = self.socket();
        // What a killed server leaves.
        let _ = tokio::fs::remove_file(&socket).await;
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--daemonize", "no", "--loglevel", "warning"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn()?;
        for _ in 0..LOOKS_MAX {
            if UnixStream::connect(&socket).await.is_ok() {
                self.child = Some(child);
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("it ended at once: {status}")));
            }
            tokio::task::yield_now().await;
        }
        let _ = child.kill();
        let _ = child.wait();
        Err(io::Error::other("it takes no connections"))
    }

    /// Kills it where it stands, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
        }
    }

    /// Kills it and removes all that it has written.
    pub(crate) async fn lose_everything(&mut self) {
        self.kill();
        let files = self.folder.path().join("appendonlydir");
        tokio::fs::remove_dir_all(&files).await.expect("its files can be removed");
    }

    /// Asks it something, as an operator would.
    pub(crate) async fn ask(&self, command: &[&str]) -> redis::Value {
        let client = redis::Client::open(format!("unix://{}", self.socket().display())).expect("a good URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("it is up");
        let mut query = redis::cmd(command[0]);
        command[1..].iter().for_each(|argument| {
            query.arg(*argument);
        });
        query.query_async(&mut connection).await.expect("it answers")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
