//! Several daemons on this machine, as children of this process: for trying things out, and for tests.
//!
//! No child outlives its parent, however that ends: each stops when its standard input does (`--stop-with-stdin`), and
//! the other end of that is held by the parent alone.
//!
//! Ports for the nodes are asked of the system and given free again before the daemons take them; should another process
//! be quicker, the daemon says so and starting fails. Ports for HTTP are chosen by the daemons themselves.

#![expect(clippy::disallowed_types, reason = "this file starts processes and looks for free ports")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::USAGE;
use super::run::READY;

/// How long a daemon has to stop by itself.
const GOODBYE: Duration = Duration::from_secs(20);

/// How long a request to a daemon may take: it answers at once, or after its own time-out.
const PATIENCE: Duration = Duration::from_secs(70);

/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How the daemons are to be started.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// The program, and what comes before the daemon's own arguments.
    pub program: Vec<OsString>,
    /// How many.
    pub count: u64,
    /// Their data and logs: a folder for each below this one.
    pub folder: PathBuf,
    /// More arguments, for all.
    pub arguments: Vec<String>,
    /// More arguments, for some.
    pub own_arguments: BTreeMap<u64, Vec<String>>,
    /// Environment variables, for all: for what not everyone on this machine is to read, as arguments can be.
    pub environment: BTreeMap<String, String>,
}

/// Daemons that run, or did.
#[derive(Debug)]
pub struct LocalCluster {
    config: LocalConfig,
    nodes: Vec<LocalNode>,
}

/// One of them.
#[derive(Debug)]
pub struct LocalNode {
    /// Its number.
    pub id: u64,
    /// Where it listens for the others.
    pub address: SocketAddr,
    /// Where it serves HTTP; another one after each start.
    pub http: Option<SocketAddr>,
    /// Where it has served HTTP last.
    http_last: Option<SocketAddr>,
    child: Option<Child>,
}

impl LocalNode {
    /// Its process, if it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }
}

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, as they came.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A name for a cluster that no other has, for one that shares a Redis with strangers.
///
/// # Errors
/// If the system gives no random numbers.
pub fn fresh_name() -> io::Result<String> {
    let number = getrandom::u64().map_err(io::Error::other)?;
    Ok(format!("local-{number:016x}"))
}

impl LocalCluster {
    /// Starts all daemons, and returns when they listen.
    ///
    /// # Errors
    /// If one cannot be started, or ends at once: the error holds what it said last, and is
    /// [`io::ErrorKind::InvalidInput`] if it is the options that it refuses.
    pub async fn start(config: LocalConfig) -> io::Result<Self> {
        // All at once, so that they are different.
        let reserved = (0..config.count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let reserved = reserved.collect::<io::Result<Vec<_>>>()?;
        let mut nodes = Vec::new();
        for (id, listener) in (1..).zip(&reserved) {
            nodes.push(LocalNode {
                id,
                address: listener.local_addr()?,
                http: None,
                http_last: None,
                child: None,
            });
        }
        drop(reserved);
        let mut cluster = Self { config, nodes };
        for id in 1..=cluster.config.count {
            cluster.spawn(id).await?;
        }
        for id in 1..=cluster.config.count {
            cluster.wait_until_ready(id).await?;
        }
        Ok(cluster)
    }

    /// The daemons.
    #[must_use]
    pub fn nodes(&self) -> &[LocalNode] {
        &self.nodes
    }

    /// Where a daemon keeps its data; its log lies beside, ending in `.log`.
    #[must_use]
    pub fn folder_of(&self, id: u64) -> PathBuf {
        self.config.folder.join(format!("n{id}"))
    }

    /// Starts a daemon again that has ended, and returns when it listens.
    ///
    /// # Errors
    /// As of [`LocalCluster::start`].
    pub async fn restart(&mut self, id: u64) -> io::Result<()> {
        self.spawn(id).await?;
        self.wait_until_ready(id).await
    }

    /// The same, to serve HTTP where it did before; elsewhere if that place is taken.
    ///
    /// # Errors
    /// As of [`LocalCluster::start`].
    pub async fn restart_in_place(&mut self, id: u64) -> io::Result<()> {
        if let Some(http) = self.node_mut(id)?.http_last {
            self.spawn_at(id, http).await?;
            if self.wait_until_ready(id).await.is_ok() {
                return Ok(());
            }
        }
        self.restart(id).await
    }

    /// Ends a daemon as `kill -9` does.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn kill(&mut self, id: u64) -> io::Result<()> {
        let node = self.node_mut(id)?;
        node.http = None;
        match node.child.take() {
            Some(mut child) => child.kill().await,
            None => Ok(()),
        }
    }

