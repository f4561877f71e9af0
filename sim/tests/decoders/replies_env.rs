//! A world for one store and one Redis: what the Redis answers is fixed before it is asked, and comes in turns, one
//! each time that something was asked.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use stormglass_nodes::env::{Env, Net, StreamAddress};
use stormglass_nodes::ids::{Address, LocalTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::disk::MemoryDisk;

/// Every random number here.
const ENTROPY: u64 = 42;
/// Who sleeps is woken after so many looks: everything that can happen has happened by then.
const LOOKS_OF_A_SLEEP: u32 = 32;

/// What stands between the answers of two turns.
pub(crate) const TURN: &[u8] = b"<turn>";

/// The world.
#[derive(Clone)]
pub(crate) struct CannedEnv {
    now_us: Arc<AtomicU64>,
    disk: MemoryDisk,
    answers: Bytes,
    asked: Arc<Mutex<Vec<u8>>>,
}

impl CannedEnv {
    /// A world in which every connection answers with these bytes, turn by turn, and then stays open and silent.
    pub(crate) fn answering(answers: &[u8]) -> Self {
        Self {
            now_us: Arc::default(),
            disk: MemoryDisk::default(),
            answers: Bytes::copy_from_slice(answers),
            asked: Arc::default(),
        }
    }

    /// All that was sent to the Redis.
    pub(crate) fn asked(&self) -> Vec<u8> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// No network.
#[derive(Clone)]
pub(crate) struct NoNet;

impl Net for NoNet {
    fn send(&self, _to: Address, _frame: Bytes) {}

    async fn receive(&self) -> (Address, Bytes) {
        pending().await
    }
}

static NO_NET: NoNet = NoNet;

/// A connection.
pub(crate) struct CannedStream {
    /// What is still to come.
    answers: Bytes,
    /// What can be read.
    arrived: Bytes,
    /// Whether something was asked since the last turn.
    is_asked: bool,
    reader: Option<Waker>,
    asked: Arc<Mutex<Vec<u8>>>,
}

impl CannedStream {
    fn next_turn(&mut self) {
        let end = self.answers.windows(TURN.len()).position(|window| window == TURN);
        let end = end.unwrap_or(self.answers.len());
        let mut arrived = BytesMut::from(&self.arrived[..]);
        arrived.extend_from_slice(&self.answers.split_to(end));
        self.arrived = arrived.freeze();
        self.answers.advance(TURN.len().min(self.answers.len()));
        self.is_asked = false;
        self.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for CannedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.arrived.is_empty() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = into.remaining().min(self.arrived.len());
        into.put_slice(&self.arrived.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CannedStream {
    fn poll_write(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_asked = true;
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_asked {
            self.next_turn();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Env for CannedEnv {
    type Net = NoNet;
    type Disk = MemoryDisk;
    type Stream = CannedStream;

    fn now(&self) -> LocalTime {
        LocalTime(self.now_us.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, deadline: LocalTime) -> impl Future<Output = ()> + Send {
        let mut looks = 0;
        poll_fn(move |cx| {
            if looks < LOOKS_OF_A_SLEEP {
                looks += 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.now_us.fetch_max(deadline.0, Ordering::Relaxed);
            Poll::Ready(())
        })
    }

    fn entropy(&self) -> u64 {
        ENTROPY
    }

    fn spawn(&self, _name: &'static str, _task: impl Future<Output = ()> + Send + 'static) {}

    async fn connect(&self, _to: &StreamAddress) -> io::Result<CannedStream> {
        Ok(CannedStream {
            answers: self.answers.clone(),
            arrived: Bytes::new(),
            is_asked: false,
            reader: None,
            asked: Arc::clone(&self.asked),
        })
    }

    fn net(&self) -> &NoNet {
        &NO_NET
    }

    fn disk(&self) -> &MemoryDisk {
        &self.disk
    }
}
