//! Whether a fault's values and targets make sense in a given cluster.

use super::action::{Action, ActionError, wrong};
use super::{ClockProfile, ClusterSpec, FaultKind, Selector};

/// Longest delay that a degraded link may add: a minute.
const DELAY_US_MAX: u64 = 60_000_000;

impl Action {
    /// Judges values and targets in a cluster with such clocks.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self, cluster: &ClusterSpec, clocks: &ClockProfile) -> Result<(), ActionError> {
        for (setting, selector) in self.selectors() {
            self.check_selector(setting, selector, cluster)?;
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
            Self::ClockDrift { ppm, beyond_bound, .. } => {
                check_drift(*ppm, *beyond_bound, clocks.drift_ppm_max)
            }
            Self::Members { add, remove, learner, once_caught_up, .. } => {
                check_members(add.is_some(), remove.is_some(), *learner, *once_caught_up)
            }
            Self::Replace { target } => check_replaced(target, cluster),
            _ => Ok(()),
        }
    }

    fn check_selector(
        &self,
        setting: &'static str,
        selector: &Selector,
        cluster: &ClusterSpec,
    ) -> Result<(), ActionError> {
        let kind = self.kind();
        let (nodes, clients, in_all) = (cluster.nodes, cluster.clients, cluster.nodes_in_all());
        for part in selector.parts() {
            let missing = match part {
                Selector::Node(number) if !(1..=in_all).contains(number) => Some(("nodes", "node", in_all)),
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
        let may_be_others = kind == FaultKind::OneWay || (kind == FaultKind::Degrade && setting == "to");
        if parts.contains(&Selector::Others) && (!may_be_others || parts.len() > 1) {
            return Err(wrong(
                setting,
                "`others` stands alone, in `from` or `to` of a fault with two ends",
                TARGETS,
            ));
        }
        if parts.contains(&Selector::Each) && parts.len() > 1 {
            return Err(wrong(setting, "`each` stands alone", TARGETS));
        }
        if parts.contains(&Selector::Spare) {
            let hint = "`spare` is for `add`; name one that has joined by its number";
            if setting != "add" {
                return Err(wrong(setting, "nothing can be done to a `spare` but to add it", hint));
            }
            if cluster.spares == 0 {
                return Err(wrong(setting, "the cluster has no spare", SPARES));
            }
        }
        let nodes_only = kind.is_operation()
            || matches!(kind, FaultKind::PowerLoss | FaultKind::DiskStall | FaultKind::Redis);
        if nodes_only && selector.has_clients() {
            let message = format!("a fault of kind {} hits nodes only, not `{selector}`", kind.name());
            return Err(wrong(setting, message, "to harm a client, use kind = \"crash\" or \"pause\""));
        }
        if kind == FaultKind::DisconnectClients && selector.has_nodes() {
            let message = format!("a fault of kind disconnect-clients hits clients only, not `{selector}`");
            return Err(wrong(setting, message, "to cut off nodes, use kind = \"partition\""));
        }
        if matches!(kind, FaultKind::Partition | FaultKind::Flap) {
            check_sides(setting, selector, nodes, in_all)?;
        }
        if let Self::OneWay { from: Selector::Others, to: Selector::Others | Selector::All }
        | Self::OneWay { from: Selector::All, to: Selector::Others } = self
        {
            return Err(wrong("from", "one end leaves nobody for the other", TARGETS));
        }
        if let Self::Degrade { target: Selector::All, to: Some(Selector::Others), .. } = self {
            return Err(wrong("to", "one end leaves nobody for the other", TARGETS));
        }
        Ok(())
    }
}

const TARGETS: &str = "targets are leader, follower, followers, any, each, all, minority, majority, \
                       leader-and-minority, majority-without-leader, node-N, client, clients, \
                       half-of-clients, client-N, or some joined by +";

/// What to do where spares are wanting.
const SPARES: &str = "give it some with [cluster] spares = 1";

fn check_members(adds: bool, removes: bool, learner: bool, once_caught_up: bool) -> Result<(), ActionError> {
    if !adds && !removes {
        let hint = "give add or remove, for example remove = \"follower\"";
        return Err(wrong("kind", "this change changes nothing", hint));
    }
    let setting = if learner { "learner" } else { "once_caught_up" };
    if !adds && (learner || once_caught_up) {
        return Err(wrong(setting, format!("`{setting}` speaks of who is added"), "give add, too"));
    }
    if learner && once_caught_up {
        let hint = "leave one of the two out";
        return Err(wrong(setting, "a learner that stays one does not vote once it has caught up", hint));
    }
    Ok(())
}

/// Whose disks are lost is gone for ever: a majority must live, and a spare be there for each.
fn check_replaced(target: &Selector, cluster: &ClusterSpec) -> Result<(), ActionError> {
    let minority = cluster.nodes.saturating_sub(1) / 2;
    let mut lost: u64 = 0;
    for part in target.parts() {
        lost += match part {
            Selector::Leader | Selector::Follower | Selector::Any | Selector::Each | Selector::Node(_) => 1,
            Selector::Minority => minority,
            _ => {
                let hint = "use leader, follower, any, each, minority or node-N";
                return Err(wrong("target", format!("`{part}` may be more than a minority"), hint));
            }
        };
    }
    if lost > cluster.spares {
        let message = format!("there are {} spares for {lost} lost nodes", cluster.spares);
        return Err(wrong("target", message, SPARES));
    }
    if lost > minority {
        let message = format!("{lost} lost disks are no minority of {}", cluster.nodes);
        return Err(wrong("target", message, "a majority must keep its disks: lose fewer at a time"));
    }
    Ok(())
}

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
fn check_sides(
    setting: &'static str,
    selector: &Selector,
    nodes: u64,
    in_all: u64,
) -> Result<(), ActionError> {
    let parts = selector.parts();
    let named = (1..=in_all).all(|number| parts.contains(&Selector::Node(number)));
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
