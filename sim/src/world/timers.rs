//! Sleeps: of processes, by their own clocks, and of the supervisor, by true time.
//!
//! A sleep is registered when it is first polled and forgotten when it is dropped, so a cancelled one
//! leaves nothing but an event that no longer finds its timer; those are swept when they become many.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use stormglass_nodes::ids::LocalTime;
use stormglass_nodes::marks;

use super::core::{Core, Shared};
use super::kernel::Event;
use super::trace::TraceKind;
use crate::history::VirtualTime;

/// Events of cancelled timers that are tolerated in the queue; beyond, half of it at most may be such.
const STALE_MAX: usize = 1_024;

/// Names one registration of one sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimerKey {
    slot: u32,
    generation: u32,
}

/// Names one attempt to wake a sleep. A change of its clock makes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alarm {
    slot: u32,
    stamp: u64,
}

/// Whose time a sleep goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sleeper {
    /// True time, in nanoseconds.
    Supervisor,
    /// The local time, in microseconds, of one run of a process.
    Process { process: u32, incarnation: u32 },
}

#[derive(Default)]
struct Slot {
    generation: u32,
    /// Nothing if the slot is free.
    timer: Option<Timer>,
}

struct Timer {
    sleeper: Sleeper,
    deadline: u64,
    waker: Waker,
    /// The alarm that counts; earlier ones are stale.
    stamp: u64,
}

/// All registered timers.
#[derive(Default)]
pub(super) struct Timers {
    slots: Vec<Slot>,
    free: Vec<u32>,
    stamp: u64,
    /// Alarms in the queue whose timer is gone.
    stale: usize,
}

impl Timers {
    fn insert(&mut self, timer: Timer) -> TimerKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 sleeps at a time")
        });
        let place = &mut self.slots[slot as usize];
        place.timer = Some(timer);
        TimerKey { slot, generation: place.generation }
    }

    fn get_mut(&mut self, key: TimerKey) -> Option<&mut Timer> {
        let slot = &mut self.slots[key.slot as usize];
        if slot.generation == key.generation { slot.timer.as_mut() } else { None }
    }

    fn take(&mut self, slot: u32) -> Option<Timer> {
        let place = &mut self.slots[slot as usize];
        let timer = place.timer.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot);
        Some(timer)
    }

    fn is_current(&self, alarm: Alarm) -> bool {
        self.slots[alarm.slot as usize].timer.as_ref().is_some_and(|timer| timer.stamp == alarm.stamp)
    }

    fn of_process(&self, process: u32) -> Vec<u32> {
        let is_its =
            |timer: &Timer| matches!(timer.sleeper, Sleeper::Process { process: p, .. } if p == process);
        (self.slots.iter().enumerate())
            .filter(|(_, slot)| slot.timer.as_ref().is_some_and(is_its))
            .map(|(slot, _)| slot as u32)
            .collect()
    }
}

impl Core {
    /// The true time at which a sleep ends.
    fn due(&self, sleeper: Sleeper, deadline: u64) -> u64 {
        match sleeper {
            Sleeper::Supervisor => deadline,
            Sleeper::Process { process, .. } => {
                self.processes[process as usize].clock.true_time(LocalTime(deadline)).0
            }
        }
    }

    pub(super) fn fire_timer(&mut self, now: u64, alarm: Alarm) -> Option<Waker> {
        if !self.timers.is_current(alarm) {
            self.timers.stale = self.timers.stale.saturating_sub(1);
            return None;
        }
        let timer = self.timers.take(alarm.slot)?;
        if let Sleeper::Process { process, .. } = timer.sleeper {
            self.statistics.timers_fired += 1;
            self.tracer.record_of(now, TraceKind::Timer, self.name(process), timer.deadline);
        }
        Some(timer.waker)
    }

    /// Registers a sleep, and sets its first alarm.
    fn start_timer(&mut self, sleeper: Sleeper, deadline: u64, waker: Waker) -> TimerKey {
        let key = self.timers.insert(Timer { sleeper, deadline, waker, stamp: 0 });
        self.set_alarm(key.slot);
        key
    }

    fn set_alarm(&mut self, slot: u32) {
        self.timers.stamp += 1;
        let stamp = self.timers.stamp;
        let Some(timer) = &mut self.timers.slots[slot as usize].timer else { return };
        timer.stamp = stamp;
        let (sleeper, deadline) = (timer.sleeper, timer.deadline);
        let at = self.due(sleeper, deadline);
        self.queue.push(at, Event::Timer(Alarm { slot, stamp }));
    }

    fn cancel_timer(&mut self, slot: u32) {
        if self.timers.take(slot).is_none() {
            return;
        }
        self.timers.stale += 1;
        if self.timers.stale > STALE_MAX && self.timers.stale > self.queue.len() / 2 {
            marks::hit("world.stale_alarms_swept");
            let timers = &self.timers;
            self.queue.remove(|event| matches!(event, Event::Timer(alarm) if !timers.is_current(*alarm)));
            self.timers.stale = 0;
        }
    }

    /// Forgets the sleeps of a process that died.
    pub(super) fn cancel_timers_of(&mut self, process: u32) {
        for slot in self.timers.of_process(process) {
            self.cancel_timer(slot);
        }
    }

    /// Moves the sleeps of a process to where its changed clock puts them.
    pub(super) fn reschedule_timers_of(&mut self, process: u32) {
        for slot in self.timers.of_process(process) {
            self.timers.stale += 1;
            self.set_alarm(slot);
        }
    }
}

/// A pending sleep. Never ends if its process has died.
pub(super) struct Sleep {
    shared: Arc<Shared>,
    sleeper: Sleeper,
    deadline: u64,
    key: Option<TimerKey>,
}

impl Sleep {
    pub(super) fn new(shared: Arc<Shared>, sleeper: Sleeper, deadline: u64) -> Self {
        Self { shared, sleeper, deadline, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let now = this.shared.now_ns();
        let mut guard = this.shared.lock();
        let core = &mut *guard;
        let reached = match this.sleeper {
            Sleeper::Supervisor => now,
            Sleeper::Process { process, incarnation } => {
                if !core.is_alive(process, incarnation) {
                    return Poll::Pending;
                }
                core.processes[process as usize].clock.local(VirtualTime(now)).0
            }
        };
        if reached >= this.deadline {
            return Poll::Ready(());
        }
        if let Some(timer) = this.key.and_then(|key| core.timers.get_mut(key)) {
            timer.waker.clone_from(context.waker());
            return Poll::Pending;
        }
        this.key = Some(core.start_timer(this.sleeper, this.deadline, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let mut core = self.shared.lock();
            if core.timers.get_mut(key).is_some() {
                core.cancel_timer(key.slot);
            }
        }
    }
}
