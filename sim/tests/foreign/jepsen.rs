//! Logs of Jepsen tests of a register.

use stormglass_sim::history::foreign::{
    ForeignError, ForeignRegisterAnswer as Answer, ForeignRegisterCall as Call, Format, Recorded, Recording,
    Seen, read_registers,
};

/// A log with everything that such logs have: tabs and spaces mixed, a nemesis, lines of other loggers, outcomes
/// that nobody knows, a process that comes back under its number, and one that times out.
pub(crate) const SAMPLE: &str = "\
INFO  jepsen.core - Running test: registers\n\
INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
INFO  jepsen.util - 1   :invoke :write  7\n\
INFO  jepsen.util - 0\t:ok\t:read\tnil\n\
INFO\tjepsen.util\t-\t:nemesis\t:info\t:start\tnil\n\
INFO  jepsen.util - 2 \t :invoke\t \t:cas\t[7  -9]\n\
INFO  jepsen.util - 1 :ok :write 7\n\
\n\
WARN  jepsen.client - java.net.SocketTimeoutException\n\
\tat java.net.SocketInputStream.read(SocketInputStream.java:150)\n\
INFO  jepsen.util - 2\t:info\t:cas\t:timed-out\n\
INFO  jepsen.util - 2\t:invoke\t:cas\t[5 6]\n\
INFO  jepsen.util - 0\t:invoke\t:read\tnil\n\
INFO  jepsen.util - 2\t:fail\t:cas\t[5 6]\n\
INFO  jepsen.util - 0\t:fail\t:read\t:timed-out\n\
INFO  jepsen.util - Everything went well\n\
2024-05-06 07:08:09,123{GMT}\tINFO\t[jepsen worker 3] jepsen.util: 3\t:invoke\t:read\tnil\n\
2024-05-06 07:08:09,124{GMT}\tINFO\t[jepsen worker 3] jepsen.util: 3\t:ok\t:read\t-9\n";

type Registers = Recording<Call, Answer>;

fn read(text: &str) -> Result<Registers, ForeignError> {
    read_registers(text.as_bytes(), Format::Jepsen)
}

fn operation(
    (process, process_in_file): (u64, u64),
    (invoked, returned): (u64, Option<u64>),
    call: Call,
    answer: Option<Answer>,
) -> Recorded<Call, Answer> {
    Recorded { process, process_in_file, line: invoked, object: 0, invoked, returned, call, answer }
}

#[test]
fn a_log_is_read_with_all_that_it_says() {
    let cas = |expected, value| Call::CompareAndSet { expected: Some(expected), value: Some(value) };
    let read = read(SAMPLE).unwrap();
    assert_eq!(
        read.operations,
        [
            operation((0, 0), (2, Some(4)), Call::Read, Some(Answer::Value(None))),
            operation((1, 1), (3, Some(7)), Call::Write(Some(7)), Some(Answer::Written)),
            operation((2, 2), (6, None), cas(7, -9), None),
            // Its number is that of the process that never returned, but it is another.
            operation((3, 2), (12, Some(14)), cas(5, 6), Some(Answer::Mismatch)),
            operation((4, 3), (17, Some(18)), Call::Read, Some(Answer::Value(Some(-9)))),
        ]
    );
    assert_eq!((read.failed, read.processes), (1, 5));
    assert_eq!(read.objects, [""]);
    assert_eq!(read.seen, Seen { lines: 18, of_nemesis: 1, skipped: 5 });
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let windows = format!("\u{feff}{}", SAMPLE.replace('\n', "\r\n"));
    assert_eq!(read(&windows), read(SAMPLE));
}

#[test]
fn the_format_shows_in_the_text() {
    assert_eq!(Format::detect(SAMPLE.as_bytes()), Some(Format::Jepsen));
    for edn in ["{:process 0}", "\n [{:process 0}]", "; a comment", "\u{feff}#tag {}"] {
        assert_eq!(Format::detect(edn.as_bytes()), Some(Format::Edn), "{edn}");
    }
    for neither in ["", " \n", "time,process,f\n1,2,read\n"] {
        assert_eq!(Format::detect(neither.as_bytes()), None, "{neither}");
    }
}

#[test]
fn a_failure_with_a_reason_says_nothing_about_the_register() {
    let begin = "INFO jepsen.util - 0 :invoke :cas [1 2]\nINFO jepsen.util - 0 :fail :cas ";
    for reason in [":timed-out", "[1 2] :not-leader", "[1 2] [:error \"no leader]", "#object[Foo", ""] {
        let read = read(&format!("{begin}{reason}\n")).unwrap();
        assert_eq!((read.operations.len(), read.failed), (0, 1), "{reason}");
    }
    let read = read(&format!("{begin}[1 2]\n")).unwrap();
    assert_eq!((read.operations[0].answer, read.failed), (Some(Answer::Mismatch), 0));
}

