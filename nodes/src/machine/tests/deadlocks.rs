//! Deadlocks that do not begin with a place in line, and cycles of any length.

use super::script::run;
use crate::ids::{ClusterTime, Sequence, SessionId};
use crate::machine::{
    Action, Applied, Command, DEADLOCK_STEPS_NAMED_MAX, LockAction, LockError, LockMode, LockRequest,
    Machine, MachineError, NAME_BYTES_MAX, Reply,
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
    let request = |resource| LockRequest { resource, mode: LockMode::Exclusive };
    let requests = resources.into_iter().map(request).collect();
    let action = Action::Lock(LockAction::Acquire { requests, wait_us: 60_000_000 });
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
    for _ in 0..2 * LINE + 5 {
        apply(&mut machine, &Command::OpenSession { lease_us: 60_000_000 });
    }
    let [gatekeeper, porter, guest, friend, visitor] = [1, 2, 3, 4, 5].map(|number| 2 * LINE + number);
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
