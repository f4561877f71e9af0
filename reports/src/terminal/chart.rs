//! The faults over virtual time, drawn with characters.

use std::collections::BTreeMap;

use super::style::kind_name;
use crate::Report;

/// Columns of the drawing.
const WIDTH: u64 = 64;
/// Ticks on the axis.
const TICKS: u64 = 8;

/// A row for each kind of fault in the order of its first occurrence, one for elections, and the axis. Two
/// overlapping faults of one kind are drawn heavier than one.
pub(super) fn draw(report: &Report) -> Vec<String> {
    let length_us = report.statistics.virtual_us.max(1);
    let column = |us: u64| (us.min(length_us - 1) * WIDTH / length_us) as usize;
    let mut kinds: Vec<&str> = Vec::new();
    let mut depth: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for fault in &report.faults {
        if !kinds.contains(&fault.kind.as_str()) {
            kinds.push(&fault.kind);
        }
        let row = depth.entry(&fault.kind).or_insert_with(|| vec![0; WIDTH as usize]);
        for cell in &mut row[column(fault.at_us)..=column(fault.until_us.max(fault.at_us))] {
            *cell += 1;
        }
    }
    let label_width =
        kinds.iter().map(|kind| kind_name(kind).chars().count()).max().unwrap_or(0).max("elections".len());
    let mut lines = Vec::new();
    for kind in kinds {
        let bar: String = depth[kind].iter().map(|count| cell(*count)).collect();
        lines.push(format!("  {:<label_width$} │{}", kind_name(kind), bar.trim_end()));
    }
    let mut elections = vec!['·'; WIDTH as usize];
    for at_us in &report.elections_at_us {
        elections[column(*at_us)] = '▲';
    }
    lines.push(format!("  {:<label_width$} │{}", "elections", elections.into_iter().collect::<String>()));
    lines.extend(axis(length_us, label_width));
    lines
}

const fn cell(count: u32) -> char {
    match count {
        0 => ' ',
        1 => '▒',
        _ => '█',
    }
}

fn axis(length_us: u64, label_width: usize) -> [String; 2] {
    let step = (WIDTH / TICKS) as usize;
    let rule = format!("┴{}", "─".repeat(step - 1)).repeat(TICKS as usize);
    let rule = format!("└{}", rule.chars().skip(1).collect::<String>());
    let marks = (0..TICKS).map(|tick| {
        let us = length_us / TICKS * tick;
        let text = format!("{}.{}s", us / 1_000_000, us / 100_000 % 10);
        format!("{text:<step$}")
    });
    let marks: String = marks.collect();
    let blank = " ".repeat(label_width);
    [format!("  {blank} {rule}"), format!("  {blank} {}", marks.trim_end())]
}
