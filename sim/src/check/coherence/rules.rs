//! The rules, one function each.

use super::view::{Key, Line, View};
use crate::history::{LineMode, LineSeen, VirtualTime};

/// `Ok(true)` if the event was judged and is as it should be, `Ok(false)` if it was none of this rule's business, or
/// what is wrong.
type Judgement = Result<bool, String>;

/// One rule. An event is shown to it before the view has taken it in.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) source: &'static str,
    pub(super) judge: fn(&View, VirtualTime, u64, &LineSeen) -> Judgement,
}

/// All of them.
pub(super) static RULES: [Rule; 5] = [
    Rule { name: "exclusive lines", source: "Papamarcos and Patel 1984", judge: exclusive },
    Rule { name: "writes wait for lines", source: "Gray and Cheriton 1989, section 2", judge: gated },
    Rule { name: "lines are current", source: "Gray and Cheriton 1989, section 2", judge: current },
    Rule { name: "words are kept", source: "docs/cache-coherence.md", judge: kept },
    Rule { name: "one question a key", source: "Dean and Barroso 2013", judge: one_question },
];

fn exclusive(view: &View, at: VirtualTime, node: u64, event: &LineSeen) -> Judgement {
    let LineSeen::Taken { key, term, mode: LineMode::Exclusive, .. } = event else { return Ok(false) };
    let of_term = |(other, line): &(&u64, &Line)| {
        **other != node && line.term == *term && line.mode == LineMode::Exclusive && at < line.sure_until
    };
    let lines = view.key(key).map(|key| &key.lines);
    match lines.into_iter().flatten().find(of_term) {
        None => Ok(true),
        Some((other, line)) => Err(format!(
            "its line of {key:?} is exclusive in term {term}, while that of node {other} is, until {} at least",
            line.sure_until
        )),
    }
}

fn gated(view: &View, at: VirtualTime, node: u64, event: &LineSeen) -> Judgement {
    let LineSeen::Released { keys, term } = event else { return Ok(false) };
    let mut is_judged = false;
    for name in keys {
        is_judged |= view.key(name).is_some_and(|key| key.has_been_held);
        let in_the_way = readers(view.key(name), at).find(|(_, line)| line.term <= *term);
        if let Some((holder, line)) = in_the_way {
            return Err(format!(
                "a write of {name:?} goes into the log of term {term}, but node {holder} still reads it from a line of \
                 term {} until {} at least (released by node {node})",
                line.term, line.sure_until
            ));
        }
    }
    Ok(is_judged)
}

/// Who can read a key from a line for certain.
fn readers(key: Option<&Key>, at: VirtualTime) -> impl Iterator<Item = (u64, &Line)> {
    let lines = key.into_iter().flat_map(|key| &key.lines);
    lines.filter(move |(_, line)| line.is_readable(at)).map(|(node, line)| (*node, line))
}

fn current(view: &View, at: VirtualTime, _node: u64, event: &LineSeen) -> Judgement {
    match event {
        LineSeen::Changed { key, index } => {
            let state = view.key(key);
            if state.is_some_and(|state| *index <= state.changed) {
                return Ok(false);
            }
            match readers(state, at).find(|(_, line)| line.as_of < *index) {
                None => Ok(state.is_some_and(|state| state.has_been_held)),
                Some((holder, line)) => Err(format!(
                    "entry {index}, which changes {key:?}, is applied, but node {holder} still reads the key as of \
                     entry {}, until {} at least",
                    line.as_of, line.sure_until
                )),
            }
        }
        LineSeen::Taken { key, as_of, .. } => shows_all(view, key, *as_of, "it takes"),
        LineSeen::Read { key, as_of } => shows_all(view, key, *as_of, "a client was given"),
        _ => Ok(false),
    }
}

fn shows_all(view: &View, key: &str, as_of: u64, what: &str) -> Judgement {
    let changed = view.key(key).map_or(0, |key| key.changed);
    if changed <= as_of {
        return Ok(true);
    }
    Err(format!(
        "{what} a line of {key:?} as of entry {as_of}, but entry {changed}, already applied, changed it"
    ))
}

fn kept(view: &View, _at: VirtualTime, node: u64, event: &LineSeen) -> Judgement {
    match event {
        LineSeen::Disowned { key, number } => {
            let held = view.key(key).and_then(|key| key.lines.get(&node));
            match held.filter(|line| line.number <= *number) {
                None => Ok(true),
                Some(line) => Err(format!(
                    "it says that it reads nothing of {key:?} by questions up to {number}, but has the line of \
                     question {}",
                    line.number
                )),
            }
        }
        LineSeen::Taken { key, number, term, .. } => {
            let disowned = view.key(key).and_then(|key| key.disowned.get(&node)).copied().unwrap_or(0);
            let recalled = view.recalled(node);
            if *number <= disowned {
                Err(format!(
                    "it takes a line of {key:?} by question {number}, after it said that it reads nothing by questions \
                     up to {disowned}"
                ))
            } else if *term < recalled {
                Err(format!(
                    "it takes a line of {key:?} of term {term}, after it said that it reads none before {recalled}"
                ))
            } else {
                Ok(true)
            }
        }
        _ => Ok(false),
    }
}

fn one_question(view: &View, _at: VirtualTime, node: u64, event: &LineSeen) -> Judgement {
    let LineSeen::Asked { key, number } = event else { return Ok(false) };
    match view.key(key).and_then(|key| key.questions.get(&node)) {
        None => Ok(true),
        Some(open) => Err(format!("it asks for {key:?} under {number}, while its question {open} is open")),
    }
}
