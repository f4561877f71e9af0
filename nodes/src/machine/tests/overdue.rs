//! More sessions and waits end at one moment than one entry ends.

use crate::ids::{ClusterTime, Sequence, SessionId};
use crate::machine::{
    Action, Applied, Command, ENDS_PER_ENTRY_MAX, LockAction, LockMode, LockRequest, Machine, MachineError,
    MachineEvent, Query, Reply, SESSIONS_MAX, SessionState, WAITERS_MAX,
};

const LEASE_US: u64 = 1_000_000;
/// More than two entries end.
const MANY: u64 = 2 * ENDS_PER_ENTRY_MAX as u64 + 100;

fn apply(machine: &mut Machine, time_us: u64, command: &Command) -> Applied {
    machine.apply(machine.index().next(), ClusterTime(time_us), command)
}

fn open(machine: &mut Machine, lease_us: u64) -> SessionId {
    match apply(machine, 0, &Command::OpenSession { lease_us }).outcome {
        Ok(Reply::SessionOpened { session }) => session,
        other => panic!("{other:?}"),
    }
}

fn acquire(session: SessionId, sequence: u64, resource: u64, wait_us: u64) -> Command {
    let request = LockRequest { resource: format!("r{resource}"), mode: LockMode::Exclusive };
    let action = Action::Lock(LockAction::Acquire { requests: vec![request], wait_us });
    let (sequence, lowest_open) = (Sequence(sequence), Sequence(1));
    Command::Once { session, sequence, lowest_open, open_below: Vec::new(), action }
}

fn ended(applied: &Applied) -> usize {
    let is_end = |event: &&MachineEvent| matches!(event, MachineEvent::SessionEnded { expired: true, .. });
    applied.events.iter().filter(is_end).count()
}

#[test]
fn sessions_that_end_together_end_over_several_entries_and_none_of_them_does_anything_meanwhile() {
    assert!(MANY < SESSIONS_MAX as u64);
    let mut machine = Machine::new();
    let sessions: Vec<SessionId> = (0..MANY).map(|_| open(&mut machine, LEASE_US)).collect();
    let last = *sessions.last().expect("there are many");
    for session in &sessions {
        let outcome = apply(&mut machine, 0, &acquire(*session, 1, session.0, 0)).outcome;
        assert!(matches!(outcome, Ok(Reply::Lock(_))), "{outcome:?}");
    }
    // Each ends with its lease, which its command has not moved, and with its lock: two of what an entry may end.
    let first = apply(&mut machine, LEASE_US, &Command::Tick);
    assert_eq!(ended(&first), ENDS_PER_ENTRY_MAX / 2);
    assert!(machine.is_behind());
    let is = |session: SessionId| machine.query(&Query::Session { session });
    assert_eq!(is(sessions[0]), Ok(Reply::Session(SessionState::NotOpen)));
    assert_eq!(is(last), Ok(Reply::Session(SessionState::Overdue)));
    let refused = apply(&mut machine, LEASE_US, &Command::KeepAlive { session: last });
    assert_eq!(ended(&refused), ENDS_PER_ENTRY_MAX / 2);
    assert_eq!(refused.outcome, Err(MachineError::SessionExpired));
    let refused = apply(&mut machine, LEASE_US, &acquire(last, 2, 7, 0));
    assert_eq!(refused.outcome, Err(MachineError::SessionExpired));
    let mut left = MANY as usize - 3 * (ENDS_PER_ENTRY_MAX / 2);
    while machine.is_behind() {
        left -= ended(&apply(&mut machine, LEASE_US, &Command::Tick));
    }
    assert_eq!(left, 0);
    assert_eq!(machine.next_deadline(), None);
}

#[test]
fn waits_that_end_together_end_over_several_entries() {
    // As many lines as have room for all.
    let lines = MANY.div_ceil(WAITERS_MAX as u64);
    let mut machine = Machine::new();
    let holder = open(&mut machine, 60 * LEASE_US);
    for line in 0..lines {
        apply(&mut machine, 0, &acquire(holder, line + 1, line, 0)).outcome.expect("nobody holds it");
    }
    for number in 0..MANY {
        let waiter = open(&mut machine, 60 * LEASE_US);
        let outcome = apply(&mut machine, 0, &acquire(waiter, 1, number % lines, 1_000)).outcome;
        assert!(matches!(outcome, Ok(Reply::Waiting { .. })), "{outcome:?}");
    }
    let mut left = MANY as usize;
    let mut entries = 0;
    while entries == 0 || machine.is_behind() {
        let applied = apply(&mut machine, 1_000, &Command::Tick);
        assert!(applied.events.len() <= ENDS_PER_ENTRY_MAX);
        left -= applied.events.len();
        entries += 1;
    }
    assert_eq!((left, entries), (0, MANY.div_ceil(ENDS_PER_ENTRY_MAX as u64)));
}
