//! What the faults of a run did: measured, not assumed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ATTRIBUTION_US, Process, RuleEffect};
use crate::history::VirtualTime;
use crate::plan::FaultKind;

/// What one fault did. Counters of other families stay 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Frames that it dropped.
    pub frames_dropped: u64,
    /// Frames that it doubled.
    pub frames_duplicated: u64,
    /// Frames that it delayed.
    pub frames_delayed: u64,
    /// Live processes that it killed.
    pub processes_killed: u64,
    /// Processes that started again at its end.
    pub processes_restarted: u64,
    /// Bytes written but not synced that it lost.
    pub unsynced_bytes_lost: u64,
    /// Writes of which a part survived it.
    pub writes_torn: u64,
    /// Processes that it stopped.
    pub processes_paused: u64,
    /// Frames that awaited them when they went on.
    pub frames_awaiting: u64,
    /// Disk operations that it held up.
    pub disk_operations_held: u64,
    /// Times that it cut links; 1 for a plain partition.
    pub cuts: u64,
    /// Clocks that strayed by at least half of what the drift makes in its time.
    pub clocks_strayed: u64,
    /// Furthest that a clock strayed because of it, in microseconds either way.
    pub clock_strayed_us_max: u64,
    /// Orders of the operator that the cluster answered to be done.
    pub orders_done: u64,
    /// Leaders that handed over.
    pub leaders_replaced: u64,
    /// Times that other members came into force.
    pub members_changes: u64,
    /// Disks lost for good.
    pub disks_lost: u64,
    /// Spares that vote in the place of lost nodes, and have caught up.
    pub voters_replaced: u64,
    /// Requests to a Redis, its answers, and connections to it that it held up.
    pub redis_uses_held: u64,
    /// Nodes that refused to start on a Redis which had forgotten their logs.
    pub stores_refused: u64,
    /// Nodes that stopped by themselves and run again as newer programs, and have caught up.
    pub nodes_upgraded: u64,
    /// The version that the cluster came to speak.
    pub version_raised_to: u64,
    /// How long nobody led, in microseconds: from the moment at which the leader was lost to the next
    /// election. 0 if no leader was lost.
    pub leaderless_us: u64,
    /// How long nobody was served, in microseconds: from the same moment, or, where the leader handed over,
    /// from the last operation completed before it, to the first completed under the next leader.
    pub unserved_us: u64,
    /// Campaigns for votes that began in its span or the 2 s after it.
    pub campaigns: u64,
    /// Leaders elected in its span or the 2 s after it.
    pub leaders_elected: u64,
}

impl Effect {
    pub(super) fn add_rule(&mut self, rule: RuleEffect) {
        self.frames_dropped += rule.dropped;
        self.frames_duplicated += rule.duplicated;
        self.frames_delayed += rule.delayed;
    }

    /// The counters by name, in a fixed order, those above 0 only.
    #[must_use]
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("processes_killed", self.processes_killed),
            ("processes_restarted", self.processes_restarted),
            ("unsynced_bytes_lost", self.unsynced_bytes_lost),
            ("writes_torn", self.writes_torn),
            ("processes_paused", self.processes_paused),
            ("frames_awaiting", self.frames_awaiting),
            ("cuts", self.cuts),
            ("frames_dropped", self.frames_dropped),
            ("frames_duplicated", self.frames_duplicated),
            ("frames_delayed", self.frames_delayed),
            ("disk_operations_held", self.disk_operations_held),
            ("clocks_strayed", self.clocks_strayed),
            ("clock_strayed_us_max", self.clock_strayed_us_max),
            ("orders_done", self.orders_done),
            ("leaders_replaced", self.leaders_replaced),
            ("members_changes", self.members_changes),
            ("disks_lost", self.disks_lost),
            ("voters_replaced", self.voters_replaced),
            ("redis_uses_held", self.redis_uses_held),
            ("stores_refused", self.stores_refused),
            ("nodes_upgraded", self.nodes_upgraded),
            ("version_raised_to", self.version_raised_to),
            ("leaderless_us", self.leaderless_us),
            ("unserved_us", self.unserved_us),
            ("campaigns", self.campaigns),
            ("leaders_elected", self.leaders_elected),
        ];
        all.into_iter().filter(|(_, value)| *value > 0).collect()
    }
}

