//! Carries out a schedule.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use super::family::{self, Active, Ends, Reach};
use super::holds::Holds;
use super::target::{self, resolve};
use super::timeline::{FaultRecord, Timeline};
use super::{Counters, Effect, Operator, Process, Surface};
use crate::history::VirtualTime;
use crate::plan::{Action, Schedule, ScheduledFault, Selector};

/// Longest that a fault waits for a leader to appear, and never more than half of its own time.
pub const LEADER_WAIT_US_MAX: u64 = 1_000_000;
/// How often it looks.
const LEADER_POLL_US: u64 = 10_000;
/// Campaigns and elections count as a fault's within its span and this long after it.
pub const ATTRIBUTION_US: u64 = 2_000_000;

/// True virtual time, as the world has it.
pub trait Pacer: Sync {
    /// The time now.
    fn now(&self) -> VirtualTime;
    /// Returns at `deadline`, at once if that has passed, or earlier if the run is cut short.
    fn sleep_until(&self, deadline: VirtualTime) -> impl Future<Output = ()> + Send;
    /// Whether the run is cut short, because something was found.
    fn is_cut_short(&self) -> bool {
        false
    }
}

/// What is to be done at some time; in this order if the times are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Heal,
    /// All faults have ended: see to it that all nodes run.
    Calm,
    Turn,
    Begin,
    /// Read the counters that say which elections followed.
    Attribute,
}

struct Running {
    active: Box<dyn Active>,
    record: FaultRecord,
    counters_before: Counters,
}

struct Executor<'a, S, O> {
    schedule: &'a Schedule,
    surface: &'a S,
    operator: &'a O,
    holds: Holds,
    agenda: BTreeSet<(u64, Step, usize)>,
    running: BTreeMap<usize, Running>,
    healed: BTreeMap<usize, (FaultRecord, Counters)>,
    timeline: Timeline,
    is_cut_short: bool,
}

/// Fires and heals every fault of the schedule at its time, then says what each one did. Returns 2 s of
/// virtual time after the last fault's end. A run that is cut short ends at once: the record then has the
/// faults that had begun, with what they had done.
pub async fn execute<S: Surface + Sync, O: Operator + Sync, P: Pacer>(
    schedule: &Schedule,
    surface: &S,
    operator: &O,
    pacer: &P,
) -> Timeline {
    let mut executor = Executor {
        schedule,
        surface,
        operator,
        holds: Holds::default(),
        agenda: BTreeSet::new(),
        running: BTreeMap::new(),
        healed: BTreeMap::new(),
        timeline: Timeline::default(),
        is_cut_short: false,
    };
    for (number, fault) in schedule.faults.iter().enumerate() {
        executor.agenda.insert((fault.at_us, Step::Begin, number));
        executor.agenda.insert((fault.until_us(), Step::Heal, number));
    }
    if let Some(calm_us) = schedule.faults.iter().map(ScheduledFault::until_us).max() {
        executor.agenda.insert((calm_us, Step::Calm, 0));
    }
    while let Some((at_us, step, number)) = executor.agenda.pop_first() {
        pacer.sleep_until(VirtualTime(at_us.saturating_mul(1_000))).await;
        if pacer.is_cut_short() {
            executor.cut_short(pacer.now());
            break;
        }
        executor.carry_out(step, number, pacer.now());
    }
    executor.judge()
}

