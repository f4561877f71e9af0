//! Every way in which linearizability is decided, against every other, on random histories.
//!
//! Small histories are judged by a checker too simple to be wrong; histories of 40 to 200 operations by the
//! depth-first search. A test runs until a rule has ruled on so many histories ([`small_count`],
//! [`long_count`]), not until so many were drawn. `STORMGLASS_FUZZ=40 cargo test --release -p stormglass-sim
//! --test linearizability_fuzz` makes forty times as many: a million and ten thousand for each rule.

mod brute;
mod cache_key;
mod compare;
mod generate;
mod worlds;

use cache_key::{CacheKey, with_vanishing};
use compare::{Tally, long_count, run_crowded, run_long, run_long_of_few, run_small, small_count};
use stormglass_sim::check::linearizability::{
    AppendModel, ExclusionModel, FifoModel, LockModel, Partition, PlainRegisterModel, RegisterModel,
};
use worlds::{Exclusion, Fifo, Locks, PlainRegister, Register, Text};

/// Histories that a rule is to have ruled on, for rules that have to be tried on a million.
fn assert_ruled(tally: &Tally, count: u64) {
    assert!(tally.ruled >= count, "{tally:?}");
    assert!(tally.ruled_linearizable * 20 > tally.ruled && tally.ruled_not * 20 > tally.ruled, "{tally:?}");
}

#[test]
fn the_rule_for_plain_registers_is_right() {
    let tally = run_small("blocks", PlainRegister::unique, |entries, judge| {
        judge.judge(&PlainRegisterModel, entries)
    });
    assert_ruled(&tally, small_count());
}

#[test]
fn the_rule_for_registers_with_versions_is_right() {
    let tally = run_small("versions", Register::new, |entries, judge| judge.judge(&RegisterModel, entries));
    assert_ruled(&tally, small_count());
}

#[test]
fn the_rule_for_queues_is_right() {
    let tally = run_small("fifo", Fifo::new, |entries, judge| judge.judge(&FifoModel, entries));
    assert_ruled(&tally, small_count());
}

#[test]
fn the_rule_for_mutexes_is_right() {
    let tally =
        run_small("exclusion", Exclusion::new, |entries, judge| judge.judge(&ExclusionModel, entries));
    assert_ruled(&tally, small_count());
}

#[test]
fn the_rule_for_locks_with_tokens_is_right() {
    let tally = run_small("tokens", Locks::new, |entries, judge| judge.judge(&LockModel, entries));
    assert_ruled(&tally, small_count());
    assert!(tally.followed >= small_count() / 16, "{tally:?}");
}

#[test]
fn the_frontier_and_the_search_are_right_where_no_rule_helps() {
    let plain = run_small("plain", PlainRegister::few_values, |entries, judge| {
        judge.judge(&PlainRegisterModel, entries)
    });
    let texts = run_small("texts", Text::new, |entries, judge| {
        let (model, mut partitions) = AppendModel::new(vec![Partition { name: "x".to_owned(), entries }]);
        judge.judge(&model, partitions.remove(0).entries);
    });
    for tally in [plain, texts] {
        assert!(tally.followed >= small_count() / 4, "{tally:?}");
    }
}

#[test]
fn the_frontier_and_the_search_are_right_about_keys_of_the_cache() {
    for (name, world) in [("keys", CacheKey::new as fn() -> CacheKey), ("counters", CacheKey::counter)] {
        let tally = run_small(name, world, |entries, judge| {
            let (model, entries) = with_vanishing(entries);
            judge.judge(&model, entries);
        });
        assert!(tally.followed >= small_count() / 4, "{tally:?}");
    }
}

#[test]
fn the_frontier_is_right_where_many_overwrite_at_a_time() {
    let plain = run_crowded("plain", PlainRegister::overwritten, |entries, judge| {
        judge.judge(&PlainRegisterModel, entries)
    });
    let texts = run_crowded("texts", Text::put, |entries, judge| {
        let (model, mut partitions) = AppendModel::new(vec![Partition { name: "x".to_owned(), entries }]);
        judge.judge(&model, partitions.remove(0).entries);
    });
    for tally in [plain, texts] {
        assert!(tally.followed >= small_count() / 4, "{tally:?}");
    }
}

/// Rules against the search on histories of 40 to 200 operations, of which the search decided nearly all.
fn assert_long(tally: &Tally) {
    assert!(tally.ruled >= long_count(), "{tally:?}");
    assert!(tally.undecided * 20 < tally.histories, "{tally:?}");
}

#[test]
fn long_histories_of_plain_registers_get_one_verdict_from_all() {
    assert_long(&run_long("blocks", PlainRegister::unique, |entries, judge| {
        judge.judge(&PlainRegisterModel, entries)
    }));
}

#[test]
fn long_histories_of_registers_with_versions_get_one_verdict_from_all() {
    assert_long(&run_long("versions", Register::new, |entries, judge| judge.judge(&RegisterModel, entries)));
}

#[test]
fn long_histories_of_queues_get_one_verdict_from_all() {
    let tally = run_long_of_few("fifo", Fifo::short, |entries, judge| judge.judge(&FifoModel, entries));
    assert_long(&tally);
    assert!(tally.ruled_linearizable * 20 > tally.ruled && tally.ruled_not * 20 > tally.ruled, "{tally:?}");
}

#[test]
fn long_histories_of_mutexes_get_one_verdict_from_all() {
    assert_long(&run_long("exclusion", Exclusion::ruled, |entries, judge| {
        judge.judge(&ExclusionModel, entries)
    }));
}

#[test]
fn long_histories_of_locks_get_one_verdict_from_all() {
    let tally = run_long("tokens", Locks::new, |entries, judge| judge.judge(&LockModel, entries));
    assert_long(&tally);
    assert!(tally.followed >= long_count() / 16, "{tally:?}");
}

#[test]
fn long_histories_that_no_rule_decides_get_one_verdict_from_all() {
    let plain = run_long("plain", PlainRegister::few_values, |entries, judge| {
        judge.judge(&PlainRegisterModel, entries)
    });
    let texts = run_long("texts", Text::new, |entries, judge| {
        let (model, mut partitions) = AppendModel::new(vec![Partition { name: "x".to_owned(), entries }]);
        judge.judge(&model, partitions.remove(0).entries);
    });
    let counters = run_long("counters", CacheKey::counter, |entries, judge| {
        let (model, entries) = with_vanishing(entries);
        judge.judge(&model, entries);
    });
    for tally in [plain, texts, counters] {
        assert!(tally.followed >= long_count() / 4, "{tally:?}");
    }
}
