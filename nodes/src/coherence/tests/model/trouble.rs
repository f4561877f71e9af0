//! What befalls the cluster: elections, pauses, cuts, crashes, members that leave and return, clocks that change
//! their speed.

use super::{Change, Event, Model};
use crate::ids::NodeId;

impl Model {
    pub(super) fn trouble(&mut self) {
        if self.is_calm {
            return;
        }
        self.agenda.add(self.now + self.dice.between(1, 60_000), Event::Trouble);
        if !self.options.is_troubled {
            return;
        }
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let id = self.dice.pick(&ids);
        let lease_us = self.options.settings.lease_us;
        let until = self.now + self.dice.between(1, lease_us * 2);
        match self.dice.between(0, 9) {
            0 | 1 => self.elect(),
            2 => self.node(id).paused_until = until,
            3 | 4 => self.node(id).cut_off_until = until,
            5 => self.crash(id),
            6 => self.change_members(id),
            7 => {
                let (now, rate) = (self.now, self.rate());
                self.node(id).clock.set_rate(now, rate);
            }
            _ => self.tick_log(),
        }
    }

    fn crash(&mut self, id: NodeId) {
        if self.nodes[&id].is_up {
            self.count_node(id);
            self.depose(id);
            self.node(id).is_up = false;
            let at = self.now + self.dice.between(1, 200_000);
            self.agenda.add(at, Event::Restart { node: id });
        }
    }

    /// The real leader proposes something without a gate: only time passes, or the members change.
    fn propose_ungated(&mut self, change: Change) {
        let (term, now) = (self.consensus.term(), self.now);
        let leader = self.consensus.reigns[&term].leader;
        let node = self.node(leader);
        let Some(base) = node.leading.as_mut().filter(|_| node.is_up && node.term == term) else { return };
        let stamp = base.cluster_time(&node.clock, now);
        base.last = stamp;
        self.consensus.append(term, stamp, change, None);
        self.agenda.add(self.now + self.dice.between(300, 6_000), Event::Commit { term });
    }

    fn tick_log(&mut self) {
        self.propose_ungated(Change::Nothing);
    }

    fn change_members(&mut self, id: NodeId) {
        let mut members = self.consensus.truth.members.clone();
        if !members.remove(&id) {
            members.insert(id);
        }
        if !members.is_empty() {
            self.propose_ungated(Change::Members(members));
        }
    }
}
