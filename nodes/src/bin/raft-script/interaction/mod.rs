//! Whole nodes, driven one step at a time: elections, replication, storage, applying, changes of the members.
//!
//! # Contract
//! * Every node is a [`stormglass_nodes::raft::Core`]. What it asks for is gathered after each of its inputs
//!   and kept until the script says `process-ready`; its messages wait in the network for `deliver-msgs`;
//!   with `async-storage-writes` its disk and its machine wait for `process-append-thread` and
//!   `process-apply-thread`, else `process-ready` does their work at once.
//! * Nothing happens that the script does not ask for. Time passes only by `tick-election` and
//!   `tick-heartbeat`, on one node; each other input takes a node one microsecond.
//! * The machine appends the commands to its content, so that a snapshot shows what was applied.
//!
//! A message, an entry, a state is written in etcd's spelling as far as the core has the same thing.

mod commands;
mod describe;
mod disk;
mod dumps;
mod flow;
mod node;
mod output;
mod report;
mod setup;

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::Message;

use self::node::Node;
use self::output::Output;
use crate::script::{Command, Misuse};
use crate::transcript::Runner;

/// The commands, in the order of the manual.
const COMMANDS: &[&str] = &[
    "add-nodes",
    "campaign",
    "propose",
    "propose-conf-change",
    "read-index",
    "transfer-leadership",
    "forget-leader",
    "report-unreachable",
    "tick-election",
    "tick-heartbeat",
    "set-randomized-election-timeout",
    "restart",
    "compact",
    "send-snapshot",
    "process-ready",
    "process-append-thread",
    "process-apply-thread",
    "deliver-msgs",
    "stabilize",
    "raft-state",
    "raft-log",
    "status",
    "log-level",
];

/// A cluster and its network.
#[derive(Default)]
pub(crate) struct Interaction {
    /// Node 1 first, without gaps.
    nodes: Vec<Node>,
    /// Messages under way, in the order in which they were sent.
    network: Vec<Message>,
    output: Output,
}

impl Runner for Interaction {
    fn commands(&self) -> &'static [&'static str] {
        COMMANDS
    }

    fn commands_with_input(&self) -> &'static [&'static str] {
        &["propose-conf-change"]
    }

    fn is_comparable(&self, command: &Command) -> bool {
        matches!(command.name.as_str(), "raft-state" | "raft-log" | "status")
    }

    fn run(&mut self, command: &Command) -> Result<String, Misuse> {
        let result = self.execute(command);
        let output = self.output.take();
        result.map(|()| output)
    }
}

impl Interaction {
    fn execute(&mut self, command: &Command) -> Result<(), Misuse> {
        match command.name.as_str() {
            "add-nodes" => self.add_nodes(command),
            "campaign" => self.campaign(command),
            "propose" => self.propose(command),
            "propose-conf-change" => self.propose_conf_change(command),
            "read-index" => self.read_index(command),
            "transfer-leadership" => self.transfer_leadership(command),
            "forget-leader" => self.forget_leader(command),
            "report-unreachable" => self.report_unreachable(command),
            "tick-election" => self.tick(command, setup::ELECTION_TICKS),
            "tick-heartbeat" => self.tick(command, 1),
            "set-randomized-election-timeout" => self.set_randomized_election_timeout(command),
            "restart" => self.restart(command),
            "compact" => self.compact(command),
            "send-snapshot" => self.send_snapshot(command),
            "process-ready" => self.process_each(command, "handling Ready", Self::process_ready),
            "process-append-thread" => {
                self.process_each(command, "processing append thread", Self::process_append_thread)
            }
            "process-apply-thread" => {
                self.process_each(command, "processing apply thread", Self::process_apply_thread)
            }
            "deliver-msgs" => self.deliver_msgs(command),
            "stabilize" => self.stabilize(command),
            "raft-state" => self.raft_state(command),
            "raft-log" => self.raft_log(command),
            "status" => self.status(command),
            "log-level" => self.log_level(command),
            other => Err(Misuse::new(format!("no such command: {other:?}"), COMMANDS.join(", "))),
        }
    }

    /// A node, by its number.
    fn node(&mut self, id: NodeId) -> Result<&mut Node, Misuse> {
        let count = self.nodes.len();
        let position = usize::try_from(id.0).ok().and_then(|id| id.checked_sub(1));
        let missing =
            || Misuse::new(format!("there is no node {}", id.0), format!("add-nodes has made {count}"));
        position.and_then(|position| self.nodes.get_mut(position)).ok_or_else(missing)
    }

    /// Lets something happen at a node, and reports what it says of it.
    fn at<T>(&mut self, id: NodeId, happens: impl FnOnce(&mut Node) -> T) -> Result<T, Misuse> {
        let node = self.node(id)?;
        let result = happens(node);
        let lines = node.take_log();
        self.output.log(&lines);
        Ok(result)
    }
}
