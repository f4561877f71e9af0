//! A history that was recorded elsewhere.

use std::time::Duration;

use super::checks::every_check;
use super::style::{Style, clean, grouped, short_duration, sign};
use super::words::counted;
use super::wrap::wrap;
use super::{Options, WIDTH};
use crate::HistoryReport;

/// Bytes of a mebibyte, the unit of memory that is shown.
const MEBIBYTE: u64 = 1_048_576;

/// The report of a history as text for a terminal, ending in a newline. The peak of memory is that of the
/// whole process, if it is known.
#[must_use]
pub fn render_history(
    report: &HistoryReport,
    read: Option<Duration>,
    memory_bytes: Option<u64>,
    options: Options,
) -> String {
    let style = Style::new(options.color);
    let title = format!("{}, read as {}, judged as {}", report.file, report.from, report.model);
    let mut lines: Vec<String> =
        wrap(&clean(&title), "", "  ", WIDTH).iter().map(|line| style.bold(line)).collect();
    lines.extend(about(report).iter().flat_map(|text| wrap(text, "  ", "    ", WIDTH)));
    section(&mut lines, style, "Checks", every_check(&report.checks, style));
    section(&mut lines, style, "Cost", vec![cost(report, read, memory_bytes, options)]);
    let verdict = format!("{} {}", sign(report.verdict), report.verdict.to_string().to_uppercase());
    lines.extend([String::new(), style.verdict(report.verdict, &verdict)]);
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn section(lines: &mut Vec<String>, style: Style, title: &str, body: Vec<String>) {
    lines.push(String::new());
    lines.push(style.bold(title));
    lines.extend(body);
}

/// Their plural is not the singular with an `s`.
fn processes(number: u64) -> String {
    format!("{} process{}", grouped(number), if number == 1 { "" } else { "es" })
}

fn about(report: &HistoryReport) -> [String; 2] {
    let operations = format!(
        "{} of {} on {}; {} without effect, {} of unknown outcome",
        counted(report.operations, "operation"),
        processes(report.processes),
        counted(report.objects, "object"),
        grouped(report.failed),
        grouped(report.unknown),
    );
    let lines = format!(
        "{}; {} of a nemesis, {} skipped",
        counted(report.lines, "line"),
        counted(report.nemesis_events, "event"),
        grouped(report.skipped),
    );
    [operations, lines]
}

fn cost(
    report: &HistoryReport,
    read: Option<Duration>,
    memory_bytes: Option<u64>,
    options: Options,
) -> String {
    let mut text = format!("  {}", counted(report.steps, "step"));
    if let Some(wall) = options.wall {
        let shown = |took: Duration| short_duration(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        text += &format!("; {} of real time", shown(wall));
        if let Some(read) = read {
            text += &format!(", {} of it to read the file", shown(read));
        }
    }
    if let Some(bytes) = memory_bytes {
        let tenths = bytes.saturating_mul(10) / MEBIBYTE;
        text += &format!("; {}.{} MiB of memory at the peak", grouped(tenths / 10), tenths % 10);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::render_history;
    use crate::terminal::{Options, WIDTH};
    use crate::{CheckReport, HISTORY_REPORT_FORMAT, HistoryReport, Verdict, from_json, to_json};

    fn invalid() -> HistoryReport {
        let check = CheckReport {
            name: "linearizable registers".to_owned(),
            source: "Herlihy and Wing 1990".to_owned(),
            verdict: Verdict::Invalid,
            detail: "1 object; decided by replay 0, by search 1, undecided 0".to_owned(),
            cost_steps: 1_234,
            counterexample: Some("register: then none can follow\n  stuck #7 read 2".to_owned()),
        };
        HistoryReport {
            format: HISTORY_REPORT_FORMAT,
            file: "logs/etcd.log".to_owned(),
            from: "jepsen".to_owned(),
            model: "register".to_owned(),
            verdict: Verdict::Invalid,
            operations: 1_170,
            failed: 7,
            unknown: 1,
            processes: 1,
            objects: 1,
            lines: 2_350,
            nemesis_events: 6,
            skipped: 3,
            steps: 1_234,
            checks: vec![check],
        }
    }

    #[test]
    fn a_history_is_shown_with_what_it_cost() {
        let options = Options { wall: Some(Duration::from_micros(1_250)), ..Options::default() };
        let read = Some(Duration::from_micros(900));
        insta::assert_snapshot!(render_history(&invalid(), read, Some(5_452_800), options), @r"
        logs/etcd.log, read as jepsen, judged as register
          1,170 operations of 1 process on 1 object; 7 without effect, 1 of unknown outcome
          2,350 lines; 6 events of a nemesis, 3 skipped

        Checks
          ✗  linearizable registers  INVALID: 1 object
              decided by replay 0, by search 1, undecided 0
              source: Herlihy and Wing 1990; 1,234 steps spent
              register: then none can follow
                stuck #7 read 2

        Cost
          1,234 steps; 1.25ms of real time, 900us of it to read the file; 5.2 MiB of memory at the peak

        ✗ INVALID
        ");
    }

    #[test]
    fn what_was_not_measured_is_not_shown_and_a_valid_check_shows_its_particulars() {
        let mut report = invalid();
        report.verdict = Verdict::Valid;
        report.checks[0].verdict = Verdict::Valid;
        report.checks[0].counterexample = None;
        let text = render_history(&report, None, None, Options::default());
        assert!(text.contains("decided by replay 0, by search 1, undecided 0"), "{text}");
        assert!(text.ends_with("Cost\n  1,234 steps\n\n✓ VALID\n"), "{text}");
    }

    #[test]
    fn names_from_outside_neither_control_the_terminal_nor_overflow_it() {
        let mut report = invalid();
        report.file = format!("\x1b[31m{}", "long/".repeat(60));
        let text = render_history(&report, None, None, Options::default());
        assert!(!text.contains('\x1b'));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn its_json_reads_back() {
        assert_eq!(from_json::<HistoryReport>(&to_json(&invalid())).unwrap(), invalid());
    }
}
