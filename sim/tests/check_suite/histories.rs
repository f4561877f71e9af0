//! Histories on disk: what is written is read again, and what is no history is refused with its place.

use std::fmt::Write;

use rand::RngExt;
use stormglass_sim::history::{
    Answer, Call, History, HistoryError, Hold, LockMode, LockWant, Message, Recorder, VirtualTime,
    read_history, write_history,
};
use stormglass_sim::rng::Streams;

use crate::support::{Shape, acquire, granted, history, register_history, set, written};

fn text(history: &History) -> String {
    let mut bytes = Vec::new();
    write_history(history, &mut bytes).expect("writing to memory");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

fn sample() -> History {
    let mut history = history(vec![
        (1, 1, 2, set(5), written(3)),
        (2, 1, 4, acquire(true), granted(9)),
        (1, 3, 0, set(6), None),
    ]);
    history.holds.push(Hold {
        client: 2,
        operation: 1,
        resource: "r".to_owned(),
        exclusive: true,
        permits: 0,
        token: 9,
        from_ns: VirtualTime(4),
        until_ns: VirtualTime(8),
        lapsed: true,
    });
    history
}

#[test]
fn what_is_written_is_read_again() {
    let mut rng = Streams::new(9).stream("files");
    let shape =
        Shape { clients: 4, operations: 50, keys: 3, values: 5, unknown_percent: 20, duration_max: 9 };
    for history in [History::default(), sample(), register_history(&mut rng, &shape)] {
        let read = read_history(text(&history).as_bytes()).expect("it was just written");
        assert_eq!(read, history);
    }
}

#[test]
fn the_lines_are_as_documented() {
    insta::assert_snapshot!(text(&sample()), @r#"
    {"format":"stormglass-history","version":1,"operations":3,"holds":1}
    {"operation":{"id":0,"client":1,"call":"set","key":"k","value":5,"invoked_ns":1,"returned_ns":2,"outcome":{"outcome":"ok","answer":{"answer":"written","version":3}}}}
    {"operation":{"id":1,"client":2,"call":"acquire","resource":"r","exclusive":true,"wait_us":0,"invoked_ns":1,"returned_ns":4,"outcome":{"outcome":"ok","answer":{"answer":"granted","token":9}}}}
    {"operation":{"id":2,"client":1,"call":"set","key":"k","value":6,"invoked_ns":3,"returned_ns":null,"outcome":{"outcome":"unknown","reason":"no answer"}}}
    {"hold":{"client":2,"operation":1,"resource":"r","exclusive":true,"token":9,"from_ns":4,"until_ns":8,"lapsed":true}}
    "#);
}

#[test]
fn what_is_no_history_is_refused_with_its_place() {
    let good = text(&sample());
    let lines: Vec<&str> = good.lines().collect();
    let edit = |from: &str, to: &str| good.replacen(from, to, 1);
    let bad: Vec<(&str, String)> = vec![
        ("empty file", String::new()),
        ("another format", edit("stormglass-history", "tempest-history")),
        ("another version", edit("\"version\":1", "\"version\":2")),
        ("cut within a line", good[..good.len() - 20].to_owned()),
        ("cut between lines", format!("{}\n{}\n", lines[0], lines[1])),
        ("not JSON", edit("{\"operation\":{\"id\":1", "{\"operation\":{id:1")),
        ("unknown call", edit("\"call\":\"set\"", "\"call\":\"sett\"")),
        ("numbering", edit("\"id\":1", "\"id\":7")),
        ("returned early", edit("\"invoked_ns\":1,\"returned_ns\":2", "\"invoked_ns\":3,\"returned_ns\":2")),
        ("two open at once", edit("\"id\":1,\"client\":2", "\"id\":1,\"client\":1")),
        ("hold of no acquire", edit("\"operation\":1,", "\"operation\":0,")),
        ("a line of another kind", edit("{\"hold\":", "{\"held\":")),
    ];
    let mut shown = String::new();
    for (what, text) in bad {
        let error = read_history(text.as_bytes()).expect_err(what);
        writeln!(shown, "{what}: {error}").expect("writing to a string");
    }
    insta::assert_snapshot!(shown, @r#"
    empty file: line 1, column 1: the file is empty: there is not even a header
    another format: line 1, column 1: the format is "tempest-history", not "stormglass-history"
    another version: line 1, column 1: version 2 is not known here, only 1 is
    cut within a line: line 5, column 1: the line has no end: the file was cut
    cut between lines: line 3, column 1: the header announces 3 operations and 1 holds, but 1 and 0 follow
    not JSON: line 3, column 15: key must be a string
    unknown call: line 2, column 166: unknown variant `sett`, expected one of `get`, `set`, `compare-and-set`, `delete`, `acquire`, `release`, `declare-semaphore`, `acquire-all`, `upgrade`, `downgrade`, `release-all`, `lock-state`, `watch-lock`, `check-token`, `force-release`, `declare-topic`, `enqueue`, `dequeue`, `acknowledge`, `reject`, `extend`, `topic-stats`, `handle`, `stop-consumer`, `cache-get`, `cache-get-within`, `cache-configure`, `cache-set`, `cache-set-if-absent`, `cache-compare-and-set`, `cache-delete`, `cache-increment`
    numbering: line 3: operation 7 stands in the place of operation 1
    returned early: line 2: operation 0 returned before it was invoked
    two open at once: line 3: client 1 invoked operation 1 while another was open
    hold of no acquire: line 5: the hold of token 9 names operation 0, which is no acquisition of its own
    a line of another kind: line 5, column 7: unknown variant `held`, expected `operation` or `hold`
    "#);
}

#[test]
fn an_answer_that_its_call_cannot_have_is_refused() {
    let want = |resource: &str| LockWant { resource: resource.to_owned(), mode: LockMode::Exclusive };
    let acquire_all = Call::AcquireAll { session: 1, wants: vec![want("r")], wait_us: 0 };
    let dequeue = Call::Dequeue { topic: "t".to_owned(), count_max: 1, visibility_us: 1, wait_us: 0 };
    let cached = |value, version| Answer::Cached { value, version, local: false };
    let get = || Call::CacheGet { key: "k".to_owned(), near: false };
    let row = |call, answer| vec![(1, 1, 2, call, Some(answer))];
    let send = |topic: &str| Call::Enqueue {
        topic: topic.to_owned(),
        producer: 1,
        sequence: 0,
        messages: vec![Message { number: 7, ..Message::default() }],
    };
    let twice =
        |topic: &str| vec![(1, 1, 2, send("t"), None), (2, 3, 4, send(topic), Some(Answer::Enqueued))];
    assert_eq!(history(twice("t")).verify(), Ok(()), "asked again");
    let cases = [
        row(dequeue, Answer::Granted { token: 3 }),
        row(acquire_all.clone(), Answer::GrantedAll { tokens: Vec::new() }),
        row(acquire_all, Answer::GrantedAll { tokens: vec![3, 4] }),
        row(acquire(true), Answer::Released),
        row(get(), cached(Some(5), None)),
        row(get(), cached(None, Some(3))),
        row(set(5), Answer::Deleted { existed: true, version: 3 }),
        twice("u"),
    ];
    let mut shown = String::new();
    for rows in cases {
        let error = read_history(text(&history(rows)).as_bytes()).expect_err("it is no history");
        writeln!(shown, "{error}").expect("writing to a string");
    }
    insta::assert_snapshot!(shown, @r#"
    line 2: operation 0, dequeue, was answered "granted", and not "delivered"
    line 2: operation 0, acquire-all, wanted 1 resources and was granted 0 tokens
    line 2: operation 0, acquire-all, wanted 1 resources and was granted 2 tokens
    line 2: operation 0, acquire, was answered "released", and not "granted" or "not-granted" or "deadlock"
    line 2: operation 0, cache-get, was answered a value without its version
    line 2: operation 0, cache-get, was answered a version without its value
    line 2: operation 0, set, was answered "deleted", and not "written"
    line 3: operation 1 sends message 7 to "u", but an earlier one sent it to another topic
    "#);
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let mut rng = Streams::new(10).stream("damage");
    let good = text(&sample()).into_bytes();
    let mut refused = 0;
    for _ in 0..5_000 {
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random_range(0..=255);
        }
        refused += u32::from(read_history(&bytes[..]).is_err());
    }
    assert!(refused > 2_000, "only {refused} of 5000 damaged files were refused");
}

#[test]
fn a_failing_source_is_reported_as_such() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("unplugged"))
        }
    }
    let error = read_history(std::io::BufReader::new(Broken)).expect_err("it cannot be read");
    assert!(matches!(error, HistoryError::Io { line: 1, .. }), "{error}");
}

#[test]
fn a_recorded_history_verifies() {
    let mut recorder = Recorder::new();
    let id = recorder.invoke(1, set(5), VirtualTime(1));
    recorder.invoke(2, set(6), VirtualTime(1));
    let fail = stormglass_sim::history::Outcome::Fail { reason: "refused".to_owned() };
    recorder.complete(id, fail, VirtualTime(4));
    assert_eq!(recorder.finish().verify(), Ok(()));
}