impl<S: Surface, O: Operator> Executor<'_, S, O> {
    fn carry_out(&mut self, step: Step, number: usize, now: VirtualTime) {
        match step {
            Step::Begin => self.begin(number, now),
            Step::Turn => self.turn(number, now),
            Step::Heal => self.heal(number, now),
            Step::Calm => self.calm(),
            Step::Attribute => self.attribute(number),
        }
    }

    fn begin(&mut self, number: usize, now: VirtualTime) {
        let fault = &self.schedule.faults[number];
        let now_us = now.as_us();
        let leaderless = self.surface.leader().is_none();
        let needs_leader = fault.action.selectors().iter().any(|(_, selector)| selector.needs_leader());
        let patience_us = LEADER_WAIT_US_MAX.min(fault.for_us / 2);
        if needs_leader && leaderless && now_us.saturating_add(LEADER_POLL_US) < fault.at_us + patience_us {
            self.agenda.insert((now_us + LEADER_POLL_US, Step::Begin, number));
            return;
        }
        let (ends, found_no_leader) = self.resolve_ends(fault);
        let counters_before = self.surface.counters();
        let record = FaultRecord {
            number,
            kind: fault.action.kind(),
            selector: selector_text(&fault.action),
            at: now,
            until: now,
            targets: ends.first.clone(),
            towards: ends.second.clone(),
            leader: self.surface.leader(),
            effect: Effect::default(),
            had_effect: false,
            absorbed: false,
            note: note(&fault.action, &ends, found_no_leader),
        };
        let mut reach = Reach {
            surface: self.surface,
            operator: self.operator,
            holds: &mut self.holds,
            now_us,
            until_us: fault.until_us(),
        };
        let mut active = family::begin(number, &fault.action, ends, &mut reach);
        if let Some(next_us) = active.turn(&mut reach)
            && next_us < fault.until_us()
        {
            self.agenda.insert((next_us, Step::Turn, number));
        }
        self.running.insert(number, Running { active, record, counters_before });
    }

    fn resolve_ends(&self, fault: &ScheduledFault) -> (Ends, bool) {
        let is_fit = |process: Process| target::is_fit(self.surface, &self.holds, process);
        let nobody = BTreeSet::new();
        match &fault.action {
            Action::OneWay { from, to } | Action::Degrade { target: from, to: Some(to), .. } => {
                self.resolve_two_ends(from, to, fault.pick)
            }
            // Who comes must not be who goes, nor who leads already the one to lead.
            Action::Transfer { to } => {
                let leader = self.surface.leader().map(Process::Node).into_iter().collect();
                let resolved = to.as_ref().map(|to| resolve(to, fault.pick, self.surface, &is_fit, &leader));
                let resolved = resolved.unwrap_or_default();
                (Ends { first: leader, second: resolved.processes }, resolved.leaderless)
            }
            Action::Members { add, remove, .. } => {
                let find = |who: &Option<Selector>| {
                    let who = who.as_ref();
                    who.map(|who| resolve(who, fault.pick, self.surface, &is_fit, &nobody))
                        .unwrap_or_default()
                };
                let (added, mut removed) = (find(add), find(remove));
                if add.is_some() && added.processes.is_empty() {
                    removed.processes.clear();
                }
                (Ends { first: removed.processes, second: added.processes }, removed.leaderless)
            }
            action => {
                let mut ends = Ends::default();
                let mut leaderless = false;
                for (_, selector) in action.selectors() {
                    let resolved = resolve(selector, fault.pick, self.surface, &is_fit, &nobody);
                    leaderless |= resolved.leaderless;
                    ends.first.extend(resolved.processes);
                }
                (ends, leaderless)
            }
        }
    }

    /// The two ends of a fault of one direction.
    fn resolve_two_ends(&self, from: &Selector, to: &Selector, pick: u32) -> (Ends, bool) {
        let is_fit = |process: Process| target::is_fit(self.surface, &self.holds, process);
        let nobody = BTreeSet::new();
        let other_pick = pick.rotate_left(16) ^ 1;
        let resolve_from = |other_end| resolve(from, pick, self.surface, &is_fit, other_end);
        let resolve_to = |other_end| resolve(to, other_pick, self.surface, &is_fit, other_end);
        let (first, second) = if *from == Selector::Others {
            let second = resolve_to(&nobody);
            (resolve_from(&second.processes), second)
        } else {
            let first = resolve_from(&nobody);
            let second = resolve_to(&first.processes);
            (first, second)
        };
        let leaderless = first.leaderless || second.leaderless;
        (Ends { first: first.processes, second: second.processes }, leaderless)
    }

    fn turn(&mut self, number: usize, now: VirtualTime) {
        let Some(running) = self.running.get_mut(&number) else { return };
        let until_us = self.schedule.faults[number].until_us();
        let mut reach = Reach {
            surface: self.surface,
            operator: self.operator,
            holds: &mut self.holds,
            now_us: now.as_us(),
            until_us,
        };
        if let Some(next_us) = running.active.turn(&mut reach)
            && next_us < until_us
        {
            self.agenda.insert((next_us, Step::Turn, number));
        }
    }

    fn heal(&mut self, number: usize, now: VirtualTime) {
        let Some(mut running) = self.running.remove(&number) else { return };
        let mut reach = Reach {
            surface: self.surface,
            operator: self.operator,
            holds: &mut self.holds,
            now_us: now.as_us(),
            until_us: now.as_us(),
        };
        let (effect, had_effect) = running.active.heal(&mut reach);
        running.record.until = now;
        running.record.effect = effect;
        running.record.had_effect = had_effect;
        self.healed.insert(number, (running.record, running.counters_before));
        self.agenda.insert((now.as_us().saturating_add(ATTRIBUTION_US), Step::Attribute, number));
    }

    /// Brings in the record of the faults that have begun.
    fn cut_short(&mut self, now: VirtualTime) {
        let running: Vec<usize> = self.running.keys().copied().collect();
        running.into_iter().for_each(|number| self.heal(number, now));
        let healed: Vec<usize> = self.healed.keys().copied().collect();
        healed.into_iter().for_each(|number| self.attribute(number));
        self.is_cut_short = true;
    }

    fn calm(&mut self) {
        for node in 1..=self.surface.nodes() {
            if !self.holds.is_lost(node) && self.surface.restart(node) {
                self.timeline.died_by_themselves.insert(node);
            }
        }
    }

    fn attribute(&mut self, number: usize) {
        let Some((mut record, before)) = self.healed.remove(&number) else { return };
        let after = self.surface.counters();
        record.effect.campaigns = after.campaigns.saturating_sub(before.campaigns);
        record.effect.leaders_elected = after.leaders_elected.saturating_sub(before.leaders_elected);
        self.timeline.faults.push(record);
    }

    fn judge(mut self) -> Timeline {
        let all_ended = self.timeline.faults.len() == self.schedule.faults.len();
        assert!(all_ended || self.is_cut_short, "a fault was lost");
        self.timeline.faults.sort_by_key(|record| record.number);
        let faults = self.timeline.faults.clone();
        let (nodes, clients) = (self.surface.voters().len() as u64, self.surface.clients());
        for record in &mut self.timeline.faults {
            let is_explained = faults.iter().any(|other| record.is_absorbed_by(other))
                || record.has_nothing_to_harm(nodes, clients, &faults);
            record.absorbed = !record.had_effect && is_explained;
        }
        self.follow_chains_of_stalls();
        self.timeline
    }
}

impl<S, O> Executor<'_, S, O> {
    /// Stalls of one disk that overlap are one long stall, and what it held up counts for the last of them
    /// alone. So whatever explains a later one explains the one before it.
    fn follow_chains_of_stalls(&mut self) {
        for _ in 0..self.timeline.faults.len() {
            let known = self.timeline.faults.clone();
            for record in &mut self.timeline.faults {
                let continues = known.iter().any(|other| other.absorbed && record.is_continued_by(other));
                record.absorbed |= !record.had_effect && continues;
            }
            if known == self.timeline.faults {
                return;
            }
        }
    }
}

fn note(action: &Action, ends: &Ends, found_no_leader: bool) -> String {
    let is_unmanned = matches!(action, Action::Members { add: Some(_), .. }) && ends.second.is_empty();
    if is_unmanned {
        "nobody was left to be added".to_owned()
    } else if found_no_leader {
        "nobody led: another node was taken".to_owned()
    } else {
        String::new()
    }
}

fn selector_text(action: &Action) -> String {
    let parts: Vec<String> = action.selectors().iter().map(|(_, selector)| selector.to_string()).collect();
    parts.join(" -> ")
}
