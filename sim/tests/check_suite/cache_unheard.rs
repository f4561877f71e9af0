//! What the cache is known to hold though some were never answered, and lives that others inherit. Times are in
//! microseconds.

use stormglass_sim::history::{Answer, Call};

use crate::cache_safety::{
    add, assert_accepted, assert_rejected, delete, get, key, mortal, row, set, set_if_absent, set_if_version,
    unanswered,
};
use crate::support::Row;

#[test]
fn a_counter_keeps_the_life_of_what_it_goes_on_from() {
    let begin = || vec![mortal(1, 2, 5, 3, 100), add(5, 1, 6, 4)];
    let with = |rows: Vec<Row>| [begin(), rows].concat();
    assert_accepted("over", with(vec![get(7, 100, 101, None)]));
    assert_rejected("found nothing", with(vec![get(7, 99, 100, None)]));
    assert_accepted("over after another", with(vec![add(7, 2, 8, 5), get(7, 100, 101, None)]));
    let anew = with(vec![get(7, 110, 111, None), add(120, 1, 1, 9), get(7, 900, 901, None)]);
    assert_rejected("found nothing", anew);
    let lost = vec![unanswered(mortal(1, 2, 5, 3, 100)), add(5, 1, 6, 4)];
    assert_accepted("nobody was told", [lost, vec![get(7, 100, 101, None)]].concat());
}

#[test]
fn what_was_set_unheard_and_seen_may_end_without_another_version() {
    let begin = || vec![set(1, 2, 5, 3), unanswered(mortal(4, 5, 7, 0, 100)), get(2, 6, 7, Some((7, 4)))];
    let with = |rows: Vec<Row>| [begin(), rows].concat();
    let absent = || set_if_absent(110, Answer::Written { version: 5 });
    assert_accepted("over", with(vec![get(7, 104, 105, None), absent(), get(7, 120, 121, Some((90, 5)))]));
    assert_rejected(
        "nobody can have removed it",
        with(vec![get(7, 50, 51, None), get(7, 60, 61, Some((7, 4)))]),
    );
    let early = with(vec![set_if_absent(50, Answer::Written { version: 5 })]);
    assert_rejected("nobody can have removed it", early);
}

#[test]
fn additions_that_nobody_was_answered_add_up() {
    let begin = || vec![add(1, 1, 1, 1), unanswered(add(3, 1, 0, 0))];
    let with = |rows: Vec<Row>| [begin(), rows].concat();
    assert_accepted("seen", with(vec![get(3, 6, 7, Some((2, 2)))]));
    assert_rejected("nobody can have written", with(vec![get(3, 6, 7, Some((1_000_000, 2)))]));
    assert_rejected("nobody can have written", with(vec![get(3, 6, 7, Some((-5, 2)))]));
    assert_rejected("nobody can have written", with(vec![get(3, 6, 7, Some((3, 3)))]));
    let seen = |rows: Vec<Row>| with([vec![get(3, 6, 7, Some((2, 2)))], rows].concat());
    assert_accepted("gone on from", seen(vec![add(8, 1, 3, 3)]));
    assert_rejected("what came before", seen(vec![add(8, 1, 2, 3)]));
    assert_rejected("what came before", seen(vec![add(8, 1, 4, 3)]));
    assert_accepted("begun anew", seen(vec![delete(8, 9, true, 3), add(10, 1, 1, 4)]));
    assert_rejected("what came before", seen(vec![delete(8, 9, true, 3), add(10, 1, 2, 4)]));
    let two = vec![unanswered(add(4, 3, 0, 0)), get(3, 6, 7, Some((5, 2)))];
    assert_accepted("both", with(two));
}

#[test]
fn what_was_seen_to_be_gone_is_not_written_over() {
    let begin = || vec![mortal(1, 2, 5, 3, 100), get(2, 110, 111, None)];
    let with = |row: Row| [begin(), vec![row]].concat();
    assert_rejected("found nothing", with(set_if_version(120, Some(3), Answer::Written { version: 9 })));
    assert_rejected("found nothing", with(delete(120, 121, true, 9)));
    assert_accepted("gone", with(delete(120, 121, false, 9)));
    assert_rejected("found nothing", with(add(120, 1, 6, 9)));
    assert_accepted("begun anew", with(add(120, 1, 1, 9)));
    let unheard = vec![mortal(1, 2, 5, 3, 100), unanswered(set(4, 5, 8, 0)), get(2, 110, 111, None)];
    assert_accepted("somebody filled it", [unheard, vec![delete(120, 121, true, 9)]].concat());
}

/// The operations of one client are in order, at the same instant too.
#[test]
fn a_client_sees_what_it_wrote_at_the_same_instant() {
    let begin = || vec![mortal(1, 2, 5, 3, 900), mortal(3, 4, 6, 4, 900)];
    let read = |client, seen| [begin(), vec![get(client, 4, 5, seen)]].concat();
    assert_accepted("its own", read(1, Some((6, 4))));
    assert_rejected("saw version 3", read(1, Some((5, 3))));
    assert_accepted("somebody else's", read(2, Some((5, 3))));
    assert_rejected("found nothing", read(1, None));
    let removed = |client| {
        let by_one =
            row(1, 5, 6, Call::CacheDelete { key: key() }, Answer::Deleted { existed: true, version: 8 });
        [begin(), vec![by_one, get(client, 6, 7, Some((6, 4)))]].concat()
    };
    assert_accepted("at once", removed(2));
    assert_rejected("saw version 4", removed(1));
}
