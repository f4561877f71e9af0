//! Coherence of near-caches, judged by the nodes' own events as they happen, in true time.
//!
//! A line is a node's copy of a key, which it reads without asking anybody. Its lease runs by the node's own
//! clock; for certain it can be read as long as no clock of the run has counted that much ([`Drift`]). The rules:
//!
//! * *exclusive lines*: of one key and one term there are never two lines, at two nodes, that are Exclusive.
//!   (Lines of an earlier term are for the new leader's recall. A Shared one beside an Exclusive one is granted
//!   before the other's holder has heard of it; and that a line is Modified says only that a write has left from
//!   there, so what matters about it is the next rule.)
//! * *writes wait for lines*: when a leader lets a write go into the log, nobody can read a line of its keys that
//!   was granted in that term or an earlier one: each holder has given its word, writes itself, or its lease is
//!   over. A leader that others have deposed since then may not know of lines of later terms; its write comes to
//!   nothing.
//! * *lines are current*: from the moment at which some node applies a change of a key (a write, a delete, an
//!   expiry, an eviction), no line that does not show it can be read, is taken, or is read.
//! * *words are kept*: a node that said that it reads nothing any more of what it got by questions up to some
//!   number takes nothing that answers one of them, and holds nothing; the same of lines of earlier terms. A write that
//!   leaves from a line says so of all questions before the one that goes with it.
//! * *one question a key*: while a question for a key is open, no other one goes to the leader, however many
//!   clients wait. So a key that is missing costs one question a node.
//!
//! Sources: Papamarcos and Patel 1984; Gray and Cheriton 1989; Dean and Barroso 2013 for the stampede.

mod rules;
mod view;

use super::Drift;
use super::invariants::{InvariantReport, Violation};
use crate::history::{NodeEvent, VirtualTime};
use view::View;

/// All rules, and the lines that they judge by.
#[derive(Debug)]
pub struct Coherence {
    view: View,
    reports: [InvariantReport; rules::RULES.len()],
}

impl Coherence {
    /// No node has a line. Clocks stray no further than this.
    #[must_use]
    pub fn new(drift: Drift) -> Self {
        let report = |rule: &rules::Rule| InvariantReport {
            name: rule.name,
            source: rule.source,
            judged: 0,
            violation: None,
        };
        Self { view: View::new(drift), reports: rules::RULES.each_ref().map(report) }
    }

    /// Judges an event. After a violation it may be fed on; each rule keeps its first one.
    ///
    /// # Errors
    /// The first violation that this event shows.
    pub fn observe(&mut self, at: VirtualTime, node: u64, event: &NodeEvent) -> Result<(), Violation> {
        let mut result = Ok(());
        match event {
            NodeEvent::Started { .. } | NodeEvent::Stopped => self.view.forget(node),
            NodeEvent::Line { line } => {
                for (rule, report) in rules::RULES.iter().zip(&mut self.reports) {
                    let judgement = (rule.judge)(&self.view, at, node, line);
                    report.note(at, node, judgement, &mut result);
                }
                self.view.take(at, node, line);
            }
            _ => {}
        }
        result
    }

    /// From now on other keys are used, and clocks stray no further than this. Of the keys of before everything is
    /// forgotten: nothing that is still said of them is judged by what came before.
    pub fn begin_round(&mut self, drift: Drift) {
        self.view.begin_round(drift);
    }

    /// How often a leader's process ended when a write was on its way into the log for which other nodes had given
    /// their word that they read no line of its key any more, and nobody had applied it.
    #[must_use]
    pub const fn leaders_lost(&self) -> u64 {
        self.view.leaders_lost()
    }

    /// What each rule has seen so far. One that had nothing to judge is left out: a run need not have near-caches,
    /// and whether one that should has them is seen by the reads that clients got from them.
    #[must_use]
    pub fn report(&self) -> Vec<InvariantReport> {
        self.reports.iter().filter(|report| report.judged > 0).cloned().collect()
    }
}
