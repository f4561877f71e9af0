//! Log matching: if two logs hold an entry of the same index and term, they are equal up to it.

use super::shadow::Settled;
use super::{Invariant, Judgement, Numbered, Shadow, ShadowSlot};
use crate::history::NodeEvent;

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct LogMatching {
    /// By index, from 1: what entries were ever held there, of one term each. Few, mostly one.
    held: Numbered<Vec<Held>>,
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
                for (index, slot) in log.after(covered) {
                    judged |= self.matches(node, index, slot)?;
                }
                Ok(judged)
            }
            _ => Ok(false),
        }
    }

    fn forget_before(&mut self, settled: Settled) {
        self.held.forget_before(settled.index);
    }
}

impl LogMatching {
    fn matches(&mut self, node: u64, index: u64, slot: &ShadowSlot) -> Judgement {
        let term = slot.slot.term;
        while self.held.last_number() < index {
            self.held.push(Vec::new());
        }
        // What is forgotten is in the snapshots of all nodes.
        let Some(held) = self.held.get_mut(index) else { return Ok(false) };
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
