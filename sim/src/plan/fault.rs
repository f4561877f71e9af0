//! One entry of `[[faults]]`, as a person writes it: flat, every field but `kind` and `at_ms` optional.

use serde::{Deserialize, Serialize};

use super::{MsSpan, Selector, selector};

/// The families of faults. Each has a file in `nemesis/` that says what is legal and what counts as effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The process is killed; the machine and its page cache live on.
    Crash,
    /// The machine loses power: what was not synced may be lost.
    PowerLoss,
    /// The process stands still while its clock goes on.
    Pause,
    /// Links are cut in both directions.
    Partition,
    /// Links are cut in one direction.
    OneWay,
    /// Links are cut and healed, again and again.
    Flap,
    /// Links lose, double, delay and reorder frames.
    Degrade,
    /// Clients are cut from all nodes.
    DisconnectClients,
    /// A disk answers nothing for a while.
    DiskStall,
    /// A clock runs fast or slow.
    ClockDrift,
    /// An operator has the leadership handed over.
    Transfer,
    /// An operator changes the members.
    Members,
    /// A node loses its disk for good, and an operator puts a spare in its place.
    Replace,
    /// An operator stops node after node and starts it again as a newer program.
    Upgrade,
    /// The Redis servers that nodes keep their logs in are harmed.
    Redis,
}

/// What becomes of a Redis server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedisHarm {
    /// The process is killed.
    Crash,
    /// The machine loses power: what the server has not synced may be lost.
    PowerLoss,
    /// The process stands still.
    Pause,
    /// The disk under it finishes nothing: what is to be synced waits, and whoever asked for it.
    Stall,
    /// The node and its server do not reach each other.
    Cut,
    /// Node and server lose power, and the server comes back without its files.
    Empty,
}

impl RedisHarm {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Crash, Self::PowerLoss, Self::Pause, Self::Stall, Self::Cut, Self::Empty];

    /// Its name in a scenario.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::PowerLoss => "power-loss",
            Self::Pause => "pause",
            Self::Stall => "stall",
            Self::Cut => "cut",
            Self::Empty => "empty",
        }
    }
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Crash,
        Self::PowerLoss,
        Self::Pause,
        Self::Partition,
        Self::OneWay,
        Self::Flap,
        Self::Degrade,
        Self::DisconnectClients,
        Self::DiskStall,
        Self::ClockDrift,
        Self::Transfer,
        Self::Members,
        Self::Replace,
        Self::Upgrade,
        Self::Redis,
    ];

    /// Whether an operator does it: it wants something of the cluster, instead of harming it.
    #[must_use]
    pub const fn is_operation(self) -> bool {
        matches!(self, Self::Transfer | Self::Members | Self::Replace | Self::Upgrade)
    }

    /// Its name in a scenario.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::PowerLoss => "power-loss",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::OneWay => "one-way",
            Self::Flap => "flap",
            Self::Degrade => "degrade",
            Self::DisconnectClients => "disconnect-clients",
            Self::DiskStall => "disk-stall",
            Self::ClockDrift => "clock-drift",
            Self::Transfer => "transfer",
            Self::Members => "members",
            Self::Replace => "replace",
            Self::Upgrade => "upgrade",
            Self::Redis => "redis",
        }
    }

    /// The settings that it takes besides `at_ms`, `for_ms`, `serves_within_ms` and `repeat`.
    #[must_use]
    pub const fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Crash
            | Self::PowerLoss
            | Self::Pause
            | Self::Partition
            | Self::DisconnectClients
            | Self::DiskStall
            | Self::Replace
            | Self::Upgrade => &["target"],
            Self::OneWay => &["from", "to"],
            Self::Flap => &["target", "down_ms", "up_ms"],
            Self::Degrade => &["target", "to", "loss", "duplicate", "delay_us", "jitter_us"],
            Self::ClockDrift => &["target", "ppm", "beyond_bound"],
            Self::Transfer => &["to"],
            Self::Members => &["add", "remove", "learner", "once_caught_up", "joint"],
            Self::Redis => &["target", "harm"],
        }
    }
}

