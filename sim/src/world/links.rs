//! Links between processes, one for each direction of each pair, and the rules that harm them.
//!
//! Each link draws from a stream of its own, `net/n1->n2`. A process always reaches itself: its link to
//! itself has a fixed delay, loses nothing and is subject to no rule.

use std::collections::{BTreeMap, BTreeSet};

use crate::nemesis::{LinkAction, Process, RuleEffect, RuleId};
use crate::plan::NetworkProfile;
use crate::rng::{StreamRng, Streams};

use super::net::Drop;
use super::random::{LN_2, below, chance, exponential};
use super::trace::process_name;

/// Most frames on their way over one link. A further one is dropped, as by a full router.
pub const LINK_FRAMES_MAX: u32 = 65_536;
/// Most bytes on their way over one link.
pub const LINK_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The shortest delay of a frame.
const DELAY_NS_MIN: u64 = 1_000;
/// The delay of a process's frames to itself.
const LOOPBACK_DELAY_NS: u64 = 10_000;

struct Link {
    rng: StreamRng,
    /// The active rules on this link, in the order of their making.
    rules: Vec<RuleId>,
    frames: u32,
    bytes: usize,
}

struct Rule {
    from: BTreeSet<Process>,
    to: BTreeSet<Process>,
    action: LinkAction,
    effect: RuleEffect,
}

impl Rule {
    fn covers(&self, from: Process, to: Process) -> bool {
        from != to && self.from.contains(&from) && self.to.contains(&to)
    }
}

/// How a frame passes over a link.
pub(super) struct Passage {
    pub(super) link: u32,
    pub(super) delay_ns: u64,
    /// The delay of its double, if there is one.
    pub(super) second_delay_ns: Option<u64>,
}

/// All links and rules.
pub(super) struct Links {
    streams: Streams,
    profile: NetworkProfile,
    processes: Vec<Process>,
    /// By number: sender times number of processes, plus receiver. Made when first used.
    links: Vec<Option<Box<Link>>>,
    rules: BTreeMap<RuleId, Rule>,
    rules_made: u64,
}

impl Links {
    pub(super) fn new(streams: Streams, profile: NetworkProfile, processes: Vec<Process>) -> Self {
        let links = (0..processes.len() * processes.len()).map(|_| None).collect();
        Self { streams, profile, processes, links, rules: BTreeMap::new(), rules_made: 0 }
    }

    fn ends(&self, link: u32) -> (u32, u32) {
        let count = self.processes.len() as u32;
        (link / count, link % count)
    }

    /// Decides what becomes of a frame that is sent now, and takes it on its way.
    pub(super) fn pass(&mut self, from: u32, to: u32, bytes: usize) -> Result<Passage, Drop> {
        let number = from * self.processes.len() as u32 + to;
        let profile = self.profile;
        let (streams, processes, rules) = (self.streams, &self.processes, &mut self.rules);
        let link = self.links[number as usize].get_or_insert_with(|| {
            let (from, to) = (processes[from as usize], processes[to as usize]);
            let label = format!("net/{}->{}", process_name(from), process_name(to));
            let rules = rules.iter().filter(|(_, rule)| rule.covers(from, to)).map(|(id, _)| *id).collect();
            Box::new(Link { rng: streams.stream(&label), rules, frames: 0, bytes: 0 })
        });
        if link.frames >= LINK_FRAMES_MAX || link.bytes + bytes > LINK_BYTES_MAX {
            return Err(Drop::LinkFull);
        }
        let mut passage = Passage { link: number, delay_ns: LOOPBACK_DELAY_NS, second_delay_ns: None };
        if from != to {
            let harm = link.harm(rules)?;
            if chance(&mut link.rng, profile.loss) {
                return Err(Drop::Loss);
            }
            passage.delay_ns = link.delay_ns(&profile).saturating_add(harm.delay_ns);
            if harm.duplicate || chance(&mut link.rng, profile.duplicate) {
                passage.second_delay_ns = Some(link.delay_ns(&profile).saturating_add(harm.delay_ns));
            }
        }
        let copies = 1 + u32::from(passage.second_delay_ns.is_some());
        link.frames += copies;
        link.bytes += bytes * copies as usize;
        Ok(passage)
    }

