//! What the world is like when nothing is wrong: the network, the disks and the clocks of a run.
//!
//! Faults are added on top by the nemesis. The defaults are those of machines in one room: a switched
//! network and solid-state disks.

use serde::{Deserialize, Serialize};

/// How frames travel between two processes. Each direction of each pair draws for itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkProfile {
    /// Median one-way delay in microseconds. Default 200. No delay is below 1 microsecond.
    pub latency_us: u64,
    /// Mean of the exponential part of the delay, in microseconds. Default 100. The larger it is, the more
    /// frames overtake one another; 0 keeps every link in order.
    pub latency_tail_us: u64,
    /// Chance that a frame is lost, 0 to 1. Default 0.
    pub loss: f64,
    /// Chance that a frame arrives twice, 0 to 1. Default 0.
    pub duplicate: f64,
}

impl Default for NetworkProfile {
    fn default() -> Self {
        Self { latency_us: 200, latency_tail_us: 100, loss: 0.0, duplicate: 0.0 }
    }
}

/// How long disks take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskProfile {
    /// Mean time of every operation but a sync (they meet the page cache only), in microseconds, drawn
    /// evenly from half of it to one and a half. Default 10.
    pub write_us: u64,
    /// Shortest time of a sync, in microseconds. Default 500.
    pub sync_us: u64,
    /// Mean of the exponential part that is added to it, in microseconds. Default 300.
    pub sync_tail_us: u64,
}

impl Default for DiskProfile {
    fn default() -> Self {
        Self { write_us: 10, sync_us: 500, sync_tail_us: 300 }
    }
}

/// How well clocks go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockProfile {
    /// Each clock's rate is off by a value drawn evenly from minus to plus this many parts per million.
    /// Default 100, which is what cheap crystals promise.
    pub drift_ppm_max: u64,
}

impl Default for ClockProfile {
    fn default() -> Self {
        Self { drift_ppm_max: 100 }
    }
}
