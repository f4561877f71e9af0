//! What is wrong with a scenario or schedule file, and where.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

/// Least similarity (Jaro-Winkler, 0 to 1) at which a known word is suggested for an unknown one.
const SIMILARITY_MIN: f64 = 0.75;

/// A place in a text file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A file that cannot be used. Its `Display` is one line, `path:line:column: message`; of a problem with
/// the file as a whole, `path: message`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct PlanError {
    /// The file as the user named it.
    pub path: String,
    /// Where in it; absent if the problem is with the file as a whole.
    pub position: Option<Position>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it, in one line.
    pub hint: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: String = self.path.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        match self.position {
            Some(Position { line, column }) => write!(f, "{path}:{line}:{column}: {}", self.message),
            None => write!(f, "{path}: {}", self.message),
        }
    }
}

impl PlanError {
    /// A problem with a file as a whole.
    #[must_use]
    pub fn of_file(path: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { path: path.to_owned(), position: None, message: one_line(&message.into()), hint: hint.into() }
    }

    /// A problem at a byte offset of the file's text.
    #[must_use]
    pub fn at(path: &str, text: &str, offset: usize, message: &str, hint: impl Into<String>) -> Self {
        let position = Some(position_of(text, offset));
        Self { path: path.to_owned(), position, message: one_line(message), hint: hint.into() }
    }

    /// What the TOML reader said, in our words where it speaks of Rust's types.
    #[must_use]
    pub fn from_toml(path: &str, text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().unwrap_or(Range { start: 0, end: 0 }).start;
        let (message, hint) = translate(error.message());
        Self::at(path, text, offset, &message, hint)
    }

    /// The error and its hint, as a command line prints them.
    #[must_use]
    pub fn rendered(&self) -> String {
        format!("{self}\nhint: {}", self.hint)
    }
}

/// The known word most like `word`, if one is like it at all.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(f64, &str)> = None;
    for candidate in known {
        let similarity = strsim::jaro_winkler(&word.to_lowercase(), candidate);
        if similarity >= SIMILARITY_MIN && best.is_none_or(|(highest, _)| similarity > highest) {
            best = Some((similarity, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn position_of(text: &str, offset: usize) -> Position {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_begin..].chars().count() + 1 }
}

/// Message and hint for what serde or the TOML parser said.
fn translate(message: &str) -> (String, String) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let Some((word, known)) = quoted.split_first() {
        let what = if message.starts_with("unknown field") {
            Some("key")
        } else if message.starts_with("unknown variant") {
            Some("value")
        } else {
            None
        };
        if let Some(what) = what {
            let hint = did_you_mean(word, known.iter().copied()).map_or_else(
                || format!("known here: {}", known.join(", ")),
                |best| format!("did you mean `{best}`?"),
            );
            return (format!("unknown {what} `{}`", word.escape_default()), hint);
        }
        if message.starts_with("missing field") {
            return (format!("`{word}` is missing"), missing_hint(word));
        }
        if message.starts_with("unknown target") {
            return (message.to_owned(), "`leader`, `node-3` and `clients` are targets".to_owned());
        }
    }
    let plain = message
        .replace("expected u64", "expected a whole number, 0 or more")
        .replace("expected u32", "expected a whole number, 0 to 4294967295")
        .replace("expected i64", "expected a whole number")
        .replace("expected f64", "expected a number")
        .replace("floating point `", "number `")
        .replace("invalid type: map", "invalid type: table");
    let hint = if message.contains("negative") || plain.contains("0 or more") {
        "times are whole numbers of milliseconds from the run's beginning; counts begin at 0 or 1"
    } else if message.contains("span") || message.contains("milliseconds") {
        "write 3000, or [1000, 5000] to let the seed choose"
    } else {
        "the catalogue's scenarios show the format"
    };
    (plain, hint.to_owned())
}

fn missing_hint(word: &str) -> String {
    match word {
        "claim" => "say in one sentence what holds in this scenario: claim = \"...\"".to_owned(),
        "kind" => "each [[faults]] entry says what happens: kind = \"crash\"".to_owned(),
        "at_ms" => "say when the fault begins: at_ms = 8000, or [6000, 9000]".to_owned(),
        "for_ms" => "say how long the fault lasts: for_ms = 3000, or [1000, 5000]".to_owned(),
        other => format!("add `{other} = ...` here"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, did_you_mean, position_of};

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "ä = 1\nöö = 2";
        assert_eq!(position_of(text, 0), Position { line: 1, column: 1 });
        assert_eq!(position_of(text, 3), Position { line: 1, column: 3 });
        assert_eq!(position_of(text, text.len()), Position { line: 2, column: 7 });
        assert_eq!(position_of(text, 999), Position { line: 2, column: 7 });
        assert_eq!(position_of(text, 1), Position { line: 1, column: 1 }, "inside a character");
    }

    #[test]
    fn an_error_stays_on_one_line_whatever_the_file_is_called() {
        let error = super::PlanError::of_file("a\nb", "one\ntwo", "h");
        assert_eq!(error.to_string(), "a\u{fffd}b: one two");
    }

    #[test]
    fn a_suggestion_needs_some_likeness() {
        assert_eq!(did_you_mean("crsh", ["pause", "crash"]), Some("crash"));
        assert_eq!(did_you_mean("zzz", ["pause", "crash"]), None);
    }
}
