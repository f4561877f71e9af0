//! What the network endpoint did, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// A reading of an endpoint's counters. They only rise.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct NetCounts { $($(#[doc = $doc])* pub $name: u64,)* }

        /// The counters.
        #[derive(Debug, Default)]
        pub(super) struct Counters { $(pub(super) $name: Counter,)* }

        impl Counters {
            pub(super) fn read(&self) -> NetCounts {
                NetCounts { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Frames handed to the system.
    frames_sent,
    /// Frames taken from the system and queued for the receiver.
    frames_received,
    /// Frames dropped because they are longer than any endpoint accepts.
    dropped_oversized,
    /// Frames dropped because the queue to their receiver was full.
    dropped_full,
    /// Frames dropped because there was no way to their receiver.
    dropped_unreachable,
    /// Connections opened to nodes.
    connections_dialed,
    /// Connections accepted, from processes that said who they are.
    connections_accepted,
    /// Connections closed because they did not open with a proper hello to this process.
    refused_garbage,
    /// Connections closed because of a frame that cannot be understood, or that its sender has no business to send.
    refused_nonsense,
    /// Connections closed because of a frame that claims to be too long.
    refused_oversized,
    /// Connections closed because no hello came in time.
    refused_silent,
    /// Connections closed because there were too many.
    refused_crowded,
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}
