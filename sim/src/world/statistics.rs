//! What a world did, in numbers.

/// Counters over a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorldStatistics {
    /// Frames that processes sent.
    pub frames_sent: u64,
    /// Bytes in those frames.
    pub bytes_sent: u64,
    /// Frames that reached an inbox, doubles included.
    pub frames_delivered: u64,
    /// Frames of which a double was made.
    pub frames_duplicated: u64,
    /// Frames that reached no inbox, by reason.
    pub frames_dropped: FramesDropped,
    /// Sleeps of processes that ran to their end.
    pub timers_fired: u64,
    /// Disk operations completed, syncs included.
    pub disk_operations: u64,
    /// Disk syncs completed.
    pub disk_syncs: u64,
    /// Processes started.
    pub starts: u64,
    /// Processes that died, by crash or by coming to an end.
    pub stops: u64,
    /// Events that nodes reported.
    pub node_events: u64,
}

/// Why frames were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramesDropped {
    /// The network profile's own loss.
    pub loss: u64,
    /// A link rule of the nemesis.
    pub rule: u64,
    /// The receiver's process was not running when the frame arrived.
    pub receiver_down: u64,
    /// The receiver's inbox was at its bound.
    pub inbox_full: u64,
    /// The link was at its bound.
    pub link_full: u64,
    /// Longer than an endpoint accepts.
    pub too_long: u64,
    /// There is no process of that address.
    pub no_such_receiver: u64,
}

impl FramesDropped {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.loss
            + self.rule
            + self.receiver_down
            + self.inbox_full
            + self.link_full
            + self.too_long
            + self.no_such_receiver
    }
}