/// One fault of a scenario. Which settings belong to which kind: [`FaultKind::settings`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// The family.
    pub kind: FaultKind,
    /// When it begins, in milliseconds since the run began.
    pub at_ms: MsSpan,
    /// How long it lasts, in milliseconds, 1 or more.
    pub for_ms: MsSpan,
    /// Whom it hits. Default: `all` for `degrade` and `upgrade`, `clients` for `disconnect-clients`; required
    /// elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Selector>,
    /// `one-way`: whose frames are lost. Required there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Selector>,
    /// `one-way`: on the way to whom; default `others`. `degrade`: only frames that go from the target there
    /// are harmed; default every frame from and to the target. `transfer`: who is to lead; default whoever is
    /// furthest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Selector>,
    /// `flap`: how long the links are cut each time, in milliseconds, 1 or more. Default 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_ms: Option<u64>,
    /// `flap`: how long they are whole in between, in milliseconds, 1 or more. Default 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_ms: Option<u64>,
    /// `degrade`: chance that a frame is lost, 0 to 1. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// `degrade`: chance that a frame arrives twice, 0 to 1. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<f64>,
    /// `degrade`: added to every delay, in microseconds, up to a minute. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_us: Option<u64>,
    /// `degrade`: a further delay drawn evenly from 0 to this for each frame, so that frames overtake one
    /// another, in microseconds, up to a minute. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_us: Option<u64>,
    /// `clock-drift`: by how many parts per million the clock runs fast; slow if negative. Required there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ppm: Option<i64>,
    /// `clock-drift`: allows more than `clocks.drift_ppm_max`, beyond what the nodes are built for.
    /// Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond_bound: Option<bool>,
    /// `members`: who is added; numbers in a list, or a target.
    #[serde(
        default,
        deserialize_with = "selector::numbers_or_target",
        skip_serializing_if = "Option::is_none"
    )]
    pub add: Option<Selector>,
    /// `members`: who is removed; numbers in a list, or a target.
    #[serde(
        default,
        deserialize_with = "selector::numbers_or_target",
        skip_serializing_if = "Option::is_none"
    )]
    pub remove: Option<Selector>,
    /// `members`: who is added does not vote. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learner: Option<bool>,
    /// `members`: who is added votes once it has caught up, and not at once. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once_caught_up: Option<bool>,
    /// `members`: all in one change through a joint state, and not one by one. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<bool>,
    /// `redis`: what becomes of the servers. Required there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<RedisHarm>,
    /// The cluster serves although the fault lasts: from so many milliseconds after its begin on, and as long
    /// as it lasts, each operation is answered within the same time. Default: that is not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves_within_ms: Option<u64>,
    /// Makes it happen again. Default: once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
}

/// `repeat = { times = 5, every_ms = 3000 }`: further occurrences of a fault. Each draws its own times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// How often in all, 1 or more.
    pub times: u64,
    /// Milliseconds from the begin of one to the begin of the next, before their own draws; 1 or more.
    pub every_ms: u64,
}

impl FaultSpec {
    /// A fault with no setting but its kind and times.
    #[must_use]
    pub const fn new(kind: FaultKind, at_ms: MsSpan, for_ms: MsSpan) -> Self {
        Self {
            kind,
            at_ms,
            for_ms,
            target: None,
            from: None,
            to: None,
            down_ms: None,
            up_ms: None,
            loss: None,
            duplicate: None,
            delay_us: None,
            jitter_us: None,
            ppm: None,
            beyond_bound: None,
            add: None,
            remove: None,
            learner: None,
            once_caught_up: None,
            joint: None,
            harm: None,
            serves_within_ms: None,
            repeat: None,
        }
    }

    /// How often it happens.
    #[must_use]
    pub fn times(&self) -> u64 {
        self.repeat.map_or(1, |repeat| repeat.times)
    }

    /// The names of the settings that are present, besides times and repetition.
    #[must_use]
    pub fn settings_present(&self) -> Vec<&'static str> {
        let all = [
            ("target", self.target.is_some()),
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
            ("down_ms", self.down_ms.is_some()),
            ("up_ms", self.up_ms.is_some()),
            ("loss", self.loss.is_some()),
            ("duplicate", self.duplicate.is_some()),
            ("delay_us", self.delay_us.is_some()),
            ("jitter_us", self.jitter_us.is_some()),
            ("ppm", self.ppm.is_some()),
            ("beyond_bound", self.beyond_bound.is_some()),
            ("add", self.add.is_some()),
            ("remove", self.remove.is_some()),
            ("learner", self.learner.is_some()),
            ("once_caught_up", self.once_caught_up.is_some()),
            ("joint", self.joint.is_some()),
            ("harm", self.harm.is_some()),
        ];
        all.into_iter().filter_map(|(name, present)| present.then_some(name)).collect()
    }
}