    /// Stops a daemon gracefully; says whether it went by itself and in order.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn stop(&mut self, id: u64) -> io::Result<bool> {
        let node = self.node_mut(id)?;
        node.http = None;
        match node.child.take() {
            Some(child) => say_goodbye(child).await,
            None => Ok(true),
        }
    }

    /// Stops all daemons gracefully, at the same time; says whether all went by themselves and in order.
    ///
    /// # Errors
    /// If one cannot be waited for.
    pub async fn stop_all(&mut self) -> io::Result<bool> {
        let children: Vec<Child> = self.nodes.iter_mut().filter_map(|node| node.child.take()).collect();
        let mut all_in_order = true;
        for ended in futures_util::future::join_all(children.into_iter().map(say_goodbye)).await {
            all_in_order &= ended?;
        }
        Ok(all_in_order)
    }

    /// Whether a daemon has ended though nobody stopped it.
    pub fn has_failed(&mut self, id: u64) -> bool {
        let child = self.node_mut(id).ok().and_then(|node| node.child.as_mut());
        child.is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// The process of a daemon that runs, for signals to it.
    #[must_use]
    pub fn process(&self, id: u64) -> Option<u32> {
        self.nodes.iter().find(|node| node.id == id)?.child.as_ref()?.id()
    }

    /// Waits until a daemon has ended by itself; says how.
    ///
    /// # Errors
    /// If it was not running.
    pub async fn wait(&mut self, id: u64) -> io::Result<ExitStatus> {
        let node = self.node_mut(id)?;
        node.http = None;
        // Not `Child::wait` on the child in its place: that closes its standard input, which is a way to stop it.
        let mut child = node.child.take().ok_or(io::ErrorKind::NotConnected)?;
        let stdin = child.stdin.take();
        let ended = child.wait().await;
        drop(stdin);
        ended
    }

    /// How a daemon has ended that has, though nobody stopped it; told once.
    pub fn take_ended(&mut self, id: u64) -> Option<ExitStatus> {
        let node = self.node_mut(id).ok()?;
        let status = node.child.as_mut()?.try_wait().ok()??;
        (node.child, node.http) = (None, None);
        Some(status)
    }

    /// A request to a daemon. `head` has further lines, each with its end.
    ///
    /// # Errors
    /// If the daemon is not there, or does not answer.
    pub async fn request(
        &self,
        id: u64,
        method: &str,
        path: &str,
        head: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let node = self.nodes.iter().find(|node| node.id == id);
        let address = node.and_then(|node| node.http).ok_or(io::ErrorKind::NotConnected)?;
        timeout(PATIENCE, exchange(address, method, path, head, body))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
    }

    fn node_mut(&mut self, id: u64) -> io::Result<&mut LocalNode> {
        self.nodes.iter_mut().find(|node| node.id == id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn spawn(&mut self, id: u64) -> io::Result<()> {
        self.spawn_at(id, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    async fn spawn_at(&mut self, id: u64, http: SocketAddr) -> io::Result<()> {
        let data = self.folder_of(id);
        tokio::fs::create_dir_all(&data).await?;
        let log = File::options().create(true).append(true).open(data.with_extension("log"))?;
        let addresses: Vec<String> =
            self.nodes.iter().map(|node| format!("{}={}", node.id, node.address)).collect();
        let (program, before) = self.config.program.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(before).args(["--id", &id.to_string(), "--cluster", &addresses.join(",")]);
        command.arg("--data").arg(&data).args(["--http", &http.to_string(), "--stop-with-stdin"]);
        command.args(&self.config.arguments).args(self.config.own_arguments.get(&id).into_iter().flatten());
        command.envs(&self.config.environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let child = command.kill_on_drop(true).spawn()?;
        self.node_mut(id)?.child = Some(child);
        Ok(())
    }

    async fn wait_until_ready(&mut self, id: u64) -> io::Result<()> {
        let log = self.folder_of(id).with_extension("log");
        let node = self.node_mut(id)?;
        let stdout =
            node.child.as_mut().and_then(|child| child.stdout.take()).ok_or(io::ErrorKind::NotConnected)?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let Some(said) = line.strip_prefix(READY) else {
            let said = tokio::fs::read_to_string(&log).await.unwrap_or_default();
            let why = format!("node {id} does not start: {}", last_words(&said));
            // It has closed its standard output, which it does by ending.
            let ended = match node.child.take() {
                Some(mut child) => timeout(GOODBYE, child.wait()).await.ok().and_then(Result::ok),
                None => None,
            };
            let is_usage = ended.and_then(|status| status.code()) == Some(i32::from(USAGE));
            let kind = if is_usage { io::ErrorKind::InvalidInput } else { io::ErrorKind::Other };
            return Err(io::Error::new(kind, why));
        };
        let http = said.split_whitespace().find_map(|word| word.strip_prefix("http="));
        node.http = http.and_then(|address| address.parse().ok());
        node.http_last = node.http.or(node.http_last);
        Ok(())
    }
}

/// The error, and its hint, with which a log ends; its last line if it ends otherwise.
fn last_words(log: &str) -> String {
    let lines: Vec<&str> = log.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let ending = lines.iter().rposition(|line| line.starts_with("error: "));
    let from = ending.filter(|at| lines[at + 1..].iter().all(|line| line.starts_with("hint: ")));
    lines[from.unwrap_or(lines.len().saturating_sub(1))..].join("\n")
}

/// Closes the daemon's standard input and waits; kills it if that takes too long.
async fn say_goodbye(mut child: Child) -> io::Result<bool> {
    drop(child.stdin.take());
    match timeout(GOODBYE, child.wait()).await {
        Ok(status) => Ok(status?.success()),
        Err(_) => {
            child.kill().await?;
            Ok(false)
        }
    }
}

async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    head: &str,
    body: &[u8],
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let cut_short = || io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut short");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(cut_short)?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut_short)?;
    Ok(Answer { status, head, body: answer[end + 4..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::last_words;

    #[test]
    fn of_a_log_only_the_error_at_its_end_is_repeated() {
        let refused = "INFO starts\nWARN waits\nerror: no login: it is refused\nhint: look at the password\n";
        assert_eq!(last_words(refused), "error: no login: it is refused\nhint: look at the password");
        // An earlier start's is not.
        assert_eq!(last_words(&format!("{refused}INFO starts\nthread panicked\n")), "thread panicked");
        assert_eq!(last_words(""), "");
    }
}
