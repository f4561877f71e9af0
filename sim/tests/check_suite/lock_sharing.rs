//! Waits in vain for what could be shared, and refusals of it: of locks by those who share them, of semaphores by those
//! who need no more permits than are left.

use stormglass_sim::check::{Calm, Drift, Verdict, lock_safety};
use stormglass_sim::history::{Answer, Call, LockMode, LockWant, Outcome, VirtualTime};

use crate::lock_modes::{
    acquire_all, assert_locks_accepted, assert_locks_rejected, release_all, want, with_holds,
};
use crate::support::Row;

use LockMode::{Exclusive, Permits, Shared};

const CALM: Calm = Calm { from: VirtualTime(0), grace_ns: 100, slow_ppm_max: 0, lease_us: 2 };

fn assert_accepted(what: &str, rows: Vec<Row>) {
    assert_locks_accepted(what, rows, Some(CALM));
}

fn assert_rejected(why: &str, rows: Vec<Row>) {
    assert_locks_rejected(why, rows, Some(CALM));
}

/// Asks from 1,000 until 1,010, and does not wait.
fn refused(client: u64, wants: &[LockWant]) -> Row {
    let call = Call::AcquireAll { session: client, wants: wants.to_vec(), wait_us: 0 };
    (client, 1_000, 1_010, call, Some(Answer::NotGranted))
}

/// Waits for ten microseconds from `from` on: for certain from 100 ns later until 100 ns before the end.
fn in_vain(client: u64, from: u64, wants: &[LockWant]) -> Row {
    let call = Call::AcquireAll { session: client, wants: wants.to_vec(), wait_us: 10 };
    (client, from, from + 10_100, call, Some(Answer::NotGranted))
}

fn holder(client: u64, mode: LockMode) -> Row {
    acquire_all(client, 10 * client, &[want("r", mode)], &[10 * client])
}

#[test]
fn nobody_is_refused_what_could_be_shared() {
    let sharer = || refused(3, &[want("r", Shared)]);
    assert_rejected("was refused at", vec![holder(1, Shared), holder(2, Shared), sharer()]);
    let writer = refused(3, &[want("r", Exclusive)]);
    assert_accepted("one who would not share", vec![holder(1, Shared), writer]);
    let later = acquire_all(2, 600, &[want("r", Shared)], &[20]);
    let before = vec![holder(1, Exclusive), release_all(1, 500, "r", 10), later, sharer()];
    assert_rejected("was refused at", before);
    assert_accepted("held alone", vec![holder(1, Exclusive), sharer()]);
}

#[test]
fn a_writer_that_may_stand_in_line_excuses_the_refusal_of_a_reader() {
    let sharer = || refused(3, &[want("r", Shared)]);
    let with = |row: Row| vec![holder(1, Shared), row, sharer()];
    assert_accepted("one that waits in vain", with(in_vain(2, 900, &[want("r", Exclusive)])));
    assert_accepted("one that comes meanwhile", with(in_vain(2, 1_010, &[want("r", Exclusive)])));
    assert_rejected("was refused at", with(in_vain(2, 1_011, &[want("r", Exclusive)])));
    assert_rejected("waited for \"r\" in vain", with(in_vain(2, 900, &[want("r", Shared)])));
    let mut granted = in_vain(2, 900, &[want("r", Exclusive)]);
    granted.4 = Some(Answer::GrantedAll { tokens: vec![77] });
    assert_accepted("one that is granted it later", with(granted));
    let tried = (2, 990, 1_005, refused(2, &[want("r", Exclusive)]).3, Some(Answer::NotGranted));
    assert_rejected("was refused at", with(tried));
    let upgrade = Call::Upgrade { session: 1, resource: "r".to_owned(), token: 10, wait_us: 10 };
    assert_accepted("an upgrade", with((1, 900, 11_000, upgrade, Some(Answer::NotGranted))));
}

/// Its session may have come to its end while it stood in line.
#[test]
fn one_who_was_turned_away_for_another_reason_may_have_stood_in_line() {
    let judged = |wait_us| {
        let call = Call::AcquireAll { session: 2, wants: vec![want("r", Exclusive)], wait_us };
        let rows = vec![holder(1, Shared), (2, 900, 1_100, call, None), refused(3, &[want("r", Shared)])];
        let mut history = with_holds(rows, &[]);
        history.operations[1].outcome = Outcome::Fail { reason: "the session is over".to_owned() };
        lock_safety::check(&history, Drift::default(), Some(CALM)).verdict
    };
    assert_eq!(judged(10), Verdict::Valid);
    assert_eq!(judged(0), Verdict::Invalid, "it did not wait");
}

