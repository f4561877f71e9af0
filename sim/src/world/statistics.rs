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
    /// Of these, entries of the log applied: each once by every node.
    pub entries_applied: u64,
    /// What near-caches counted, all of them together.
    pub near: NearCounts,
}

/// What the near-caches of one process counted over its life, or those of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NearCounts {
    /// Reads answered from a line at once.
    pub hits: u64,
    /// Reads that found no line.
    pub misses: u64,
    /// Of these, reads that joined a question which was open already.
    pub joined: u64,
    /// Questions sent to a leader, renewals included.
    pub asks: u64,
    /// Of these, questions for a line whose lease was about to end.
    pub renewals: u64,
    /// Lines taken.
    pub grants: u64,
    /// Rounds by which leaders made sure of their leadership before they granted.
    pub rounds: u64,
    /// Invalidations received.
    pub invalidations: u64,
    /// Recalls received.
    pub recalls: u64,
    /// Lines dropped for want of room.
    pub evictions: u64,
    /// Writes that had to wait for a line or a recall.
    pub writes_held_back: u64,
    /// Lines given up for writes from where they were held.
    pub surrenders: u64,
}

impl NearCounts {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            joined: self.joined + other.joined,
            asks: self.asks + other.asks,
            renewals: self.renewals + other.renewals,
            grants: self.grants + other.grants,
            rounds: self.rounds + other.rounds,
            invalidations: self.invalidations + other.invalidations,
            recalls: self.recalls + other.recalls,
            evictions: self.evictions + other.evictions,
            writes_held_back: self.writes_held_back + other.writes_held_back,
            surrenders: self.surrenders + other.surrenders,
        }
    }
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
