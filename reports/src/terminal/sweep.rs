//! Many runs.

use super::failures::failures;
use super::style::{Style, clean, grouped, kind_name, seconds, short_duration, sign};
use super::table::{Align, layout};
use super::words::{counted, effects};
use super::wrap::wrap;
use super::{Options, WIDTH};
use crate::SweepReport;

/// The report of a sweep as text for a terminal, ending in a newline.
#[must_use]
pub fn render_sweep(report: &SweepReport, options: Options) -> String {
    let style = Style::new(options.color);
    let mut lines: Vec<String> =
        wrap(&clean(&report.title), "", "  ", WIDTH).iter().map(|line| style.bold(line)).collect();
    lines.push(format!(
        "  {}: {} valid, {} invalid, {} unknown",
        counted(report.runs(), "run"),
        grouped(report.valid),
        grouped(report.invalid),
        grouped(report.unknown)
    ));
    if report.as_expected > 0 {
        let runs = counted(report.as_expected, "valid run");
        lines.push(format!("  {runs} showed a violation that the scenario is there to show"));
    }
    lines.push(format!(
        "  {} of {} time; {} delivered; {}",
        seconds(report.virtual_us),
        if report.live { "real" } else { "virtual" },
        counted(report.frames_delivered, "frame"),
        counted(report.leaders_elected, "election"),
    ));
    if let Some(wall) = options.wall.filter(|_| !report.live) {
        let wall_us = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX).max(1);
        let times = counted(report.virtual_us / wall_us, "virtual second");
        lines.push(format!("  {} of real time: {times} per second", short_duration(wall_us)));
    }
    lines.extend([String::new(), style.bold("Faults")]);
    lines.extend(faults(report));
    lines.extend([String::new(), style.bold("Operations")]);
    lines.extend(operations(report));
    if options.marks {
        lines.extend([String::new(), style.bold("Coverage marks")]);
        let rows: Vec<Vec<String>> =
            report.marks.iter().map(|(mark, count)| vec![clean(mark), grouped(*count)]).collect();
        lines.extend(layout("  ", &[Align::Left, Align::Right], &rows));
    }
    lines.push(String::new());
    lines.extend(ending(report, style));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn faults(report: &SweepReport) -> Vec<String> {
    if report.faults.is_empty() {
        return vec!["  none".to_owned()];
    }
    let mut rows = vec![["", "fired", "effect", "absorbed"].map(str::to_owned).to_vec()];
    for (kind, totals) in &report.faults {
        let numbers = [totals.fired, totals.with_effect, totals.absorbed].map(grouped);
        rows.push([vec![kind_name(kind)], numbers.to_vec()].concat());
    }
    let columns = [Align::Left, Align::Right, Align::Right, Align::Right];
    let mut table = layout("  ", &columns, &rows).into_iter();
    let mut lines: Vec<String> = table.next().into_iter().collect();
    for (row, totals) in table.zip(report.faults.values()) {
        let counters = totals.effects.iter().map(|(name, value)| (name.as_str(), *value));
        let first = format!("{row}  ");
        let rest = " ".repeat(first.chars().count());
        lines.extend(wrap(&clean(&effects(counters).join(", ")), &first, &rest, WIDTH));
    }
    lines
}

fn operations(report: &SweepReport) -> Vec<String> {
    if report.operations.is_empty() {
        return vec!["  none".to_owned()];
    }
    let mut rows = vec![["", "ok", "fail", "unknown", "open"].map(str::to_owned).to_vec()];
    for (kind, row) in &report.operations {
        let numbers = [row.ok, row.fail, row.unknown, row.open].map(grouped);
        rows.push([vec![kind_name(kind)], numbers.to_vec()].concat());
    }
    layout("  ", &[Align::Left, Align::Right, Align::Right, Align::Right, Align::Right], &rows)
}

fn ending(report: &SweepReport, style: Style) -> Vec<String> {
    let verdict = report.verdict();
    let text = format!("{} {}", sign(verdict), verdict.to_string().to_uppercase());
    let mut lines = vec![style.verdict(verdict, &text)];
    if report.runs() == 0 {
        lines.push("  no run was made".to_owned());
    }
    lines.extend(failures(report, style));
    lines
}
