//! A store of texts: fifty processes, five at each of ten, append to them and get them; now and then one is
//! put anew.

use std::cell::RefCell;

use rand::RngExt;
use stormglass_sim::check::linearizability::{Entry, Partition, TextAnswer, TextOp};
use stormglass_sim::rng::{StreamRng, Streams};

use crate::shapes::{History, Objects, simulate};

const TEXTS: u64 = 10;
const OPERATIONS: usize = 170;
const PROCESSES: usize = 5;

/// The history of a store.
pub(crate) fn history(wrong: bool) -> History {
    let mut rng = Streams::new(4).stream("bench/texts");
    let mut partitions: Vec<Partition<TextOp, TextAnswer>> =
        (0..TEXTS).map(|key| Partition { name: key.to_string(), entries: text(&mut rng, key) }).collect();
    if wrong {
        let made = partitions[7..].iter_mut().any(|partition| make_wrong(&mut partition.entries));
        assert!(made, "some get is confirmed by another");
    }
    History::made(Objects::Texts(partitions), wrong)
}

fn text(rng: &mut StreamRng, key: u64) -> Vec<Entry<TextOp, TextAnswer>> {
    let text = RefCell::new(String::new());
    let mut last = 0;
    let ask = |rng: &mut StreamRng| {
        last += 1;
        match rng.random_range(0..20) {
            0..9 => TextOp::Get,
            9 => TextOp::Put(format!("x {key} {last} y")),
            _ => TextOp::Append(format!("x {key} {last} y")),
        }
    };
    let take_effect = |op: &TextOp| match op {
        TextOp::Get => TextAnswer::Value(text.borrow().clone()),
        TextOp::Put(put) => {
            text.borrow_mut().clone_from(put);
            TextAnswer::Done
        }
        TextOp::Append(more) => {
            text.borrow_mut().push_str(more);
            TextAnswer::Done
        }
    };
    simulate(rng, (OPERATIONS, PROCESSES, 0), ask, take_effect)
}

/// A get three quarters through finds the last two pieces in one order, another in the other: each is put or
/// appended once, so that no order explains both.
fn make_wrong(entries: &mut [Entry<TextOp, TextAnswer>]) -> bool {
    let got = |entry: &Entry<TextOp, TextAnswer>| match &entry.answer {
        Some(TextAnswer::Value(text)) => Some(text.clone()),
        _ => None,
    };
    let texts: Vec<Option<String>> = entries.iter().map(got).collect();
    for at in entries.len() * 3 / 4..entries.len() {
        let Some(text) = &texts[at] else { continue };
        let confirmed = texts.iter().enumerate().any(|(other, longer)| {
            other != at && longer.as_ref().is_some_and(|longer| longer.starts_with(text.as_str()))
        });
        let mut pieces: Vec<&str> = text.split_inclusive('y').collect();
        let last = pieces.len().saturating_sub(1);
        if confirmed && last > 1 {
            pieces.swap(last - 1, last);
            entries[at].answer = Some(TextAnswer::Value(pieces.concat()));
            return true;
        }
    }
    false
}
