//! The bounds at their edges, and the promises that are easiest to state as one example.

use bytes::Bytes;

use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::limits::Limits;
use crate::machine::{
    Action, CacheAction, CacheQuery, CacheReply, Command, Expected, LEASE_US_MAX, LEASE_US_MIN, LockAction,
    LockError, LockEvent, LockMode, LockQuery, LockReply, LockRequest, Machine, MachineError, MachineEvent,
    NAME_BYTES_MAX, NearTerms, OPEN_BELOW_MAX, OPEN_COMMANDS_MAX, Outcome, Query, Reply, VALUE_BYTES_MAX,
    WAIT_US_MAX, WAITERS_MAX,
};

/// A machine that numbers its entries itself and stamps them all 0.
struct Fixture {
    machine: Machine,
    index: LogIndex,
}

impl Fixture {
    fn new() -> Self {
        Self { machine: Machine::new(), index: LogIndex(0) }
    }

    fn apply(&mut self, command: &Command) -> crate::machine::Applied {
        self.index = self.index.next();
        self.machine.apply(self.index, ClusterTime(0), command)
    }

    fn open(&mut self) -> SessionId {
        match self.apply(&Command::OpenSession { lease_us: LEASE_US_MAX }).outcome {
            Ok(Reply::SessionOpened { session }) => session,
            other => panic!("opening a session led to {other:?}"),
        }
    }

    fn once(&mut self, session: SessionId, sequence: u64, lowest_open: u64, action: Action) -> Outcome {
        self.once_with(session, sequence, (lowest_open, &[]), action)
    }

    fn once_with(
        &mut self,
        session: SessionId,
        sequence: u64,
        (lowest_open, open_below): (u64, &[u64]),
        action: Action,
    ) -> Outcome {
        let (sequence, lowest_open) = (Sequence(sequence), Sequence(lowest_open));
        let open_below = open_below.iter().copied().map(Sequence).collect();
        self.apply(&Command::Once { session, sequence, lowest_open, open_below, action }).outcome
    }
}

fn set(key: &str, value: &[u8]) -> Action {
    let value = Bytes::copy_from_slice(value);
    Action::Cache(CacheAction::Set { key: key.to_owned(), value, ttl_us: None })
}

fn acquire(resource: &str, mode: LockMode, wait_us: u64) -> Action {
    let requests = vec![LockRequest { resource: resource.to_owned(), mode }];
    Action::Lock(LockAction::Acquire { requests, wait_us })
}

fn is_invalid(outcome: &Outcome) -> bool {
    matches!(outcome, Err(MachineError::InvalidArgument(_)))
}

#[test]
fn leases_are_bounded_on_both_sides() {
    let mut fixture = Fixture::new();
    for (lease_us, is_refused) in [
        (LEASE_US_MIN - 1, true),
        (LEASE_US_MIN, false),
        (LEASE_US_MAX, false),
        (LEASE_US_MAX + 1, true),
        (u64::MAX, true),
    ] {
        let outcome = fixture.apply(&Command::OpenSession { lease_us }).outcome;
        assert_eq!(is_invalid(&outcome), is_refused, "{lease_us}: {outcome:?}");
    }
}

#[test]
fn names_values_and_waits_are_bounded() {
    let mut fixture = Fixture::new();
    let session = fixture.open();
    let longest = "n".repeat(NAME_BYTES_MAX);
    let too_long = "n".repeat(NAME_BYTES_MAX + 1);
    let cases = [
        (set("", b"v"), true),
        (set(&longest, b"v"), false),
        (set(&too_long, b"v"), true),
        (set("key", &vec![0; VALUE_BYTES_MAX]), false),
        (set("key", &vec![0; VALUE_BYTES_MAX + 1]), true),
        (acquire("", LockMode::Shared, 0), true),
        (acquire(&longest, LockMode::Shared, WAIT_US_MAX), false),
        (acquire(&too_long, LockMode::Shared, 0), true),
        (acquire("door", LockMode::Shared, WAIT_US_MAX + 1), true),
        (acquire("door", LockMode::Shared, u64::MAX), true),
    ];
    for (sequence, (action, is_refused)) in (1..).zip(cases) {
        let outcome = fixture.once(session, sequence, 1, action);
        assert_eq!(is_invalid(&outcome), is_refused, "case {sequence}: {outcome:?}");
    }
    assert!(is_invalid(&fixture.machine.query(&Query::Cache(CacheQuery::Get { key: String::new() }))));
    assert!(is_invalid(&fixture.machine.query(&Query::Lock(LockQuery::State { resource: too_long }))));
}

