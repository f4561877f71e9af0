//! One checker on one shape, in a process of its own.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use stormglass_sim::check::Verdict;

use crate::shapes::{History, Shape};

/// Most CPU time for one measurement, with the making of the histories.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(20);
/// Most memory for one measurement.
pub(crate) const MEMORY_MAX_KIB: u64 = 8 * 1024 * 1024;
/// Said to the process that measures, before the shape and the checker.
pub(crate) const ONE: &str = "--one";
/// A short check is repeated for so long, in CPU time, and the mean is taken.
const REPEAT_FOR: Duration = Duration::from_millis(100);
/// What a checker that calls itself may stack up.
const STACK_BYTES: usize = 2 << 30;
/// What the system sends to a process whose CPU time is used up: first the one, then the other.
const OUT_OF_TIME: [i32; 2] = [24, 9];

/// What one measurement found.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Of each history.
    pub(crate) verdicts: Vec<Verdict>,
    /// CPU time of one check of all histories, in milliseconds.
    pub(crate) ms: f64,
    /// Peak memory, less what there was when the histories were in memory.
    pub(crate) peak_kib: u64,
}

/// What became of a measurement.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It finished.
    Measured(Measured),
    /// It was stopped after [`TIME_MAX`].
    TooSlow,
    /// It ended by itself, for want of memory.
    Died,
}

/// Measures in a process of its own.
pub(crate) fn apart(shape: &str, checker: &str) -> Outcome {
    let program = std::env::current_exe().expect("a running program has a path");
    let seconds = TIME_MAX.as_secs();
    let limited = format!("ulimit -t {seconds}; ulimit -v {MEMORY_MAX_KIB}; exec \"$0\" {ONE} \"$1\" \"$2\"");
    let output = Command::new("sh")
        .args(["-c", &limited])
        .arg(program)
        .args([shape, checker])
        .stderr(Stdio::null())
        .output()
        .expect("there is a shell");
    if output.status.signal().is_some_and(|signal| OUT_OF_TIME.contains(&signal)) {
        return Outcome::TooSlow;
    }
    parse(&String::from_utf8_lossy(&output.stdout)).map_or(Outcome::Died, Outcome::Measured)
}

fn parse(text: &str) -> Option<Measured> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [verdicts, ms, peak_kib] = fields[..] else { return None };
    let verdict = |letter| match letter {
        'v' => Verdict::Valid,
        'i' => Verdict::Invalid,
        _ => Verdict::Unknown,
    };
    let verdicts = verdicts.chars().map(verdict).collect();
    Some(Measured { verdicts, ms: ms.parse().ok()?, peak_kib: peak_kib.parse().ok()? })
}

/// The child's part: checks and prints what it found.
pub(crate) fn here(shape: &Shape, check: fn(&History) -> Verdict) {
    let histories = (shape.make)();
    let work = move || {
        reset_peak();
        let memory = peak_kib();
        let begun = cpu_time();
        let verdicts: Vec<Verdict> = histories.iter().map(check).collect();
        let peak_kib = peak_kib() - memory;
        // The clock itself takes half a microsecond: it is read after ever more rounds.
        let mut rounds: u32 = 1;
        while cpu_time() - begun < REPEAT_FOR {
            for history in (0..rounds).flat_map(|_| &histories) {
                std::hint::black_box(check(history));
            }
            rounds *= 2;
        }
        let ms = (cpu_time() - begun).as_secs_f64() * 1e3 / f64::from(rounds);
        let letters: String = verdicts.iter().map(|verdict| verdict.to_string().remove(0)).collect();
        println!("{letters} {ms} {peak_kib}");
    };
    let deep = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work);
    deep.expect("there is room for a stack").join().expect("it does not panic");
}

/// CPU time of this process, of all its threads.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What was needed to make the histories counts no longer.
pub(crate) fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux lets a process forget its peak");
}

/// The most memory that this process has had since [`reset_peak`].
pub(crate) fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process's memory");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("and its peak");
    line.trim().trim_end_matches(" kB").parse().expect("which is a number")
}
