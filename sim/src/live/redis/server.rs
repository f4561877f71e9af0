//! One `redis-server` as a process: started in a folder of its own, killed, and never left behind.
//!
//! It is started by way of this program, which asks the system to kill it once whoever started it is gone, and then
//! becomes the server. So no server outlives the harness, however that ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::Signal;

use crate::live::processes::{die_with_parent, signal};
use crate::plan::Appendfsync;

const PROGRAM: &str = "redis-server";
/// The hidden command by which this program becomes a server.
pub(super) const COMMAND: &str = "live-redis";
/// What a server has written lies in this folder of its own.
const WRITTEN: &str = "appendonlydir";
const SOCKET: &str = "redis.sock";

/// Where a server lives, and how it keeps what it acknowledges.
#[derive(Clone, Debug)]
pub struct RedisHome {
    folder: PathBuf,
    appendfsync: Appendfsync,
}

impl RedisHome {
    /// A server's home in this folder, which is there, or will be.
    #[must_use]
    pub const fn new(folder: PathBuf, appendfsync: Appendfsync) -> Self {
        Self { folder, appendfsync }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the server listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }

    /// Removes all that the server, which is down, has written.
    ///
    /// # Errors
    /// If it cannot be removed.
    #[expect(clippy::disallowed_methods, reason = "a real server's files are removed")]
    pub(super) fn empty(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(self.folder.join(WRITTEN)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What the server is told.
    fn arguments(&self) -> Vec<String> {
        let appendfsync = match self.appendfsync {
            Appendfsync::Always => "always",
            Appendfsync::Everysec => "everysec",
        };
        let (folder, socket) = (self.folder.display().to_string(), self.socket().display().to_string());
        let settings = [
            ("--port", "0"),
            ("--unixsocket", &socket),
            ("--unixsocketperm", "700"),
            ("--dir", &folder),
            ("--daemonize", "no"),
            ("--save", ""),
            ("--appendonly", "yes"),
            ("--appendfsync", appendfsync),
            ("--no-appendfsync-on-rewrite", "no"),
            ("--loglevel", "warning"),
        ];
        settings.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]).collect()
    }
}

/// A server that was started and not waited for. Dropping it kills it.
#[derive(Debug)]
pub struct RedisProcess {
    child: Child,
}

impl RedisProcess {
    /// Starts a server by way of `program`, which is this one.
    ///
    /// # Errors
    /// If the system cannot start it.
    #[expect(clippy::disallowed_types, reason = "what a real process says goes to a real file")]
    pub fn start(program: &Path, home: &RedisHome) -> io::Result<Self> {
        let log = home.folder.with_extension("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command.arg(COMMAND).arg("--harness").arg(std::process::id().to_string()).arg("--");
        command.args(home.arguments()).stdin(Stdio::null());
        command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        Ok(Self { child: command.spawn()? })
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Makes it stand still.
    pub(super) fn stand_still(&self) {
        signal(&self.child, Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) {
        signal(&self.child, Signal::CONT);
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        // It fails if the server has ended, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Becomes a redis-server that dies with `harness`, which started this process. Returns only if that fails.
#[must_use]
pub fn serve_under(harness: u32, arguments: &[String]) -> io::Error {
    match die_with_parent(harness) {
        Ok(()) => Command::new(PROGRAM).args(arguments).exec(),
        Err(error) => error,
    }
}

/// The release of the redis-server on the PATH: major and minor number.
///
/// # Errors
/// In words for people, if there is none.
pub fn redis_version() -> Result<(u64, u64), String> {
    let told = Command::new(PROGRAM).arg("--version").stdin(Stdio::null()).output();
    let told = told.map_err(|error| format!("there is no {PROGRAM} on the PATH ({error})"))?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    version_in(&text).ok_or_else(|| format!("{PROGRAM} --version tells no release: {}", text.trim()))
}

/// Finds the release in a line such as `Redis server v=7.0.15 sha=…`.
fn version_in(text: &str) -> Option<(u64, u64)> {
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn the_release_is_read_from_what_the_server_says() {
        let said = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=e08dbad3e06f3fb";
        assert_eq!(version_in(said), Some((7, 0)));
        assert_eq!(version_in("Redis server v=255.255.255"), Some((255, 255)));
        for text in ["", "v=", "v=7", "v=x.y", "Valkey"] {
            assert_eq!(version_in(text), None, "{text}");
        }
    }
}
