//! Commands that let work be done: by a driver, a disk, a machine, the network.

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::{Input, Message};

use super::output::Level;
use super::{Interaction, describe, report};
use crate::script::{self, Command, Misuse};

/// Rounds of one `stabilize`, at most. A round does all that can be done at once on every node.
const STABILIZE_ROUNDS_MAX: usize = 1_000;

/// Which messages a command is about.
#[derive(Clone, Copy)]
struct Selection {
    to: NodeId,
    kind: Option<&'static str>,
}

impl Selection {
    fn fits(self, message: &Message) -> bool {
        message.to == self.to && self.kind.is_none_or(|kind| describe::kind(&message.body) == kind)
    }
}

impl Interaction {
    /// Does one step on each of the nodes that a command names.
    pub(super) fn process_each(
        &mut self,
        command: &Command,
        what: &str,
        step: impl Fn(&mut Self, NodeId) -> Result<(), Misuse>,
    ) -> Result<(), Misuse> {
        command.options(&[])?;
        let ids = command.nodes()?;
        if ids.is_empty() {
            return Err(Misuse::new(format!("{} takes nodes", command.name), format!("{} 1", command.name)));
        }
        for &id in &ids {
            if ids.len() > 1 {
                self.titled(id, what, |this| step(this, id))?;
            } else {
                step(self, id)?;
            }
        }
        Ok(())
    }

    fn titled(
        &mut self,
        id: NodeId,
        what: &str,
        step: impl FnOnce(&mut Self) -> Result<(), Misuse>,
    ) -> Result<(), Misuse> {
        self.output.say(&format!("> {} {what}", id.0));
        self.output.indent(true);
        let result = step(self);
        self.output.indent(false);
        result
    }

    /// `process-ready 1`: a driver takes what the core asks for.
    pub(super) fn process_ready(&mut self, id: NodeId) -> Result<(), Misuse> {
        let node = self.node(id)?;
        let is_async = node.is_async;
        let ready = node.take_ready();
        let lines = node.take_log();
        self.output.say(&report::ready(id, &ready, is_async));
        self.output.log(&lines);
        self.network.extend(ready.messages);
        Ok(())
    }

    /// `process-append-thread 1`: the disk does the oldest work that it has.
    pub(super) fn process_append_thread(&mut self, id: NodeId) -> Result<(), Misuse> {
        let Some(work) = self.node(id)?.next_append_work() else {
            self.output.say("no append work to perform");
            return Ok(());
        };
        self.output.say("Processing:");
        self.output.say(&report::append_work(id, &work.request, None));
        self.output.say("Responses:");
        for response in &work.responses {
            self.output.say(&describe::message(response));
        }
        self.output.say(&report::append_done(id, &work.request));
        self.network.extend(work.responses);
        self.at(id, |node| node.write(&work.request))
    }

    /// `process-apply-thread 1`: the machine does the oldest work that it has.
    pub(super) fn process_apply_thread(&mut self, id: NodeId) -> Result<(), Misuse> {
        let Some(work) = self.node(id)?.apply_work.pop_front() else {
            self.output.say("no apply work to perform");
            return Ok(());
        };
        self.output.say("Processing:");
        self.output.say(&report::apply_work(id, &work.installs, &work.entries));
        self.output.say("Responses:");
        self.output.say(&report::apply_done(id, &work.installs, &work.entries));
        self.at(id, |node| node.apply(&work.installs, &work.entries))
    }

    /// `deliver-msgs 1 2 type=MsgApp drop=(3)`
    pub(super) fn deliver_msgs(&mut self, command: &Command) -> Result<(), Misuse> {
        let (mut kind, mut dropped) = (None, Vec::new());
        for (name, values) in command.options(&["type", "drop"])? {
            if name == "type" {
                let name = script::single(name, values)?;
                let known = describe::KINDS.iter().find(|known| **known == name);
                let unknown =
                    || Misuse::new(format!("no such message: {name:?}"), describe::KINDS.join(", "));
                kind = Some(*known.ok_or_else(unknown)?);
            } else {
                for value in values {
                    dropped.push(NodeId(script::number(value)?));
                }
            }
        }
        let delivered = command.nodes()?;
        if let Some(both) = delivered.iter().find(|id| dropped.contains(id)) {
            return Err(Misuse::new(
                format!("messages to {} are delivered and dropped", both.0),
                "do one first",
            ));
        }
        let mut count = 0;
        for to in delivered {
            count += self.deliver(Selection { to, kind })?;
        }
        for to in dropped {
            count += self.drop_messages(Selection { to, kind });
        }
        if count == 0 {
            self.output.say("no messages");
        }
        Ok(())
    }

    /// Delivers what is under way, in order; what follows from it is not delivered.
    fn deliver(&mut self, selection: Selection) -> Result<usize, Misuse> {
        self.node(selection.to)?;
        let messages = self.take_messages(selection);
        let count = messages.len();
        for message in messages {
            self.output.say(&describe::message(&message));
            self.at(selection.to, |node| node.step(Input::Receive(message)))?;
        }
        Ok(count)
    }

    fn drop_messages(&mut self, selection: Selection) -> usize {
        let messages = self.take_messages(selection);
        for message in &messages {
            self.output.say(&format!("dropped: {}", describe::message(message)));
        }
        messages.len()
    }

    fn take_messages(&mut self, selection: Selection) -> Vec<Message> {
        self.network.extract_if(.., |message| selection.fits(message)).collect()
    }

    /// `stabilize 1 2 log-level=none`: goes on with these nodes (all, if none are named) until there is
    /// nothing left to do among them.
    pub(super) fn stabilize(&mut self, command: &Command) -> Result<(), Misuse> {
        let mut level_before = None;
        for (name, values) in command.options(&["log-level"])? {
            let level = Level::parse(script::single(name, values)?)?;
            level_before = Some(self.output.set_level(level));
        }
        let result = self.rest(command.nodes()?);
        if let Some(level) = level_before {
            self.output.set_level(level);
        }
        result
    }

    fn rest(&mut self, mut ids: Vec<NodeId>) -> Result<(), Misuse> {
        if ids.is_empty() {
            ids = (1..=self.nodes.len() as u64).map(NodeId).collect();
        }
        for _ in 0..STABILIZE_ROUNDS_MAX {
            if !self.round(&ids)? {
                return Ok(());
            }
        }
        let what = format!("these nodes do not come to rest within {STABILIZE_ROUNDS_MAX} rounds");
        Err(Misuse::new(what, "let them do less at once, with process-ready and deliver-msgs"))
    }

    /// One round. Returns whether anything was done.
    fn round(&mut self, ids: &[NodeId]) -> Result<bool, Misuse> {
        let mut is_done = true;
        for &id in ids {
            if self.at(id, |node| node.has_ready())? {
                self.titled(id, "handling Ready", |this| this.process_ready(id))?;
                is_done = false;
            }
        }
        for &id in ids {
            let all = Selection { to: id, kind: None };
            if self.network.iter().any(|message| all.fits(message)) {
                self.titled(id, "receiving messages", |this| this.deliver(all).map(|_| ()))?;
                is_done = false;
            }
        }
        for &id in ids {
            if !self.node(id)?.append_work.is_empty() {
                self.titled(id, "processing append thread", |this| this.process_append_thread(id))?;
                is_done = false;
            }
        }
        for &id in ids {
            while !self.node(id)?.apply_work.is_empty() {
                self.titled(id, "processing apply thread", |this| this.process_apply_thread(id))?;
                is_done = false;
            }
        }
        Ok(!is_done)
    }
}