#[test]
fn who_breaks_a_bound_is_told_of_what_and_how_far_it_goes_and_what_was_asked() {
    let mut fixture = Fixture::new();
    let session = fixture.open();
    let force = |reason: String| {
        let (resource, token) = ("door".to_owned(), FenceToken(1));
        Action::Lock(LockAction::ForceRelease { resource, token, reason })
    };
    let many = |count: usize| {
        let name = |number: usize| LockRequest { resource: number.to_string(), mode: LockMode::Shared };
        Action::Lock(LockAction::Acquire { requests: (0..count).map(name).collect(), wait_us: 0 })
    };
    let cases = [
        (
            acquire(&"n".repeat(1_025), LockMode::Shared, 0),
            "the resource must have 1 to 1024 bytes, not 1025",
        ),
        (
            acquire("door", LockMode::Shared, 3_600_000_001),
            "the wait must be at most 3600000000 us, not 3600000001",
        ),
        (many(17), "there must be 1 to 16 resources, not 17"),
        (force("r".repeat(257)), "the reason must have at most 256 bytes, not 257"),
        (set("", b"v"), "the key must have 1 to 1024 bytes, not 0"),
    ];
    for (sequence, (action, told)) in (1..).zip(cases) {
        let refused = Err(MachineError::InvalidArgument(told.to_owned()));
        assert_eq!(fixture.once(session, sequence, 1, action), refused);
    }
    let refused =
        Err(MachineError::InvalidArgument("the lease must be 100000 to 3600000000 us, not 1".to_owned()));
    assert_eq!(fixture.apply(&Command::OpenSession { lease_us: 1 }).outcome, refused);
}

#[test]
fn a_session_remembers_as_many_replies_as_are_open_and_no_more() {
    let mut fixture = Fixture::new();
    let session = fixture.open();
    let open_max = OPEN_COMMANDS_MAX as u64;
    for sequence in 1..=open_max {
        assert!(fixture.once(session, sequence, 1, set("key", b"v")).is_ok());
    }
    assert_eq!(fixture.machine.sessions.open[&session].remembered(), OPEN_COMMANDS_MAX);
    let refused = fixture.once(session, open_max + 1, 1, set("key", b"v"));
    assert_eq!(refused, Err(MachineError::TooManyOpenCommands));
    assert!(fixture.once(session, open_max + 1, 2, set("key", b"v")).is_ok());
    assert_eq!(fixture.machine.sessions.open[&session].remembered(), OPEN_COMMANDS_MAX);
}

#[test]
fn a_late_copy_of_a_command_refused_as_too_many_is_refused_as_well() {
    let mut fixture = Fixture::new();
    let session = fixture.open();
    let ahead = 1 + OPEN_COMMANDS_MAX as u64;
    let refused = Err(MachineError::TooManyOpenCommands);
    assert_eq!(fixture.once(session, ahead, 1, set("key", b"late")), refused);
    assert!(fixture.once(session, 9, 9, set("key", b"first")).is_ok());
    assert_eq!(fixture.once(session, ahead, 1, set("key", b"late")), refused);
}

#[test]
fn a_long_wait_holds_up_neither_later_commands_nor_the_letting_go_of_their_replies() {
    let mut fixture = Fixture::new();
    let (owner, session) = (fixture.open(), fixture.open());
    let held = fixture.once(owner, 1, 1, acquire("door", LockMode::Exclusive, 0));
    let Ok(Reply::Lock(LockReply::Granted { grants })) = held else { panic!("{held:?}") };
    let wait = || acquire("door", LockMode::Exclusive, WAIT_US_MAX);
    assert_eq!(fixture.once(session, 1, 1, wait()), Ok(Reply::Waiting { ahead: 0 }));
    for sequence in 2..=5 * OPEN_COMMANDS_MAX as u64 {
        let outcome = fixture.once_with(session, sequence, (sequence, &[1]), set("key", b"v"));
        assert!(outcome.is_ok(), "{sequence}: {outcome:?}");
        assert_eq!(fixture.machine.sessions.open[&session].remembered(), 2);
    }
    fixture.once(owner, 2, 1, Action::Lock(LockAction::Release { grants })).expect("it is held");
    let granted = fixture.once(session, 1, 1, wait());
    assert!(matches!(granted, Ok(Reply::Lock(LockReply::Granted { .. }))), "{granted:?}");
    let last = 5 * OPEN_COMMANDS_MAX as u64 + 1;
    assert!(fixture.once_with(session, last, (last, &[]), set("key", b"v")).is_ok());
    assert_eq!(fixture.once(session, 1, 1, wait()), Err(MachineError::SequenceTooOld), "it was let go of");
}

