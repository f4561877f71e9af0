//! A store of texts by key: `:get`, `:put` and `:append`.
//!
//! A key that was never written holds the empty text; `nil` as what was got means that too.

use super::edn::Value;
use super::event::{Ended, Event, Kind, ObjectKey, Problem, Vocabulary, object_key, repeats};

const HINT_FUNCTION: &str =
    "a store knows :get, :put and :append; for :read, :write and :cas give --model register";

/// What is asked of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvCall {
    /// What does it hold?
    Get,
    /// Hold this.
    Put(String),
    /// Hold this after what is there.
    Append(String),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvAnswer {
    /// The key holds this.
    Text(String),
    /// It is done.
    Done,
}

pub(super) struct Kv;

impl Vocabulary for Kv {
    type Call = KvCall;
    type Answer = KvAnswer;

    fn object(event: &Event<'_>) -> Result<ObjectKey, Problem> {
        let missing = ("the event has no key".to_owned(), "a :get, :put or :append is of some :key \"…\"");
        object_key(event.key.as_ref().ok_or(missing)?)
    }

    fn call(event: &Event<'_>) -> Result<KvCall, Problem> {
        Ok(match event.function {
            "get" => KvCall::Get,
            "put" => KvCall::Put(text(&event.value)?.to_owned()),
            "append" => KvCall::Append(text(&event.value)?.to_owned()),
            other => return Err((format!("a store knows no :{other}"), HINT_FUNCTION)),
        })
    }

    fn ended(call: &KvCall, event: &Event<'_>) -> Result<Ended<KvAnswer>, Problem> {
        if event.kind == Kind::Fail {
            return Ok(Ended::Nothing);
        }
        match call {
            KvCall::Get if event.value == Value::Nil => Ok(Ended::Answered(KvAnswer::Text(String::new()))),
            KvCall::Get => Ok(Ended::Answered(KvAnswer::Text(text(&event.value)?.to_owned()))),
            KvCall::Put(asked) | KvCall::Append(asked) => {
                repeats(event.value == Value::Nil || text(&event.value)? == asked)?;
                Ok(Ended::Answered(KvAnswer::Done))
            }
        }
    }
}

fn text<'v>(value: &'v Value<'_>) -> Result<&'v str, Problem> {
    match value {
        Value::Text(text) => Ok(text),
        _ => {
            Err(("the value is no text".to_owned(), "values are texts in quotes, such as :value \"x 0 1 y\""))
        }
    }
}
