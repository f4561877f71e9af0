//! Contradictions, one by one: each alters one thing in the snapshot of a sound state.

use super::image::{Image, Waiter};
use super::{bytes_of, furnished};
use crate::machine::{
    LEASE_US_MAX, LEASE_US_MIN, LockMode, Machine, NAME_BYTES_MAX, OPEN_COMMANDS_MAX, Reply, RestoreError,
    SESSIONS_MAX, VALUE_BYTES_MAX, WAIT_US_MAX,
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
    let empty = Image { index: 0, time: 1, sessions: vec![], locks: vec![], registers: vec![] };
    refuses(|image| *image = empty, "a stamp and no entry");
}

#[test]
fn sessions_are_in_order_and_opened_by_entries_that_were_applied() {
    refuses(|image| image.sessions.swap(0, 1), "sessions are out of order");
    refuses(|image| image.sessions[1].id = 1, "sessions are out of order");
    refuses(|image| image.sessions[0].id = 0, "a session is of the entry 0");
    refuses(|image| image.sessions[2].id = 11, "a session is of the entry 11");
}

#[test]
fn leases_are_within_bounds_and_end_within_their_span() {
    refuses(|image| image.sessions[0].lease_us = LEASE_US_MIN - 1, "the lease of s1");
    refuses(|image| image.sessions[0].lease_us = LEASE_US_MAX + 1, "the lease of s1");
    refuses(|image| image.sessions[0].deadline = image.time, "the end of a lease");
    refuses(|image| image.sessions[0].deadline = image.time + 10_000_001, "the end of a lease");
    refuses(|image| image.sessions[0].deadline = u64::MAX, "the end of a lease");
}

#[test]
fn outcomes_are_in_order_and_within_the_window_of_open_commands() {
    refuses(|image| image.sessions[2].outcomes.swap(0, 1), "outcomes are out of order");
    refuses(|image| image.sessions[2].lowest_open = 0, "no lowest open number");
    refuses(|image| image.sessions[2].lowest_open = 2, "#1 is remembered, and #2 is the lowest open");
    let beyond = 1 + OPEN_COMMANDS_MAX as u64;
    refuses(|image| image.sessions[2].outcomes[2].0 = beyond, "is the lowest open");
}

#[test]
fn holders_are_open_sessions_each_at_a_lock_once() {
    refuses(|image| drop(image.sessions.remove(0)), "s1 holds a lock and is not open");
    refuses(|image| image.locks[1].holders[1].session = 1, "s1 holds barn twice");
    refuses(|image| image.locks[0].line[0].session = 1, "s1 waits with #1, and its table does not say so");
    refuses(
        |image| image.locks[0].line[1] = Waiter { ticket: 6, ..image.locks[0].line[0].clone() },
        "is twice at",
    );
}

#[test]
fn grants_are_in_order_and_by_entries_that_were_applied() {
    refuses(|image| image.locks[1].holders.swap(0, 1), "holders of a lock are out of order");
    refuses(|image| image.locks[1].last_token -= 1, "later than the latest token");
    refuses(|image| image.locks[1].last_token = 11 << 13, "a token is of the entry 11");
    refuses(|image| image.locks[0].holders[0].token = 0, "a grant is of the entry 0");
    refuses(|image| image.locks[0].holders[0].token = 1 << 13, "s1 did something by the entry 1");
}

#[test]
fn holders_go_together_and_the_head_of_a_line_does_not_go_with_them() {
    refuses(|image| image.locks[1].holders[1].mode = LockMode::Exclusive, "s2 holds a lock beside others");
    refuses(|image| image.locks[1].holders[0].mode = LockMode::Exclusive, "s2 holds a lock beside others");
    refuses(|image| image.locks[0].holders[0].mode = LockMode::Shared, "waits for nothing");
    refuses(|image| image.locks[1].holders.clear(), "nobody holds barn");
}

#[test]
fn waiters_are_in_order_and_their_sessions_say_that_they_wait() {
    refuses(|image| image.locks[0].line.swap(0, 1), "waiters for a lock are out of order");
    refuses(|image| image.locks[0].line[1].ticket = 11, "a wait is of the entry 11");
    refuses(|image| image.locks[0].line[0].ticket = 2, "s2 did something by the entry 2");
    refuses(|image| image.locks[0].line[0].sequence = 2, "its table does not say so");
    refuses(|image| image.locks[0].line[0].session = 4, "s4 awaits a lock and is not open");
    refuses(|image| image.locks[0].line.truncate(1), "2 commands are queued, and 1 wait in line");
    let queued = Ok(Reply::LockQueued { ahead: 0 });
    refuses(|image| image.sessions[0].outcomes[0].1 = queued, "3 commands are queued, and 2 wait in line");
}

#[test]
fn waits_end_within_the_longest_wait() {
    refuses(|image| image.locks[0].line[0].deadline = image.time, "the end of a wait");
    refuses(|image| image.locks[0].line[0].deadline = image.time + WAIT_US_MAX + 1, "the end of a wait");
}

#[test]
fn names_are_in_order_and_within_bounds() {
    refuses(|image| image.locks.swap(0, 1), "locks are out of order");
    refuses(|image| image.registers.swap(0, 1), "keys are out of order");
    refuses(|image| image.registers[1].key = "key".to_owned(), "keys are out of order");
    refuses(|image| image.locks[0].name = String::new(), "the resource must have");
    refuses(|image| image.registers[1].key = "z".repeat(NAME_BYTES_MAX + 1), "the key must have");
}

#[test]
fn values_are_within_bounds_and_written_by_entries_that_were_applied() {
    refuses(|image| image.registers[0].version = 11, "a write is of the entry 11");
    refuses(|image| image.registers[0].version = 0, "a write is of the entry 0");
    let value = vec![0; VALUE_BYTES_MAX + 1];
    refuses(|image| image.registers[0].value = value.into(), "has 1048577 bytes");
}

#[test]
fn tables_are_within_their_bounds() {
    let many = |image: &mut Image| {
        image.sessions = vec![image.sessions[0].clone(); SESSIONS_MAX + 1];
    };
    refuses(many, "it has 65537 sessions, and there are 65536 at most");
    let outcomes = |image: &mut Image| {
        let outcome = image.sessions[0].outcomes[0].clone();
        image.sessions[0].outcomes = vec![outcome; OPEN_COMMANDS_MAX + 1];
    };
    refuses(outcomes, "it has 1025 outcomes of one session");
}
