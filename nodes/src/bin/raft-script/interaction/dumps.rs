//! Dumps: what a node is, what its disk holds, what a leader knows of the others.

use stormglass_nodes::ids::{LocalTime, NodeId};
use stormglass_nodes::raft::{PeerMode, PeerStatus, Role};

use super::node::Node;
use super::{Interaction, describe};
use crate::script::{Command, Misuse};

impl Interaction {
    /// `raft-state`: every node, as it sees itself.
    pub(super) fn raft_state(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        for node in &self.nodes {
            let status = node.core.status();
            let voter = if node.core.membership().is_voter(status.id) { "(Voter)" } else { "(Non-Voter)" };
            let leader = status.leader.map_or(0, |leader| leader.0);
            let (id, role, term) = (status.id.0, describe::role(status.role), status.term.0);
            self.output.say(&format!("{id}: {role} {voter} Term:{term} Lead:{leader}"));
        }
        Ok(())
    }

    /// `raft-log 1`: what is durable of a node's log.
    pub(super) fn raft_log(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        let log = describe::durable_log(&self.node(command.node()?)?.disk);
        self.output.say(&log);
        Ok(())
    }

    /// `status 1`: what a leader knows of every member, itself included. Nothing of a node that does not
    /// lead.
    pub(super) fn status(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        let node = self.node(command.node()?)?;
        let status = node.core.status();
        if status.role != Role::Leader {
            return Ok(());
        }
        let mut lines: Vec<(NodeId, String)> =
            node.core.peers().iter().map(|peer| (peer.id, progress(node, peer))).collect();
        if node.core.membership().contains(status.id) {
            // A leader counts itself up to what is on its own disk, and is sent nothing beyond that.
            let matched = node.core.durable_index();
            let next = matched.next();
            lines.push((status.id, format!("StateReplicate match={matched} next={next}")));
        }
        lines.sort_unstable();
        for (id, line) in lines {
            self.output.say(&format!("{}: {line}", id.0));
        }
        Ok(())
    }
}

fn progress(node: &Node, peer: &PeerStatus) -> String {
    let (mode, pending) = match peer.mode {
        PeerMode::Probe => ("StateProbe", None),
        PeerMode::Replicate => ("StateReplicate", None),
        PeerMode::Snapshot(index) => ("StateSnapshot", Some(index)),
    };
    let mut line = format!("{mode} match={} next={}", peer.match_index, peer.next_index);
    for (holds, word) in [(peer.is_learner, " learner"), (peer.is_paused, " paused")] {
        line.push_str(if holds { word } else { "" });
    }
    if let Some(index) = pending {
        line.push_str(&format!(" pendingSnap={index}"));
    }
    if !is_active(node, peer.last_contact) {
        line.push_str(" inactive");
    }
    if peer.inflight_messages > 0 {
        line.push_str(&format!(" inflight={}", peer.inflight_messages));
        line.push_str(if peer.is_paused { "[full]" } else { "" });
    }
    line
}

/// Whether a peer has answered since its leader leads, and not too long ago if that matters to the leader.
/// When a leadership begins the core takes every peer to have been heard of just then.
fn is_active(node: &Node, last_contact: LocalTime) -> bool {
    let is_recent = node.now().since_us(last_contact) < node.config.election_timeout_us;
    last_contact > node.led_since && (is_recent || !node.config.check_quorum)
}
