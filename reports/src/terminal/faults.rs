//! The faults of a run: drawn over time, then one by one with what each was measured to do.

use super::style::{clean, grouped, kind_name, seconds};
use super::words::{effects_of, with_ranges};
use super::wrap::wrap;
use super::{FAULTS_SHOWN_MAX, WIDTH, chart};
use crate::{FaultReport, Report};

/// Widest column of targets; the effects of a fault with longer ones begin on a line of their own.
const TARGET_WIDTH_MAX: usize = 30;

/// The chart, and the list of faults below it.
pub(super) fn faults(report: &Report) -> Vec<String> {
    let mut lines = chart::draw(report);
    if report.faults.is_empty() {
        lines.push("  none".to_owned());
        return lines;
    }
    let rows: Vec<Row> = report.faults.iter().take(FAULTS_SHOWN_MAX).map(Row::of).collect();
    let widest = |column: fn(&Row) -> &str| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or_default()
    };
    let widths = Widths {
        begin: widest(|row| &row.begin),
        lasted: widest(|row| &row.lasted),
        kind: widest(|row| &row.kind),
        target: widest(|row| if row.has_long_target() { "" } else { &row.target }),
    };
    lines.extend(rows.iter().flat_map(|row| row.lines(&widths)));
    let hidden = report.faults.len().saturating_sub(FAULTS_SHOWN_MAX);
    if hidden > 0 {
        lines.push(format!("  and {} more; the JSON report lists all", grouped(hidden as u64)));
    }
    lines
}

struct Row {
    begin: String,
    lasted: String,
    kind: String,
    target: String,
    effects: String,
}

struct Widths {
    begin: usize,
    lasted: usize,
    kind: usize,
    target: usize,
}

impl Row {
    fn of(fault: &FaultReport) -> Self {
        let targets = with_ranges(&fault.targets);
        let target = if fault.selector == fault.targets || fault.selector.is_empty() {
            targets
        } else {
            format!("{} = {targets}", fault.selector)
        };
        let mut effects = effects_of(&fault.effects);
        if !fault.had_effect {
            let why = if fault.absorbed { "ABSORBED by another fault" } else { "NO EFFECT" };
            effects.insert(0, why.to_owned());
        }
        if !fault.note.is_empty() {
            effects.push(fault.note.clone());
        }
        Self {
            begin: seconds(fault.at_us),
            lasted: format!("+{}", seconds(fault.until_us.saturating_sub(fault.at_us))),
            kind: kind_name(&fault.kind),
            target: clean(&target),
            effects: clean(&effects.join(", ")),
        }
    }

    fn has_long_target(&self) -> bool {
        self.target.chars().count() > TARGET_WIDTH_MAX
    }

    fn lines(&self, widths: &Widths) -> Vec<String> {
        let Widths { begin, lasted, kind, target } = *widths;
        let head = format!("  {:>begin$}  {:>lasted$}  {:kind$}  ", self.begin, self.lasted, self.kind);
        // Times of many digits must not squeeze what comes after them.
        if (head.chars().count() + target + 2) * 5 > WIDTH * 4 {
            let text = format!("{} {}: {}", head.trim(), self.target, self.effects);
            return wrap(&text, "  ", "      ", WIDTH);
        }
        let indent = " ".repeat(head.chars().count());
        if self.has_long_target() {
            let further = format!("{indent}  ");
            let mut lines = wrap(&self.target, &head, &indent, WIDTH);
            lines.extend(wrap(&self.effects, &further, &further, WIDTH));
            return lines;
        }
        let first = format!("{head}{:target$}  ", self.target);
        let indent = " ".repeat(first.chars().count());
        wrap(&self.effects, &first, &indent, WIDTH)
    }
}
