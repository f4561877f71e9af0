//! A text to which clients append, as public key-value histories have it: get, put, append.
//!
//! Texts grow with the history, so they are not compared again and again. All that a later get can tell of
//! a text is how it goes on to become one that was read: a state is therefore a place in the sorted list of
//! the texts read, and all texts that are the beginning of none of them are one state.

use std::collections::BTreeMap;

use super::super::{Entry, Partition, PartitionOf};
use super::Model;

/// What is asked of a text, as a history has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextOp {
    /// What is there?
    Get,
    /// Make it this.
    Put(String),
    /// Add this at its end.
    Append(String),
}

/// What a text answers, as a history has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextAnswer {
    /// This was read.
    Value(String),
    /// It was put or appended.
    Done,
}

/// What is asked: texts are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppendOp {
    /// What is there?
    Get,
    /// Make it this.
    Put(u32),
    /// Add this at its end.
    Append(u32),
}

/// What is answered: texts read are numbers too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppendAnswer {
    /// This was read.
    Value(u32),
    /// It was put or appended.
    Done,
}

/// Which text is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppendState {
    /// The beginning of a text that was read.
    Begun {
        /// The first of the sorted texts read that begins so.
        first: u32,
        /// Its length in bytes.
        length: u32,
    },
    /// One with which no text that was read begins.
    Astray,
}

/// The specification, for the texts of one history. Nothing, at first, is the empty text.
#[derive(Clone, Debug, Default)]
pub struct AppendModel {
    /// Texts put and appended, by number.
    written: Vec<String>,
    /// Texts read, sorted; the empty one is always there.
    read: Vec<String>,
}

impl AppendModel {
    /// The model for a history, and the history in its terms.
    #[must_use]
    pub fn new(partitions: Vec<Partition<TextOp, TextAnswer>>) -> (Self, Vec<PartitionOf<Self>>) {
        let mut read = BTreeMap::from([(String::new(), 0)]);
        let mut written = BTreeMap::new();
        for entry in partitions.iter().flat_map(|partition| &partition.entries) {
            if let Some(TextAnswer::Value(text)) = &entry.answer {
                read.entry(text.clone()).or_insert(0);
            }
            if let TextOp::Put(text) | TextOp::Append(text) = &entry.op {
                written.entry(text.clone()).or_insert(0);
            }
        }
        for texts in [&mut read, &mut written] {
            (0_u32..).zip(texts.values_mut()).for_each(|(number, place)| *place = number);
        }
        let entry_of = |entry: Entry<TextOp, TextAnswer>| Entry {
            op: match &entry.op {
                TextOp::Get => AppendOp::Get,
                TextOp::Put(text) => AppendOp::Put(written[text]),
                TextOp::Append(text) => AppendOp::Append(written[text]),
            },
            answer: entry.answer.map(|answer| match answer {
                TextAnswer::Value(text) => AppendAnswer::Value(read[&text]),
                TextAnswer::Done => AppendAnswer::Done,
            }),
            id: entry.id,
            process: entry.process,
            invoked: entry.invoked,
            returned: entry.returned,
            after: entry.after,
            anonymous: entry.anonymous,
        };
        let partitions = partitions
            .into_iter()
            .map(|Partition { name, entries }| Partition {
                name,
                entries: entries.into_iter().map(entry_of).collect(),
            })
            .collect();
        let model = Self { written: written.into_keys().collect(), read: read.into_keys().collect() };
        (model, partitions)
    }

    fn text(&self, number: u32) -> &str {
        &self.written[number as usize]
    }

    /// The state in which `more` stands after the first `length` bytes of the text at `first`, which is the
    /// first of those that begin so.
    fn begun(&self, first: u32, length: u32, more: &str) -> AppendState {
        let (start, length) = (first as usize, length as usize);
        let so_far = &self.read[start].as_bytes()[..length];
        let goes_on = |text: &String| text.as_bytes()[length..].starts_with(more.as_bytes());
        let mut found = start;
        if !goes_on(&self.read[start]) {
            let before = |text: &String| {
                let text = text.as_bytes();
                text.starts_with(so_far) && text[length..] < *more.as_bytes()
            };
            found += self.read[start..].partition_point(before);
            let there = |text: &String| text.as_bytes().starts_with(so_far) && goes_on(text);
            if !self.read.get(found).is_some_and(there) {
                return AppendState::Astray;
            }
        }
        AppendState::Begun { first: found as u32, length: (length + more.len()) as u32 }
    }
}

impl Model for AppendModel {
    type Op = AppendOp;
    type Answer = AppendAnswer;
    type State = AppendState;

    fn name(&self) -> &'static str {
        "text"
    }

    fn initial(&self) -> AppendState {
        AppendState::Begun { first: 0, length: 0 }
    }

    fn step(&self, state: &AppendState, op: &AppendOp, answer: Option<&AppendAnswer>) -> Option<AppendState> {
        match (*op, answer) {
            (AppendOp::Get, None) => Some(*state),
            (AppendOp::Get, Some(AppendAnswer::Value(text))) => {
                let length = self.read[*text as usize].len() as u32;
                (*state == AppendState::Begun { first: *text, length }).then_some(*state)
            }
            (AppendOp::Put(text), None | Some(AppendAnswer::Done)) => Some(self.begun(0, 0, self.text(text))),
            (AppendOp::Append(text), None | Some(AppendAnswer::Done)) => Some(match *state {
                AppendState::Begun { first, length } => self.begun(first, length, self.text(text)),
                AppendState::Astray => AppendState::Astray,
            }),
            _ => None,
        }
    }

    fn reads(&self, op: &AppendOp, _answer: &AppendAnswer) -> bool {
        *op == AppendOp::Get
    }

    /// A get that was never answered says nothing.
    fn settle(&self, entries: &mut Vec<super::EntryOf<Self>>) {
        entries.retain(|entry| entry.answer.is_some() || entry.op != AppendOp::Get);
    }

    fn describe_op(&self, op: &AppendOp) -> String {
        match *op {
            AppendOp::Get => "get".to_owned(),
            AppendOp::Put(text) => format!("put {:?}", self.text(text)),
            AppendOp::Append(text) => format!("append {:?}", self.text(text)),
        }
    }

    fn describe_answer(&self, answer: &AppendAnswer) -> String {
        match *answer {
            AppendAnswer::Value(text) => ending(&self.read[text as usize]),
            AppendAnswer::Done => "done".to_owned(),
        }
    }

    fn describe_state(&self, state: &AppendState) -> String {
        match *state {
            AppendState::Begun { first, length } => {
                let text = &self.read[first as usize].as_bytes()[..length as usize];
                ending(&String::from_utf8_lossy(text))
            }
            AppendState::Astray => "a text that was never read, nor any that begins so".to_owned(),
        }
    }
}

/// Characters of a text that are shown: the last so many.
const SHOWN_MAX: usize = 60;

fn ending(text: &str) -> String {
    let count = text.chars().count();
    if count <= SHOWN_MAX {
        return format!("{text:?}");
    }
    let end: String = text.chars().skip(count - SHOWN_MAX).collect();
    format!("…{end:?} ({count} characters)")
}
