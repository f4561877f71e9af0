//! Commands that make something happen at one node, or to what is said about it.

use bytes::Bytes;
use stormglass_nodes::ids::{LogIndex, NodeId};
use stormglass_nodes::raft::membership::{MembershipChange, Transition};
use stormglass_nodes::raft::{Body, Input, Message, SnapshotChunk};
use xxhash_rust::xxh3::xxh3_64;

use super::output::Level;
use super::setup::TICK_US;
use super::{Interaction, describe};
use crate::confchange;
use crate::script::{self, Command, Misuse};

/// What a change that is written the short way bears, so that the log can show it that way.
pub(super) const SHORT_CHANGE: &[u8] = b"v1";

impl Interaction {
    /// `campaign 1`
    pub(super) fn campaign(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        self.at(command.node()?, |node| node.step(Input::Campaign))
    }

    /// `propose 1 foo`
    pub(super) fn propose(&mut self, command: &Command) -> Result<(), Misuse> {
        let hint = || Misuse::new("propose takes a node and what to propose", "propose 1 foo");
        let mut words = command.written[0].split_whitespace().skip(1);
        let (Some(id), Some(content), None) = (words.next(), words.next(), words.next()) else {
            return Err(hint());
        };
        let content = Bytes::from(content.to_owned());
        self.at(NodeId(script::number(id)?), |node| {
            let id = node.next_request();
            node.step(Input::Propose { id, command: content });
        })
    }

    /// `propose-conf-change 1 v1=false transition=explicit`, and the changes as input.
    pub(super) fn propose_conf_change(&mut self, command: &Command) -> Result<(), Misuse> {
        let mut change = MembershipChange::of(confchange::changes(command)?);
        for (name, values) in command.options(&["v1", "transition"])? {
            match (name, script::single(name, values)?) {
                ("v1", "true") => change.context = Bytes::from_static(SHORT_CHANGE),
                ("v1", "false") | (_, "auto") => {}
                (_, "implicit") => change.transition = Transition::JointImplicit,
                (_, "explicit") => change.transition = Transition::JointExplicit,
                (_, value) => {
                    let hint = "v1=true or false; transition=auto, implicit or explicit";
                    return Err(Misuse::new(format!("{name}={value}"), hint));
                }
            }
        }
        if !change.context.is_empty() && (change.changes.len() != 1 || change.transition != Transition::Auto)
        {
            let hint = "leave v1=true away for more";
            return Err(Misuse::new("a short change changes one node, and has no transition", hint));
        }
        self.at(command.node()?, |node| {
            let id = node.next_request();
            node.step(Input::ChangeMembership { id, change });
        })
    }

    /// `read-index 1`
    pub(super) fn read_index(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        self.at(command.node()?, |node| {
            let id = node.next_request();
            node.step(Input::ReadAnywhere { id });
        })
    }

    /// `transfer-leadership from=1 to=4`
    pub(super) fn transfer_leadership(&mut self, command: &Command) -> Result<(), Misuse> {
        let (mut from, mut to) = (None, None);
        for (name, values) in command.options(&["from", "to"])? {
            let id = NodeId(script::number(script::single(name, values)?)?);
            *(if name == "from" { &mut from } else { &mut to }) = Some(id);
        }
        let from = from.ok_or_else(|| Misuse::new("who hands over?", "transfer-leadership from=1 to=2"))?;
        self.at(from, |node| node.step(Input::Transfer { to }))
    }

    /// `forget-leader 1`
    pub(super) fn forget_leader(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        self.at(command.node()?, |node| {
            node.core.forget_leader();
            node.has_ready();
        })
    }

    /// `report-unreachable 1 2`
    pub(super) fn report_unreachable(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        let (id, peer) = command.two_nodes()?;
        self.at(id, |node| node.step(Input::Unreachable(peer)))
    }

    /// `tick-election 1`, `tick-heartbeat 1`
    pub(super) fn tick(&mut self, command: &Command, ticks: u64) -> Result<(), Misuse> {
        command.options(&[])?;
        self.at(command.node()?, |node| (0..ticks).for_each(|_| node.tick()))
    }

    /// `set-randomized-election-timeout 1 timeout=5`
    pub(super) fn set_randomized_election_timeout(&mut self, command: &Command) -> Result<(), Misuse> {
        let mut ticks: u64 = 0;
        for (name, values) in command.options(&["timeout"])? {
            ticks = script::number(script::single(name, values)?)?;
        }
        if ticks == 0 {
            return Err(Misuse::new("how many ticks?", "set-randomized-election-timeout 1 timeout=5"));
        }
        self.at(command.node()?, |node| node.core.set_election_timeout_us(ticks.saturating_mul(TICK_US)))
    }

    /// `restart 1`: a crash, and a new start from the disk.
    pub(super) fn restart(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        self.at(command.node()?, |node| node.restart())
    }

    /// `compact 1 11`: keeps a snapshot in place of the log up to that index, and shows what is left.
    pub(super) fn compact(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        let (id, index) = command.two_nodes()?;
        let index = LogIndex(index.0);
        let snapshot = self.node(id)?.snapshot_at(index).cloned();
        let hint = "a node can be compacted up to an entry that it has applied";
        let snapshot =
            snapshot.ok_or_else(|| Misuse::new(format!("there is no state at index {index}"), hint))?;
        self.at(id, |node| node.compact(snapshot))?;
        let log = describe::durable_log(&self.node(id)?.disk);
        self.output.say(&log);
        Ok(())
    }

    /// `send-snapshot 1 3`: the machine's present state, in one message, whatever the core thinks of it.
    pub(super) fn send_snapshot(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        let (from, to) = command.two_nodes()?;
        let node = self.node(from)?;
        let nothing =
            || Misuse::new(format!("node {} has no state to send", from.0), "let it apply something");
        let snapshot = node.latest_snapshot().cloned().ok_or_else(nothing)?;
        let term = node.core.status().term;
        let body = Body::SnapshotChunk(Box::new(SnapshotChunk {
            meta: snapshot.meta,
            total_bytes: snapshot.data.len() as u64,
            checksum: xxh3_64(&snapshot.data),
            offset_bytes: 0,
            data: snapshot.data,
        }));
        let message = Message { from, to, term, body };
        self.output.say(&describe::message(&message));
        self.network.push(message);
        Ok(())
    }

    /// `log-level info`
    pub(super) fn log_level(&mut self, command: &Command) -> Result<(), Misuse> {
        command.options(&[])?;
        let names: Vec<_> = command.plain().collect();
        let [name] = names[..] else {
            return Err(Misuse::new("log-level takes one level", "log-level info"));
        };
        self.output.set_level(Level::parse(name)?);
        Ok(())
    }
}
