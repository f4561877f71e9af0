//! Histories in EDN: of texts by key, and of registers.

use stormglass_sim::history::foreign::{
    ForeignError, ForeignRegisterAnswer, ForeignRegisterCall, Format, KvAnswer as Answer, KvCall as Call,
    Recording, Seen, read_kv, read_registers,
};

/// A history with everything that such histories have: keys in any order, a nemesis, comments, an outcome that
/// nobody knows, a process that comes back under its number, failures.
pub(crate) const SAMPLE: &str = r#"
{:process 0, :type :invoke, :f :append, :key "1", :value "x 0 0 y"}
{:process 1, :type :invoke, :f :get, :key "1", :value nil} ; it reads too early
{:process 1, :type :ok, :f :get, :key "1", :value ""}
{:type :info :process :nemesis :f :start :value #{n1 "n2"}}
{:value "x 0 0 y" :key "1" :f :append :type :ok :process 0 :time 1234 :index 4}
{:process 1	:type :invoke	:f :put	:key "2"	:value "a \"b\"\n"}
#_{:process 9, :type :invoke}
{:process 1, :type :info, :f :put, :key "2", :value "a \"b\"\n", :error [:timeout "10s"]}
{:process 1, :type :invoke, :f :get, :key "2"}
{:process 0, :type :invoke, :f :append, :key "2", :value "z"}
{:process 0, :type :fail, :f :append, :key "2", :value "z"}
{:process 1, :type :ok, :f :get, :key "2", :value nil}
"#;

type Texts = Recording<Call, Answer>;

fn read(text: &str) -> Result<Texts, ForeignError> {
    read_kv(text.as_bytes(), Format::Edn)
}

#[test]
fn a_history_is_read_with_all_that_it_says() {
    let read = read(SAMPLE).unwrap();
    let text = |text: &str| Some(Answer::Text(text.to_owned()));
    let shown: Vec<_> = read
        .operations
        .iter()
        .map(|operation| {
            let object = read.objects[operation.object].as_str();
            let times = (operation.line, operation.returned);
            (operation.process, object, times, operation.call.clone(), operation.answer.clone())
        })
        .collect();
    assert_eq!(
        shown,
        [
            (0, "1", (2, Some(6)), Call::Append("x 0 0 y".to_owned()), Some(Answer::Done)),
            (1, "1", (3, Some(4)), Call::Get, text("")),
            (1, "2", (7, None), Call::Put("a \"b\"\n".to_owned()), None),
            (2, "2", (10, Some(13)), Call::Get, text("")),
        ]
    );
    assert_eq!((read.failed, read.processes), (1, 3));
    assert_eq!(read.seen, Seen { lines: 13, of_nemesis: 1, skipped: 0 });
}

#[test]
fn windows_line_ends_and_a_sequence_around_it_change_nothing() {
    let plain = read(SAMPLE).unwrap();
    assert_eq!(read(&SAMPLE.replace('\n', "\r\n")), Ok(plain.clone()));
    for (opening, closing) in [("[", "]"), ("(", ")")] {
        assert_eq!(read(&format!("{opening}{SAMPLE}{closing}")).unwrap().operations, plain.operations);
    }
}

#[test]
fn events_on_one_line_keep_their_order() {
    let text = SAMPLE.replace("; it reads too early", "").replace('\n', " ");
    let (one_line, lines) = (read(&text).unwrap(), read(SAMPLE).unwrap());
    assert_eq!(one_line.operations.len(), lines.operations.len());
    let order = |texts: &Texts| {
        let of = |operation: &stormglass_sim::history::foreign::Recorded<_, _>| {
            [Some((operation.invoked, operation.line > 0)), operation.returned.map(|at| (at, false))]
        };
        let mut moments: Vec<_> = texts.operations.iter().flat_map(of).flatten().collect();
        moments.sort_unstable();
        moments.into_iter().map(|(_, is_invoked)| is_invoked).collect::<Vec<_>>()
    };
    assert_eq!(order(&one_line), order(&lines));
}

#[test]
fn registers_are_read_from_maps_too() {
    let text = "[{:process 0 :type :invoke :f :cas :value [1 2]} {:process 1 :type :invoke :f :read}
        {:process 0 :type :fail :f :cas :value [1 2]} {:process 1 :type :ok :f :read :value 1}
        {:process 0 :type :invoke :f :cas :value [1 3]}
        {:process 0 :type :fail :f :cas :value [1 3] :error :not-leader}]";
    let read = read_registers(text.as_bytes(), Format::Edn).unwrap();
    let found: Vec<_> = read.operations.iter().map(|operation| (operation.call, operation.answer)).collect();
    let cas = ForeignRegisterCall::CompareAndSet { expected: Some(1), value: Some(2) };
    assert_eq!(
        found,
        [
            (cas, Some(ForeignRegisterAnswer::Mismatch)),
            (ForeignRegisterCall::Read, Some(ForeignRegisterAnswer::Value(Some(1)))),
        ]
    );
    assert_eq!(read.failed, 1);
}

