//! Connections from others: who they are, and what they are for.

#![expect(clippy::disallowed_methods, reason = "this file is on the real side of the seam")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::frame::{Broken, FrameReader, HELLO_BYTES_MAX, read_hello};
use super::link::{note, receive};
use super::tls::is_who_it_says;
use super::{Shared, Way, lock, queue, tune};
use crate::ids::{Address, ClientId};

/// The pause after the system refused to accept, as it does when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections, for as long as the process lives.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(shared.limits.connections_max));
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = room.clone().try_acquire_owned() else {
            shared.counters.refused_crowded.add(1);
            continue;
        };
        let serving = shared.clone();
        shared.tasks.spawn("net connection", async move {
            serve(&serving, stream, remote).await;
            drop(place);
        });
    }
}

async fn serve(shared: &Shared, stream: TcpStream, remote: SocketAddr) {
    if tune(&stream, &shared.limits).is_err() {
        return;
    }
    let Some(security) = &shared.security else {
        let (reader, writer) = stream.into_split();
        return converse(shared, remote, reader, writer, |_| true).await;
    };
    let Ok(secured) = timeout(shared.limits.hello_timeout, security.accept(stream)).await else {
        shared.counters.refused_silent.add(1);
        tracing::warn!(%remote, "closed a connection: its handshake did not come to an end");
        return;
    };
    match secured {
        Ok(stream) => {
            // Before the stream is taken apart: whom the certificate would let pass.
            let nodes = shared.book.borrow().keys().map(|node| Address::Node(*node)).collect::<Vec<_>>();
            let shown: Vec<Address> =
                nodes.into_iter().filter(|node| is_who_it_says(&stream, *node)).collect();
            let (reader, writer) = tokio::io::split(stream);
            let is_believed = |says| matches!(says, Address::Client(_)) || shown.contains(&says);
            converse(shared, remote, reader, writer, is_believed).await;
        }
        Err(error) => {
            shared.counters.refused_garbage.add(1);
            tracing::warn!(%remote, %error, "closed a connection: no proper handshake");
        }
    }
}

/// Takes frames from whoever says in a hello who it is, if that is believed.
async fn converse<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    shared: &Shared,
    remote: SocketAddr,
    reader: R,
    writer: W,
    is_believed: impl Fn(Address) -> bool,
) {
    let mut reader = FrameReader::new(reader);
    let Ok(greeting) = timeout(shared.limits.hello_timeout, greet(shared, &mut reader)).await else {
        shared.counters.refused_silent.add(1);
        tracing::warn!(%remote, "closed a connection: no hello came");
        return;
    };
    let peer = match greeting {
        Ok(peer) if !is_believed(peer) => {
            return refuse(shared, remote, "its certificate is not that node's");
        }
        Ok(peer) => peer,
        Err(Broken::Closed) => return,
        Err(Broken::Oversized) => return refuse(shared, remote, "it does not begin with a hello"),
        Err(Broken::Garbage(reason) | Broken::Nonsense(reason)) => return refuse(shared, remote, reason),
    };
    shared.counters.connections_accepted.add(1);
    match peer {
        // Nodes are answered on the connection that this process dials; the writing half only stays open.
        Address::Node(_) => note(shared, peer, &receive(shared, peer, reader).await),
        Address::Client(client) => serve_client(shared, client, reader, writer).await,
    }
}

async fn greet<R: AsyncRead + Unpin>(
    shared: &Shared,
    reader: &mut FrameReader<R>,
) -> Result<Address, Broken> {
    let peer = read_hello(&reader.next(HELLO_BYTES_MAX).await?, shared.me)?;
    match peer {
        Address::Node(node) if !shared.book.borrow().contains_key(&node) => {
            Err(Broken::Garbage("it is a node that is not in the address book"))
        }
        _ => Ok(peer),
    }
}

fn refuse(shared: &Shared, remote: SocketAddr, reason: &str) {
    shared.counters.refused_garbage.add(1);
    tracing::warn!(%remote, reason, "closed a connection");
}

/// Takes a client's frames and carries the replies back. A client's later connection replaces this one as
/// the way to it.
async fn serve_client<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    shared: &Shared,
    client: ClientId,
    reader: FrameReader<R>,
    writer: W,
) {
    let peer = Address::Client(client);
    let (outbox, mut frames) = queue::bounded(&shared.limits);
    let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
    lock(&shared.clients).insert(client, (connection, Way::Connection(outbox)));
    let opening = BytesMut::new();
    tokio::select! {
        biased;
        broken = receive(shared, peer, reader) => note(shared, peer, &broken),
        _ = frames.write_to(writer, opening, 0, &shared.counters) => {}
    }
    let mut clients = lock(&shared.clients);
    if clients.get(&client).is_some_and(|(latest, _)| *latest == connection) {
        clients.remove(&client);
    }
    shared.counters.dropped_unreachable.add(frames.clear());
}