    /// A frame has left the link, one way or another. Says whence and whither.
    pub(super) fn leave(&mut self, link: u32, bytes: usize) -> (u32, u32) {
        let state = self.links[link as usize].as_mut().expect("a frame is only ever on a link that was used");
        state.frames -= 1;
        state.bytes -= bytes;
        self.ends(link)
    }

    pub(super) fn add_rule(
        &mut self,
        from: &BTreeSet<Process>,
        to: &BTreeSet<Process>,
        action: LinkAction,
    ) -> RuleId {
        self.rules_made += 1;
        let id = RuleId(self.rules_made);
        let rule = Rule { from: from.clone(), to: to.clone(), action, effect: RuleEffect::default() };
        for number in 0..self.links.len() as u32 {
            if self.covers(&rule, number)
                && let Some(link) = &mut self.links[number as usize]
            {
                link.rules.push(id);
            }
        }
        self.rules.insert(id, rule);
        id
    }

    /// Whether `rule` is in force and cuts this link.
    pub(super) fn is_cut_by(&self, rule: RuleId, link: u32) -> bool {
        (self.rules.get(&rule)).is_some_and(|rule| rule.action == LinkAction::Cut && self.covers(rule, link))
    }

    /// Counts frames on the way that `rule` dropped.
    pub(super) fn count_dropped(&mut self, rule: RuleId, frames: u64) {
        if let Some(rule) = self.rules.get_mut(&rule) {
            rule.effect.dropped += frames;
        }
    }

    /// What `rule` did, if it was in force.
    pub(super) fn remove_rule(&mut self, id: RuleId) -> Option<RuleEffect> {
        let rule = self.rules.remove(&id)?;
        for link in self.links.iter_mut().flatten() {
            link.rules.retain(|rule| *rule != id);
        }
        Some(rule.effect)
    }

    fn covers(&self, rule: &Rule, link: u32) -> bool {
        let (from, to) = self.ends(link);
        rule.covers(self.processes[from as usize], self.processes[to as usize])
    }
}

/// What the rules do to one frame.
#[derive(Default)]
struct Harm {
    delay_ns: u64,
    duplicate: bool,
}

impl Link {
    fn harm(&mut self, rules: &mut BTreeMap<RuleId, Rule>) -> Result<Harm, Drop> {
        let mut harm = Harm::default();
        for id in &self.rules {
            let Some(rule) = rules.get_mut(id) else { continue };
            let LinkAction::Degrade { loss, duplicate, extra_delay_us, jitter_us } = rule.action else {
                rule.effect.dropped += 1;
                return Err(Drop::Rule);
            };
            if chance(&mut self.rng, loss) {
                rule.effect.dropped += 1;
                return Err(Drop::Rule);
            }
            if !harm.duplicate && chance(&mut self.rng, duplicate) {
                rule.effect.duplicated += 1;
                harm.duplicate = true;
            }
            let delay_ns = extra_delay_us.saturating_mul(1_000)
                + below(&mut self.rng, jitter_us.saturating_mul(1_000).saturating_add(1));
            rule.effect.delayed += u64::from(delay_ns > 0);
            harm.delay_ns = harm.delay_ns.saturating_add(delay_ns);
        }
        Ok(harm)
    }

    /// An exponential tail, placed so that the median is what the profile says.
    fn delay_ns(&mut self, profile: &NetworkProfile) -> u64 {
        let tail = if profile.latency_tail_us == 0 { 0.0 } else { exponential(&mut self.rng) - LN_2 };
        let delay_us = profile.latency_us as f64 + profile.latency_tail_us as f64 * tail;
        ((delay_us * 1_000.0) as u64).max(DELAY_NS_MIN)
    }
}
