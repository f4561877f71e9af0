//! The queue of what is to happen, and the pump that makes it happen.
//!
//! Everything that takes time in the world (a frame on its way, a sleep, a disk operation) is an event in
//! one heap, ordered by true time and then by insertion. One task, the pump, takes out what is due.
//!
//! madsim's own sleeps cannot be shorter than 1 ms and leave an entry behind at every poll. The pump
//! therefore arms madsim's timer by itself: a `Sleep` whose deadline is reset to the exact nanosecond is
//! polled once with the pump's waker, which sets the timer; nobody waits for the `Sleep` itself. `armed` holds the deadlines of the
//! timers that are out. A new one is set only if it is earlier than all of them, so `armed` is a stack.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::poll_fn;
use madsim::time::{Instant, Sleep, TimeHandle};

use super::core::Shared;
use super::timers::Alarm;

/// Most events that the pump handles before it lets other tasks run.
const PUMP_BATCH_MAX: usize = 1_024;
/// Deadlines beyond this (about 290 years) never come.
const FAR_NS: u64 = u64::MAX / 2;

/// Something that will happen.
pub(super) enum Event {
    /// A frame arrives over the link of this number.
    Deliver {
        link: u32,
        frame: Bytes,
    },
    Timer(Alarm),
    /// A disk operation of this process's machine ends.
    Disk {
        process: u32,
        operation: u64,
    },
}

struct Entry {
    at: u64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, because the heap yields the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// The heap of events, and the timers that wake the pump for them.
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u64,
    armed: Vec<u64>,
    pump: Option<Waker>,
    /// Sets madsim's timers; see the module.
    sleep: Sleep,
    /// The instant at which true time was 0.
    origin: Instant,
}

impl Queue {
    pub(super) fn new(time: &TimeHandle) -> Self {
        let origin = time.now_instant() - time.elapsed();
        let sleep = time.sleep(Duration::ZERO);
        Self { heap: BinaryHeap::new(), sequence: 0, armed: Vec::new(), pump: None, sleep, origin }
    }

    /// Makes `event` happen at true time `at`.
    pub(super) fn push(&mut self, at: u64, event: Event) {
        if at >= FAR_NS {
            return;
        }
        self.sequence += 1;
        self.heap.push(Entry { at, sequence: self.sequence, event });
        self.arm();
    }

    /// Takes out the next event that is due at `now`.
    fn pop_due(&mut self, now: u64) -> Option<Event> {
        if self.heap.peek()?.at > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.event)
    }

    /// Takes out every event that `doomed` picks, in the order in which they would have happened.
    pub(super) fn remove(&mut self, mut doomed: impl FnMut(&Event) -> bool) -> Vec<Event> {
        if !self.heap.iter().any(|entry| doomed(&entry.event)) {
            return Vec::new();
        }
        let (mut out, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.heap).into_vec().into_iter().partition(|entry| doomed(&entry.event));
        self.heap = rest.into();
        out.sort_by(|a, b| b.cmp(a));
        out.into_iter().map(|entry| entry.event).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Sets a timer for the earliest event, unless one is out that fires no later.
    fn arm(&mut self) {
        let (Some(next), Some(pump)) = (self.heap.peek().map(|entry| entry.at), &self.pump) else { return };
        if self.armed.last().is_some_and(|armed| *armed <= next) {
            return;
        }
        let mut sleep = Pin::new(&mut self.sleep);
        sleep.as_mut().reset(self.origin + Duration::from_nanos(next));
        if sleep.poll(&mut Context::from_waker(pump)).is_ready() {
            pump.wake_by_ref();
            return;
        }
        self.armed.push(next);
    }

    /// Forgets the timers that have fired, and learns how to wake the pump.
    fn awake(&mut self, now: u64, waker: &Waker) {
        while self.armed.last().is_some_and(|armed| *armed <= now) {
            self.armed.pop();
        }
        if !self.pump.as_ref().is_some_and(|pump| pump.will_wake(waker)) {
            self.pump = Some(waker.clone());
        }
    }
}

/// Runs for as long as the world does.
pub(super) async fn pump(shared: Arc<Shared>) {
    let mut wakers = Vec::new();
    poll_fn(|context| -> Poll<()> {
        pump_once(&shared, context.waker(), &mut wakers);
        // Woken outside the lock: a waker may run code of the task that it wakes.
        wakers.drain(..).for_each(Waker::wake);
        Poll::Pending
    })
    .await;
}

fn pump_once(shared: &Shared, waker: &Waker, wakers: &mut Vec<Waker>) {
    let now = shared.now_ns();
    let mut core = shared.lock();
    core.queue.awake(now, waker);
    for _ in 0..PUMP_BATCH_MAX {
        let Some(event) = core.queue.pop_due(now) else { break };
        let woken = match event {
            Event::Deliver { link, frame } => core.deliver(now, link, frame),
            Event::Timer(alarm) => core.fire_timer(now, alarm),
            Event::Disk { process, operation } => core.complete_disk(now, process, operation),
        };
        wakers.extend(woken);
    }
    core.queue.arm();
}