/// One fault as it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Its number in the schedule, from 0.
    pub number: usize,
    /// Its family.
    pub kind: FaultKind,
    /// Its targets as the schedule names them, such as `leader` or `leader -> others`.
    pub selector: String,
    /// When it took hold: its time in the schedule, later if it had to wait for a leader.
    pub at: VirtualTime,
    /// When it was healed.
    pub until: VirtualTime,
    /// Whom it hit.
    pub targets: BTreeSet<Process>,
    /// `one-way` and, in one direction, `degrade`: the receivers; `transfer`: who is to lead; `members`: who is added. Empty for others.
    pub towards: BTreeSet<Process>,
    /// Who led when it took hold.
    pub leader: Option<u64>,
    /// What it did.
    pub effect: Effect,
    /// Whether it did what it is there to do, by its family's rule.
    pub had_effect: bool,
    /// Whether another fault that harmed the same processes at the same time explains that it had none.
    pub absorbed: bool,
    /// Something to know about how its target was found; empty as a rule.
    pub note: String,
}

impl FaultRecord {
    /// Whether a disk or a link had nothing to do, because other faults with effect at that time left the
    /// cluster of `nodes` no quorum: then nothing is agreed on and nothing is written, and who is left says
    /// little but, now and then, that it would campaign. Disks have nothing to do either if none of `clients`
    /// is left that could ask for a write, or if the leader's own disk stands still: it proposes nothing more.
    /// A single cut of a flap can fall into the silence between the loss of a leader and the first campaign.
    pub(super) fn has_nothing_to_harm(&self, nodes: u64, clients: u64, faults: &[Self]) -> bool {
        use FaultKind::{
            ClockDrift, Degrade, DiskStall, Flap, Members, OneWay, Partition, Transfer, Upgrade,
        };
        let overlapping: Vec<&Self> =
            faults.iter().filter(|other| other.had_effect && self.meets_aftermath_of(other)).collect();
        let targets_of = |is_meant: &dyn Fn(&Self) -> bool| -> BTreeSet<Process> {
            let meant = overlapping.iter().filter(|other| is_meant(other));
            let others =
                meant.flat_map(|other| &other.targets).filter(|target| !self.targets.contains(target));
            others.copied().collect()
        };
        let stalled = targets_of(&|other| other.kind == DiskStall);
        let mut away = targets_of(&|other| {
            !matches!(other.kind, ClockDrift | Degrade | DiskStall | Transfer | Members | Upgrade)
        });
        let leads =
            |among: &BTreeSet<Process>| self.leader.is_some_and(|led| among.contains(&Process::Node(led)));
        let leader_is_silent = leads(&away) && self.effect.cuts <= 1;
        let leader_writes_nothing = leads(&stalled);
        if self.kind == DiskStall {
            // Who writes nothing agrees to nothing, though it may speak.
            away.extend(stalled);
        }
        let clients_away = away.iter().filter(|process| matches!(process, Process::Client(_))).count() as u64;
        let nodes_left = nodes.saturating_sub(away.len() as u64 - clients_away);
        let no_quorum = nodes_left <= nodes / 2;
        match self.kind {
            DiskStall => no_quorum || clients_away == clients || leader_writes_nothing,
            FaultKind::Redis => no_quorum || clients_away == clients,
            Partition | OneWay => no_quorum,
            Flap => no_quorum || leader_is_silent,
            _ => false,
        }
    }

    /// Whether this fault and `other` overlap, what `other` left behind included. Nodes that have just come back wait
    /// for their timers: as long as nobody leads they say nothing, and do nothing that an operator wants.
    fn meets_aftermath_of(&self, other: &Self) -> bool {
        let lasts_us = if self.leader.is_none() { ATTRIBUTION_US } else { 0 };
        let until_us = other.until.as_us().saturating_add(lasts_us);
        other.number != self.number && self.at.as_us() < until_us && other.at < self.until
    }

    /// Whether `other` stalls a disk of this stall on.
    pub(super) fn is_continued_by(&self, other: &Self) -> bool {
        let both_stall = self.kind == FaultKind::DiskStall && other.kind == FaultKind::DiskStall;
        let overlaps = self.at < other.until && other.at < self.until && self.until < other.until;
        both_stall && overlaps && self.targets.intersection(&other.targets).next().is_some()
    }