#[test]
fn a_failed_write_is_left_out_and_an_open_one_is_not() {
    let read = read(
        "INFO jepsen.util - 0 :invoke :write 1\nINFO jepsen.util - 1 :invoke :write 2\n\
         INFO jepsen.util - 0 :fail :write 1\n",
    )
    .unwrap();
    assert_eq!(read.operations, [operation((1, 1), (2, None), Call::Write(Some(2)), None)]);
    assert_eq!(read.failed, 1);
}

/// What is said of a log whose last lines are these.
fn refused(last: &str) -> String {
    let text = format!("INFO jepsen.util - 7 :invoke :write 42\n{last}");
    let error = read(&text).expect_err(last);
    format!("{error}\n  hint: {}\n", error.hint)
}

#[test]
fn what_is_no_log_is_refused_with_its_line() {
    let bad = [
        "INFO jepsen.util - 7 :invoke :read nil\n",
        "INFO jepsen.util - 8 :ok :read 1\n",
        "INFO jepsen.util - 7 :ok :read 1\n",
        "INFO jepsen.util - 7 :ok :write 4\n",
        "INFO jepsen.util - 7 :ok :write [4 2]\n",
        "INFO jepsen.util - 7 :ok :write\n",
        "INFO jepsen.util - 7 :ok :write 42 43\n",
        "INFO jepsen.util - 7 :okay :write 42\n",
        "INFO jepsen.util - 7 nodes are ready\n",
        "INFO jepsen.util - -7 :invoke :read nil\n",
        "INFO jepsen.util - [7] :invoke :read nil\n",
        "INFO jepsen.util 7 :ok :write 42\n",
        "INFO jepsen.util - 8 :invoke\n",
        "INFO jepsen.util - 8 :invoke :read\n",
        "INFO jepsen.util - 8 :invoke :cas [1 2 3]\n",
        "INFO jepsen.util - 8 :invoke :cas [1 2\n",
        "INFO jepsen.util - 8 :invoke :write :seven\n",
        "INFO jepsen.util - 8 :invoke :write 99999999999999999999\n",
        "INFO jepsen.util - 8 :invoke :append 1\n",
        "7 :ok :write 42\n",
        "{:process 7, :type :ok, :f :write, :value 42}\n",
    ];
    insta::assert_snapshot!(bad.map(refused).join(""));
}

#[test]
fn a_last_line_without_an_end_is_refused_unless_it_is_whole_for_certain() {
    for cut in [
        "INFO jepsen.util - 7 :ok :write 42",
        "INFO jepsen.util - 7 :ok :write 4",
        "INFO jepsen.util - 7 :ok :wri",
        "INFO jepsen.util - 7 :o",
        "INFO jepsen.util - 7",
        "INFO jepsen.util - 8 :invoke :cas [1 2",
        "INFO jepsen.util - 7 :info",
        "INFO jepsen.core - done",
        "INF",
        // A reason may have followed.
        "INFO jepsen.util - 8 :invoke :cas [1 2]\nINFO jepsen.util - 8 :fail :cas [1 2]",
    ] {
        let said = refused(cut);
        assert!(said.contains("the file was cut: its last line has no end"), "{cut}: {said}");
        assert!(said.starts_with(&format!("line {}: ", cut.lines().count() + 1)), "{cut}: {said}");
    }
    let begin = "INFO jepsen.util - 7 :invoke :write 42\n";
    for whole in [
        "INFO jepsen.util - 8 :invoke :cas [1 2]",
        "INFO jepsen.util - 8 :invoke :read nil",
        "INFO jepsen.util - 8 :invoke :read nil\nINFO jepsen.util - 8 :fail :read :timed-out",
        "INFO jepsen.util - :nemesis :info :start nil",
        "  ",
    ] {
        assert!(read(&format!("{begin}{whole}")).is_ok(), "{whole}");
    }
}

#[test]
fn a_log_without_an_operation_is_refused() {
    for nothing in ["", "\n", "INFO jepsen.core - hello\n", "INFO jepsen.util - :nemesis :info :start nil\n"]
    {
        let error = read(nothing).expect_err(nothing);
        assert!(error.message.starts_with("no operation of any process was found"), "{error}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let error = read_registers(b"INFO jepsen.core - hello\n\xff\n", Format::Jepsen).unwrap_err();
    assert_eq!((error.line, error.message.as_str()), (2, "this is not UTF-8 text"));
}
