//! The queue of frames to one receiver, bounded in frames and in bytes; and its way onto the stream.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::NetLimits;
use super::counts::Counters;
use super::frame::put_frame;

/// Waiting frames are written together, until they come to this many bytes.
const COALESCE_BYTES: usize = 256 * 1024;

/// The end for senders.
pub(super) struct Outbox {
    frames: mpsc::Sender<Bytes>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The end for the connection.
pub(super) struct Frames {
    frames: mpsc::Receiver<Bytes>,
    bytes: Arc<AtomicUsize>,
}

pub(super) fn bounded(limits: &NetLimits) -> (Outbox, Frames) {
    let (sender, receiver) = mpsc::channel(limits.outbox_frames_max);
    let bytes = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox { frames: sender, bytes: bytes.clone(), bytes_max: limits.outbox_bytes_max };
    (outbox, Frames { frames: receiver, bytes })
}

impl Outbox {
    /// Queues a frame; `false` if there is no room.
    pub(super) fn push(&self, frame: Bytes) -> bool {
        let length = frame.len();
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        if before + length <= self.bytes_max && self.frames.try_send(frame).is_ok() {
            return true;
        }
        self.bytes.fetch_sub(length, Ordering::Relaxed);
        false
    }
}

impl Frames {
    /// The next frame; `None` once there can be no more.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let frame = self.frames.recv().await?;
        self.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        Some(frame)
    }

    fn next_now(&mut self) -> Option<Bytes> {
        let frame = self.frames.try_recv().ok()?;
        self.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        Some(frame)
    }

    /// Drops what waits; says how many frames that were.
    pub(super) fn clear(&mut self) -> u64 {
        std::iter::from_fn(|| self.next_now()).count() as u64
    }

    /// Writes `opening`, which holds `count` frames, and then whatever comes, until the stream fails.
    pub(super) async fn write_to(
        &mut self,
        mut stream: impl AsyncWrite + Unpin,
        opening: BytesMut,
        count: u64,
        counters: &Counters,
    ) -> io::Result<()> {
        let (mut buffer, mut count) = (opening, count);
        loop {
            stream.write_all(&buffer).await?;
            // A secure stream may hold the end of it back.
            stream.flush().await?;
            counters.frames_sent.add(count);
            buffer.clear();
            if buffer.capacity() > 2 * COALESCE_BYTES {
                buffer = BytesMut::new();
            }
            let Some(first) = self.next().await else {
                return Ok(());
            };
            put_frame(&mut buffer, &first);
            count = 1;
            while buffer.len() < COALESCE_BYTES
                && let Some(frame) = self.next_now()
            {
                put_frame(&mut buffer, &frame);
                count += 1;
            }
        }
    }
}