    /// Whether `other` explains that this fault had no effect: it had effect itself, at the same time, on
    /// one of the same processes, and in a way that leaves nothing for this one to do. A process that is
    /// down, standing still or without its disk neither sends nor writes; one that is cut off may not
    /// either.
    pub(super) fn is_absorbed_by(&self, other: &Self) -> bool {
        use FaultKind::{Crash, DiskStall, PowerLoss};
        let overlaps = other.number != self.number && self.at < other.until && other.at < self.until;
        if self.kind.is_operation() {
            // What an operator wants takes a leader, a quorum, and time, of which any harm may deprive it.
            return other.had_effect && self.meets_aftermath_of(other) && other.kind != FaultKind::ClockDrift;
        }
        let mut mine = self.targets.union(&self.towards);
        let shares = mine.any(|process| other.targets.contains(process) || other.towards.contains(process));
        let explains = match (self.kind, other.kind) {
            (FaultKind::ClockDrift, theirs) => theirs == FaultKind::ClockDrift,
            (_, FaultKind::ClockDrift | FaultKind::Degrade | FaultKind::Transfer | FaultKind::Members) => {
                false
            }
            (_, FaultKind::Replace | FaultKind::Upgrade) => true,
            (_, Crash | PowerLoss | DiskStall | FaultKind::Pause) => true,
            (Crash | PowerLoss | FaultKind::Pause, _) => false,
            _ => true,
        };
        other.had_effect && overlaps && shares && explains
    }
}

/// All faults of a run, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// One for each fault of the schedule; of a run that was cut short, for each that had begun.
    pub faults: Vec<FaultRecord>,
    /// Nodes that were down at the end though no fault held them: they had died by themselves. They were
    /// started again.
    pub died_by_themselves: BTreeSet<u64>,
}

impl Timeline {
    /// The faults that had no effect and cannot be excused by another one. If there are any, or if faults
    /// were asked for and all were absorbed, the run shows nothing: its verdict is unknown.
    #[must_use]
    pub fn vacuous(&self) -> Vec<&FaultRecord> {
        let none_worked = !self.faults.is_empty() && self.faults.iter().all(|fault| !fault.had_effect);
        self.faults.iter().filter(|fault| !fault.had_effect && (none_worked || !fault.absorbed)).collect()
    }

