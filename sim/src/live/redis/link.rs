//! The way from a node to its Redis: bytes are passed on as they come, until the link is cut.
//!
//! A cut holds up what is on its way, both ways, and the news that the other end is gone as well. A connection into a
//! cut is accepted, and leads on once the cut is healed. What was sent into the cut arrives late: a node has given that
//! connection up by then, and its request must do no harm any more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What is passed on at a time.
const BYTES: usize = 64 * 1024;

/// A node's link to a server.
#[derive(Debug)]
pub(super) struct RedisLink {
    server: u64,
    socket: PathBuf,
    state: Arc<State>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct State {
    /// How many cuts are in force.
    cuts: watch::Sender<u32>,
    /// How often something was to pass since the first of them.
    held_up: AtomicU64,
}

impl RedisLink {
    /// Opens a way from `socket` to `server`, which listens at `to` once it runs. Inside a runtime.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub(super) fn open(socket: PathBuf, server: u64, to: PathBuf) -> io::Result<Self> {
        let listener = UnixListener::bind(&socket)?;
        let state = Arc::new(State { cuts: watch::Sender::new(0), held_up: AtomicU64::new(0) });
        let accepting = Handle::current().spawn(accept(listener, to, state.clone())).abort_handle();
        Ok(Self { server, socket, state, accepting })
    }

    /// The number of the server.
    pub(super) const fn server(&self) -> u64 {
        self.server
    }

    /// Where the node connects.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Cuts it.
    pub(super) fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends a cut. Says how often something was to pass since the first of those in force.
    pub(super) fn heal(&self) -> u64 {
        let held_up = self.state.held_up.load(Ordering::Relaxed);
        self.state.cuts.send_modify(|cuts| {
            *cuts = cuts.saturating_sub(1);
            if *cuts == 0 {
                self.state.held_up.store(0, Ordering::Relaxed);
            }
        });
        held_up
    }
}

impl Drop for RedisLink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    /// Returns once no cut is in force; counts if it had to wait.
    async fn pass(&self) {
        let mut cuts = self.cuts.subscribe();
        if *cuts.borrow() > 0 {
            self.held_up.fetch_add(1, Ordering::Relaxed);
            // It fails only if the link is gone, and this with it.
            drop(cuts.wait_for(|cuts| *cuts == 0).await);
        }
    }
}

async fn accept(listener: UnixListener, to: PathBuf, state: Arc<State>) {
    while let Ok((node, _)) = listener.accept().await {
        Handle::current().spawn(connect(node, to.clone(), state.clone()));
    }
}

async fn connect(node: UnixStream, to: PathBuf, state: Arc<State>) {
    state.pass().await;
    // A server that is down refuses, and so does the link, by letting go of the connection.
    let Ok(server) = UnixStream::connect(&to).await else { return };
    let (from_node, to_node) = node.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(carry(from_node, to_server, &state), carry(from_server, to_node, &state));
}

/// Passes on what comes, to the end, and the end too.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, state: &State) {
    let mut buffer = vec![0; BYTES];
    loop {
        // A connection that broke has ended.
        let read = from.read(&mut buffer).await.unwrap_or(0);
        state.pass().await;
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            drop(to.shutdown().await);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link to something that sends back what it gets.
    async fn link_to_an_echo(folder: &Path) -> RedisLink {
        let to = folder.join("echo.sock");
        let echo = UnixListener::bind(&to).unwrap();
        Handle::current().spawn(async move {
            while let Ok((stream, _)) = echo.accept().await {
                let (mut from, mut to) = stream.into_split();
                Handle::current().spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        RedisLink::open(folder.join("link.sock"), 1, to).unwrap()
    }

    #[tokio::test]
    async fn what_is_sent_into_a_cut_arrives_late_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let link = link_to_an_echo(folder.path()).await;
        let mut stream = UnixStream::connect(link.socket()).await.unwrap();
        let mut answer = [0; 4];
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        link.cut();
        link.cut();
        stream.write_all(b"late").await.unwrap();
        while link.state.held_up.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(link.heal(), 1, "one cut of two is healed");
        assert_eq!(*link.state.cuts.borrow(), 1);
        assert_eq!(link.heal(), 1);
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"late");
        link.cut();
        assert_eq!(link.heal(), 0, "each cut counts for itself");
    }

    #[tokio::test]
    async fn a_server_that_is_down_ends_the_connection() {
        let folder = tempfile::tempdir().unwrap();
        let link = RedisLink::open(folder.path().join("link.sock"), 1, folder.path().join("none")).unwrap();
        let mut stream = UnixStream::connect(link.socket()).await.unwrap();
        assert_eq!(stream.read(&mut [0; 4]).await.unwrap_or(0), 0);
    }
}
