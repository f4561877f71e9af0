//! Properties of scenarios, schedules, and of the expansion between them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::generators::scenario;
use super::{
    Action, ClusterSpec, FaultKind, FaultSpec, MsSpan, Repeat, Scenario, Schedule, Selector, SwarmSpec,
    expand, parse_scenario, parse_schedule,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scenario_survives_being_written_and_read(scenario in scenario()) {
        let read = parse_scenario("x.toml", &scenario.name, &scenario.to_toml());
        prop_assert_eq!(read, Ok(scenario));
    }

    #[test]
    fn a_schedule_survives_being_written_and_read(scenario in scenario(), seed: u64) {
        let schedule = expand(&scenario, seed);
        prop_assert_eq!(parse_schedule("x.toml", &schedule.to_toml()), Ok(schedule));
    }

    #[test]
    fn expansion_depends_on_nothing_but_scenario_and_seed(scenario in scenario(), seed: u64) {
        prop_assert_eq!(expand(&scenario, seed), expand(&scenario, seed));
    }

    #[test]
    fn every_fault_lies_within_the_faults_window_in_order(scenario in scenario(), seed: u64) {
        let schedule = expand(&scenario, seed);
        let asked: u64 = scenario.faults.iter().map(FaultSpec::times).sum();
        let dealt = schedule.faults.len() as u64 - asked;
        prop_assert!(dealt >= u64::from(scenario.swarm.is_some()));
        prop_assert!(dealt <= scenario.swarm.as_ref().map_or(0, |swarm| swarm.faults_max));
        prop_assert!(schedule.faults.is_sorted_by_key(|fault| fault.at_us));
        for fault in &schedule.faults {
            prop_assert!(fault.at_us >= scenario.timing.faults_from_ms * 1_000);
            prop_assert!(fault.until_us() <= scenario.timing.faults_until_ms * 1_000);
            prop_assert!(fault.for_us > 0);
        }
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,200}") {
        let _ = parse_scenario("x.toml", "x", &text);
        let _ = parse_schedule("x.toml", &text);
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_readers_panic(
        scenario in scenario(), seed: u64, at: prop::sample::Index, length in 0..20_usize, graft in "\\PC{0,6}",
    ) {
        for good in [scenario.to_toml(), expand(&scenario, seed).to_toml()] {
            let characters: Vec<char> = good.chars().collect();
            let begin = at.index(characters.len());
            let end = (begin + length).min(characters.len());
            let damaged: String =
                characters[..begin].iter().copied().chain(graft.chars()).chain(characters[end..].iter().copied()).collect();
            if let Err(error) = parse_scenario("x.toml", "x", &damaged) {
                prop_assert!(!error.rendered().is_empty() && !error.to_string().contains('\n'));
            }
            if let Err(error) = parse_schedule("x.toml", &damaged) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}

fn with_faults(faults: Vec<FaultSpec>) -> Scenario {
    Scenario { claim: "A test.".to_owned(), faults, ..Scenario::default() }
}

fn crash(target: Selector) -> FaultSpec {
    let mut spec =
        FaultSpec::new(FaultKind::Crash, MsSpan::between(6_000, 9_000), MsSpan::between(500, 2_000));
    spec.target = Some(target);
    spec
}

#[test]
fn seeds_differ() {
    let scenario = with_faults(vec![crash(Selector::Leader)]);
    let begins: BTreeSet<u64> = (0..100).map(|seed| expand(&scenario, seed).faults[0].at_us).collect();
    assert!(begins.len() > 95, "{} of 100", begins.len());
}

#[test]
fn another_fault_does_not_move_the_first() {
    let alone = expand(&with_faults(vec![crash(Selector::Leader)]), 7);
    let second = FaultSpec { at_ms: MsSpan::exactly(20_000), ..crash(Selector::Any) };
    let both = expand(&with_faults(vec![crash(Selector::Leader), second]), 7);
    assert_eq!(both.faults[0], alone.faults[0]);
}

#[test]
fn each_goes_round_all_nodes() {
    let mut spec = crash(Selector::Each);
    spec.repeat = Some(Repeat { times: 5, every_ms: 2_000 });
    let named: BTreeSet<String> = expand(&with_faults(vec![spec]), 3)
        .faults
        .iter()
        .map(|fault| fault.action.selectors()[0].1.to_string())
        .collect();
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["node-1", "node-2", "node-3", "node-4", "node-5"]);
}

/// How many of 300 seeds of the default swarm used each kind.
fn swarm_use() -> (BTreeMap<FaultKind, u32>, Vec<Schedule>) {
    let cluster = ClusterSpec { spares: 3, ..ClusterSpec::default() };
    let scenario = Scenario { swarm: Some(SwarmSpec::default()), cluster, ..with_faults(Vec::new()) };
    let schedules: Vec<Schedule> = (0..300).map(|seed| expand(&scenario, seed)).collect();
    let mut seeds_with = BTreeMap::new();
    for schedule in &schedules {
        let kinds: BTreeSet<FaultKind> = schedule.faults.iter().map(|fault| fault.action.kind()).collect();
        for kind in kinds {
            *seeds_with.entry(kind).or_insert(0) += 1;
        }
    }
    (seeds_with, schedules)
}

#[test]
fn a_swarm_uses_every_kind_in_some_seeds_and_leaves_it_out_in_others() {
    let (seeds_with, _) = swarm_use();
    for kind in SwarmSpec::default().kinds {
        let seeds = seeds_with.get(&kind).copied().unwrap_or(0);
        assert!((60..240).contains(&seeds), "{} in {seeds} of 300 seeds", kind.name());
    }
}

/// Whoever leaves makes room for whoever comes, and fewer disks are lost than there are spares.
#[test]
fn a_swarm_leaves_a_quorum_of_disks_and_a_spare_for_every_change() {
    for schedule in swarm_use().1 {
        let replaced =
            schedule.faults.iter().filter(|fault| fault.action.kind() == FaultKind::Replace).count();
        assert!(replaced < 3, "{replaced} of 3 spares");
        let operations = schedule.faults.iter().filter(|fault| fault.action.kind().is_operation());
        let spans: Vec<(u64, u64)> = operations.map(|fault| (fault.at_us, fault.until_us())).collect();
        assert!(spans.is_sorted_by(|one, next| one.1 <= next.0), "an operator does one thing at a time");
        for fault in &schedule.faults {
            if let Action::Members { add, remove, .. } = &fault.action {
                assert!(add.is_some() && remove.is_some(), "{fault:?}");
            }
        }
    }
}

#[test]
fn a_swarm_crashes_nodes_and_clients() {
    let (_, schedules) = swarm_use();
    let crashes =
        schedules.iter().flat_map(|schedule| &schedule.faults).filter_map(|fault| match &fault.action {
            Action::Crash { target } => Some(target.has_clients()),
            _ => None,
        });
    let (clients, nodes): (Vec<bool>, Vec<bool>) = crashes.partition(|of_clients| *of_clients);
    assert!(
        clients.len() > 20 && nodes.len() > clients.len(),
        "{} of clients, {}",
        clients.len(),
        nodes.len()
    );
}

#[test]
fn a_swarm_without_spares_changes_no_members() {
    let scenario = Scenario { swarm: Some(SwarmSpec::default()), ..with_faults(Vec::new()) };
    let kinds: BTreeSet<FaultKind> =
        (0..100).flat_map(|seed| expand(&scenario, seed).faults).map(|fault| fault.action.kind()).collect();
    assert!(kinds.contains(&FaultKind::Transfer));
    assert!(!kinds.contains(&FaultKind::Members) && !kinds.contains(&FaultKind::Replace));
}

#[test]
fn a_swarm_never_exceeds_the_clocks_stated_bound() {
    for fault in swarm_use().1.iter().flat_map(|schedule| &schedule.faults) {
        if let Action::ClockDrift { ppm, beyond_bound, .. } = &fault.action {
            assert!(ppm.unsigned_abs() <= 100 && !beyond_bound);
        }
    }
}

#[test]
fn swarm_true_false_and_a_table_are_understood() {
    let read = |text: &str| parse_scenario("x.toml", "x", text).unwrap().swarm;
    assert_eq!(read("claim = \"X.\"\nswarm = true"), Some(SwarmSpec::default()));
    assert_eq!(read("claim = \"X.\"\nswarm = false"), None);
    let table = read("claim = \"X.\"\n[swarm]\nfaults_max = 5\nkinds = [\"pause\"]").unwrap();
    assert_eq!(table, SwarmSpec { kinds: vec![FaultKind::Pause], faults_min: 4, faults_max: 5 });
}

#[test]
fn seeds_above_63_bits_are_kept() {
    for seed in [0, 7, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let schedule = expand(&with_faults(Vec::new()), seed);
        assert_eq!(parse_schedule("x.toml", &schedule.to_toml()).unwrap().seed, seed);
    }
}