    /// When the last fault was healed; the run's beginning if there was none.
    #[must_use]
    pub fn ended_at(&self) -> VirtualTime {
        self.faults.iter().map(|fault| fault.until).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> VirtualTime {
        VirtualTime(ms * 1_000_000)
    }

    fn fault(number: usize, kind: FaultKind, node: u64, had_effect: bool) -> FaultRecord {
        FaultRecord {
            number,
            kind,
            selector: String::new(),
            at: ms(10),
            until: ms(20),
            targets: [Process::Node(node)].into(),
            towards: BTreeSet::new(),
            leader: None,
            effect: Effect::default(),
            had_effect,
            absorbed: false,
            note: String::new(),
        }
    }

    #[test]
    fn a_disk_or_link_has_nothing_to_do_only_while_the_quorum_or_all_clients_are_gone() {
        let stall = fault(0, FaultKind::DiskStall, 2, false);
        let crash = fault(1, FaultKind::Crash, 1, true);
        let partition = fault(2, FaultKind::Partition, 3, true);
        let faults = [stall.clone(), crash.clone(), partition.clone()];
        assert!(stall.has_nothing_to_harm(3, 2, &faults));
        assert!(!stall.has_nothing_to_harm(5, 2, &faults), "three of five go on");
        assert!(!stall.has_nothing_to_harm(3, 2, std::slice::from_ref(&crash)), "two of three go on");
        let flap = FaultRecord { kind: FaultKind::Flap, ..stall.clone() };
        assert!(flap.has_nothing_to_harm(3, 2, &faults));
        let crash_too = FaultRecord { kind: FaultKind::Crash, ..stall.clone() };
        assert!(!crash_too.has_nothing_to_harm(3, 2, &faults), "a node can be killed at any time");
        let both = [Process::Client(1), Process::Client(2)].into();
        let cut_off = FaultRecord { targets: both, ..fault(3, FaultKind::DisconnectClients, 1, true) };
        assert!(stall.has_nothing_to_harm(3, 2, std::slice::from_ref(&cut_off)), "nobody asks for a write");
        assert!(!stall.has_nothing_to_harm(3, 3, &[cut_off]), "one client is left");
        let inert = FaultRecord { had_effect: false, ..partition.clone() };
        assert!(
            !stall.has_nothing_to_harm(3, 2, &[crash.clone(), inert]),
            "a fault without effect takes nobody away"
        );
        let later = FaultRecord { at: ms(20), until: ms(30), ..partition };
        assert!(!stall.has_nothing_to_harm(3, 2, &[crash, later]), "at another time");
    }

    #[test]
    fn a_disk_has_nothing_to_do_while_a_majority_or_the_leader_cannot_write() {
        let stall = FaultRecord { leader: Some(1), ..fault(0, FaultKind::DiskStall, 2, false) };
        let other = fault(1, FaultKind::DiskStall, 3, true);
        assert!(
            !stall.has_nothing_to_harm(3, 2, std::slice::from_ref(&other)),
            "the leader and this one write"
        );
        let cut_off = fault(2, FaultKind::Partition, 1, true);
        assert!(stall.has_nothing_to_harm(3, 2, &[other.clone(), cut_off]), "this one alone would write");
        let of_the_leader = FaultRecord { targets: [Process::Node(1)].into(), ..other.clone() };
        assert!(stall.has_nothing_to_harm(3, 2, std::slice::from_ref(&of_the_leader)));
        assert!(
            !stall.has_nothing_to_harm(3, 2, &[FaultRecord { had_effect: false, ..of_the_leader.clone() }]),
            "a stall without effect explains none"
        );
        let partition = FaultRecord { kind: FaultKind::Partition, ..stall };
        assert!(!partition.has_nothing_to_harm(3, 2, &[of_the_leader, other]), "they still speak");
    }

    #[test]
    fn one_cut_of_a_flap_can_fall_into_the_silence_after_a_leader_is_lost() {
        let cuts = |cuts| Effect { cuts, ..Effect::default() };
        let flap = FaultRecord { leader: Some(1), effect: cuts(1), ..fault(0, FaultKind::Flap, 2, false) };
        let pause = fault(1, FaultKind::Pause, 1, true);
        assert!(flap.has_nothing_to_harm(3, 2, std::slice::from_ref(&pause)));
        let twice = FaultRecord { effect: cuts(2), ..flap.clone() };
        assert!(!twice.has_nothing_to_harm(3, 2, std::slice::from_ref(&pause)), "campaigns come between");
        let of_another = FaultRecord { targets: [Process::Node(3)].into(), ..pause.clone() };
        assert!(!flap.has_nothing_to_harm(3, 2, &[of_another]), "its leader speaks");
        let partition = FaultRecord { kind: FaultKind::Partition, ..flap };
        assert!(!partition.has_nothing_to_harm(3, 2, &[pause]), "a cut that lasts meets campaigns");
    }

    #[test]
    fn an_order_given_while_nobody_leads_yet_meets_what_an_earlier_fault_left_behind() {
        let loss = fault(0, FaultKind::PowerLoss, 1, true);
        let order = FaultRecord { at: ms(300), until: ms(900), ..fault(1, FaultKind::Transfer, 2, false) };
        assert!(order.is_absorbed_by(&loss), "all wait for their timers");
        assert!(!FaultRecord { leader: Some(3), ..order.clone() }.is_absorbed_by(&loss), "somebody leads");
        assert!(!FaultRecord { at: ms(2_020), until: ms(2_900), ..order.clone() }.is_absorbed_by(&loss));
        assert!(!order.is_absorbed_by(&FaultRecord { had_effect: false, ..loss.clone() }));
        let crash = FaultRecord { kind: FaultKind::Crash, ..order };
        assert!(!crash.is_absorbed_by(&loss), "a node can be killed at any time");
    }

    #[test]
    fn a_stall_is_continued_by_a_later_one_of_the_same_disk_alone() {
        let stall = fault(0, FaultKind::DiskStall, 2, false);
        let longer = FaultRecord { at: ms(15), until: ms(30), ..stall.clone() };
        assert!(stall.is_continued_by(&longer));
        assert!(!longer.is_continued_by(&stall), "the later end counts");
        assert!(
            !stall.is_continued_by(&FaultRecord { targets: [Process::Node(3)].into(), ..longer.clone() })
        );
        assert!(!stall.is_continued_by(&FaultRecord { at: ms(20), ..longer.clone() }), "they do not meet");
        assert!(!stall.is_continued_by(&FaultRecord { kind: FaultKind::Pause, ..longer }));
    }
}
