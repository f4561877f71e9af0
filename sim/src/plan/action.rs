//! A fault with all its settings, typed: what a schedule holds and the nemesis carries out.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{FaultKind, FaultSpec, RedisHarm, Selector};

/// How long a flapping link is cut, and whole, by default.
const FLAP_MS_DEFAULT: u64 = 200;

/// What a fault does and to whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Kills processes and starts them again at the end.
    Crash {
        /// The nodes or clients.
        target: Selector,
    },
    /// Cuts the power of nodes and starts them again at the end.
    PowerLoss {
        /// The nodes.
        target: Selector,
    },
    /// Stops processes where they stand and lets them go on at the end.
    Pause {
        /// The nodes or clients.
        target: Selector,
    },
    /// Cuts every link between a process of one side and a node that is not on it. Clients that are not
    /// named reach both sides.
    Partition {
        /// One side.
        target: Selector,
    },
    /// Drops the frames from one side to another.
    OneWay {
        /// The senders.
        from: Selector,
        /// The receivers.
        to: Selector,
    },
    /// A partition that comes and goes.
    Flap {
        /// One side.
        target: Selector,
        /// How long it is there each time.
        down_ms: u64,
        /// How long it is gone in between.
        up_ms: u64,
    },
    /// Makes links from and to some processes slow, lossy, doubling or reordering.
    Degrade {
        /// The processes.
        target: Selector,
        /// The receivers whose links from the target are harmed, in that direction only; absent: every link
        /// of the target, both ways.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Selector>,
        /// Chance of loss per frame.
        loss: f64,
        /// Chance of doubling per frame.
        duplicate: f64,
        /// Added delay.
        delay_us: u64,
        /// Greatest further random delay.
        jitter_us: u64,
    },
    /// Cuts clients from all nodes.
    DisconnectClients {
        /// The clients.
        target: Selector,
    },
    /// Holds up every operation of a node's disk.
    DiskStall {
        /// The nodes.
        target: Selector,
    },
    /// Makes clocks run fast or slow.
    ClockDrift {
        /// The nodes or clients.
        target: Selector,
        /// Parts per million; slow if negative.
        ppm: i64,
        /// Whether more than the stated bound is meant.
        beyond_bound: bool,
    },
    /// An operator has the leadership handed over.
    Transfer {
        /// To whom; absent: to whoever is furthest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Selector>,
    },
    /// An operator changes the members.
    Members {
        /// Who is added.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        add: Option<Selector>,
        /// Who is removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remove: Option<Selector>,
        /// Whether who is added does not vote.
        learner: bool,
        /// Whether who is added votes only once it has caught up.
        once_caught_up: bool,
        /// Whether all of it is one change, through a joint state.
        joint: bool,
    },
    /// Nodes lose their disks for good; an operator puts spares in their places.
    Replace {
        /// The nodes.
        target: Selector,
    },
    /// An operator stops node after node and starts it again as a newer program.
    Upgrade {
        /// The nodes.
        target: Selector,
    },
    /// Harms the Redis servers that nodes keep their logs in.
    Redis {
        /// The nodes.
        target: Selector,
        /// What becomes of their servers.
        harm: RedisHarm,
    },
}

/// What is wrong with a fault's settings, and with which one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct ActionError {
    /// The setting.
    pub setting: &'static str,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

pub(super) fn wrong(
    setting: &'static str,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> ActionError {
    ActionError { setting, message: message.into(), hint: hint.into() }
}

