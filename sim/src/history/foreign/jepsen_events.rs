//! Events of a Jepsen log: lines in which the logger `jepsen.util` says what a process does.
//!
//! `INFO  jepsen.util - 3  :invoke  :cas  [1 2]`: after the logger come the process, what the event says, what
//! is done, and its value, with any number of spaces and tabs between them. The later form of the line, with the
//! time before the level and the logger followed by a colon, is understood too. A reason of a failure stands in
//! the place of the value or after it, such as `:timed-out`.

use super::edn::{EdnError, Reader, Value};
use super::event::{Event, Events, Kind};
use super::{ForeignError, Seen};

/// The logger that tells of processes.
pub(super) const LOGGER: &str = "jepsen.util";
/// Levels of logging: a line with one of them that comes from another logger is no event.
const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
/// The level stands among the first words of a line, after date, time and zone at most.
const LEVEL_WORDS_MAX: usize = 4;

const HINT: &str = "an event is such as `INFO  jepsen.util - 3 :invoke :cas [1 2]`; remove the line if it is no \
                    part of the history";

/// The events of a Jepsen log.
pub(super) struct JepsenEvents<'a> {
    rest: &'a str,
    seen: Seen,
}

/// What a line is.
enum Line<'a> {
    Event(Event<'a>),
    OfNemesis,
    Skipped,
}

impl<'a> JepsenEvents<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, seen: Seen::default() }
    }

    /// The next line without its end, and whether it had one.
    fn next_line(&mut self) -> Option<(&'a str, bool)> {
        if self.rest.is_empty() {
            return None;
        }
        self.seen.lines += 1;
        let (line, rest, is_ended) = match self.rest.split_once('\n') {
            Some((line, rest)) => (line.strip_suffix('\r').unwrap_or(line), rest, true),
            None => (self.rest, "", false),
        };
        self.rest = rest;
        Some((line, is_ended))
    }
}

impl<'a> Events<'a> for JepsenEvents<'a> {
    fn next_event(&mut self) -> Result<Option<Event<'a>>, ForeignError> {
        while let Some((line, is_ended)) = self.next_line() {
            let number = self.seen.lines;
            let read = read_line(line, number);
            if !is_ended && !matches!(&read, Ok(read) if is_whole(line, read)) {
                return Err(ForeignError::cut(number, "its last line has no end"));
            }
            match read? {
                Line::Event(event) => return Ok(Some(event)),
                Line::OfNemesis => self.seen.of_nemesis += 1,
                Line::Skipped => self.seen.skipped += 1,
            }
        }
        Ok(None)
    }

    fn seen(&self) -> Seen {
        self.seen
    }
}

/// Whether a last line without an end is whole for certain: its value is closed, or one that no longer value
/// begins with. Of a failure the reason may be missing, and a number may have had more digits.
fn is_whole(line: &str, read: &Line<'_>) -> bool {
    let is_closed = line.ends_with([']', '}', '"']) || line.ends_with(" nil") || line.ends_with("\tnil");
    match read {
        Line::Event(event) => {
            is_closed && event.kind != Kind::Fail || event.kind == Kind::Fail && line.ends_with(":timed-out")
        }
        Line::OfNemesis => is_closed,
        Line::Skipped => line.trim().is_empty(),
    }
}

fn read_line(line: &str, number: u64) -> Result<Line<'_>, ForeignError> {
    let Some(said) = said_by_logger(line) else {
        return if is_other(line) {
            Ok(Line::Skipped)
        } else {
            Err(ForeignError::new(number, "this line is neither an event nor one of another logger", HINT))
        };
    };
    let wrong = |message: &str| ForeignError::new(number, message, HINT);
    let broken = |error: EdnError| ForeignError::new(number, error.message, HINT);
    let mut reader = Reader::new(said, number);
    let process = match reader.next() {
        Ok(Some((_, Value::Number(process)))) => {
            u64::try_from(process).map_err(|_| wrong("the number of a process is not negative"))?
        }
        Ok(Some((_, Value::Word(_)))) => return Ok(Line::OfNemesis),
        // The logger says other things too, in words.
        _ if said.starts_with(char::is_alphabetic) => return Ok(Line::Skipped),
        _ => return Err(wrong("the logger says neither which process this is nor anything in words")),
    };
    let kind = match reader.next().map_err(broken)? {
        Some((_, Value::Word(word))) => Kind::of(word),
        _ => None,
    };
    let kind = kind.ok_or_else(|| wrong("after the process there is no :invoke, :ok, :fail or :info"))?;
    let Some((_, Value::Word(function))) = reader.next().map_err(broken)? else {
        return Err(wrong("the event does not say what is done, such as :read"));
    };
    let (value, has_reason) = match kind {
        // Nothing of how it ended is known, so nothing of what is said about it is needed.
        Kind::Info => (Value::Nil, true),
        Kind::Fail => value_of_failure(&mut reader),
        Kind::Invoke | Kind::Ok => value_of(&mut reader, number)?,
    };
    Ok(Line::Event(Event { line: number, process, kind, function, key: None, value, has_reason }))
}

fn value_of<'a>(reader: &mut Reader<'a>, number: u64) -> Result<(Value<'a>, bool), ForeignError> {
    let broken = |error: EdnError| ForeignError::new(number, error.message, HINT);
    let Some((_, value)) = reader.next().map_err(broken)? else {
        return Err(ForeignError::new(number, "the event has no value", HINT));
    };
    if reader.next().map_err(broken)?.is_some() {
        return Err(ForeignError::new(number, "the line goes on after the event's value", HINT));
    }
    Ok((value, false))
}

/// A failure's value, and whether there is anything else than that: a reason, in whatever words.
fn value_of_failure<'a>(reader: &mut Reader<'a>) -> (Value<'a>, bool) {
    match reader.next() {
        Ok(Some((_, value))) => {
            let has_reason = !reader.rest().trim().is_empty() || matches!(value, Value::Word(_));
            (value, has_reason)
        }
        Ok(None) | Err(_) => (Value::Nil, true),
    }
}

/// What the logger says, if the line is its own and not another's that speaks of it.
fn said_by_logger(line: &str) -> Option<&str> {
    let (before, after) = line.split_once(LOGGER)?;
    let is_own = !before.contains(" - ") && !before.contains(": ");
    let after = after.trim_start().strip_prefix(['-', ':'])?;
    is_own.then(|| after.trim())
}

/// Whether a line is known to come with a log and to be no event: it is blank, another logger's, or belongs to
/// an error's trace.
fn is_other(line: &str) -> bool {
    let trimmed = line.trim();
    let is_logged = trimmed.split_whitespace().take(LEVEL_WORDS_MAX).any(|word| LEVELS.contains(&word));
    let is_trace = ["at ", "Caused by: ", "... "].iter().any(|begin| trimmed.starts_with(begin));
    trimmed.is_empty() || is_trace || is_logged && !line.contains(LOGGER)
}
