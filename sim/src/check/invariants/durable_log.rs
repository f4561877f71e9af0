//! Durable log: a write makes the log durable as it was when the write began; what is durable stays so until
//! the log is cut, and a restart recovers it, or a snapshot that covers it.

use super::shadow_node::prefix;
use super::{Invariant, Judgement, Shadow, ShadowNode};
use crate::history::{LogSlot, NodeEvent};

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct DurableLog;

impl Invariant for DurableLog {
    fn name(&self) -> &'static str {
        "durable log"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 2 (persistent state) and section 5.6"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let own = shadow.node(node);
        match event {
            NodeEvent::Durable { last_index, .. } => {
                let write = own.write.ok_or("a write completed that had not begun")?;
                if *last_index == write.last {
                    Ok(true)
                } else {
                    Err(format!(
                        "a write began with a log that ended at {}, but completed with one that ends at {last_index}",
                        write.last
                    ))
                }
            }
            NodeEvent::Started { snapshot, log, .. } => {
                let covered = snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
                recovers(shadow, own, covered, log)
            }
            _ => Ok(false),
        }
    }
}

/// Whether a snapshot up to `covered` and the log after it hold all that was durable.
fn recovers(shadow: &Shadow, own: &ShadowNode, covered: u64, log: &[LogSlot]) -> Judgement {
    let durable = own.durable;
    let last = covered.saturating_add(log.len() as u64);
    if last < durable {
        return Err(format!(
            "entries up to {durable} were durable, but a log that ends at {last} was recovered"
        ));
    }
    let of_committed = |index| shadow.committed_at(index).map_or(0, |committed| committed.slot.prefix);
    let after_snapshot = usize::try_from(durable.saturating_sub(covered)).unwrap_or(usize::MAX);
    let recovered = log[..after_snapshot]
        .iter()
        .fold(of_committed(durable.min(covered)), |before, slot| prefix(before, *slot));
    let expected = own.slot(durable).map_or(0, |slot| slot.prefix);
    if recovered == expected {
        Ok(true)
    } else {
        Err(format!("the recovered log differs from what was durable up to {durable}"))
    }
}
