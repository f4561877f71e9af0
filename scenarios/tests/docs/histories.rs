//! The document on histories: every field, call and answer, and an example that holds one of each.

use std::collections::BTreeSet;

use stormglass_sim::history::{Answer, History, Outcome, read_history, write_history};

use super::left::fields;
use super::{assert_names_all, document, section};

const DOCUMENT: &str = "history-format.md";

/// The example's text.
fn example_text() -> String {
    let document = document(DOCUMENT);
    let part = section(&document, "### A whole example");
    let text = part.split("```json\n").nth(1).expect("there is an example");
    text.split("```").next().expect("it ends").to_owned()
}

fn example() -> History {
    read_history(example_text().as_bytes()).unwrap_or_else(|error| panic!("the example: {error}"))
}

/// The names that some JSON could have had in the place of `?`, as the reader lists them.
fn expected_instead(json: &str) -> BTreeSet<String> {
    let header = r#"{"format":"stormglass-history","version":1,"operations":1,"holds":0}"#;
    let error = read_history(format!("{header}\n{json}\n").as_bytes()).expect_err("there is no such name");
    let said = error.to_string();
    let list = said.split("expected one of ").nth(1).unwrap_or_else(|| panic!("no list in {said}"));
    list.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

fn calls_known() -> BTreeSet<String> {
    let outcome = r#"{"outcome":"fail","reason":""}"#;
    expected_instead(&format!(
        r#"{{"operation":{{"id":0,"client":0,"call":"?","invoked_ns":0,"returned_ns":0,"outcome":{outcome}}}}}"#
    ))
}

fn answers_known() -> BTreeSet<String> {
    let outcome = r#"{"outcome":"ok","answer":{"answer":"?"}}"#;
    expected_instead(&format!(
        r#"{{"operation":{{"id":0,"client":0,"call":"get","key":"k","invoked_ns":0,"returned_ns":0,"outcome":{outcome}}}}}"#
    ))
}

fn answer_name(answer: &Answer) -> String {
    let value = serde_json::to_value(answer).expect("an answer is JSON");
    value["answer"].as_str().expect("an answer has a name").to_owned()
}

#[test]
fn the_example_is_what_the_code_writes_and_has_one_of_each() {
    let example = example();
    let mut written = Vec::new();
    write_history(&example, &mut written).expect("memory takes any number of bytes");
    assert_eq!(String::from_utf8(written).expect("it is text"), example_text());
    let calls: BTreeSet<String> = example.operations.iter().map(|op| op.call.kind().to_owned()).collect();
    assert_eq!(calls, calls_known(), "add an operation for each call to the example in docs/{DOCUMENT}");
    let answers: BTreeSet<String> = example
        .operations
        .iter()
        .filter_map(|operation| match &operation.outcome {
            Outcome::Ok { answer } => Some(answer_name(answer)),
            Outcome::Fail { .. } | Outcome::Unknown { .. } => None,
        })
        .collect();
    assert_eq!(
        answers,
        answers_known(),
        "add an operation for each answer to the example in docs/{DOCUMENT}"
    );
    let has = |wanted: fn(&Outcome) -> bool| example.operations.iter().any(|op| wanted(&op.outcome));
    assert!(has(|outcome| matches!(outcome, Outcome::Fail { .. })));
    assert!(has(|outcome| matches!(outcome, Outcome::Unknown { .. })));
}

#[test]
fn every_call_answer_and_field_of_a_history_is_described() {
    assert_names_all(DOCUMENT, "call", calls_known());
    assert_names_all(DOCUMENT, "answer", answers_known());
    let fields = fields(&example_text());
    assert!(fields.len() > 50, "{fields:?}");
    assert_names_all(DOCUMENT, "field", fields);
    for outcome in ["ok", "fail", "unknown"] {
        assert_names_all(DOCUMENT, "outcome", [outcome.to_owned()]);
    }
}
