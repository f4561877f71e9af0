//! State machine safety: what is committed or applied at an index is the same on all nodes, for ever; it is
//! applied in order, and leads to the same state. A snapshot covers nothing but what is committed, and leads to
//! the state that its last entry leads to; and only what was applied is let go of.

use super::shadow::Settled;
use super::{Invariant, Judgement, Numbered, Shadow, ShadowNode};
use crate::history::{LogSlot, NodeEvent};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct StateMachineSafety {
    /// From index 1: the entry first applied there, the state after it, and the node.
    applied: Numbered<(LogSlot, u64, u64)>,
}

impl Invariant for StateMachineSafety {
    fn name(&self) -> &'static str {
        "state machine safety"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 3, sections 5.4.3 and 7"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let own = shadow.node(node);
        match event {
            NodeEvent::Committed { index } => committed(shadow, own, *index),
            NodeEvent::Applied { index, slot, state } => {
                in_order(own, *index, *slot)?;
                self.same_everywhere(node, *index, *slot, *state)
            }
            NodeEvent::Truncated { from } => keeps_committed(shadow, own, *from),
            NodeEvent::Started { snapshot: Some(snapshot), .. }
            | NodeEvent::SnapshotReceived { snapshot } => shadow.is_committed(snapshot).map(|()| true),
            NodeEvent::Installed { index, state } => {
                installs(own, *index)?;
                self.in_state(*index, *state)
            }
            NodeEvent::Compacted { to } if *to > own.applied => {
                Err(format!("entries up to {to} were let go of, but only {} applied", own.applied))
            }
            NodeEvent::Compacted { .. } => Ok(true),
            _ => Ok(false),
        }
    }

    fn forget_before(&mut self, settled: Settled) {
        self.applied.forget_before(settled.index);
    }
}

fn committed(shadow: &Shadow, own: &ShadowNode, index: u64) -> Judgement {
    if index > own.last_index() {
        return Err(format!("the commit index is {index}, but the log ends at {}", own.last_index()));
    }
    let common = index.min(shadow.last_committed());
    let known = shadow.committed_at(common).map(|committed| committed.slot.prefix);
    if own.slot(common).map(|slot| slot.prefix) == known {
        Ok(true)
    } else {
        Err(format!("it committed up to {index} a log that differs from what was committed up to {common}"))
    }
}

fn in_order(own: &ShadowNode, index: u64, slot: LogSlot) -> Result<(), String> {
    if own.applied.checked_add(1) != Some(index) {
        return Err(format!("entry {index} was applied after entry {}", own.applied));
    }
    if index <= own.compacted {
        return Err(format!("entry {index} was applied, but the log begins after {}", own.compacted));
    }
    if index > own.commit {
        return Err(format!("entry {index} was applied, but the commit index is {}", own.commit));
    }
    match own.slot(index) {
        Some(held) if held.slot == slot => Ok(()),
        held => Err(format!("{slot:?} was applied at {index}, but the log holds {:?}", held.map(|h| h.slot))),
    }
}

fn installs(own: &ShadowNode, index: u64) -> Result<(), String> {
    if index <= own.applied {
        return Err(format!(
            "a snapshot up to {index} took the place of a machine that has applied {}",
            own.applied
        ));
    }
    if index > own.commit.min(own.durable) {
        return Err(format!(
            "a snapshot up to {index} took the machine's place, but the log is committed up to {} and durable up to {}",
            own.commit, own.durable
        ));
    }
    Ok(())
}

/// A committed entry is in the log of every later leader, so nothing can ask a node to give it up.
fn keeps_committed(shadow: &Shadow, own: &ShadowNode, from: u64) -> Judgement {
    let held = own.slot(from).map(|slot| slot.prefix);
    let committed = shadow.committed_at(from).map(|committed| committed.slot.prefix);
    if from <= own.commit || (held.is_some() && held == committed) {
        Err(format!("entry {from} left the log, but is committed"))
    } else {
        Ok(true)
    }
}

impl StateMachineSafety {
    fn same_everywhere(&mut self, node: u64, index: u64, slot: LogSlot, state: u64) -> Judgement {
        if index == self.applied.last_number() + 1 {
            self.applied.push((slot, state, node));
            return Ok(true);
        }
        // Beyond the next index only after a violation of the order, which was reported.
        let Some((first_slot, first_state, first)) = self.applied.get(index).copied() else {
            return Ok(false);
        };
        if slot != first_slot {
            return Err(format!("at {index} {slot:?} was applied, but {first_slot:?} on node {first}"));
        }
        same_state(index, state, first_state, first)
    }

    /// Whether others were in this state after the entry at `index`. Whoever took the snapshot was.
    fn in_state(&self, index: u64, state: u64) -> Judgement {
        let (_, first_state, first) = self.applied.get(index).ok_or_else(|| {
            format!("a snapshot up to {index} took a machine's place, but no machine has applied that entry")
        })?;
        same_state(index, state, *first_state, *first)
    }
}

fn same_state(index: u64, state: u64, first_state: u64, first: u64) -> Judgement {
    if state == first_state {
        Ok(true)
    } else {
        Err(format!("after entry {index} the state is {state:016x}, but {first_state:016x} on node {first}"))
    }
}
