//! A fault with all its settings, typed: what a schedule holds and the nemesis carries out.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{FaultKind, FaultSpec, Selector};

/// Longest delay that a degraded link may add: a minute.
const DELAY_US_MAX: u64 = 60_000_000;
/// How long a flapping link is cut, and whole, by default.
const FLAP_MS_DEFAULT: u64 = 200;

/// What a fault does and to whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Kills processes of nodes and starts them again at the end.
    Crash {
        /// The nodes.
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
    /// Makes every link from and to some processes slow, lossy, doubling or reordering.
    Degrade {
        /// The processes.
        target: Selector,
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

fn wrong(setting: &'static str, message: impl Into<String>, hint: impl Into<String>) -> ActionError {
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
            return Err(wrong(stray, message, format!("it takes at_ms, for_ms, repeat, {takes}")));
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
        }
    }

    /// Its selectors, by the setting that holds each.
    #[must_use]
    pub fn selectors(&self) -> Vec<(&'static str, &Selector)> {
        match self {
            Self::OneWay { from, to } => vec![("from", from), ("to", to)],
            Self::Crash { target }
            | Self::PowerLoss { target }
            | Self::Pause { target }
            | Self::Partition { target }
            | Self::Flap { target, .. }
            | Self::Degrade { target, .. }
            | Self::DisconnectClients { target }
            | Self::DiskStall { target }
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
            Self::Crash { target }
            | Self::PowerLoss { target }
            | Self::Pause { target }
            | Self::Partition { target }
            | Self::Flap { target, .. }
            | Self::Degrade { target, .. }
            | Self::DisconnectClients { target }
            | Self::DiskStall { target }
            | Self::ClockDrift { target, .. } => replace(target),
        }
    }

    /// Judges values and targets in a cluster of so many nodes and clients whose clocks are said to drift
    /// by at most `drift_ppm_max`.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self, nodes: u64, clients: u64, drift_ppm_max: u64) -> Result<(), ActionError> {
        for (setting, selector) in self.selectors() {
            self.check_selector(setting, selector, nodes, clients)?;
        }
        match self {
            Self::Flap { down_ms, up_ms, .. } => {
                positive("down_ms", *down_ms)?;
                positive("up_ms", *up_ms)
            }
            Self::Degrade { loss, duplicate, delay_us, jitter_us, .. } => {
                probability("loss", *loss)?;
                probability("duplicate", *duplicate)?;
                delay("delay_us", *delay_us)?;
                delay("jitter_us", *jitter_us)?;
                if *loss == 0.0 && *duplicate == 0.0 && *delay_us == 0 && *jitter_us == 0 {
                    let hint = "give at least one of loss, duplicate, delay_us, jitter_us";
                    return Err(wrong("kind", "this degrade changes nothing", hint));
                }
                Ok(())
            }
            Self::ClockDrift { ppm, beyond_bound, .. } => check_drift(*ppm, *beyond_bound, drift_ppm_max),
            _ => Ok(()),
        }
    }

    fn check_selector(
        &self,
        setting: &'static str,
        selector: &Selector,
        nodes: u64,
        clients: u64,
    ) -> Result<(), ActionError> {
        let kind = self.kind();
        for part in selector.parts() {
            let missing = match part {
                Selector::Node(number) if !(1..=nodes).contains(number) => Some(("nodes", "node", nodes)),
                Selector::Client(number) if !(1..=clients).contains(number) => {
                    Some(("clients", "client", clients))
                }
                _ => None,
            };
            if let Some((plural, singular, count)) = missing {
                let message = format!("{part} does not exist: the cluster has {count} {plural}");
                return Err(wrong(setting, message, format!("use {singular}-1 to {singular}-{count}")));
            }
        }
        check_size(setting, selector, nodes)?;
        let parts = selector.parts();
        if parts.contains(&Selector::Others) && (kind != FaultKind::OneWay || parts.len() > 1) {
            return Err(wrong(
                setting,
                "`others` stands alone, in `from` or `to` of a one-way fault",
                TARGETS,
            ));
        }
        if parts.contains(&Selector::Each) && parts.len() > 1 {
            return Err(wrong(setting, "`each` stands alone", TARGETS));
        }
        let nodes_only = matches!(kind, FaultKind::Crash | FaultKind::PowerLoss | FaultKind::DiskStall);
        if nodes_only && selector.has_clients() {
            let message = format!("a fault of kind {} hits nodes only, not `{selector}`", kind.name());
            return Err(wrong(setting, message, "to stop a client, use kind = \"pause\""));
        }
        if kind == FaultKind::DisconnectClients && selector.has_nodes() {
            let message = format!("a fault of kind disconnect-clients hits clients only, not `{selector}`");
            return Err(wrong(setting, message, "to cut off nodes, use kind = \"partition\""));
        }
        if matches!(kind, FaultKind::Partition | FaultKind::Flap) {
            check_sides(setting, selector, nodes)?;
        }
        if let Self::OneWay { from: Selector::Others, to: Selector::Others | Selector::All }
        | Self::OneWay { from: Selector::All, to: Selector::Others } = self
        {
            return Err(wrong("from", "one end leaves nobody for the other", TARGETS));
        }
        Ok(())
    }
}