#[test]
fn a_session_keeps_few_values_with_refused_writes_and_no_refusal_beyond() {
    let mut fixture = Fixture::new();
    let session = fixture.open();
    let value = vec![b'v'; VALUE_BYTES_MAX / 2];
    let found = |outcome: &Outcome| match outcome {
        Ok(Reply::Cache(CacheReply::Mismatch(Some(found)))) => found.value.len(),
        other => panic!("no refusal with what was found: {other:?}"),
    };
    let refused = || {
        let (key, value) = ("key".to_owned(), Bytes::new());
        Action::Cache(CacheAction::CompareAndSet { key, expected: Expected::Absent, value, ttl_us: None })
    };
    assert!(fixture.once(session, 1, 1, set("key", &value)).is_ok());
    for sequence in 2..=5 {
        let first = fixture.once(session, sequence, 1, refused());
        assert_eq!(found(&first), value.len(), "{sequence}: the first time it is answered as it is");
        let again = fixture.once(session, sequence, 1, refused());
        assert_eq!(
            again,
            if sequence <= 3 { first } else { Err(MachineError::SequenceTooOld) },
            "{sequence}"
        );
    }
    let snapshot = fixture.machine.snapshot();
    let bytes: Vec<u8> = pieces(snapshot).concat();
    assert!(bytes.len() < 2 * VALUE_BYTES_MAX, "{} bytes", bytes.len());
    fixture.machine = Machine::restore(&bytes).expect("it was just written");
    assert_eq!(fixture.once(session, 6, 1, refused()).as_ref().map(|_| ()), Ok(()));
    assert_eq!(fixture.once(session, 6, 1, refused()), Err(MachineError::SequenceTooOld), "as before");
    // Who lets go of earlier answers has room again.
    assert_eq!(found(&fixture.once(session, 7, 7, refused())), value.len());
    assert_eq!(found(&fixture.once(session, 7, 7, refused())), value.len());
}

/// A snapshot as it goes to the disk.
fn pieces(mut snapshot: crate::machine::Snapshotter) -> Vec<Bytes> {
    std::iter::from_fn(|| snapshot.next_piece(64 * 1024).map(|piece| Bytes::copy_from_slice(&piece)))
        .collect()
}

#[test]
fn a_number_that_was_let_go_of_stays_so_whatever_comes_late() {
    let mut fixture = Fixture::new();
    let session = fixture.open();
    // Sent in the order of their numbers, they come in this one.
    assert!(fixture.once_with(session, 9, (8, &[2, 3]), set("key", b"nine")).is_ok());
    assert!(
        fixture.once_with(session, 7, (5, &[2, 3, 4]), set("key", b"seven")).is_err(),
        "the ninth let go of it"
    );
    assert!(fixture.once_with(session, 3, (1, &[]), set("key", b"three")).is_ok(), "it is still waited for");
    for (sequence, is_open) in [(1, false), (2, true), (3, true), (4, false), (7, false), (8, true)] {
        let outcome = fixture.once_with(session, sequence, (1, &[]), set("key", b"late"));
        assert_eq!(outcome.is_ok(), is_open, "{sequence}: {outcome:?}");
    }
}

#[test]
fn a_list_of_open_numbers_is_bounded_and_rises_to_below_the_lowest_open() {
    let mut fixture = Fixture::new();
    let session = fixture.open();
    let longest: Vec<u64> = (1..=OPEN_BELOW_MAX as u64).collect();
    assert!(fixture.once_with(session, 99, (99, &longest), set("key", b"v")).is_ok());
    let longer: Vec<u64> = (1..=OPEN_BELOW_MAX as u64 + 1).collect();
    let refused = fixture.once_with(session, 100, (100, &longer), set("key", b"v"));
    assert_eq!(refused, Err(MachineError::TooManyOpenCommands));
    for no_list in [&[0][..], &[100], &[3, 3], &[4, 3]] {
        assert!(
            is_invalid(&fixture.once_with(session, 100, (100, no_list), set("key", b"v"))),
            "{no_list:?}"
        );
    }
}

#[test]
fn numbers_at_the_end_of_their_range_are_refused_or_applied_without_overflow() {
    let mut fixture = Fixture::new();
    let session = fixture.open();
    assert!(fixture.once(session, u64::MAX, u64::MAX, set("key", b"v")).is_ok());
    assert_eq!(fixture.once(session, u64::MAX, 0, set("key", b"v")), Err(MachineError::TooManyOpenCommands));
    assert_eq!(fixture.once(session, 1, 0, set("key", b"v")), Err(MachineError::SequenceTooOld));
    assert!(is_invalid(&fixture.once(session, 0, 0, set("key", b"v"))));
}

