//! Deadlocks that do not begin with a place in line, and cycles of any length.

use super::script::run;
use crate::ids::{ClusterTime, FenceToken, Sequence, SessionId};
use crate::machine::{
    Action, Applied, Command, DEADLOCK_STEPS_NAMED_MAX, LockAction, LockError, LockMode, LockReply,
    LockRequest, Machine, MachineError, NAME_BYTES_MAX, Outcome, Reply,
};

/// The longest frame that brings an answer.
const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

#[test]
fn an_upgrade_that_need_not_wait_but_makes_others_wait_for_ever_is_a_deadlock() {
    let transcript = run("
        0ms open 60s
        0ms open 60s
        0ms open 60s
        1ms s3 #1 acquire quay x 0s
        1ms s1 #1 acquire reef s 0s
        1ms s2 #1 acquire zone x 0s
        # s2 is admitted to the reef and waits at the quay for s3, which waits for nobody.
        1ms s2 #2 acquire reef s quay x 50s
        1ms s1 #2 acquire zone x 50s
        # Alone at the reef, s1 would be granted this at once, and s2 would wait for s1 as s1 does for s2.
        1ms s1 #3 upgrade reef 5.0 50s
        1ms s1 #4 upgrade reef 5.0 0s
        # Nothing has come of it.
        2ms s3 #2 release quay 4.0
    ");
    let cycle = r#"refused: to wait would be a deadlock: s1 waits at "zone", s2 waits at "reef""#;
    assert_eq!(transcript.matches(cycle).count(), 2, "{transcript}");
    assert!(transcript.contains("s2 #2 completed: granted reef 11.0, quay 11.0"), "{transcript}");
}

#[test]
fn an_upgrade_of_a_session_that_waits_elsewhere_is_granted_if_nobody_waits_for_it() {
    let transcript = run("
        0ms open 60s
        0ms open 60s
        1ms s2 #1 acquire zone x 0s
        1ms s1 #1 acquire reef s 0s
        1ms s1 #2 acquire zone x 50s
        1ms s1 #3 upgrade reef 4.0 0s
    ");
    assert!(transcript.ends_with("granted 6.0\n"), "{transcript}");
}

fn apply(machine: &mut Machine, command: &Command) -> Applied {
    machine.apply(machine.index().next(), ClusterTime(1), command)
}

fn acquire(machine: &mut Machine, session: u64, sequence: u64, resource: String) -> Applied {
    acquire_all(machine, session, sequence, vec![resource])
}

fn acquire_all(machine: &mut Machine, session: u64, sequence: u64, resources: Vec<String>) -> Applied {
    acquire_as(machine, session, sequence, LockMode::Exclusive, resources)
}

fn acquire_as(
    machine: &mut Machine,
    session: u64,
    sequence: u64,
    mode: LockMode,
    resources: Vec<String>,
) -> Applied {
    let requests = resources.into_iter().map(|resource| LockRequest { resource, mode }).collect();
    once(machine, session, sequence, LockAction::Acquire { requests, wait_us: 60_000_000 })
}

fn upgrade(
    machine: &mut Machine,
    session: u64,
    sequence: u64,
    resource: String,
    token: FenceToken,
) -> Applied {
    once(machine, session, sequence, LockAction::Upgrade { resource, token, wait_us: 60_000_000 })
}

fn once(machine: &mut Machine, session: u64, sequence: u64, action: LockAction) -> Applied {
    let action = Action::Lock(action);
    let (session, sequence) = (SessionId(session), Sequence(sequence));
    apply(
        machine,
        &Command::Once { session, sequence, lowest_open: Sequence(1), open_below: Vec::new(), action },
    )
}

#[test]
fn a_cycle_through_thousands_is_named_in_part_so_that_the_refusal_fits_a_frame() {
    let mut machine = Machine::new();
    let count = (FRAME_BYTES_MAX / NAME_BYTES_MAX + 100) as u64;
    let name = |number: u64| format!("{:0width$}", number % count, width = NAME_BYTES_MAX);
    for _ in 0..count {
        apply(&mut machine, &Command::OpenSession { lease_us: 60_000_000 });
    }
    for number in 0..count {
        acquire(&mut machine, number + 1, 1, name(number)).outcome.expect("nobody has it");
    }
    for number in 0..count - 1 {
        acquire(&mut machine, number + 1, 2, name(number + 1)).outcome.expect("there is no cycle yet");
    }
    let refused = acquire(&mut machine, count, 2, name(count)).outcome;
    let bytes = postcard::to_allocvec(&refused).expect("it is plain data").len();
    let Err(MachineError::Lock(LockError::Deadlock { cycle })) = refused else { panic!("{refused:?}") };
    assert_eq!(cycle[0].session, SessionId(count));
    assert!(cycle.len() == DEADLOCK_STEPS_NAMED_MAX, "{} steps of {count} in {bytes} bytes", cycle.len());
}

#[test]
fn a_cycle_is_found_by_what_is_held_and_by_places_in_line_beside_however_many() {
    // Each session of a long line holds a lock of its own, and waits at the gate.
    const LINE: u64 = 300;
    let mut machine = Machine::new();
    for _ in 0..LINE + 3 {
        apply(&mut machine, &Command::OpenSession { lease_us: 60_000_000 });
    }
    for number in 1..=LINE {
        acquire(&mut machine, number, 1, format!("own {number}")).outcome.expect("nobody has it");
        acquire(&mut machine, number, 2, "gate".to_owned()).outcome.expect("it waits, or is the first");
    }
    // Somebody waits for what the last one holds, so that one is refused once it would close a cycle with it.
    acquire(&mut machine, LINE + 1, 1, "key".to_owned()).outcome.expect("nobody has it");
    acquire(&mut machine, LINE + 1, 2, format!("own {LINE}")).outcome.expect("it waits");
    let closes = acquire(&mut machine, LINE, 3, "key".to_owned()).outcome;
    let Err(MachineError::Lock(LockError::Deadlock { cycle })) = closes else { panic!("{closes:?}") };
    assert_eq!(cycle.iter().map(|step| step.session.0).collect::<Vec<_>>(), [LINE, LINE + 1]);
    // A session that stands in a line with another behind it is waited for as well, though it holds nothing.
    acquire(&mut machine, LINE + 3, 1, "bolt".to_owned()).outcome.expect("nobody has it");
    acquire(&mut machine, LINE + 2, 1, "gate".to_owned()).outcome.expect("it waits");
    acquire(&mut machine, LINE + 3, 2, "gate".to_owned()).outcome.expect("it waits behind");
    let before = acquire(&mut machine, LINE + 2, 2, "bolt".to_owned()).outcome;
    assert!(matches!(before, Err(MachineError::Lock(LockError::Deadlock { .. }))), "{before:?}");
}

#[test]
fn a_wait_before_however_many_is_let_in_if_few_are_behind_and_refused_if_many_are() {
    const LINE: u64 = 4_000;
    let lines = |what: &str| -> Vec<String> { (0..10).map(|number| format!("{what} {number}")).collect() };
    let mut machine = Machine::new();
    open(&mut machine, 2 * LINE + 6);
    let [gatekeeper, porter, guest, friend, visitor, sharer] =
        [1, 2, 3, 4, 5, 6].map(|number| 2 * LINE + number);
    acquire_all(&mut machine, gatekeeper, 1, lines("gate")).outcome.expect("nobody has them");
    acquire_all(&mut machine, porter, 1, lines("hall")).outcome.expect("nobody has them");
    for number in 1..=LINE {
        acquire_all(&mut machine, number, 1, lines("gate")).outcome.expect("it waits");
        acquire_all(&mut machine, LINE + number, 1, lines("hall")).outcome.expect("it waits");
    }
    acquire(&mut machine, guest, 1, "key".to_owned()).outcome.expect("nobody has it");
    acquire(&mut machine, friend, 1, "key".to_owned()).outcome.expect("it waits");
    // Before the guest stand thousands in ten lines, and behind it one.
    let waits = acquire(&mut machine, guest, 2, "gate 0".to_owned()).outcome;
    assert!(matches!(waits, Ok(Reply::Waiting { .. })), "{waits:?}");
    // Nor is an upgrade refused for the sake of somebody who waits for it.
    let shared = acquire_as(&mut machine, sharer, 1, LockMode::Shared, vec!["reef".to_owned()]).outcome;
    acquire(&mut machine, friend, 2, "reef".to_owned()).outcome.expect("it waits");
    acquire(&mut machine, sharer, 2, "gate 0".to_owned()).outcome.expect("it waits");
    let upgraded = upgrade(&mut machine, sharer, 3, "reef".to_owned(), tokens(shared)[0]).outcome;
    assert!(matches!(upgraded, Ok(Reply::Lock(LockReply::Granted { .. }))), "{upgraded:?}");
    // Before this one as well, and behind it no fewer: they wait for the porter.
    acquire(&mut machine, visitor, 1, "bell".to_owned()).outcome.expect("nobody has it");
    acquire(&mut machine, porter, 2, "desk".to_owned()).outcome.expect("nobody has it");
    acquire(&mut machine, porter, 3, "bell".to_owned()).outcome.expect("it waits");
    let refused = acquire(&mut machine, visitor, 2, "gate 1".to_owned()).outcome;
    assert_eq!(refused, Err(LockError::WaitGraphTooLarge.into()));
    // A cycle is found all the same, if it is a short one.
    let closes = acquire(&mut machine, visitor, 3, "desk".to_owned()).outcome;
    assert!(matches!(closes, Err(MachineError::Lock(LockError::Deadlock { .. }))), "{closes:?}");
}

fn open(machine: &mut Machine, sessions: u64) {
    for _ in 0..sessions {
        apply(machine, &Command::OpenSession { lease_us: 60_000_000 });
    }
}

/// The tokens of what was granted.
fn tokens(outcome: Outcome) -> Vec<FenceToken> {
    match outcome {
        Ok(Reply::Lock(LockReply::Granted { grants })) => grants.iter().map(|grant| grant.token).collect(),
        other => panic!("it is granted, not {other:?}"),
    }
}

#[test]
fn a_wait_for_what_however_many_share_is_let_in_if_few_are_behind() {
    const SHARERS: u64 = 40_000;
    let mut machine = Machine::new();
    open(&mut machine, SHARERS + 2);
    let rooms = vec!["north".to_owned(), "south".to_owned()];
    for number in 1..=SHARERS {
        let shared = acquire_as(&mut machine, number, 1, LockMode::Shared, rooms.clone());
        shared.outcome.expect("all share it");
    }
    acquire(&mut machine, SHARERS + 1, 1, "key".to_owned()).outcome.expect("nobody has it");
    acquire(&mut machine, SHARERS + 2, 1, "key".to_owned()).outcome.expect("it waits");
    let waits = acquire_all(&mut machine, SHARERS + 1, 2, rooms).outcome;
    assert!(matches!(waits, Ok(Reply::Waiting { .. })), "{waits:?}");
}

#[test]
fn upgrades_that_wait_for_one_another_in_a_row_of_thousands_are_looked_through() {
    const ROW: u64 = 30_000;
    let mut machine = Machine::new();
    open(&mut machine, ROW + 101);
    acquire(&mut machine, ROW + 1, 1, "gate".to_owned()).outcome.expect("nobody has it");
    for waiter in 2..=100 {
        acquire(&mut machine, ROW + waiter, 1, "gate".to_owned()).outcome.expect("it waits");
    }
    let berth = |number: u64| format!("berth {number}");
    let held: Vec<FenceToken> = (1..=ROW)
        .map(|number| {
            let both = vec![berth(number), berth(number + 1)];
            tokens(acquire_as(&mut machine, number, 1, LockMode::Shared, both).outcome)[0]
        })
        .collect();
    for number in (2..=ROW).rev() {
        let waits = upgrade(&mut machine, number, 2, berth(number), held[number as usize - 1]).outcome;
        assert!(matches!(waits, Ok(Reply::Waiting { .. })), "{waits:?}");
    }
    // Behind the first stand all the others.
    let waits = acquire(&mut machine, 1, 2, "gate".to_owned()).outcome;
    assert!(matches!(waits, Ok(Reply::Waiting { .. })), "{waits:?}");
}
