//! Keys, kinds, targets and counters.

use std::collections::BTreeSet;

use stormglass_sim::plan::{FaultKind, RedisHarm, Scenario, SwarmSpec, expand, parse_schedule};

use super::everything::{every_effect, overfull_fault, scenario, targets};
use super::{assert_names_all, document, section};

/// The keys of a text in TOML as our code writes it: each on a line of its own, with its table and value.
fn keys(toml: &str) -> Vec<(String, String, String)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, value)) = line.split_once(" = ") {
            found.push((table.clone(), key.to_owned(), value.to_owned()));
        }
    }
    found
}

/// The names of all keys and tables of such a text.
fn words(toml: &str) -> BTreeSet<String> {
    let keys = keys(toml);
    let tables = keys.iter().flat_map(|(table, ..)| table.split('.').map(str::to_owned));
    let tables: Vec<String> = tables.filter(|table| !table.is_empty()).collect();
    keys.iter().map(|(_, key, _)| key.clone()).chain(tables).collect()
}

#[test]
fn every_key_of_a_scenario_is_documented() {
    let mut overfull = scenario();
    overfull.faults.push(overfull_fault());
    let words = words(&overfull.to_toml());
    assert!(words.len() > 50, "only {} keys were found: {words:?}", words.len());
    assert_names_all("scenarios.md", "key", words);
}

#[test]
fn every_key_of_a_schedule_is_documented() {
    let schedule = expand(&scenario(), 7);
    assert_eq!(parse_schedule("schedule.toml", &schedule.to_toml()).as_ref(), Ok(&schedule));
    let words = words(&schedule.to_toml());
    assert_names_all("scenarios.md", "key of a schedule", words.clone());
    let text = document("scenarios.md");
    let part = section(&text, "## Schedules");
    for key in ["format", "scenario", "claim", "seed", "at_us", "for_us", "pick", "action"] {
        assert!(words.contains(key), "a schedule has no {key} any more");
        assert!(part.contains(&format!("| `{key}` |")), "the part on schedules has no row for {key}");
    }
}

/// The third column of a key's row is its default, as our code writes it.
#[test]
fn every_default_is_the_one_of_the_code() {
    let text = document("scenarios.md");
    let defaults = Scenario { swarm: Some(SwarmSpec::default()), ..Scenario::default() };
    let mut compared = 0;
    for (table, key, value) in keys(&defaults.to_toml()) {
        if table.is_empty() || (table.as_str(), key.as_str()) == ("swarm", "kinds") {
            continue;
        }
        let part = section(&text, &format!("### `[{table}]`"));
        let row = part.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
        let row = row.unwrap_or_else(|| panic!("[{table}] has no row for {key}"));
        let stated = row.split('|').nth(3).unwrap_or_default().trim();
        assert_eq!(stated, format!("`{value}`"), "[{table}] {key}");
        compared += 1;
    }
    assert!(compared >= 30, "only {compared} defaults were compared");
}

#[test]
fn every_kind_of_fault_has_a_part_that_says_what_it_is() {
    let text = document("faults.md");
    for kind in FaultKind::ALL {
        let part = section(&text, &format!("## `{}`", kind.name()));
        for said in ["**Stands for**", "**Legal:**", "**Settings:**", "**Effect:**"] {
            assert!(part.contains(said), "{} says nothing of {said}", kind.name());
        }
        let settings = part.lines().find(|line| line.starts_with("**Settings:**")).unwrap_or_default();
        for setting in kind.settings() {
            assert!(settings.contains(&format!("`{setting}`")), "{} has no {setting}", kind.name());
        }
    }
    let legal = section(&text, "## `redis`").lines().find(|line| line.starts_with("**Legal:**"));
    let legal = legal.expect("the part has one");
    for harm in RedisHarm::ALL {
        assert!(legal.contains(&format!("`{}`:", harm.name())), "nothing is said of {}", harm.name());
    }
}

#[test]
fn every_target_is_documented() {
    let text = document("scenarios.md");
    let part = section(&text, "## Targets");
    for target in targets() {
        assert!(part.contains(&format!("| `{target}` |")), "the table of targets has no {target}");
    }
}

#[test]
fn every_counter_of_an_effect_is_documented() {
    let counters = every_effect().counters().into_iter().map(|(name, _)| name.to_owned());
    assert_names_all("faults.md", "counter", counters);
}
