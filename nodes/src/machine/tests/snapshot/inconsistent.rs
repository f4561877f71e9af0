//! Contradictions, one by one: each alters one thing in the snapshot of a sound state.

use super::image::{Image, Kept, Wanted};
use super::{bytes_of, furnished};
use crate::machine::{
    LEASE_US_MAX, LEASE_US_MIN, LockMode, Machine, NAME_BYTES_MAX, OPEN_BELOW_MAX, OPEN_COMMANDS_MAX, Reply,
    RestoreError, SESSIONS_MAX, VALUE_BYTES_MAX, WAIT_US_MAX,
};

/// Checks that the altered snapshot is refused, in these words.
fn refuses(alter: impl FnOnce(&mut Image), words: &str) {
    let sound = bytes_of(furnished().snapshot(), 64);
    let mut image = Image::of(&sound);
    alter(&mut image);
    let bytes = image.sealed();
    assert_ne!(bytes, sound, "it alters something");
    match Machine::restore(&bytes) {
        Err(RestoreError::Inconsistent(why)) => assert!(why.contains(words), "{why:?} lacks {words:?}"),
        other => panic!("expected {words:?}, got {:?}", other.map(|machine| machine.digest())),
    }
}

#[test]
fn the_sound_state_itself_is_accepted() {
    let bytes = Image::of(&bytes_of(furnished().snapshot(), 64)).sealed();
    assert_eq!(Machine::restore(&bytes).unwrap().digest(), furnished().digest());
}

#[test]
fn an_index_has_room_for_its_tokens_and_a_stamp_an_entry() {
    refuses(|image| image.index = 1 << 51, "no log reaches");
    let empty = |image: &mut Image| {
        (image.index, image.time) = (0, 1);
    };
    refuses(empty, "a stamp and no entry");
}

#[test]
fn no_lease_of_lines_is_longer_than_the_longest() {
    refuses(|image| image.near = Some((1, 1)), "the longest lease of lines was 0");
}

#[test]
fn sessions_are_in_order_and_opened_by_entries_that_were_applied() {
    refuses(|image| image.sessions.swap(0, 1), "sessions are out of order");
    refuses(|image| image.sessions[1].id = 1, "sessions are out of order");
    refuses(|image| image.sessions[0].id = 0, "a session is of the entry 0");
    refuses(|image| image.sessions[2].id = 11, "a session is of the entry 11");
}

#[test]
fn no_two_sessions_are_opened_under_one_name() {
    let both = |image: &mut Image| {
        image.sessions[0].opener = Some((7, 9));
        image.sessions[2].opener = Some((7, 9));
    };
    refuses(both, "s3 was opened under the name of an earlier session");
}

#[test]
fn leases_are_within_bounds_and_end_within_their_span() {
    refuses(|image| image.sessions[0].lease_us = LEASE_US_MIN - 1, "the lease of s1");
    refuses(|image| image.sessions[0].lease_us = LEASE_US_MAX + 1, "the lease of s1");
    refuses(|image| image.sessions[0].deadline = image.time + 10_000_001, "the end of a lease");
    refuses(|image| image.sessions[0].deadline = u64::MAX, "the end of a lease");
}

#[test]
fn outcomes_are_in_order_and_within_the_window_of_open_commands() {
    refuses(|image| image.sessions[2].outcomes.swap(0, 1), "outcomes are out of order");
    refuses(|image| image.sessions[2].lowest_open = 0, "no lowest open number");
    for no_list in [vec![0], vec![1], vec![7, 7]] {
        refuses(|image| image.sessions[2].open_below = no_list, "no sound list of open numbers");
    }
    refuses(|image| image.sessions[2].lowest_open = 2, "#1 is remembered, and #2 is the lowest open");
    let beyond = 1 + OPEN_COMMANDS_MAX as u64;
    refuses(|image| image.sessions[2].outcomes[2].0 = beyond, "is the lowest open");
}

#[test]
fn holders_are_open_sessions_each_at_a_lock_once() {
    refuses(|image| drop(image.sessions.remove(0)), "a grant is of s1, which is not open");
    refuses(|image| image.locks[1].holders[1].session = 1, "s1 is twice at barn");
    refuses(
        |image| image.waits[0].wanted = Wanted::Acquire(vec![(2, LockMode::Shared)]),
        "s2 is twice at barn",
    );
}

#[test]
fn grants_are_in_order_and_by_entries_that_were_applied() {
    refuses(|image| image.locks[1].holders.swap(0, 1), "holders of a lock are out of order");
    refuses(|image| image.locks[1].last_token -= 1, "later than the latest token");
    refuses(
        |image| image.locks[1].last_token = 9 << 13,
        "the latest token of barn is later than its version",
    );
    refuses(|image| image.locks[1].version = 11, "a lock's version is of the entry 11");
    refuses(|image| image.locks[0].version = 5, "attic changed after its version");
    refuses(|image| image.forgotten_at = 11, "a lock was forgotten in the future");
    refuses(|image| image.locks[0].holders[0].token = 0, "a grant is of the entry 0");
    refuses(|image| image.locks[0].holders[0].token = 1 << 13, "s1 did something by the entry 1");
}

#[test]
fn holders_go_together_and_nobody_in_line_waits_for_nothing() {
    refuses(|image| image.locks[1].holders[1].mode = LockMode::Exclusive, "s2 holds barn beside others");
    refuses(|image| image.locks[1].holders[0].mode = LockMode::Exclusive, "s2 holds barn beside others");
    refuses(|image| image.locks[0].holders[0].mode = LockMode::Shared, "waits for nothing");
    refuses(|image| image.locks[0].holders.clear(), "waits for nothing");
    refuses(|image| image.locks[1].holders.clear(), "nobody holds or awaits barn");
}

