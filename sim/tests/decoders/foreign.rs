//! Histories that others recorded.
//!
//! Nobody here writes such files, so they are written by a page of code of its own: one event a line, in the
//! order of their moments. What was left out of the recording (refused operations that say nothing, lines of
//! others) does not come back.

use std::collections::BTreeMap;

use stormglass_sim::history::foreign::{
    ForeignRegisterAnswer, ForeignRegisterCall, Format, KvAnswer, KvCall, Recording, read_kv, read_registers,
};

use crate::harness::Target;

/// An operation is a few words of text, and some hundred bytes of memory.
const MEMORY_PER_BYTE: u64 = 256;

/// What all recordings promise.
fn hold_promises<C, A>(recording: &Recording<C, A>) {
    let all = &recording.operations;
    assert!(all.is_sorted_by_key(|one| one.invoked));
    assert!(all.iter().all(|one| one.object < recording.objects.len()));
    assert!(all.iter().all(|one| one.returned.is_some() == one.answer.is_some()));
    assert!(all.iter().all(|one| one.returned.is_none_or(|at| at > one.invoked)));
    assert!(!all.is_empty() || recording.failed > 0, "a history of nothing passes any check");
}

/// Every event as a line, in order. Operations that nobody answered are left open. Processes are numbered in the
/// order in which they come.
fn lines<C, A>(
    recording: &Recording<C, A>,
    mut line: impl FnMut(u64, &str, usize, &C, Option<&A>) -> String,
) -> Vec<u8> {
    let mut events: Vec<(u64, String)> = Vec::new();
    let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
    for one in &recording.operations {
        let next = numbers.len() as u64;
        let process = *numbers.entry(one.process).or_insert(next);
        events.push((one.invoked, line(process, "invoke", one.object, &one.call, None)));
        if let (Some(returned), Some(answer)) = (one.returned, &one.answer) {
            events.push((returned, line(process, "ok", one.object, &one.call, Some(answer))));
        }
    }
    events.sort();
    events.into_iter().flat_map(|(_, line)| line.into_bytes()).collect()
}

/// What operations come to, whatever the moments and the numbers of the processes.
fn compared<C: Clone, A: Clone>(recording: &Recording<C, A>) -> Vec<(String, C, Option<A>)> {
    let name = |object: usize| recording.objects[object].clone();
    let all = recording.operations.iter();
    all.map(|one| (name(one.object), one.call.clone(), one.answer.clone())).collect()
}

/// Jepsen logs of registers.
pub(crate) struct JepsenLogs;

fn nil_or(value: Option<i64>) -> String {
    value.map_or_else(|| "nil".to_owned(), |value| value.to_string())
}

fn register_line(
    process: u64,
    kind: &str,
    call: &ForeignRegisterCall,
    answer: Option<&ForeignRegisterAnswer>,
) -> String {
    let kind = if answer == Some(&ForeignRegisterAnswer::Mismatch) { "fail" } else { kind };
    let what = match (*call, answer) {
        (ForeignRegisterCall::Read, Some(ForeignRegisterAnswer::Value(value))) => {
            format!(":read {}", nil_or(*value))
        }
        (ForeignRegisterCall::Read, _) => ":read nil".to_owned(),
        (ForeignRegisterCall::Write(value), _) => format!(":write {}", nil_or(value)),
        (ForeignRegisterCall::CompareAndSet { expected, value }, _) => {
            format!(":cas [{} {}]", nil_or(expected), nil_or(value))
        }
    };
    format!("INFO  jepsen.util - {process} :{kind} {what}\n")
}

impl Target for JepsenLogs {
    fn name(&self) -> &'static str {
        "histories as jepsen logs"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![
            b"INFO  jepsen.util - 0\t:invoke\t:cas [1 2]\nINFO  jepsen.util - :nemesis :info :start nil\n\
              INFO  jepsen.util - 1 :invoke :read nil\nINFO  jepsen.util - 0 :fail :cas [1 2]\n\
              INFO  jepsen.util - 1 :ok :read 3\n"
                .to_vec(),
        ]
    }

    fn pieces(&self) -> &'static [&'static [u8]] {
        &[
            b"\n",
            b"\r\n",
            b"\t",
            b" ",
            b":info",
            b":ok",
            b":fail",
            b":invoke",
            b"nil",
            b":timed-out",
            b"[",
            b"]",
            b"1",
            b"\"",
        ]
    }

    fn memory_per_byte(&self) -> u64 {
        MEMORY_PER_BYTE
    }

    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let recording = read_registers(input, Format::Jepsen).map_err(|error| error.to_string())?;
        hold_promises(&recording);
        if recording.operations.is_empty() {
            return Err("nothing that says anything".to_owned());
        }
        let written =
            lines(&recording, |process, kind, _, call, answer| register_line(process, kind, call, answer));
        let again = read_registers(&written, Format::Jepsen).expect("it is written as the format has it");
        assert_eq!(compared(&again), compared(&recording));
        Ok(written)
    }
}

/// EDN histories of texts.
pub(crate) struct EdnHistories;

/// A text as EDN has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn kv_line(process: u64, kind: &str, key: &str, call: &KvCall, answer: Option<&KvAnswer>) -> String {
    let (function, value) = match (call, answer) {
        (KvCall::Get, Some(KvAnswer::Text(text))) => ("get", quoted(text)),
        (KvCall::Get, _) => ("get", "nil".to_owned()),
        (KvCall::Put(text), _) => ("put", quoted(text)),
        (KvCall::Append(text), _) => ("append", quoted(text)),
    };
    let key = quoted(key);
    format!("{{:process {process}, :type :{kind}, :f :{function}, :key {key}, :value {value}}}\n")
}

impl Target for EdnHistories {
    fn name(&self) -> &'static str {
        "histories as edn"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![
            b"{:process 0, :type :invoke, :f :append, :key \"1\", :value \"x\\n\"}\n\
              {:process 1, :type :invoke, :f :get, :key \"1\", :value nil}\n\
              {:process 0, :type :ok, :f :append, :key \"1\", :value \"x\\n\"} ; done\n\
              {:process 1, :type :info, :f :get, :key \"1\", :value #{nil}}\n"
                .to_vec(),
        ]
    }

    fn pieces(&self) -> &'static [&'static [u8]] {
        &[
            b"\n", b"{", b"}", b"[", b"]", b"(", b")", b"#{", b"#_", b"#tag ", b"\"", b"\\", b";", b",",
            b":f", b"nil", b"\\u00e9",
        ]
    }

    fn memory_per_byte(&self) -> u64 {
        MEMORY_PER_BYTE
    }

    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let recording = read_kv(input, Format::Edn).map_err(|error| error.to_string())?;
        hold_promises(&recording);
        if recording.operations.is_empty() {
            return Err("nothing that says anything".to_owned());
        }
        let written = lines(&recording, |process, kind, object, call, answer| {
            kv_line(process, kind, &recording.objects[object], call, answer)
        });
        let again = read_kv(&written, Format::Edn).expect("it is written as the format has it");
        assert_eq!(compared(&again), compared(&recording));
        Ok(written)
    }
}
