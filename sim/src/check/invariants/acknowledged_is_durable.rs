//! Acknowledged is durable: a node tells a leader that it holds the log up to an index only once its log is
//! durable up to there, and so is the leader's term.
//!
//! An acknowledgement in the node's present term vouches for the log as it is, so that counts which is both
//! in memory and on the disk. One of an earlier term may leave late, when what it waited for is on the disk
//! but has left the log in memory by order of a later leader: for that the disk alone counts.

use super::{Invariant, Judgement, Shadow};
use crate::history::NodeEvent;

/// The invariant.
#[derive(Debug, Default)]
pub(super) struct AcknowledgedIsDurable;

impl Invariant for AcknowledgedIsDurable {
    fn name(&self) -> &'static str {
        "acknowledged is durable"
    }

    fn source(&self) -> &'static str {
        "Raft paper, Figure 2 (persistent state) and sections 5.3 and 7; thesis, section 10.2.1"
    }

    fn before(&mut self, shadow: &Shadow, node: u64, event: &NodeEvent) -> Judgement {
        let NodeEvent::Acknowledges { term, index } = event else { return Ok(false) };
        let own = shadow.node(node);
        if own.durable_term < *term {
            return Err(format!(
                "it acknowledges entries up to {index} in term {term}, but term {} is durable",
                own.durable_term
            ));
        }
        let durable = if *term < own.term { own.disk_last } else { own.durable };
        if *index <= durable {
            Ok(true)
        } else {
            Err(format!(
                "it acknowledges entries up to {index} in term {term}, of which {durable} are durable"
            ))
        }
    }
}
