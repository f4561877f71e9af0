//! What else is asked of locks: changes of mode, semaphores, force, many at a time, ends by themselves, questions.

use stormglass_nodes::ids::{Sequence, SessionId};
use stormglass_nodes::machine::{
    Command, LEASE_US_MIN, LockAction, LockError, LockGrant, LockMode, LockQuery, LockRequest, MachineError,
    MachineEvent, Outcome, Query, REQUESTS_MAX, Reply,
};

use super::measure::{HOUR_US, RUN, each_ns};
use super::{Bench, acquire, grants};

/// A semaphore with room for all clients.
pub(super) const POOL: &str = "pool";

/// One after the other, each by all of these clients, who hold and await nothing before and afterwards.
pub(super) fn all(bench: &mut Bench, keeper: SessionId, clients: &[SessionId]) -> Vec<(&'static str, f64)> {
    let (holders, others) = clients.split_at(RUN);
    let mut took = modes(bench, holders);
    took.extend(permits(bench, holders));
    took.push(("force a release", forced(bench, keeper, holders)));
    took.push(("release sixteen and hand off", sixteen(bench, holders, others)));
    took.push(("a wait runs out", waits_run_out(bench, holders[0], others)));
    took.extend(sessions_end(bench));
    took.extend(questions(bench, holders));
    took
}

fn names(client: usize) -> Vec<String> {
    vec![format!("client {client}")]
}

fn shared(client: usize) -> LockAction {
    let resource = names(client).remove(0);
    LockAction::Acquire { requests: vec![LockRequest { resource, mode: LockMode::Shared }], wait_us: 0 }
}

/// Does what `action` says for each session with what it was granted last; the time of one, and what it was granted.
fn each(
    bench: &mut Bench,
    sessions: &[SessionId],
    action: impl Fn(usize) -> LockAction,
) -> (f64, Vec<(Outcome, Vec<MachineEvent>)>) {
    let commands: Vec<Command> =
        sessions.iter().enumerate().map(|(place, &session)| bench.command(session, action(place))).collect();
    bench.timed(&commands)
}

fn granted(applied: &[(Outcome, Vec<MachineEvent>)]) -> Vec<Vec<LockGrant>> {
    applied.iter().map(|(outcome, _)| grants(outcome)).collect()
}

fn modes(bench: &mut Bench, holders: &[SessionId]) -> Vec<(&'static str, f64)> {
    let held = granted(&each(bench, holders, shared).1);
    let hold =
        |held: &[Vec<LockGrant>], place: usize| (held[place][0].resource.clone(), held[place][0].token);
    let upgrade = |place| {
        let (resource, token) = hold(&held, place);
        LockAction::Upgrade { resource, token, wait_us: 0 }
    };
    let (upgrade_ns, upgraded) = each(bench, holders, upgrade);
    let held = granted(&upgraded);
    let downgrade = |place| {
        let (resource, token) = hold(&held, place);
        LockAction::Downgrade { resource, token }
    };
    let (downgrade_ns, downgraded) = each(bench, holders, downgrade);
    let held = granted(&downgraded);
    each(bench, holders, |place| LockAction::Release { grants: held[place].clone() });
    vec![("upgrade", upgrade_ns), ("downgrade", downgrade_ns)]
}

fn permits(bench: &mut Bench, holders: &[SessionId]) -> Vec<(&'static str, f64)> {
    let request = LockRequest { resource: POOL.to_owned(), mode: LockMode::Permits(1) };
    let ask = |_| LockAction::Acquire { requests: vec![request.clone()], wait_us: 0 };
    let (acquire_ns, acquired) = each(bench, holders, ask);
    let held = granted(&acquired);
    let (release_ns, _) = each(bench, holders, |place| LockAction::Release { grants: held[place].clone() });
    vec![("acquire a permit", acquire_ns), ("release a permit", release_ns)]
}

fn forced(bench: &mut Bench, keeper: SessionId, holders: &[SessionId]) -> f64 {
    let held = granted(&each(bench, holders, |place| acquire(names(place), 0)).1);
    let commands: Vec<Command> = held
        .iter()
        .map(|held| {
            let (resource, token) = (held[0].resource.clone(), held[0].token);
            bench.command(keeper, LockAction::ForceRelease { resource, token, reason: "bench".to_owned() })
        })
        .collect();
    bench.timed(&commands).0
}

/// Each of the holders gives back sixteen locks, for all of which one of the others waits.
fn sixteen(bench: &mut Bench, holders: &[SessionId], others: &[SessionId]) -> f64 {
    let names = |place: usize| (0..REQUESTS_MAX).map(|lock| format!("client {place}, {lock}")).collect();
    let held = granted(&each(bench, holders, |place| acquire(names(place), 0)).1);
    each(bench, others, |place| acquire(names(place), HOUR_US));
    let (took, handed) = each(bench, holders, |place| LockAction::Release { grants: held[place].clone() });
    let completed = |events: &Vec<MachineEvent>| {
        events.iter().find_map(|event| match event {
            MachineEvent::Completed { outcome, .. } => Some(grants(outcome)),
            _ => None,
        })
    };
    let held: Vec<Vec<LockGrant>> =
        handed.iter().map(|(_, events)| completed(events).expect("the next in line has them")).collect();
    each(bench, others, |place| LockAction::Release { grants: held[place].clone() });
    took
}

