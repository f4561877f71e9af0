//! The runs of a sweep that were not valid, like with like.

use super::style::{Style, clean, sign};
use super::words::counted;
use super::wrap::wrap;
use super::{GROUPS_SHOWN_MAX, REPLAYS_SHOWN_MAX, SEEDS_SHOWN_MAX, WIDTH};
use crate::{SweepFailure, SweepReport};

/// Failures of one scenario, to one verdict, for reasons that differ in their numbers only.
struct Group<'a> {
    likeness: String,
    failures: Vec<&'a SweepFailure>,
}

/// All failures by group: the invalid ones first, each kind in the order of its first run.
pub(super) fn failures(report: &SweepReport, style: Style) -> Vec<String> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for failure in &report.failures {
        let likeness = without_numbers(&failure.reason);
        let alike = |group: &&mut Group<'_>| {
            let first = group.failures[0];
            first.scenario == failure.scenario
                && first.verdict == failure.verdict
                && group.likeness == likeness
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.failures.push(failure),
            None => groups.push(Group { likeness, failures: vec![failure] }),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.failures[0].verdict));
    let mut lines: Vec<String> =
        groups.iter().take(GROUPS_SHOWN_MAX).flat_map(|group| group.lines(style)).collect();
    let hidden: usize = groups.iter().skip(GROUPS_SHOWN_MAX).map(|group| group.failures.len()).sum();
    if hidden > 0 {
        let runs = counted(hidden as u64, "run");
        lines.push(format!("  and {runs} more that failed otherwise; the JSON report lists all"));
    }
    lines
}

impl Group<'_> {
    fn lines(&self, style: Style) -> Vec<String> {
        let first = self.failures[0];
        let runs = counted(self.failures.len() as u64, "run");
        let title = format!("{}: {runs} {}, {}", first.scenario, first.verdict, self.seeds());
        let mark = format!("  {} ", sign(first.verdict));
        let title = wrap(&clean(&title), &mark, "    ", WIDTH);
        let mut lines: Vec<String> = title.iter().map(|line| style.verdict(first.verdict, line)).collect();
        let reason = if first.reason.is_empty() { "no reason was given" } else { &first.reason };
        lines.extend(wrap(&clean(reason), "    ", "      ", WIDTH));
        for failure in self.failures.iter().take(REPLAYS_SHOWN_MAX) {
            lines.push(format!("    {} {}", style.faint("replay:"), clean(&failure.replay)));
        }
        lines
    }

    fn seeds(&self) -> String {
        let word = if self.failures.len() == 1 { "seed" } else { "seeds" };
        let shown = self.failures.iter().take(SEEDS_SHOWN_MAX);
        let seeds: Vec<String> = shown.map(|failure| failure.seed.to_string()).collect();
        let hidden = self.failures.len().saturating_sub(SEEDS_SHOWN_MAX);
        let more = if hidden > 0 { format!(" and {hidden} more") } else { String::new() };
        format!("{word} {}{more}", seeds.join(" "))
    }
}

/// A reason with its numbers taken out: what two failures have in common.
fn without_numbers(reason: &str) -> String {
    let mut result = String::new();
    for character in reason.chars() {
        if !character.is_ascii_digit() {
            result.push(character);
        } else if !result.ends_with('#') {
            result.push('#');
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn reasons_that_differ_in_their_numbers_are_alike() {
        let reason = |at: &str| without_numbers(&format!("election safety at {at}s, node 2: two leaders"));
        assert_eq!(reason("12.250000"), reason("9.1"));
        assert_ne!(reason("1.5"), without_numbers("liveness: 3 operations did not complete in time"));
    }
}