#[test]
fn modes_go_with_the_kind_of_the_resource() {
    refuses(|image| image.locks[0].permits = Some(0), "attic has no permits");
    refuses(|image| image.locks[0].permits = Some(3), "s1 holds attic in another mode than it has");
    let permits = Wanted::Acquire(vec![(1, LockMode::Permits(1))]);
    refuses(|image| image.waits[0].wanted = permits, "s2 waits in another mode than attic has");
}

#[test]
fn waits_are_in_order_and_their_sessions_say_that_they_wait() {
    refuses(|image| image.waits.swap(0, 1), "waits are out of order");
    refuses(|image| image.waits[1].ticket = 11, "a wait is of the entry 11");
    refuses(|image| image.waits[1].ticket = 5, "two at attic have the ticket 5");
    refuses(|image| image.waits[0].ticket = 2, "s2 did something by the entry 2");
    refuses(|image| image.waits[0].sequence = 2, "its table does not say so");
    refuses(|image| image.waits[1].session = 4, "a wait is of s4, which is not open");
    refuses(|image| image.waits.truncate(1), "2 commands are to wait, and 1 do");
    let queued = Kept::Said(Ok(Reply::Waiting { ahead: 0 }));
    refuses(|image| image.sessions[0].outcomes[0].1 = queued, "3 commands are to wait, and 2 do");
}

#[test]
fn waits_are_for_locks_that_are_known_and_upgrades_of_what_is_held_shared() {
    refuses(|image| image.waits[0].wanted = Wanted::Acquire(Vec::new()), "s2 waits for 0 locks at once");
    refuses(
        |image| image.waits[0].wanted = Wanted::Acquire(vec![(9, LockMode::Shared)]),
        "s2 waits for no lock",
    );
    for (resource, token) in [(1, 4 << 13), (2, 7 << 13), (9, 8 << 13)] {
        let upgrade = Wanted::Upgrade(resource, token);
        refuses(|image| image.waits[0].wanted = upgrade, "s2 upgrades what it cannot");
    }
}

#[test]
fn waits_end_within_the_longest_wait() {
    refuses(|image| image.waits[0].deadline = image.time + WAIT_US_MAX + 1, "the end of a wait");
}

#[test]
fn names_are_in_order_and_within_bounds() {
    refuses(|image| image.locks.swap(0, 1), "locks are out of order");
    refuses(|image| image.locks[1].id = 3, "a lock has the id 3");
    refuses(|image| image.locks[1].name = "attic".to_owned(), "attic is there twice");
    refuses(|image| image.cache.swap(0, 1), "keys are out of order");
    refuses(|image| image.cache[1].key = "key".to_owned(), "keys are out of order");
    refuses(|image| image.locks[0].name = String::new(), "the resource must have");
    refuses(|image| image.cache[1].key = "z".repeat(NAME_BYTES_MAX + 1), "the key must have");
}

#[test]
fn the_latest_lock_was_made_by_an_entry_and_leaves_room_for_more() {
    refuses(|image| image.last_id = u64::MAX, "more locks than entries could make");
    refuses(|image| image.last_id = 10 * 16 + 1, "more locks than entries could make");
}

#[test]
fn a_grant_that_is_due_is_refused_though_there_is_no_token_left_for_it() {
    let exhausted = |image: &mut Image| {
        let index = image.index;
        let attic = &mut image.locks[0];
        attic.holders.clear();
        (attic.version, attic.last_token) = (index, (index << 13) | 8191);
    };
    refuses(exhausted, "waits for nothing");
}

#[test]
fn the_cache_is_within_its_bounds_and_accounts_for_every_key() {
    refuses(|image| image.cache_head.entries_max = 0, "its cache is to have 0 keys");
    refuses(|image| image.cache_head.bytes_max = u64::MAX, "its cache is to have");
    refuses(|image| image.cache_head.totals[0] += 1, "are not accounted for");
    refuses(|image| image.cache_head.totals[2] = u64::MAX, "are not accounted for");
    refuses(|image| image.cache_head.totals[5] = 1 << 40, "more than entries");
    refuses(|image| image.cache[0].version = image.cache[1].version, "two keys have the version");
    refuses(|image| image.cache[0].ends = Some(10_001), "expires at 10001");
    refuses(|image| image.cache[0].ends = Some(u64::MAX - 5), "expires at");
}

#[test]
fn values_are_within_bounds_and_written_by_entries_that_were_applied() {
    refuses(|image| image.cache[0].version = 11, "a write is of the entry 11");
    refuses(|image| image.cache[0].version = 0, "a write is of the entry 0");
    let value = vec![0; VALUE_BYTES_MAX + 1];
    refuses(|image| image.cache[0].value = value.into(), "has 1048577 bytes");
}

#[test]
fn tables_are_within_their_bounds() {
    let many = |image: &mut Image| {
        image.sessions = vec![image.sessions[0].clone(); SESSIONS_MAX + 1];
    };
    refuses(many, "it has 65537 sessions, and there are 65536 at most");
    let outcomes = |image: &mut Image| {
        let outcome = image.sessions[0].outcomes[0].clone();
        image.sessions[0].outcomes = vec![outcome; OPEN_COMMANDS_MAX + OPEN_BELOW_MAX + 1];
    };
    refuses(outcomes, "it has 1089 outcomes of one session");
}