/// All wait for one lock in vain; the time that the end of each wait takes, of an entry at which all end.
fn waits_run_out(bench: &mut Bench, holder: SessionId, others: &[SessionId]) -> f64 {
    let name = || vec!["brief".to_owned()];
    let outcome = bench.act(holder, acquire(name(), 0));
    let held = grants(&outcome);
    each(bench, others, |_| acquire(name(), 1_000));
    bench.time_us += 1_000;
    let (took, (outcome, events)) = each_ns(RUN, || bench.apply(&Command::Tick));
    assert_eq!((outcome, events.len()), (Ok(Reply::Done), RUN), "each wait ended");
    assert_eq!(bench.act(holder, LockAction::Release { grants: held }), Ok(Reply::Done));
    took
}

/// New sessions with a lock each: of half of them the lease runs out, the others are closed.
fn sessions_end(bench: &mut Bench) -> Vec<(&'static str, f64)> {
    let open = |bench: &mut Bench, lease_us| -> Vec<SessionId> {
        let opened = (0..RUN).map(|_| bench.open_for(lease_us)).collect::<Vec<_>>();
        each(bench, &opened, |place| acquire(names(place), 0));
        opened
    };
    let closing: Vec<Command> =
        open(bench, HOUR_US).into_iter().map(|session| Command::CloseSession { session }).collect();
    let (closed_ns, _) = bench.timed(&closing);
    let kept: Vec<Command> =
        open(bench, LEASE_US_MIN).into_iter().map(|session| Command::KeepAlive { session }).collect();
    let (kept_ns, _) = bench.timed(&kept);
    bench.time_us += LEASE_US_MIN;
    let (expired_ns, (_, events)) = each_ns(RUN, || bench.apply(&Command::Tick));
    assert_eq!(events.len(), 2 * RUN, "each session ended, and its lock was released");
    vec![("keep alive", kept_ns), ("close a session", closed_ns), ("a session runs out", expired_ns)]
}

fn questions(bench: &mut Bench, holders: &[SessionId]) -> Vec<(&'static str, f64)> {
    let held = granted(&each(bench, holders, |place| acquire(names(place), 0)).1);
    let name = |place: usize| names(place).remove(0);
    let ask = |query: &dyn Fn(usize) -> LockQuery| {
        let queries: Vec<Query> = (0..RUN).map(|place| Query::Lock(query(place))).collect();
        each_ns(RUN, || {
            queries.iter().for_each(|query| drop(std::hint::black_box(bench.machine.query(query))))
        })
        .0
    };
    let state_ns = ask(&|place| LockQuery::State { resource: name(place) });
    let check_ns = ask(&|place| LockQuery::Check { resource: name(place), token: held[place][0].token });
    let of_session_ns = ask(&|place| LockQuery::OfSession { session: holders[place] });
    each(bench, holders, |place| LockAction::Release { grants: held[place].clone() });
    vec![("state", state_ns), ("check a token", check_ns), ("locks of a session", of_session_ns)]
}

/// A session that holds something stands in the line of one of these locks; it leaves again. If another awaits what it
/// holds, a cycle is looked for, from both ends.
pub(super) fn search(
    bench: &mut Bench,
    session: SessionId,
    awaited_by: Option<SessionId>,
    lines: Vec<String>,
) -> f64 {
    let held = grants(&bench.act(session, acquire(names(0), 0)));
    if let Some(other) = awaited_by {
        let waiting = bench.act(other, acquire(names(0), HOUR_US));
        assert!(matches!(waiting, Ok(Reply::Waiting { .. })), "{waiting:?}");
    }
    let command = bench.command(session, acquire(vec![lines[0].clone()], HOUR_US));
    let (took, applied) = bench.timed(std::slice::from_ref(&command));
    match &applied[0].0 {
        Ok(Reply::Waiting { .. }) => {
            let sequence = Sequence(bench.sequences[&session]);
            assert_eq!(bench.act(session, LockAction::Cancel { sequence }), Ok(Reply::Done));
        }
        Err(MachineError::Lock(LockError::WaitGraphTooLarge)) => {}
        other => panic!("it is held, and nobody there waits for this session: {other:?}"),
    }
    if let Some(other) = awaited_by {
        let sequence = Sequence(bench.sequences[&other]);
        assert_eq!(bench.act(other, LockAction::Cancel { sequence }), Ok(Reply::Done));
    }
    assert_eq!(bench.act(session, LockAction::Release { grants: held }), Ok(Reply::Done));
    took
}

/// A command that leaves all earlier ones of its session open.
pub(super) fn beside_others(bench: &mut Bench, session: SessionId, action: LockAction) -> Command {
    let mut command = bench.command(session, action);
    if let Command::Once { lowest_open, .. } = &mut command {
        *lowest_open = Sequence(1);
    }
    command
}