#[test]
fn nobody_waits_in_vain_for_what_could_be_shared() {
    let sharer = || in_vain(3, 1_000, &[want("r", Shared)]);
    assert_rejected("waited for \"r\" in vain", vec![holder(1, Shared), holder(2, Shared), sharer()]);
    assert_accepted("held alone", vec![holder(1, Exclusive), sharer()]);
    // The writer gives it back while the reader waits, and there are readers already.
    let woken = |given_back| {
        let call = Call::AcquireAll { session: 2, wants: vec![want("r", Shared)], wait_us: 20 };
        vec![
            acquire_all(1, 10, &[want("r", Exclusive)], &[10]),
            (2, 500, given_back + 2, call, Some(Answer::GrantedAll { tokens: vec![20] })),
            release_all(1, given_back, "r", 10),
            sharer(),
        ]
    };
    assert_rejected("waited for \"r\" in vain", woken(5_000));
    assert_accepted("too late to tell", woken(10_998));
    let writer = in_vain(2, 900, &[want("r", Exclusive)]);
    assert_accepted("behind a writer that waits", vec![holder(1, Shared), writer, sharer()]);
    let readers = vec![holder(1, Shared), in_vain(2, 900, &[want("r", Shared)]), sharer()];
    assert_rejected("waited for \"r\" in vain", readers);
}

fn declare(from: u64, permits: u64) -> Row {
    let call = Call::DeclareSemaphore { resource: "s".to_owned(), permits };
    (9, from, from + 1, call, Some(Answer::Declared))
}

fn takes(client: u64, permits: u64) -> Row {
    acquire_all(client, 10 * client, &[want("s", Permits(permits))], &[10 * client])
}

#[test]
fn nobody_is_refused_permits_that_are_left() {
    let refused = |permits| refused(5, &[want("s", Permits(permits))]);
    let with = |permits| vec![declare(0, 4), takes(1, 1), takes(2, 1), refused(permits)];
    assert_rejected("was refused at", with(2));
    assert_accepted("one is missing", with(3));
    let fewer = [with(2), vec![declare(700, 3)]].concat();
    assert_accepted("there may have been fewer", fewer);
    let given_back = [with(3), vec![release_all(2, 500, "s", 20)]].concat();
    assert_rejected("was refused at", given_back);
    let waits = |permits| in_vain(4, 900, &[want("s", Permits(permits))]);
    assert_accepted("behind a larger one", [with(2), vec![waits(3)]].concat());
    assert_rejected("waited for \"s\" in vain", [with(1), vec![waits(2)]].concat());
    let unsure = |until| {
        let row = acquire_all(4, 40, &[want("s", Permits(1))], &[]);
        vec![(4, 40, until, row.3, None)]
    };
    assert_accepted("who knows", [with(2), unsure(900)].concat());
    assert_rejected("was refused at", [with(1), unsure(900)].concat());
}

#[test]
fn nobody_waits_in_vain_for_permits_that_are_left() {
    let with = |permits, given_back| {
        let waits = in_vain(5, 1_000, &[want("s", Permits(permits))]);
        vec![declare(0, 4), takes(1, 2), takes(2, 2), release_all(2, given_back, "s", 20), waits]
    };
    assert_rejected("waited for \"s\" in vain", with(2, 5_000));
    assert_accepted("never as many", with(3, 5_000));
    assert_accepted("too late to tell", with(2, 11_000));
}

#[test]
fn of_several_at_a_time_one_is_enough_to_refuse_them() {
    let both = || refused(3, &[want("r", Shared), want("s", Permits(2))]);
    let with = |rows: Vec<Row>| [vec![declare(0, 3), holder(1, Shared), both()], rows].concat();
    assert_rejected("was refused at", with(Vec::new()));
    assert_accepted("permits are missing", with(vec![takes(2, 2)]));
    assert_accepted("the lock is not shared", with(vec![in_vain(4, 900, &[want("r", Exclusive)])]));
}

#[test]
fn a_hold_that_its_client_goes_on_to_change_is_held_until_then() {
    let downgrade = (1, 5_000, 5_001, Call::Downgrade { session: 1, resource: "r".to_owned(), token: 10 });
    let rows = |changed: bool| {
        let (client, from, until, call) = downgrade.clone();
        let changing = (client, from, until, call, Some(Answer::Granted { token: 30 }));
        let late = (3, 4_000, 4_001, refused(3, &[want("r", Exclusive)]).3, Some(Answer::NotGranted));
        let mut rows = vec![holder(1, Exclusive), late];
        rows.extend(changed.then_some(changing));
        rows
    };
    // Of how long it was believed in the history tells nothing, or that it was given up at 20.
    let judged = |changed: bool, until: u64| {
        let mut history = with_holds(rows(changed), &[(1, 0, "r", Exclusive, 10, 11, until)]);
        history.holds[0].lapsed = true;
        lock_safety::check(&history, Drift::default(), Some(CALM)).verdict
    };
    assert_eq!(judged(true, 11), Verdict::Valid);
    assert_eq!(judged(false, 11), Verdict::Valid);
    assert_eq!(judged(true, 20), Verdict::Valid);
    assert_eq!(judged(false, 20), Verdict::Invalid);
}