#[test]
fn a_full_line_of_shared_waiters_comes_in_by_one_entry_under_rising_tokens() {
    let mut fixture = Fixture::new();
    let owner = fixture.open();
    assert!(fixture.once(owner, 1, 1, acquire("door", LockMode::Exclusive, 0)).is_ok());
    for ahead in 0..WAITERS_MAX as u64 {
        let session = fixture.open();
        let outcome = fixture.once(session, 1, 1, acquire("door", LockMode::Shared, WAIT_US_MAX));
        assert_eq!(outcome, Ok(Reply::Waiting { ahead }));
    }
    let session = fixture.open();
    let outcome = fixture.once(session, 1, 1, acquire("door", LockMode::Shared, WAIT_US_MAX));
    assert_eq!(outcome, Err(LockError::TooManyWaiters.into()));

    let applied = fixture.apply(&Command::CloseSession { session: owner });
    let tokens: Vec<FenceToken> = applied
        .events
        .iter()
        .filter_map(|event| match event {
            MachineEvent::Lock(LockEvent::Granted { holder, .. }) => Some(holder.token),
            _ => None,
        })
        .collect();
    assert_eq!(tokens.len(), WAITERS_MAX);
    assert!(tokens.is_sorted_by(|earlier, later| earlier < later));
    assert!(tokens.iter().all(|token| token.granting_index() == fixture.index));
    let next = FenceToken::first_of(fixture.index.next());
    assert!(tokens.iter().all(|&token| token < next));
}

#[test]
fn the_public_bounds_are_those_of_a_production_machine() {
    let Limits { sessions, ends, lock, queue, cache } = Limits::default();
    assert_eq!((sessions, lock.waiters, lock.locks, cache.keys), (65_536, 4_096, 1_048_576, 1_048_576));
    assert_eq!(lock.claims, 4_194_304);
    assert_eq!((queue.topics, queue.waiting, queue.producers, queue.purge), (16_384, 4_096, 1_024, 4_096));
    assert_eq!(ends, 4_096);
}

#[test]
fn near_caches_agree_once_and_on_others_only_in_place_of_those() {
    let terms = |lease_us| NearTerms { lease_us, drift_ppm_max: 1_000 };
    let mut fixture = Fixture::new();
    let mut agree = |lease_us, replaces: Option<u64>| {
        let replaces = replaces.map(terms);
        let outcome = fixture.apply(&Command::AgreeOnNear { terms: terms(lease_us), replaces }).outcome;
        let machine = &fixture.machine;
        (outcome.is_ok(), machine.near_terms().map(|terms| terms.lease_us), machine.longest_near_lease_us())
    };
    assert_eq!(agree(150, Some(1)), (false, None, 0));
    assert_eq!(agree(150, None), (true, Some(150), 150));
    assert_eq!(agree(150, None), (true, Some(150), 150), "again changes nothing");
    assert_eq!(agree(50, None), (false, Some(150), 150));
    assert_eq!(agree(50, Some(150)), (true, Some(50), 150), "lines of then may still be out");
    assert_eq!(agree(200, Some(50)), (true, Some(200), 200));
    let mut snapshot = fixture.machine.snapshot();
    let bytes: Vec<u8> = std::iter::from_fn(|| snapshot.next_piece(64)).flatten().collect();
    let restored = Machine::restore(&bytes).expect("it was just written");
    assert_eq!((restored.near_terms(), restored.longest_near_lease_us()), (Some(terms(200)), 200));
}

#[test]
fn digests_tell_states_apart_that_differ_in_one_remembered_reply_or_value() {
    let digest = |value: &[u8], lowest_open| {
        let mut fixture = Fixture::new();
        let session = fixture.open();
        let _ = fixture.once(session, 1, 1, set("key", value));
        let _ = fixture.once(session, 2, lowest_open, set("other", b"v"));
        fixture.machine.digest()
    };
    assert_eq!(digest(b"one", 1), digest(b"one", 1));
    assert_ne!(digest(b"one", 1), digest(b"two", 1));
    assert_ne!(digest(b"one", 1), digest(b"one", 2));
}

#[test]
#[should_panic(expected = "entry 2 applied after 0")]
fn a_gap_in_the_log_is_a_bug() {
    Machine::new().apply(LogIndex(2), ClusterTime(0), &Command::Tick);
}

#[test]
#[should_panic(expected = "stamp 4 applied after 5")]
fn a_stamp_that_goes_back_is_a_bug() {
    let mut machine = Machine::new();
    machine.apply(LogIndex(1), ClusterTime(5), &Command::Tick);
    machine.apply(LogIndex(2), ClusterTime(4), &Command::Tick);
}
