//! What both formats come to: events, and what the operations of a kind of object mean.

use super::edn::Value;
use super::{ForeignError, Seen};

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A process begins an operation.
    Invoke,
    /// It took place.
    Ok,
    /// It did not take place.
    Fail,
    /// Nobody knows whether it did, or will.
    Info,
}

impl Kind {
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "invoke" => Self::Invoke,
            "ok" => Self::Ok,
            "fail" => Self::Fail,
            "info" => Self::Info,
            _ => return None,
        })
    }
}

/// One event of one process.
#[derive(Clone, Debug)]
pub(super) struct Event<'a> {
    /// The line, counted from 1.
    pub(super) line: u64,
    /// The process, as the file numbers it.
    pub(super) process: u64,
    pub(super) kind: Kind,
    /// What is done: `read`, `append` and so on.
    pub(super) function: &'a str,
    /// On which object, if the event names one.
    pub(super) key: Option<Value<'a>>,
    pub(super) value: Value<'a>,
    /// Whether the event says why the operation failed: then it failed for that reason, and the failure says
    /// nothing about the object.
    pub(super) has_reason: bool,
}

/// The events of a file.
pub(super) trait Events<'a> {
    /// The next event; `None` at the end of the file.
    fn next_event(&mut self) -> Result<Option<Event<'a>>, ForeignError>;

    /// What was seen so far that is no event of a client.
    fn seen(&self) -> Seen;
}

/// How an operation ended.
#[derive(Clone, Debug)]
pub(super) enum Ended<A> {
    /// With an answer.
    Answered(A),
    /// Without effect, and without saying anything about the object.
    Nothing,
}

/// What is asked of objects of a kind, and how it is answered. Problems come as a message and a hint.
pub(super) trait Vocabulary {
    type Call;
    type Answer;

    /// The object that an event is about.
    fn object(event: &Event<'_>) -> Result<ObjectKey, Problem>;

    /// What an invocation asks.
    fn call(event: &Event<'_>) -> Result<Self::Call, Problem>;

    /// What became of a call. The event is of kind `Ok` or `Fail`, and of the call's function.
    fn ended(call: &Self::Call, event: &Event<'_>) -> Result<Ended<Self::Answer>, Problem>;
}

/// What is wrong with an event, and what to do about it.
pub(super) type Problem = (String, &'static str);

/// What tells objects apart. The number 1 and the text "1" are two keys, though people are shown the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectKey {
    kind: KeyKind,
    /// As people are shown it.
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum KeyKind {
    Absent,
    Text,
    Number,
    Word,
}

impl ObjectKey {
    /// The one object of events that name none.
    pub(super) const fn absent() -> Self {
        Self { kind: KeyKind::Absent, name: String::new() }
    }
}

/// A key as an object.
pub(super) fn object_key(key: &Value<'_>) -> Result<ObjectKey, Problem> {
    let named = |kind, name| Ok(ObjectKey { kind, name });
    match key {
        Value::Text(key) => named(KeyKind::Text, key.clone().into_owned()),
        Value::Number(key) => named(KeyKind::Number, key.to_string()),
        Value::Word(key) => named(KeyKind::Word, format!(":{key}")),
        _ => Err(("the key is none".to_owned(), "a key is a text, a number or a word")),
    }
}

/// Holds that an end repeats what its invocation said.
pub(super) fn repeats(is_same: bool) -> Result<(), Problem> {
    if is_same {
        return Ok(());
    }
    let message = "the operation ends with another key or value than it was invoked with";
    Err((message.to_owned(), "an end repeats what its :invoke said; are lines of several runs mixed?"))
}
