//! A text to which clients append, as public key-value histories have it: get, put, append.
//!
//! Texts grow with the history, so they are not compared again and again. All that a later get can tell of
//! a text is how it goes on to become one that was read: a state is therefore a place in the sorted list of
//! the texts read, and all texts that are the beginning of none of them are one state.

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
#[derive(Clone, Debug)]
pub struct AppendModel {
    /// Texts put and appended, by number.
    written: Texts,
    /// Texts read; the empty one is always there.
    read: Texts,
}

impl AppendModel {
    /// The model for a history, and the history in its terms.
    #[must_use]
    pub fn new(partitions: impl AsRef<[Partition<TextOp, TextAnswer>]>) -> (Self, Vec<PartitionOf<Self>>) {
        let partitions = partitions.as_ref();
        let entries = || partitions.iter().flat_map(|partition| &partition.entries);
        let most = partitions.iter().map(|partition| partition.entries.len()).sum::<usize>() + 1;
        // Mostly they are read in the order in which they are sorted.
        let (read, mut read_numbers) =
            Texts::sorted(std::iter::once("").chain(entries().filter_map(read_text)), most);
        read_numbers.next();
        // Two that are open at one time may stand for each other if they are the same.
        let (written, mut written_numbers) = Texts::sorted(entries().filter_map(written_text), most);
        let mut entry_of = |entry: &Entry<TextOp, TextAnswer>| Entry {
            op: match entry.op {
                TextOp::Get => AppendOp::Get,
                TextOp::Put(_) => AppendOp::Put(written_numbers.next().unwrap_or_default()),
                TextOp::Append(_) => AppendOp::Append(written_numbers.next().unwrap_or_default()),
            },
            answer: entry.answer.as_ref().map(|answer| match answer {
                TextAnswer::Value(_) => AppendAnswer::Value(read_numbers.next().unwrap_or_default()),
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
            .iter()
            .map(|Partition { name, entries }| Partition {
                name: name.clone(),
                entries: entries.iter().map(&mut entry_of).collect(),
            })
            .collect();
        (Self { written, read }, partitions)
    }

    fn text(&self, number: u32) -> &[u8] {
        self.written.get(number as usize)
    }

    /// The state in which `more` stands after the first `length` bytes of the text at `first`, which is the
    /// first of those that begin so.
    fn begun(&self, first: u32, length: u32, more: &[u8]) -> AppendState {
        let (start, length) = (first as usize, length as usize);
        let read = &self.read;
        let goes_on = |text: usize| read.get(text)[length..].starts_with(more);
        let mut found = start;
        if !goes_on(start) {
            let so_far = &read.get(start)[..length];
            let begins_so = |text: usize| text < read.len() && read.get(text).starts_with(so_far);
            // Mostly what was read next.
            found += 1;
            if !(begins_so(found) && goes_on(found)) {
                let before = |text: usize| begins_so(text) && read.get(text)[length..] < *more;
                found = read.partition_point(found, before);
                if !(begins_so(found) && goes_on(found)) {
                    return AppendState::Astray;
                }
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
                let length = self.read.get(*text as usize).len() as u32;
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

    fn overwrites(&self, op: &AppendOp, answer: Option<&AppendAnswer>) -> bool {
        matches!((op, answer), (AppendOp::Put(_), None | Some(AppendAnswer::Done)))
    }

    fn is_unlikely(&self, state: &AppendState) -> bool {
        *state == AppendState::Astray
    }

    /// A get that was never answered says nothing.
    fn settle(&self, entries: &mut Vec<super::EntryOf<Self>>) {
        entries.retain(|entry| entry.answer.is_some() || entry.op != AppendOp::Get);
    }

    fn describe_op(&self, op: &AppendOp) -> String {
        match *op {
            AppendOp::Get => "get".to_owned(),
            AppendOp::Put(text) => format!("put {:?}", String::from_utf8_lossy(self.text(text))),
            AppendOp::Append(text) => format!("append {:?}", String::from_utf8_lossy(self.text(text))),
        }
    }

    fn describe_answer(&self, answer: &AppendAnswer) -> String {
        match *answer {
            AppendAnswer::Value(text) => ending(self.read.get(text as usize)),
            AppendAnswer::Done => "done".to_owned(),
        }
    }

    fn describe_state(&self, state: &AppendState) -> String {
        match *state {
            AppendState::Begun { first, length } => ending(&self.read.get(first as usize)[..length as usize]),
            AppendState::Astray => "a text that was never read, nor any that begins so".to_owned(),
        }
    }
}

fn read_text(entry: &Entry<TextOp, TextAnswer>) -> Option<&str> {
    match &entry.answer {
        Some(TextAnswer::Value(text)) => Some(text),
        _ => None,
    }
}

fn written_text(entry: &Entry<TextOp, TextAnswer>) -> Option<&str> {
    match &entry.op {
        TextOp::Put(text) | TextOp::Append(text) => Some(text),
        TextOp::Get => None,
    }
}

/// Different texts, sorted, as bytes one after the other.
#[derive(Clone, Debug)]
struct Texts {
    all: Vec<u8>,
    /// Where each ends, after a nought.
    ends: Vec<usize>,
}

impl Texts {
    /// The different ones of these, `most` at most, and the number of each in turn.
    fn sorted<'t>(texts: impl Iterator<Item = &'t str>, most: usize) -> (Self, std::vec::IntoIter<u32>) {
        let mut sorted: Vec<(u128, &str, u32)> = Vec::with_capacity(most);
        sorted.extend(texts.zip(0..).map(|(text, place)| (beginning(text), text, place)));
        sorted.sort_unstable();
        let bytes = sorted.iter().map(|(_, text, _)| text.len()).sum();
        let mut numbers = vec![0; sorted.len()];
        let mut different =
            Self { all: Vec::with_capacity(bytes), ends: Vec::with_capacity(sorted.len() + 1) };
        different.ends.push(0);
        for (at, (begun, text, place)) in sorted.iter().enumerate() {
            if at == 0 || sorted[at - 1].0 != *begun || sorted[at - 1].1 != *text {
                different.all.extend_from_slice(text.as_bytes());
                different.ends.push(different.all.len());
            }
            numbers[*place as usize] = different.len() as u32 - 1;
        }
        (different, numbers.into_iter())
    }

    const fn len(&self) -> usize {
        self.ends.len() - 1
    }

    fn get(&self, number: usize) -> &[u8] {
        &self.all[self.ends[number]..self.ends[number + 1]]
    }

    /// The first from `start` on of which this does not hold, if it holds of those before and of none after.
    fn partition_point(&self, start: usize, holds: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (start, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if holds(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// A text's first bytes as a number: texts are sorted as these are, as far as they differ.
fn beginning(text: &str) -> u128 {
    let mut first = [0; 16];
    let length = text.len().min(first.len());
    first[..length].copy_from_slice(&text.as_bytes()[..length]);
    u128::from_be_bytes(first)
}

/// Characters of a text that are shown: the last so many.
const SHOWN_MAX: usize = 60;

fn ending(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let count = text.chars().count();
    if count <= SHOWN_MAX {
        return format!("{text:?}");
    }
    let end: String = text.chars().skip(count - SHOWN_MAX).collect();
    format!("…{end:?} ({count} characters)")
}
