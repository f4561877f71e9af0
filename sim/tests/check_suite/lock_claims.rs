//! Refusals of what is free, what is given back by others than its holder, permits that there are not, and deadlocks
//! among those of whom only their releases tell.

use stormglass_sim::history::{Answer, Call, LockMode, LockWant};

use crate::lock_modes::{acquire_all, assert_locks_accepted, assert_locks_rejected, release_all, want};
use crate::support::Row;

use LockMode::{Exclusive, Permits, Shared};

fn assert_accepted(what: &str, rows: Vec<Row>) {
    assert_locks_accepted(what, rows, None);
}

fn assert_rejected(why: &str, rows: Vec<Row>) {
    assert_locks_rejected(why, rows, None);
}

/// Asks and does not wait.
fn refused(client: u64, from: u64, until: u64, wants: &[LockWant]) -> Row {
    let call = Call::AcquireAll { session: client, wants: wants.to_vec(), wait_us: 0 };
    (client, from, until, call, Some(Answer::NotGranted))
}

fn unanswered(mut row: Row) -> Row {
    row.4 = None;
    row
}

#[test]
fn nobody_is_refused_what_is_free() {
    let r = || vec![want("r", Exclusive)];
    let held = |until| vec![acquire_all(1, 10, &r(), &[3]), release_all(1, until, "r", 3)];
    let with = |until, row: Row| [held(until), vec![row]].concat();
    assert_accepted("held", with(100, refused(2, 20, 30, &r())));
    assert_accepted("perhaps given back only then", with(100, refused(2, 101, 130, &r())));
    assert_accepted("taken meanwhile", with(100, refused(2, 1, 10, &r())));
    assert_rejected("was refused at", with(100, refused(2, 102, 130, &r())));
    assert_rejected("was refused at", with(100, refused(2, 1, 9, &r())));
    let single = Call::Acquire { resource: "r".to_owned(), exclusive: true, wait_us: 0 };
    assert_rejected("was refused at", with(100, (2, 110, 111, single, Some(Answer::NotGranted))));
    let unsure = unanswered(acquire_all(3, 105, &r(), &[]));
    assert_accepted("who knows", [held(100), vec![unsure, refused(2, 110, 120, &r())]].concat());
    let two = |from| refused(2, from, 120, &[want("r", Exclusive), want("q", Shared)]);
    assert_accepted("one of two may be held", with(100, two(101)));
    assert_rejected("was refused at", with(100, two(102)));
    assert_rejected("was refused at", vec![refused(2, 1, 2, &r())]);
    let declare = |permits| {
        let call = Call::DeclareSemaphore { resource: "s".to_owned(), permits };
        (9, 0, 1, call, Some(Answer::Declared))
    };
    let permits = |there, wanted| {
        [held(100), vec![declare(there), refused(2, 110, 120, &[want("s", Permits(wanted))])]].concat()
    };
    assert_rejected("was refused at", permits(2, 2));
    assert_accepted("more than there are", permits(2, 3));
}

#[test]
fn only_its_holder_gives_back_what_it_holds() {
    let by = |client| vec![acquire_all(1, 1, &[want("r", Exclusive)], &[3]), release_all(client, 5, "r", 3)];
    assert_accepted("its holder", by(1));
    assert_accepted("another thread of its process", by(1_001));
    assert_rejected("was granted to", by(2));
    assert_rejected("was granted to", by(1_002));
    let operator = Call::ForceRelease { resource: "r".to_owned(), token: 3 };
    let forced = vec![by(1)[0].clone(), (9, 5, 6, operator, Some(Answer::Released))];
    assert_accepted("an operator", forced);
    let downgrade = Call::Downgrade { session: 2, resource: "r".to_owned(), token: 3 };
    let other = vec![by(1)[0].clone(), (2, 5, 6, downgrade, Some(Answer::Granted { token: 4 }))];
    assert_rejected("was granted to", other);
}

#[test]
fn nobody_is_granted_more_permits_than_there_are() {
    let declare = |from, permits| {
        let call = Call::DeclareSemaphore { resource: "s".to_owned(), permits };
        (9, from, from + 1, call, Some(Answer::Declared))
    };
    let granted = |wanted| acquire_all(1, 10, &[want("s", Permits(wanted))], &[3]);
    assert_accepted("all of them", vec![declare(0, 2), granted(2)]);
    assert_rejected("was granted 5 permits", vec![declare(0, 2), granted(5)]);
    assert_accepted("more were declared", vec![declare(0, 2), declare(5, 5), granted(5)]);
    assert_rejected("was granted 5 permits", vec![declare(0, 2), declare(15, 5), granted(5)]);
    assert_accepted("perhaps", vec![declare(0, 2), unanswered(declare(5, 5)), granted(5)]);
}

#[test]
fn releases_tell_of_a_deadlock_that_nobody_was_told_of() {
    let waits = |client, from, resource: &str| {
        let wants = vec![want(resource, Exclusive)];
        let call = Call::AcquireAll { session: client, wants, wait_us: 10 };
        (client, from, from + 10_010, call, Some(Answer::NotGranted))
    };
    let rows = |given_back| {
        vec![
            acquire_all(1, 1, &[want("a", Exclusive)], &[1]),
            acquire_all(2, 1, &[want("b", Exclusive)], &[1]),
            waits(1, 100, "b"),
            waits(2, 200, "a"),
            release_all(1, given_back, "a", 1),
            release_all(2, 20_000, "b", 1),
        ]
    };
    assert_rejected("nobody was told of a deadlock", rows(20_000));
    let mut forced = rows(20_000);
    let call = Call::ForceRelease { resource: "a".to_owned(), token: 1 };
    forced[4] = (7, 20_000, 20_001, call, Some(Answer::Released));
    assert_accepted("it may have been held by a session that client 1 had lost", forced);
    let mut untold = rows(20_000);
    untold.truncate(4);
    assert_accepted("their leases may have been over", untold);
}