#[test]
fn a_number_and_a_text_that_says_it_are_two_keys() {
    let event = |kind: &str, process: u64, key: &str, rest: &str| {
        format!("{{:process {process}, :type :{kind}, :key {key}, {rest}}}\n")
    };
    let both = |key: &str, function: &str, value: &str| {
        let rest = format!(":f :{function}, :value {value}");
        event("invoke", 0, key, &rest) + &event("ok", 0, key, &rest)
    };
    let keys = ["1", "\"1\"", ":one", "\":one\""];
    let text: String = keys.iter().map(|key| both(key, "append", "\"x\"")).collect();
    let read = read(&text).expect("it is a history");
    assert_eq!(read.objects, ["1", "1", ":one", ":one"]);
    let places: Vec<usize> = read.operations.iter().map(|operation| operation.object).collect();
    assert_eq!(places, [0, 1, 2, 3]);
    let other = event("invoke", 0, "1", ":f :get") + &event("ok", 0, "\"1\"", ":f :get, :value nil");
    assert!(refused(&other).contains("another key"), "{}", refused(&other));
}

fn refused(text: &str) -> String {
    let error = read(text).expect_err(text);
    format!("{error}\n  hint: {}\n", error.hint)
}

#[test]
fn what_is_no_history_is_refused_with_its_line() {
    let event = |text: &str| format!("{{:process 0, :type :invoke, :f :get, :key \"1\"}}\n{text}\n");
    let bad = [
        "{:process 0, :type :invoke, :f :get, :key \"1\"}",
        "{:process 1, :type :ok, :f :get, :key \"1\", :value \"\"}",
        "{:process 0, :type :ok, :f :put, :key \"1\", :value \"\"}",
        "{:process 0, :type :ok, :f :get, :key \"2\", :value \"\"}",
        "{:process 0, :type :ok, :f :get, :key \"1\", :value 7}",
        "{:process 1, :type :invoke, :f :put, :key \"1\"}",
        "{:process 1, :type :invoke, :f :get}",
        "{:process 1, :type :invoke, :f :get, :key [1]}",
        "{:process 1, :type :invoke, :key \"1\"}",
        "{:process 1, :type :begin, :f :get, :key \"1\"}",
        "{:process 1, :process 2, :type :invoke, :f :get, :key \"1\"}",
        "{:process \"one\", :type :invoke, :f :get, :key \"1\"}",
        "{:process -1, :type :invoke, :f :get, :key \"1\"}",
        "{:type :invoke, :f :get, :key \"1\"}",
        "{:process 1, :type :invoke, :f :read, :key \"1\"}",
        "{:process 1, :type :invoke, :f}",
        "{:process 1, :type :invoke, :f :put, :key \"\\q\"}",
        "[]",
        "INFO  jepsen.util - 1 :invoke :read nil",
        "}",
    ];
    insta::assert_snapshot!(bad.map(|text| refused(&event(text))).join(""));
}

#[test]
fn a_history_that_was_cut_is_refused() {
    let whole = "{:process 0, :type :invoke, :f :append, :key \"1\", :value \"x\"}\n\
                 {:process 0, :type :ok, :f :append, :key \"1\", :value \"x\"}";
    assert!(read(whole).is_ok(), "a map says where it ends, so a last line needs no end");
    let second = whole.find('\n').unwrap() + 1;
    for end in second + 1..whole.len() {
        let said = refused(&whole[..end]);
        assert!(said.starts_with("line 2: the file was cut: it ends within "), "{end}: {said}");
    }
    let said = refused(&format!("[{whole}\n"));
    assert!(said.contains("the sequence that holds all events is not closed with `]`"), "{said}");
}

#[test]
fn a_history_without_an_operation_is_refused() {
    for nothing in ["", "[]", "; nothing", "{:process :nemesis, :type :info, :f :start}"] {
        let error = read(nothing).expect_err(nothing);
        assert!(error.message.starts_with("no operation of any process was found"), "{error}");
    }
}
