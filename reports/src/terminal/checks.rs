//! The checks of a run: a line for each, and all that is known of those that are not valid.

use super::style::{Style, clean, sign};
use super::words::{counted, with_grouped_numbers};
use super::wrap::wrap;
use super::{COUNTEREXAMPLE_LINES_MAX, WIDTH};
use crate::{CheckReport, Report, Verdict};

/// What stands before the particulars of a check that is not valid.
const INDENT: &str = "      ";
/// What stands before the further lines of one wide line of a counterexample.
const DEEPER: &str = "          ";

/// Which checks have their particulars below them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Particulars {
    OfAll,
    OfThoseNotValid,
}

/// A line for each check; below those that are not valid, the particulars.
pub(super) fn checks(report: &Report, style: Style) -> Vec<String> {
    lines_of(&report.checks, |check| report.is_expected(check), style, Particulars::OfThoseNotValid)
}

/// A line for each check, and below it the particulars.
pub(super) fn every_check(checks: &[CheckReport], style: Style) -> Vec<String> {
    lines_of(checks, |_| false, style, Particulars::OfAll)
}

fn lines_of(
    checks: &[CheckReport],
    is_expected: impl Fn(&CheckReport) -> bool,
    style: Style,
    wanted: Particulars,
) -> Vec<String> {
    if checks.is_empty() {
        return vec!["  none was made".to_owned()];
    }
    let name_width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for check in checks {
        let judged = with_grouped_numbers(judged(check));
        let text = match check.verdict {
            Verdict::Valid => judged,
            other if is_expected(check) => format!("{other}, as expected here: {judged}"),
            other => format!("{}: {judged}", other.to_string().to_uppercase()),
        };
        let rows = row(sign(check.verdict), &clean(&check.name), &clean(&text), name_width);
        lines.extend(rows.iter().map(|line| style.verdict(check.verdict, line)));
        if wanted == Particulars::OfAll || check.verdict != Verdict::Valid {
            lines.extend(particulars(check));
        }
    }
    lines
}

/// What was judged, in few words: what the detail says before its first semicolon.
fn judged(check: &CheckReport) -> &str {
    check.detail.split(';').next().unwrap_or_default()
}

/// One check's line. What does not fit hangs below what was judged; a name that takes more than half of the
/// line is not aligned with the others.
fn row(mark: &str, name: &str, judged: &str, name_width: usize) -> Vec<String> {
    let first = format!("  {mark}  {name:name_width$}  ");
    let width = first.chars().count();
    if width * 2 > WIDTH {
        return wrap(&format!("{name}  {judged}"), &format!("  {mark}  "), INDENT, WIDTH);
    }
    wrap(judged, &first, &" ".repeat(width), WIDTH)
}

/// The particulars of the detail, what the check cost, where the property is from, and the counterexample.
fn particulars(check: &CheckReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((_, more)) = check.detail.split_once(';') {
        lines.extend(wrap(&clean(&with_grouped_numbers(more)), INDENT, INDENT, WIDTH));
    }
    let cost = match check.cost_steps {
        0 => String::new(),
        steps => format!("; {} spent", counted(steps, "step")),
    };
    lines.extend(wrap(&clean(&format!("source: {}{cost}", check.source)), INDENT, INDENT, WIDTH));
    let Some(counterexample) = &check.counterexample else { return lines };
    for line in counterexample.lines().take(COUNTEREXAMPLE_LINES_MAX) {
        let line = format!("{INDENT}{}", clean(line));
        if line.chars().count() <= WIDTH {
            lines.push(line.trim_end().to_owned());
        } else {
            lines.extend(wrap(&line, INDENT, DEEPER, WIDTH));
        }
    }
    let hidden = counterexample.lines().count().saturating_sub(COUNTEREXAMPLE_LINES_MAX);
    if hidden > 0 {
        lines.push(format!("{INDENT}and {} more in the JSON report", counted(hidden as u64, "line")));
    }
    lines
}
