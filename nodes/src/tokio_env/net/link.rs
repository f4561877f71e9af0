//! The way to a node: dialed when there is something to send, kept, dialed again with pauses.

#![expect(clippy::disallowed_methods, reason = "this file is on the real side of the seam")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::frame::{Broken, FrameReader, hello, put_frame};
use super::queue::Frames;
use super::{Shared, Source, tune};
use crate::env::FRAME_BYTES_MAX;
use crate::ids::{Address, NodeId};

/// After this many frames received without a pause the connection's other half has its turn. Small enough
/// for tokio's own budget of a task not to run out first, which would stop both halves.
const FRAMES_PER_TURN: usize = 32;

type Book = watch::Receiver<BTreeMap<NodeId, SocketAddr>>;

/// Carries the frames of one queue to its node, for as long as the process lives.
pub(super) async fn run(shared: Arc<Shared>, node: NodeId, mut frames: Frames) {
    let mut book = shared.book.subscribe();
    let mut backoff = shared.limits.backoff_min;
    while let Some(first) = frames.next().await {
        let address = book.borrow_and_update().get(&node).copied();
        match connect(&shared, address).await {
            Some((stream, address)) => {
                let begin = Instant::now();
                dialed(&shared, (node, address), stream, first, &mut frames, &mut book).await;
                if begin.elapsed() >= shared.limits.backoff_max {
                    backoff = shared.limits.backoff_min;
                }
            }
            None => shared.counters.dropped_unreachable.add(1 + frames.clear()),
        }
        tokio::select! {
            biased;
            _ = book.changed() => backoff = shared.limits.backoff_min,
            () = sleep(backoff) => backoff = (backoff * 2).min(shared.limits.backoff_max),
        }
    }
}

async fn connect(shared: &Shared, address: Option<SocketAddr>) -> Option<(TcpStream, SocketAddr)> {
    let address = address?;
    let stream = timeout(shared.limits.dial_timeout, TcpStream::connect(address)).await.ok()?.ok()?;
    tune(&stream, &shared.limits).ok()?;
    shared.counters.connections_dialed.add(1);
    Some((stream, address))
}

/// Secures a connection, if that is wanted, and uses it.
async fn dialed(
    shared: &Shared,
    (node, address): (NodeId, SocketAddr),
    stream: TcpStream,
    first: Bytes,
    frames: &mut Frames,
    book: &mut Book,
) {
    let Some(security) = &shared.security else {
        let halves = stream.into_split();
        return converse(shared, (node, address), halves, first, frames, book).await;
    };
    match timeout(shared.limits.dial_timeout, security.connect(node, stream)).await {
        Ok(Ok(stream)) => {
            converse(shared, (node, address), tokio::io::split(stream), first, frames, book).await
        }
        Ok(Err(error)) => {
            tracing::warn!(%node, %error, "no secure connection");
            shared.counters.dropped_unreachable.add(1 + frames.clear());
        }
        Err(_) => shared.counters.dropped_unreachable.add(1 + frames.clear()),
    }
}

/// Uses a connection until it breaks, or the node turns out to be elsewhere.
async fn converse<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    shared: &Shared,
    (node, address): (NodeId, SocketAddr),
    (reader, writer): (R, W),
    first: Bytes,
    frames: &mut Frames,
    book: &mut Book,
) {
    let peer = Address::Node(node);
    let mut opening = BytesMut::new();
    put_frame(&mut opening, &hello(shared.me, peer));
    put_frame(&mut opening, &first);
    tokio::select! {
        biased;
        () = moved(book, node, address) => {}
        broken = receive(shared, peer, FrameReader::new(reader)) => note(shared, peer, &broken),
        _ = frames.write_to(writer, opening, 1, &shared.counters) => {}
    }
}

/// Returns once the address book gives another address, or none.
async fn moved(book: &mut Book, node: NodeId, address: SocketAddr) {
    // An error means that the endpoint is gone, and this task with it.
    let _ = book.wait_for(|book| book.get(&node) != Some(&address)).await;
}

/// Takes frames from a connection until it breaks, or one of them makes no sense to their receiver.
pub(super) async fn receive<R: AsyncRead + Unpin>(
    shared: &Shared,
    from: Address,
    reader: FrameReader<R>,
) -> Broken {
    let source = Arc::new(Source::default());
    tokio::select! {
        biased;
        broken = source.refused() => broken,
        broken = receive_all(shared, from, reader, &source) => broken,
    }
}

async fn receive_all<R: AsyncRead + Unpin>(
    shared: &Shared,
    from: Address,
    mut reader: FrameReader<R>,
    source: &Arc<Source>,
) -> Broken {
    loop {
        for _ in 0..FRAMES_PER_TURN {
            match reader.next(FRAME_BYTES_MAX).await {
                Ok(frame) => shared.deliver(from, frame, source).await,
                Err(broken) => return broken,
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Counts and logs the end of a connection.
pub(super) fn note(shared: &Shared, peer: Address, broken: &Broken) {
    match broken {
        Broken::Closed => tracing::debug!(%peer, "a connection ended"),
        Broken::Oversized => {
            shared.counters.refused_oversized.add(1);
            tracing::warn!(%peer, "closed a connection: a frame claims to be longer than {FRAME_BYTES_MAX}");
        }
        Broken::Garbage(reason) => {
            shared.counters.refused_garbage.add(1);
            tracing::warn!(%peer, reason, "closed a connection");
        }
        Broken::Nonsense(reason) => {
            shared.counters.refused_nonsense.add(1);
            tracing::warn!(%peer, reason, "closed a connection");
        }
    }
}
