//! How long nobody led and nobody was served because of a fault: measured from what nodes reported and what
//! clients recorded.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{History, NodeEvent, NodeRole, Outcome, VirtualTime};
use crate::nemesis::{ATTRIBUTION_US, FaultRecord, Process, Timeline};
use crate::plan::FaultKind;

/// One node's time as leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reign {
    node: u64,
    elected: VirtualTime,
    /// When it first knew of something committed: from then on it serves.
    serves_from: Option<VirtualTime>,
    ended: Option<VirtualTime>,
}

/// Who led, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Reigns {
    all: Vec<Reign>,
    /// The reign of each node that leads now, by position.
    present: BTreeMap<u64, usize>,
}

impl Reigns {
    /// Takes note of an event.
    pub(super) fn note(&mut self, at: VirtualTime, node: u64, event: &NodeEvent) {
        match event {
            // A leader that reports its role again reigns on.
            NodeEvent::RoleChanged { role: NodeRole::Leader, .. } if self.present.contains_key(&node) => {}
            NodeEvent::RoleChanged { role: NodeRole::Leader, .. } => {
                let all = &mut self.all;
                self.present.entry(node).or_insert_with(|| {
                    all.push(Reign { node, elected: at, serves_from: None, ended: None });
                    all.len() - 1
                });
            }
            NodeEvent::RoleChanged { .. } | NodeEvent::Stopped => {
                if let Some(position) = self.present.remove(&node) {
                    self.all[position].ended = Some(at);
                }
            }
            NodeEvent::Committed { .. } => {
                if let Some(position) = self.present.get(&node) {
                    self.all[*position].serves_from.get_or_insert(at);
                }
            }
            _ => {}
        }
    }

    /// Forgets the reigns that are over.
    pub(super) fn forget_past(&mut self) {
        let present = std::mem::take(&mut self.present);
        self.all = present.values().map(|position| self.all[*position]).collect();
        self.present = present.into_keys().zip(0..).collect();
    }

    /// Writes into each fault that had effect and cost a leader how long that was felt.
    pub(super) fn measure(&self, timeline: &mut Timeline, history: &History) {
        let mut answers: Vec<VirtualTime> = (history.operations.iter())
            .filter(|operation| matches!(operation.outcome, Outcome::Ok { .. }))
            .filter_map(|operation| operation.returned_ns)
            .collect();
        answers.sort_unstable();
        for fault in &mut timeline.faults {
            if let Some(lost_at) = self.leader_lost_at(fault) {
                self.measure_one(fault, lost_at, &answers);
            }
        }
    }

    /// When the leader that the fault found was lost, if it was. Who is cut off may believe for a while that it
    /// leads; to the others it is lost at once.
    fn leader_lost_at(&self, fault: &FaultRecord) -> Option<VirtualTime> {
        let leader = fault.leader.filter(|_| fault.had_effect)?;
        let hit: BTreeSet<&Process> = fault.targets.union(&fault.towards).collect();
        let is_hit = hit.contains(&Process::Node(leader));
        match fault.kind {
            FaultKind::Transfer | FaultKind::Members | FaultKind::Upgrade => {
                let reign =
                    self.all.iter().rfind(|reign| reign.node == leader && reign.elected <= fault.at)?;
                reign.ended.filter(|ended| *ended >= fault.at && *ended <= deadline(fault))
            }
            FaultKind::Degrade | FaultKind::ClockDrift | FaultKind::DisconnectClients => None,
            // Clients alone cost nobody the leadership.
            FaultKind::OneWay if !has_node(&fault.targets) || !has_node(&fault.towards) => None,
            _ => is_hit.then_some(fault.at),
        }
    }

    fn measure_one(&self, fault: &mut FaultRecord, lost_at: VirtualTime, answers: &[VirtualTime]) {
        let (begun, until) = (fault.at, deadline(fault));
        let later = |reign: &&Reign| reign.elected > begun && reign.elected <= until;
        let mut successors = self.all.iter().filter(later);
        let Some(next) = successors.next() else { return };
        let from = if is_handed_over(fault.kind) {
            let before = answers.partition_point(|answered| *answered <= next.elected);
            answers[..before].last().map_or(lost_at, |answered| lost_at.min(*answered))
        } else {
            lost_at
        };
        fault.effect.leaderless_us = next.elected.since_ns(lost_at) / 1_000;
        let serves_from = std::iter::once(next).chain(successors).find_map(|reign| reign.serves_from);
        let Some(serves_from) = serves_from else { return };
        let served = answers.partition_point(|answered| *answered < serves_from);
        if let Some(answered) = answers.get(served) {
            fault.effect.unserved_us = answered.since_ns(from) / 1_000;
        }
    }
}

