//! What cannot be done to real processes. It is named before the run; nothing is left out in silence.

use std::collections::BTreeMap;

use crate::plan::{
    Action, ClockProfile, DiskProfile, FaultKind, NetworkProfile, RedisHarm, Schedule, StorageKind,
};

/// The shortest delay that a proxy can add: timers of the runtime go by the millisecond.
pub const LATENCY_US_MIN: u64 = 1_000;

/// Everything that a schedule asks for and a live run cannot do, each in a few words with the reason; empty if
/// it can be run.
#[must_use]
pub fn refusals(schedule: &Schedule) -> Vec<String> {
    let mut refusals = Vec::new();
    let mut kinds: BTreeMap<FaultKind, u64> = BTreeMap::new();
    for fault in &schedule.faults {
        *kinds.entry(fault.action.kind()).or_default() += 1;
    }
    for (kind, count) in kinds {
        if let Some(why) = why_not(kind) {
            refusals.push(format!("fault `{}` ({}): {why}", kind.name(), times(count)));
        }
    }
    let mut harms: BTreeMap<RedisHarm, u64> = BTreeMap::new();
    for fault in &schedule.faults {
        if let Action::Redis { harm, .. } = fault.action {
            *harms.entry(harm).or_default() += 1;
        }
    }
    for (harm, count) in harms {
        let why = if schedule.storage.kind == StorageKind::Redis {
            why_not_to_a_redis(harm)
        } else {
            Some("the nodes keep their logs in files")
        };
        if let Some(why) = why {
            refusals.push(format!("fault `redis` with harm `{}` ({}): {why}", harm.name(), times(count)));
        }
    }
    if schedule.faults.iter().any(|fault| kills_a_client(&fault.action)) {
        refusals.push("fault `crash` of a client: clients live in the process of the harness".to_owned());
    }
    if schedule.disk != DiskProfile::default() {
        refusals.push("`[disk]`: the disks are those of this machine, as fast as they are".to_owned());
    }
    if schedule.clocks != ClockProfile::default() {
        refusals.push("`[clocks]`: the processes of one machine share its clock".to_owned());
    }
    if !is_possible(&schedule.network) {
        refusals.push(format!(
            "`[network]`: a delay can be added from {LATENCY_US_MIN} us on; below, it is this machine's"
        ));
    }
    refusals
}

/// Why faults of this kind are beyond a live run; `None` if they are not.
const fn why_not(kind: FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::DiskStall => Some("a real disk cannot be stopped without root"),
        FaultKind::ClockDrift => Some("the processes of one machine share its clock"),
        FaultKind::Crash
        | FaultKind::PowerLoss
        | FaultKind::Pause
        | FaultKind::Partition
        | FaultKind::OneWay
        | FaultKind::Flap
        | FaultKind::Degrade
        | FaultKind::DisconnectClients
        | FaultKind::Transfer
        | FaultKind::Members
        | FaultKind::Replace
        | FaultKind::Upgrade
        | FaultKind::Redis => None,
    }
}

/// The same, of harm to a Redis server.
const fn why_not_to_a_redis(harm: RedisHarm) -> Option<&'static str> {
    match harm {
        RedisHarm::PowerLoss => Some("what a killed server has written survives in the system's page cache"),
        RedisHarm::Stall => Some("a real disk cannot be stopped without root"),
        RedisHarm::Crash | RedisHarm::Pause | RedisHarm::Cut | RedisHarm::Empty => None,
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn kills_a_client(action: &Action) -> bool {
    matches!(action, Action::Crash { target } if target.has_clients())
}

/// The default is taken for "a switched network nearby", which the loopback of this machine is.
fn is_possible(network: &NetworkProfile) -> bool {
    let nearby = NetworkProfile::default();
    let is_nearby =
        (network.latency_us, network.latency_tail_us) == (nearby.latency_us, nearby.latency_tail_us);
    is_nearby || network.latency_us >= LATENCY_US_MIN
}

#[cfg(test)]
mod tests {
    use super::refusals;
    use crate::plan::{Scenario, expand, parse_scenario};

    fn refused(text: &str) -> Vec<String> {
        let scenario: Scenario = parse_scenario("s.toml", "s", text).expect("it is a scenario");
        refusals(&expand(&scenario, 1))
    }

    #[test]
    fn all_that_is_impossible_is_named_at_once() {
        let text = r#"
            claim = "X."
            [disk]
            sync_us = 9_000
            [clocks]
            drift_ppm_max = 500
            [network]
            latency_us = 300
            [[faults]]
            kind = "power-loss"
            target = "any"
            at_ms = 6_000
            for_ms = 1_000
            [[faults]]
            kind = "disk-stall"
            target = "any"
            at_ms = 6_000
            for_ms = 1_000
            repeat = { times = 2, every_ms = 4_000 }
            [[faults]]
            kind = "clock-drift"
            target = "any"
            at_ms = 6_000
            for_ms = 1_000
            ppm = 100
            [[faults]]
            kind = "crash"
            target = "any"
            at_ms = 6_000
            for_ms = 1_000
        "#;
        let named: Vec<String> = refused(text)
            .iter()
            .map(|refusal| refusal.split(':').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            named,
            [
                "fault `disk-stall` (2 times)",
                "fault `clock-drift` (once)",
                "`[disk]`",
                "`[clocks]`",
                "`[network]`"
            ]
        );
    }

    #[test]
    fn a_redis_is_harmed_in_ways_that_a_real_server_can_be() {
        let of = |storage: &str, harm: &str| {
            let fault = format!(
                "[[faults]]\nkind = \"redis\"\nharm = \"{harm}\"\ntarget = \"any\"\nat_ms = 6_000\nfor_ms = 1_000\n"
            );
            let mut schedule = {
                let text = format!("claim = \"X.\"\n[storage]\nkind = \"redis\"\n{fault}");
                let scenario: Scenario = parse_scenario("s.toml", "s", &text).expect("it is a scenario");
                expand(&scenario, 1)
            };
            if storage == "wal" {
                schedule.storage = crate::plan::StorageSpec::default();
            }
            refusals(&schedule).len()
        };
        for (harm, refused) in
            [("crash", 0), ("pause", 0), ("cut", 0), ("empty", 0), ("power-loss", 1), ("stall", 1)]
        {
            assert_eq!(of("redis", harm), refused, "{harm}");
            assert_eq!(of("wal", harm), 1, "{harm}");
        }
    }

    #[test]
    fn what_signals_and_proxies_can_do_is_not_refused() {
        let text = r#"
            claim = "X."
            [network]
            latency_us = 5_000
            loss = 0.01
            [[faults]]
            kind = "crash"
            target = "leader"
            at_ms = 6_000
            for_ms = 1_000
            [[faults]]
            kind = "pause"
            target = "clients"
            at_ms = 6_000
            for_ms = 1_000
            [[faults]]
            kind = "degrade"
            loss = 0.5
            at_ms = 6_000
            for_ms = 1_000
        "#;
        assert_eq!(refused(text), Vec::<String>::new());
    }
}
