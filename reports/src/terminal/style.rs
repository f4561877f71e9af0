//! The few styles in use, as ANSI sequences, or nothing.

use crate::Verdict;

/// Widest name of a kind.
const KIND_CHARS_MAX: usize = 24;

/// Wraps text in a style, if colours are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    color: bool,
}

impl Style {
    pub(super) const fn new(color: bool) -> Self {
        Self { color }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(super) fn verdict(self, verdict: Verdict, text: &str) -> String {
        match verdict {
            Verdict::Valid => self.wrap("32", text),
            Verdict::Unknown => self.wrap("33", text),
            Verdict::Invalid => self.wrap("1;31", text),
        }
    }
}

/// A mark that tells verdicts apart without colour.
pub(super) const fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "✓",
        Verdict::Unknown => "?",
        Verdict::Invalid => "✗",
    }
}

/// Control characters in names and texts from outside must not reach a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// The name of a kind of fault or operation, for a narrow column: cleaned, and cut if it is too long.
pub(super) fn kind_name(kind: &str) -> String {
    let name = clean(kind);
    if name.chars().count() <= KIND_CHARS_MAX {
        return name;
    }
    name.chars().take(KIND_CHARS_MAX - 1).chain(['…']).collect()
}

/// Seconds with three decimals.
pub(super) fn seconds(us: u64) -> String {
    format!("{}.{:03}s", us / 1_000_000, us / 1_000 % 1_000)
}

/// A duration in the unit that leaves it three or four digits.
pub(super) fn short_duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..10_000 => format!("{}.{:02}ms", us / 1_000, us / 10 % 100),
        10_000..1_000_000 => format!("{}.{}ms", us / 1_000, us / 100 % 10),
        _ => format!("{}.{:02}s", us / 1_000_000, us / 10_000 % 100),
    }
}

/// Digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
