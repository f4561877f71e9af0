//! The network: frames on their way, inboxes, and the endpoint that programs hold.
//!
//! A frame is dropped when it is sent (lost, refused by a rule or a bound) or when it arrives (the receiver
//! is down, or its inbox is full), or while it is on its way (a cut falls). It arrives at whatever run of
//! the receiver's process is alive then, and may come from a run of the sender that is not.
//!
//! Deliberately absent: bandwidth, and frames that arrive damaged (a checksum below us would catch them).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use stormglass_nodes::env::{FRAME_BYTES_MAX, Net};
use stormglass_nodes::ids::{Address, ClientId, NodeId};
use stormglass_nodes::marks;

use super::core::{Core, Shared};
use super::kernel::Event;
use super::links::Links;
use super::trace::{TraceKind, digest, digest_bytes};
use crate::nemesis::Process;

/// Most frames that wait in one inbox. A further one is dropped.
pub const INBOX_FRAMES_MAX: usize = 16_384;
/// Most bytes that wait in one inbox. A frame that would exceed it is dropped.
pub const INBOX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a frame was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drop {
    Loss,
    Rule,
    ReceiverDown,
    InboxFull,
    LinkFull,
    TooLong,
    NoSuchReceiver,
}

#[derive(Default)]
pub(super) struct Inbox {
    frames: VecDeque<(Address, Bytes)>,
    bytes: usize,
    receiver: Option<Waker>,
}

impl Inbox {
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Links and inboxes of all processes.
pub(super) struct Network {
    pub(super) links: Links,
    pub(super) inboxes: Vec<Inbox>,
}

impl Core {
    pub(super) fn send(&mut self, now: u64, from: u32, to: Address, frame: Bytes) {
        self.statistics.frames_sent += 1;
        self.statistics.bytes_sent += frame.len() as u64;
        let receiver = match to {
            Address::Node(node) => self.index(Process::Node(node.0)),
            Address::Client(client) => self.index(Process::Client(client.0)),
        };
        let Some(to) = receiver else {
            return self.drop_frame(now, from, None, Drop::NoSuchReceiver, &frame);
        };
        if frame.len() > FRAME_BYTES_MAX {
            return self.drop_frame(now, from, Some(to), Drop::TooLong, &frame);
        }
        let first = match self.network.links.pass(from, to, frame.len()) {
            Err(reason) => return self.drop_frame(now, from, Some(to), reason, &frame),
            Ok(passage) => passage,
        };
        if let Some(second_delay_ns) = first.second_delay_ns {
            self.statistics.frames_duplicated += 1;
            let (from, to) = (self.name(from), self.name(to));
            self.tracer.record(now, TraceKind::Duplicated, Some(from), Some(to), digest_bytes(&frame));
            self.queue.push(
                now.saturating_add(second_delay_ns),
                Event::Deliver { link: first.link, frame: frame.clone() },
            );
        }
        self.queue.push(now.saturating_add(first.delay_ns), Event::Deliver { link: first.link, frame });
    }

    /// A frame arrives. Says whom to wake.
    pub(super) fn deliver(&mut self, now: u64, link: u32, frame: Bytes) -> Option<Waker> {
        let (from, to) = self.network.links.leave(link, frame.len());
        if !self.processes[to as usize].is_up() {
            self.drop_frame(now, from, Some(to), Drop::ReceiverDown, &frame);
            return None;
        }
        let (sender, receiver) = (self.name(from), self.name(to));
        let inbox = &mut self.network.inboxes[to as usize];
        if inbox.frames.len() >= INBOX_FRAMES_MAX || inbox.bytes + frame.len() > INBOX_BYTES_MAX {
            self.drop_frame(now, from, Some(to), Drop::InboxFull, &frame);
            return None;
        }
        self.statistics.frames_delivered += 1;
        self.tracer.record(now, TraceKind::Delivered, Some(sender), Some(receiver), digest_bytes(&frame));
        inbox.bytes += frame.len();
        inbox.frames.push_back((address(sender), frame));
        inbox.receiver.take()
    }

    pub(super) fn drop_frame(&mut self, now: u64, from: u32, to: Option<u32>, reason: Drop, frame: &[u8]) {
        let drops = &mut self.statistics.frames_dropped;
        match reason {
            Drop::Loss => drops.loss += 1,
            Drop::Rule => drops.rule += 1,
            Drop::ReceiverDown => drops.receiver_down += 1,
            Drop::InboxFull => {
                marks::hit("world.inbox_full");
                drops.inbox_full += 1;
            }
            Drop::LinkFull => {
                marks::hit("world.link_full");
                drops.link_full += 1;
            }
            Drop::TooLong => drops.too_long += 1,
            Drop::NoSuchReceiver => drops.no_such_receiver += 1,
        }
        let (from, to) = (self.name(from), to.map(|to| self.name(to)));
        let detail = digest(&[reason as u64, digest_bytes(frame)]);
        self.tracer.record(now, TraceKind::Dropped, Some(from), to, detail);
    }
}

fn address(process: Process) -> Address {
    match process {
        Process::Node(node) => Address::Node(NodeId(node)),
        Process::Client(client) => Address::Client(ClientId(client)),
    }
}

/// The endpoint of one run of one process. Once that run is over, it sends nothing and receives nothing.
#[derive(Clone)]
pub struct SimNet {
    pub(super) shared: Arc<Shared>,
    pub(super) process: u32,
    pub(super) incarnation: u32,
}

impl Net for SimNet {
    fn send(&self, to: Address, frame: Bytes) {
        let now = self.shared.now_ns();
        let mut core = self.shared.lock();
        if core.is_alive(self.process, self.incarnation) {
            core.processes[self.process as usize].note_use(now);
            core.send(now, self.process, to, frame);
        }
    }

    fn receive(&self) -> impl Future<Output = (Address, Bytes)> + Send {
        poll_fn(|context| {
            let mut core = self.shared.lock();
            if !core.is_alive(self.process, self.incarnation) {
                return Poll::Pending;
            }
            let inbox = &mut core.network.inboxes[self.process as usize];
            if let Some((from, frame)) = inbox.frames.pop_front() {
                inbox.bytes -= frame.len();
                return Poll::Ready((from, frame));
            }
            match &mut inbox.receiver {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            Poll::Pending
        })
    }
}
