//! How long the checks of the services take over long histories, and how much memory.
//!
//! The histories are made here, on a few objects, so that whatever does not grow with the logarithm shows: by small
//! services that are correct, whose clients each have one operation open at a time (`clients`). Each is written to a
//! file; a process of its own reads it, checks it, and tells what CPU time and memory that took, so that nothing but
//! its own counts.
//!
//! `cargo bench --bench checks` makes a million operations; `-- 100000` another number.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it measures real time and memory, keeps files and starts processes"
)]

mod cache;
mod clients;
mod locks;
mod queue;

use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use stormglass_sim::check::linearizability::STEPS_MAX;
use stormglass_sim::check::{CheckReport, Drift, Subject, Terms, Verdict, judge_subject};
use stormglass_sim::history::{History, read_history, write_history};

const OPERATIONS: u64 = 1_000_000;
/// Said to the process that checks, before the service and the file.
const CHECK: &str = "--check-file";

type Maker = fn(u64) -> History;

/// The services: name, maker and subject.
const SERVICES: [(&str, Maker, Subject); 3] = [
    ("lock", locks::history, Subject::Lock),
    ("queue", queue::history, Subject::Queue),
    ("cache", cache::history, Subject::Cache),
];

/// All that `stormglass check` judges of a subject.
fn reports(subject: Subject, history: &History) -> Vec<CheckReport> {
    let (drift, budget_steps) = (Drift::default(), STEPS_MAX);
    judge_subject(subject, &Terms { history, drift, calm: None, budget_steps, at_once: true })
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, service, file] = arguments.as_slice()
        && first == CHECK
    {
        return check(service, Path::new(file));
    }
    let count = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(OPERATIONS);
    println!("service  operations  file MiB  read s  history MiB  check s  peak MiB  verdicts");
    for (service, make, _) in SERVICES {
        let folder = std::env::temp_dir().join(format!("stormglass-checks-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("there is room for temporary files");
        let file = folder.join(format!("{service}.jsonl"));
        let history = make(count);
        let mut sink = BufWriter::new(std::fs::File::create(&file).expect("the folder was just made"));
        write_history(&history, &mut sink)
            .and_then(|()| sink.flush())
            .expect("there is room for the history");
        drop(history);
        let own = std::env::current_exe().expect("the program knows its own file");
        let status = Command::new(own).args([CHECK, service]).arg(&file).status();
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
        assert!(status.is_ok_and(|status| status.success()), "the check of {service} failed");
    }
}

fn check(service: &str, file: &Path) {
    let (_, _, subject) =
        SERVICES.iter().find(|(name, ..)| *name == service).expect("the name was given by main");
    let bytes = std::fs::metadata(file).expect("the file was just written").len();
    let (history, reading) = timed(|| {
        let source = std::fs::File::open(file).expect("the file was just written");
        read_history(BufReader::new(source)).expect("it is a history")
    });
    let history_kib = memory_kib("VmRSS");
    let (reports, checking) = timed(|| reports(*subject, &history));
    for report in &reports {
        assert_eq!(
            report.verdict,
            Verdict::Valid,
            "{}: {:?} {}",
            report.name,
            report.counterexample,
            report.detail
        );
    }
    let details: Vec<String> = reports.into_iter().map(|report| report.detail).collect();
    println!(
        "{service:<7}  {:>10}  {:>8}  {:>6.2}  {:>11}  {:>7.2}  {:>8}  {}",
        history.operations.len(),
        bytes >> 20,
        reading.as_secs_f64(),
        history_kib >> 10,
        checking.as_secs_f64(),
        memory_kib("VmHWM") >> 10,
        details.join("; ")
    );
}

/// What `work` returns, and the CPU time that it took: other work on the machine does not count.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = cpu_time();
    let result = work();
    (result, cpu_time() - begun)
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A line of what Linux tells of this process's memory: `VmRSS` is what it has now, `VmHWM` the most it ever had.
fn memory_kib(line: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = text.lines().find_map(|each| each.strip_prefix(line)?.strip_prefix(':'));
    found.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
