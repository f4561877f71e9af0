//! Events of an EDN history: maps one after the other, or all of them in one sequence.
//!
//! A map has `:process`, `:type`, `:f`, and `:value`, and `:key` where there is more than one object; in any
//! order, with any other keys beside them. A failure with `:error` has a reason.

use super::edn::{EdnError, Placed, Reader, Value};
use super::event::{Event, Events, Kind};
use super::{ForeignError, Seen};

const HINT: &str = "an event is such as {:process 0, :type :invoke, :f :append, :key \"1\", :value \"x\"}";

/// The events of an EDN history.
pub(super) struct EdnEvents<'a> {
    reader: Reader<'a>,
    place: Place,
    seen: Seen,
}

/// Where the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the first value.
    Begin,
    /// Between maps that stand by themselves.
    Outside,
    /// In the sequence that closes so and holds all maps.
    Inside(char),
}

impl<'a> EdnEvents<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let lines = text.lines().count() as u64;
        Self { reader: Reader::new(text, 1), place: Place::Begin, seen: Seen { lines, ..Seen::default() } }
    }

    /// The next value that should be a map.
    fn next_value(&mut self) -> Result<Option<Placed<'a>>, ForeignError> {
        if self.place == Place::Begin {
            self.place = Place::Outside;
            for (opening, closing) in [('[', ']'), ('(', ')')] {
                if self.reader.take(opening).map_err(refused)? {
                    self.place = Place::Inside(closing);
                    break;
                }
            }
        }
        if let Place::Inside(closing) = self.place {
            if self.reader.take(closing).map_err(refused)? {
                self.place = Place::Outside;
            } else if self.reader.rest().is_empty() {
                let what = format!("the sequence that holds all events is not closed with `{closing}`");
                return Err(ForeignError::cut(self.reader.line(), &what));
            }
        }
        self.reader.next().map_err(refused)
    }
}

impl<'a> Events<'a> for EdnEvents<'a> {
    fn next_event(&mut self) -> Result<Option<Event<'a>>, ForeignError> {
        while let Some((line, value)) = self.next_value()? {
            let Value::Map(pairs) = value else {
                return Err(ForeignError::new(line, "this is not a map, so it is no event", HINT));
            };
            match event_of(line, pairs)? {
                Some(event) => return Ok(Some(event)),
                None => self.seen.of_nemesis += 1,
            }
        }
        Ok(None)
    }

    fn seen(&self) -> Seen {
        self.seen
    }
}

fn refused(error: EdnError) -> ForeignError {
    if error.is_cut {
        ForeignError::cut(error.line, &error.message)
    } else {
        ForeignError::new(error.line, error.message, HINT)
    }
}

/// The event of a map; `None` if its process has no number.
fn event_of<'a>(line: u64, pairs: Vec<(Value<'a>, Value<'a>)>) -> Result<Option<Event<'a>>, ForeignError> {
    let wrong = |message: &str| ForeignError::new(line, message, HINT);
    let (mut process, mut kind, mut function, mut key, mut value) = (None, None, None, None, None);
    let mut has_reason = false;
    for (name, what) in pairs {
        let Value::Word(name) = name else { continue };
        let slot = match name {
            "process" => &mut process,
            "type" => &mut kind,
            "f" => &mut function,
            "key" => &mut key,
            "value" => &mut value,
            "error" => {
                has_reason |= what != Value::Nil;
                continue;
            }
            _ => continue,
        };
        if slot.replace(what).is_some() {
            return Err(wrong(&format!("the event has two :{name}")));
        }
    }
    let process = match process {
        Some(Value::Number(process)) => {
            u64::try_from(process).map_err(|_| wrong("the number of a process is not negative"))?
        }
        Some(Value::Word(_)) => return Ok(None),
        _ => return Err(wrong("the event has no :process, which is a number, or a word such as :nemesis")),
    };
    let kind = match kind {
        Some(Value::Word(word)) => Kind::of(word),
        _ => None,
    };
    let kind = kind.ok_or_else(|| wrong("the event's :type is none of :invoke, :ok, :fail and :info"))?;
    let Some(Value::Word(function)) = function else {
        return Err(wrong("the event has no :f that says what is done, such as :read"));
    };
    let key = key.filter(|key| *key != Value::Nil);
    let value = value.unwrap_or(Value::Nil);
    Ok(Some(Event { line, process, kind, function, key, value, has_reason }))
}
