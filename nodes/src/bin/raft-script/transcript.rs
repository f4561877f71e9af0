//! Runs a script, and writes either its transcript or a comparison with the output that it brings along.

use std::fmt::Write;

use crate::script::{self, Command, Item, Misuse, RULE};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Every command, and what it did.
    Transcript,
    /// Which of the dumps are what the script says that they should be.
    Comparison,
}

/// Something that carries out commands.
pub(crate) trait Runner {
    /// The names of its commands.
    fn commands(&self) -> &'static [&'static str];

    /// The names of those that take lines of input.
    fn commands_with_input(&self) -> &'static [&'static str];

    /// Whether two runners should agree on this command's output to the letter, whatever they are made of.
    fn is_comparable(&self, command: &Command) -> bool;

    /// Carries out a command; gives its output, which may be empty.
    fn run(&mut self, command: &Command) -> Result<String, Misuse>;
}

/// What a run gave.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The transcript or the comparison.
    pub(crate) text: String,
    /// Commands that were not understood.
    pub(crate) misuses: usize,
    /// Outputs compared.
    pub(crate) compared: usize,
    /// Outputs that differ from what the script expects.
    pub(crate) differences: usize,
}

/// What stands for an output without a line.
const SILENT: &str = "ok";

/// Runs a script to its end, whatever it contains.
pub(crate) fn run(text: &str, runner: &mut impl Runner, mode: Mode) -> Report {
    let names = runner.commands();
    let mut report = Report::default();
    // An empty line sets off an output; one that is in the script anyhow will do.
    let mut is_set_off = false;
    for item in script::parse(text, names, runner.commands_with_input()) {
        let command = match item {
            Item::Command(command) => command,
            Item::Text(line) => {
                let is_needed = !line.is_empty() || !std::mem::take(&mut is_set_off);
                if mode == Mode::Transcript && is_needed {
                    say(&mut report.text, &line);
                }
                continue;
            }
        };
        is_set_off = command.expected.is_none();
        let result = if names.contains(&command.name.as_str()) {
            runner.run(&command)
        } else {
            Err(Misuse::new(format!("no such command: {:?}", command.name), names.join(", ")))
        };
        let is_understood = result.is_ok();
        let output = result.unwrap_or_else(|misuse| {
            report.misuses += 1;
            format!("error: line {}: {misuse}", command.line)
        });
        match mode {
            Mode::Transcript => show(&mut report.text, &command, &output),
            Mode::Comparison if is_understood => compare(&mut report, runner, &command, &output),
            Mode::Comparison => say(&mut report.text, &output),
        }
    }
    if mode == Mode::Comparison {
        let agreed = report.compared - report.differences;
        let summary = format!("{agreed} of {} outputs agree", report.compared);
        say(&mut report.text, &summary);
    }
    report
}

/// Writes a command and its output. A doubled rule encloses an output that contains empty lines.
fn show(text: &mut String, command: &Command, output: &str) {
    command.written.iter().for_each(|line| say(text, line));
    say(text, RULE);
    let output = output_or_silence(output);
    let is_broken = output.lines().any(|line| line.trim().is_empty());
    if is_broken {
        say(text, RULE);
    }
    say(text, output);
    if is_broken {
        say(text, RULE);
        say(text, RULE);
    }
    if command.expected.is_none() {
        say(text, "");
    }
}

/// Compares an output with what the script expects, if two runners should agree on it. Two silences are no
/// agreement on anything, so they do not count.
fn compare(report: &mut Report, runner: &impl Runner, command: &Command, output: &str) {
    let Some(expected) = command.expected.as_deref().filter(|_| runner.is_comparable(command)) else {
        return;
    };
    let (expected, output) = (output_or_silence(expected), output_or_silence(output));
    if expected == SILENT && output == SILENT {
        return;
    }
    report.compared += 1;
    let agrees = expected == output;
    let verdict = if agrees { "agrees" } else { "differs" };
    say(&mut report.text, &format!("line {}: {}: {verdict}", command.line, command.written.join(" / ")));
    if !agrees {
        report.differences += 1;
        for (title, block) in [("expected", expected), ("found", output)] {
            say(&mut report.text, &format!("  {title}:"));
            block.lines().for_each(|line| say(&mut report.text, &format!("    {line}")));
        }
    }
}

fn output_or_silence(output: &str) -> &str {
    match output.trim_end() {
        "" => SILENT,
        output => output,
    }
}

fn say(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("strings can be written to");
}