const TARGETS: &str = "targets are leader, follower, followers, any, each, all, minority, majority, \
                       leader-and-minority, majority-without-leader, node-N, client, clients, \
                       half-of-clients, client-N, or some joined by +";

/// Some selectors are empty in a very small cluster.
fn check_size(setting: &'static str, selector: &Selector, nodes: u64) -> Result<(), ActionError> {
    for part in selector.parts() {
        let nodes_min = match part {
            Selector::Minority => 3,
            Selector::Follower | Selector::Followers | Selector::MajorityWithoutLeader => 2,
            _ => 1,
        };
        if nodes < nodes_min {
            let message = format!("`{part}` is empty in a cluster of {nodes}");
            return Err(wrong(setting, message, format!("give the cluster {nodes_min} nodes or more")));
        }
    }
    Ok(())
}

/// A partition needs somebody on each side.
fn check_sides(setting: &'static str, selector: &Selector, nodes: u64) -> Result<(), ActionError> {
    let parts = selector.parts();
    let named = (1..=nodes).all(|number| parts.contains(&Selector::Node(number)));
    let whole = parts.contains(&Selector::All) || named;
    if whole || (nodes == 1 && selector.has_nodes()) {
        let hint = "name some of the nodes, such as minority; the rest are the other side";
        return Err(wrong(setting, format!("`{selector}` leaves nobody on the other side"), hint));
    }
    if nodes == 2 && parts == [Selector::Majority] {
        let hint = "in a cluster of two, use leader or follower";
        return Err(wrong(setting, "a majority of two nodes is both of them", hint));
    }
    Ok(())
}

fn positive(setting: &'static str, ms: u64) -> Result<(), ActionError> {
    if ms == 0 {
        return Err(wrong(setting, format!("`{setting}` cannot be 0"), "give 1 millisecond or more"));
    }
    Ok(())
}

fn probability(setting: &'static str, chance: f64) -> Result<(), ActionError> {
    if (0.0..=1.0).contains(&chance) {
        return Ok(());
    }
    let message = format!("`{setting}` is a probability, and {chance} is not from 0 to 1");
    Err(wrong(setting, message, "1 % is 0.01"))
}

fn delay(setting: &'static str, us: u64) -> Result<(), ActionError> {
    if us > DELAY_US_MAX {
        let message = format!("`{setting}` is {us} us: more than a minute");
        return Err(wrong(
            setting,
            message,
            "the unit is microseconds; for a longer silence use a partition",
        ));
    }
    Ok(())
}

fn check_drift(ppm: i64, beyond_bound: bool, drift_ppm_max: u64) -> Result<(), ActionError> {
    if ppm == 0 || ppm.unsigned_abs() > super::PPM_MAX {
        let message = format!("`ppm` is {ppm}: a drift is from 1 to {} either way", super::PPM_MAX);
        return Err(wrong("ppm", message, "1,000 ppm is a millisecond per second"));
    }
    if ppm.unsigned_abs() > drift_ppm_max && !beyond_bound {
        let message = format!("`ppm` is {ppm}, beyond the stated bound of {drift_ppm_max} ppm");
        return Err(wrong("ppm", message, "raise clocks.drift_ppm_max, or say beyond_bound = true"));
    }
    Ok(())
}