/// Whether the leader goes on serving until it hands over.
const fn is_handed_over(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Transfer | FaultKind::Members | FaultKind::Upgrade)
}

fn has_node(processes: &BTreeSet<Process>) -> bool {
    processes.iter().any(|process| matches!(process, Process::Node(_)))
}

fn deadline(fault: &FaultRecord) -> VirtualTime {
    VirtualTime(fault.until.0.saturating_add(ATTRIBUTION_US * 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Answer, Call, Operation};
    use crate::nemesis::Effect;

    fn ms(ms: u64) -> VirtualTime {
        VirtualTime::from_ms(ms)
    }

    fn fault(kind: FaultKind, at_ms: u64) -> FaultRecord {
        FaultRecord {
            number: 0,
            kind,
            selector: String::new(),
            at: ms(at_ms),
            until: ms(at_ms + 1_000),
            targets: [Process::Node(1)].into(),
            towards: BTreeSet::new(),
            leader: Some(1),
            effect: Effect::default(),
            had_effect: true,
            absorbed: false,
            note: String::new(),
        }
    }

    fn answered_at(times_ms: &[u64]) -> History {
        let operation = |at_ms: &u64| Operation {
            id: *at_ms,
            client: 1,
            call: Call::Get { key: "k".to_owned() },
            invoked_ns: ms(at_ms - 1),
            returned_ns: Some(ms(*at_ms)),
            outcome: Outcome::Ok { answer: Answer::Value { value: None, version: None } },
        };
        History { operations: times_ms.iter().map(operation).collect(), holds: Vec::new() }
    }

    /// Node 1 leads until 2,000 ms, node 2 from 2,200 ms, and commits at 2,210 ms.
    fn reigns() -> Reigns {
        let role = |role| NodeEvent::RoleChanged { role, term: 1 };
        let mut reigns = Reigns::default();
        reigns.note(ms(10), 1, &role(NodeRole::Leader));
        reigns.note(ms(20), 1, &NodeEvent::Committed { index: 1 });
        reigns.note(ms(2_000), 1, &role(NodeRole::Follower));
        reigns.note(ms(2_200), 2, &role(NodeRole::Leader));
        reigns.note(ms(2_210), 2, &NodeEvent::Committed { index: 9 });
        reigns
    }

    fn measured(fault: FaultRecord) -> (u64, u64) {
        let mut timeline = Timeline { faults: vec![fault], ..Timeline::default() };
        reigns().measure(&mut timeline, &answered_at(&[1_700, 1_990, 2_205, 2_230, 2_300]));
        (timeline.faults[0].effect.leaderless_us, timeline.faults[0].effect.unserved_us)
    }

    #[test]
    fn a_leader_that_is_hit_is_lost_at_once() {
        let gaps = measured(fault(FaultKind::Crash, 1_800));
        assert_eq!(gaps, (400_000, 430_000), "an answer before the next leader commits is the old one's");
    }

    #[test]
    fn a_leader_that_hands_over_serves_until_its_last_answer() {
        assert_eq!(measured(fault(FaultKind::Transfer, 1_800)), (200_000, 240_000));
    }

    #[test]
    fn nothing_is_measured_of_faults_that_cost_no_leader() {
        assert_eq!(measured(fault(FaultKind::Transfer, 2_100)), (0, 0), "it had stepped down before");
        assert_eq!(measured(fault(FaultKind::Degrade, 1_800)), (0, 0));
        let elsewhere = FaultRecord { targets: [Process::Node(3)].into(), ..fault(FaultKind::Crash, 1_800) };
        assert_eq!(measured(elsewhere), (0, 0));
        let clients = [Process::Client(1), Process::Client(2)].into();
        let unasked = FaultRecord { towards: clients, ..fault(FaultKind::OneWay, 1_800) };
        assert_eq!(measured(unasked), (0, 0), "clients that hear nothing of it leave a leader what it is");
        let inert = FaultRecord { had_effect: false, ..fault(FaultKind::Crash, 1_800) };
        assert_eq!(measured(inert), (0, 0));
    }
}