impl Action {
    /// The typed form of a scenario's fault.
    ///
    /// # Errors
    /// If a setting does not belong to the kind or a needed one is missing. Values are judged by
    /// [`Action::check`].
    pub fn from_spec(spec: &FaultSpec) -> Result<Self, ActionError> {
        let kind = spec.kind;
        if let Some(stray) = spec.settings_present().into_iter().find(|name| !kind.settings().contains(name))
        {
            let takes = kind.settings().join(", ");
            let message = format!("`{stray}` means nothing to a fault of kind {}", kind.name());
            return Err(wrong(
                stray,
                message,
                format!("it takes at_ms, for_ms, repeat, serves_within_ms, {takes}"),
            ));
        }
        let need = |setting: &'static str, selector: &Option<Selector>| {
            selector.clone().ok_or_else(|| {
                let message = format!("a fault of kind {} needs `{setting}`", kind.name());
                wrong(setting, message, format!("for example {setting} = \"leader\""))
            })
        };
        let target = || need("target", &spec.target);
        let target_or = |default: Selector| spec.target.clone().unwrap_or(default);
        Ok(match kind {
            FaultKind::Crash => Self::Crash { target: target()? },
            FaultKind::PowerLoss => Self::PowerLoss { target: target()? },
            FaultKind::Pause => Self::Pause { target: target()? },
            FaultKind::Partition => Self::Partition { target: target()? },
            FaultKind::OneWay => Self::OneWay {
                from: need("from", &spec.from)?,
                to: spec.to.clone().unwrap_or(Selector::Others),
            },
            FaultKind::Flap => Self::Flap {
                target: target()?,
                down_ms: spec.down_ms.unwrap_or(FLAP_MS_DEFAULT),
                up_ms: spec.up_ms.unwrap_or(FLAP_MS_DEFAULT),
            },
            FaultKind::Degrade => Self::Degrade {
                target: target_or(Selector::All),
                to: spec.to.clone(),
                loss: spec.loss.unwrap_or(0.0),
                duplicate: spec.duplicate.unwrap_or(0.0),
                delay_us: spec.delay_us.unwrap_or(0),
                jitter_us: spec.jitter_us.unwrap_or(0),
            },
            FaultKind::DisconnectClients => Self::DisconnectClients { target: target_or(Selector::Clients) },
            FaultKind::DiskStall => Self::DiskStall { target: target()? },
            FaultKind::ClockDrift => Self::ClockDrift {
                target: target()?,
                ppm: spec.ppm.ok_or_else(|| {
                    wrong("ppm", "a fault of kind clock-drift needs `ppm`", "for example ppm = -80")
                })?,
                beyond_bound: spec.beyond_bound.unwrap_or(false),
            },
            FaultKind::Transfer => Self::Transfer { to: spec.to.clone() },
            FaultKind::Members => Self::Members {
                add: spec.add.clone(),
                remove: spec.remove.clone(),
                learner: spec.learner.unwrap_or(false),
                once_caught_up: spec.once_caught_up.unwrap_or(false),
                joint: spec.joint.unwrap_or(false),
            },
            FaultKind::Replace => Self::Replace { target: target()? },
            FaultKind::Upgrade => Self::Upgrade { target: target_or(Selector::All) },
            FaultKind::Redis => Self::Redis {
                target: target()?,
                harm: spec.harm.ok_or_else(|| {
                    wrong("harm", "a fault of kind redis needs `harm`", "for example harm = \"crash\"")
                })?,
            },
        })
    }

    /// The family.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Crash { .. } => FaultKind::Crash,
            Self::PowerLoss { .. } => FaultKind::PowerLoss,
            Self::Pause { .. } => FaultKind::Pause,
            Self::Partition { .. } => FaultKind::Partition,
            Self::OneWay { .. } => FaultKind::OneWay,
            Self::Flap { .. } => FaultKind::Flap,
            Self::Degrade { .. } => FaultKind::Degrade,
            Self::DisconnectClients { .. } => FaultKind::DisconnectClients,
            Self::DiskStall { .. } => FaultKind::DiskStall,
            Self::ClockDrift { .. } => FaultKind::ClockDrift,
            Self::Transfer { .. } => FaultKind::Transfer,
            Self::Members { .. } => FaultKind::Members,
            Self::Replace { .. } => FaultKind::Replace,
            Self::Upgrade { .. } => FaultKind::Upgrade,
            Self::Redis { .. } => FaultKind::Redis,
        }
    }

    /// Its selectors, by the setting that holds each.
    #[must_use]
    pub fn selectors(&self) -> Vec<(&'static str, &Selector)> {
        match self {
            Self::OneWay { from, to } => vec![("from", from), ("to", to)],
            Self::Transfer { to } => to.iter().map(|to| ("to", to)).collect(),
            Self::Degrade { target, to, .. } => {
                let to = to.iter().map(|to| ("to", to));
                std::iter::once(("target", target)).chain(to).collect()
            }
            Self::Members { add, remove, .. } => {
                let added = add.iter().map(|add| ("add", add));
                added.chain(remove.iter().map(|remove| ("remove", remove))).collect()
            }
            Self::Crash { target }
            | Self::PowerLoss { target }
            | Self::Pause { target }
            | Self::Partition { target }
            | Self::Flap { target, .. }
            | Self::DisconnectClients { target }
            | Self::DiskStall { target }
            | Self::Replace { target }
            | Self::Upgrade { target }
            | Self::Redis { target, .. }
            | Self::ClockDrift { target, .. } => vec![("target", target)],
        }
    }

    /// Puts `selector` in the place of `each`.
    pub(super) fn replace_each(&mut self, selector: &Selector) {
        let replace = |place: &mut Selector| {
            if *place == Selector::Each {
                *place = selector.clone();
            }
        };
        match self {
            Self::OneWay { from, to } => {
                replace(from);
                replace(to);
            }
            Self::Transfer { to } => to.iter_mut().for_each(replace),
            Self::Degrade { target, to, .. } => std::iter::once(target).chain(to).for_each(replace),
            Self::Members { add, remove, .. } => add.iter_mut().chain(remove).for_each(replace),
            Self::Crash { target }
            | Self::PowerLoss { target }
            | Self::Pause { target }
            | Self::Partition { target }
            | Self::Flap { target, .. }
            | Self::DisconnectClients { target }
            | Self::DiskStall { target }
            | Self::Replace { target }
            | Self::Upgrade { target }
            | Self::Redis { target, .. }
            | Self::ClockDrift { target, .. } => replace(target),
        }
    }
}
