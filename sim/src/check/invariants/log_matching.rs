//! Log matching: if two logs hold an entry of the same index and term, they are equal up to it.

use super::{Invariant, Judgement, Shadow, ShadowSlot};
use crate::history::NodeEvent;

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct LogMatching {
    /// By index, from 1: what entries were ever held there, of one term each. Few, mostly one.
    held: Vec<Vec<Held>>,
}

/// The one entry of an index and a term.
#[derive(Clone, Copy, Debug)]
struct Held {
    term: u64,
    /// The hash over the log up to it.
    prefix: u64,
    /// The node that showed it first.
    first: u64,
}

impl Invariant for LogMatching {
    fn name(&self) -> &'static str {
        "log matching"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 3 and section 5.3"
    }

    fn after(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let log = &shadow.node(node).log;
        match event {
            NodeEvent::Appended { index, .. } => {
                let last = log.last().ok_or_else(|| format!("entry {index} is not in the log"))?;
                self.matches(node, *index, last)
            }
            // What a snapshot covers is taken from what is committed, and was held by others.
            NodeEvent::Started { snapshot, .. } => {
                let covered = snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
                let mut judged = false;
                for (index, slot) in (1..).zip(log).filter(|(index, _)| *index > covered) {
                    judged |= self.matches(node, index, slot)?;
                }
                Ok(judged)
            }
            _ => Ok(false),
        }
    }
}

impl LogMatching {
    fn matches(&mut self, node: u64, index: u64, slot: &ShadowSlot) -> Judgement {
        let term = slot.slot.term;
        let position = usize::try_from(index - 1).expect("a log in memory has fewer entries");
        if self.held.len() <= position {
            self.held.resize_with(position + 1, Vec::new);
        }
        let held = &mut self.held[position];
        let Some(&Held { prefix, first, .. }) = held.iter().find(|held| held.term == term) else {
            held.push(Held { term, prefix: slot.prefix, first: node });
            return Ok(true);
        };
        if prefix == slot.prefix {
            Ok(true)
        } else {
            Err(format!(
                "nodes {first} and {node} both held an entry {index} of term {term}, but differ in it or before it"
            ))
        }
    }
}
