//! One run.

use super::checks::checks;
use super::faults::faults;
use super::style::{Style, clean, grouped, kind_name, seconds, short_duration, sign};
use super::table::{Align, layout};
use super::words::counted;
use super::wrap::wrap;
use super::{Options, REASONS_SHOWN_MAX, WIDTH};
use crate::{Report, Verdict};

/// The report of a run as text for a terminal, ending in a newline.
#[must_use]
pub fn render_run(report: &Report, options: Options) -> String {
    let style = Style::new(options.color);
    let mut lines = header(report, style);
    section(&mut lines, style, "Faults", faults(report));
    section(&mut lines, style, "Operations", operations(report));
    let latency = if report.live { "Latency, real time" } else { "Latency, virtual time" };
    section(&mut lines, style, latency, latencies(report));
    section(&mut lines, style, "Checks", checks(report, style));
    section(&mut lines, style, "Run", statistics(report, options));
    lines.push(String::new());
    lines.extend(ending(report, style));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn section(lines: &mut Vec<String>, style: Style, title: &str, body: Vec<String>) {
    lines.push(String::new());
    lines.push(style.bold(title));
    lines.extend(body);
}

fn header(report: &Report, style: Style) -> Vec<String> {
    let cluster = &report.cluster;
    let live = if report.live { ", live: on real processes" } else { "" };
    let titles = [format!("{}, seed {}{live}", report.scenario, report.seed), report.claim.clone()];
    let titles = titles.iter().flat_map(|title| wrap(&clean(title), "", "  ", WIDTH));
    let mut lines: Vec<String> = titles.map(|line| style.bold(&line)).collect();
    let (nodes, clients) = (counted(cluster.nodes, "node"), counted(cluster.clients, "client"));
    let mut about = vec![
        format!("{nodes}, {clients}; {}", cluster.workload),
        format!("network {}; disk {}", cluster.network, cluster.disk),
    ];
    if !report.expects.is_empty() {
        about.push(format!("a violation is expected, found by {}", report.expects.join(" or ")));
    }
    about.extend(report.planted.iter().map(|bug| format!("planted bug: {bug}")));
    lines.extend(about.iter().flat_map(|text| wrap(&clean(text), "  ", "    ", WIDTH)));
    lines
}

fn operations(report: &Report) -> Vec<String> {
    let mut rows = vec![["", "ok", "fail", "unknown", "open"].map(str::to_owned).to_vec()];
    for row in &report.operations {
        let numbers = [row.ok, row.fail, row.unknown, row.open].map(grouped);
        rows.push([vec![kind_name(&row.kind)], numbers.to_vec()].concat());
    }
    let sum = |count: fn(&crate::OperationReport) -> u64| grouped(report.operations.iter().map(count).sum());
    rows.push(vec![
        "all".to_owned(),
        sum(|row| row.ok),
        sum(|row| row.fail),
        sum(|row| row.unknown),
        sum(|row| row.open),
    ]);
    layout("  ", &[Align::Left, Align::Right, Align::Right, Align::Right, Align::Right], &rows)
}

fn latencies(report: &Report) -> Vec<String> {
    let mut rows = vec![["", "count", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned).to_vec()];
    for row in &report.latencies {
        let times = [row.p50_us, row.p90_us, row.p99_us, row.p999_us, row.max_us].map(short_duration);
        rows.push([vec![kind_name(&row.kind), grouped(row.count)], times.to_vec()].concat());
    }
    let mut columns = vec![Align::Left];
    columns.resize(7, Align::Right);
    layout("  ", &columns, &rows)
}

fn statistics(report: &Report, options: Options) -> Vec<String> {
    let numbers = &report.statistics;
    let mut lines = vec![
        format!(
            "  {} of {} time; {}, {}",
            seconds(numbers.virtual_us),
            if report.live { "real" } else { "virtual" },
            counted(numbers.campaigns, "campaign"),
            counted(numbers.leaders_elected, "election"),
        ),
        format!(
            "  {} sent, {} delivered, {} dropped; {}",
            counted(numbers.frames_sent, "frame"),
            grouped(numbers.frames_delivered),
            grouped(numbers.frames_dropped),
            counted(numbers.syncs, "disk sync"),
        ),
    ];
    let near = &numbers.near;
    if !near.is_nothing() {
        lines.push(format!(
            "  near-caches: {} and {} misses; {} asked, {} of them for renewal",
            counted(near.hits, "hit"),
            grouped(near.misses),
            counted(near.asks, "question"),
            grouped(near.renewals),
        ));
        lines.push(format!(
            "    {}, {}, {}, {} held back",
            counted(near.invalidations, "invalidation"),
            counted(near.recalls, "recall"),
            counted(near.evictions, "eviction"),
            counted(near.writes_held_back, "write"),
        ));
        let surrenders = counted(near.surrenders, "surrender");
        lines.push(format!("    {surrenders}: lines given up for writes from where they were held"));
        if near.leaders_lost > 0 {
            let leaders = counted(near.leaders_lost, "leader");
            lines.push(format!("    {leaders} killed between an invalidation and the commit of its write"));
        }
    }
    if !report.live {
        lines.push(format!("  {} passed", counted(report.marks.len() as u64, "coverage mark")));
    }
    if options.marks {
        let rows: Vec<Vec<String>> =
            report.marks.iter().map(|(mark, count)| vec![clean(mark), grouped(*count)]).collect();
        lines.extend(layout("    ", &[Align::Left, Align::Right], &rows));
    }
    if let Some(wall) = options.wall.filter(|_| !report.live) {
        let wall_us = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX).max(1);
        let times = counted(numbers.virtual_us / wall_us, "virtual second");
        lines.push(format!("  {} of real time: {times} per second", short_duration(wall_us)));
    }
    lines.push(format!("  trace {}", clean(&report.trace_hash)));
    lines
}

fn ending(report: &Report, style: Style) -> Vec<String> {
    let verdict = format!("{} {}", sign(report.verdict), report.verdict.to_string().to_uppercase());
    let mut lines = vec![style.verdict(report.verdict, &verdict)];
    if report.verdict == Verdict::Valid && report.shows_expected_violation() {
        lines.push(
            "  the violation that this scenario is there to show was seen, and nothing else is wrong"
                .to_owned(),
        );
    }
    let shown = report.reasons.iter().take(REASONS_SHOWN_MAX);
    lines.extend(shown.flat_map(|reason| wrap(&clean(reason), "  ", "    ", WIDTH)));
    let hidden = report.reasons.len().saturating_sub(REASONS_SHOWN_MAX) as u64;
    if hidden > 0 {
        lines.push(format!("  and {} more; the JSON report lists all", counted(hidden, "reason")));
    }
    if report.verdict != Verdict::Valid && report.reasons.is_empty() {
        lines.push("  no reason was given".to_owned());
    }
    let replay = if report.live { "the same schedule again:" } else { "replay:" };
    lines.push(format!("{} {}", style.faint(replay), clean(&report.replay)));
    lines
}
