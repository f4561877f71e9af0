//! Deadlocks that do not begin with a place in line, and cycles of any length.

use super::script::run;
use crate::ids::{ClusterTime, Sequence, SessionId};
use crate::machine::{
    Action, Applied, Command, DEADLOCK_STEPS_NAMED_MAX, LockAction, LockError, LockMode, LockRequest,
    Machine, MachineError, NAME_BYTES_MAX,
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
    let requests = vec![LockRequest { resource, mode: LockMode::Exclusive }];
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
