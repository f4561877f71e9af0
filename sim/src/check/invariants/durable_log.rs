//! Durable log: what was reported durable stays so until the log is cut, and a restart recovers it.

use super::shadow::prefix;
use super::{Invariant, Judgement, Shadow};
use crate::history::NodeEvent;

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
        let durable = own.durable_certain;
        match event {
            NodeEvent::Durable { last_index, .. } if *last_index < durable => {
                Err(format!("the durable log shrank from {durable} to {last_index} without a cut"))
            }
            NodeEvent::Durable { .. } => Ok(true),
            NodeEvent::Started { log, .. } => {
                let kept = usize::try_from(durable).unwrap_or(usize::MAX);
                if log.len() < kept {
                    return Err(format!(
                        "entries up to {durable} were durable, but a log that ends at {} was recovered",
                        log.len()
                    ));
                }
                let recovered = log[..kept].iter().fold(0, |before, slot| prefix(before, *slot));
                let expected = own.slot(durable).map_or(0, |slot| slot.prefix);
                if recovered == expected {
                    Ok(true)
                } else {
                    Err(format!("the recovered log differs from what was durable up to {durable}"))
                }
            }
            _ => Ok(false),
        }
    }
}
