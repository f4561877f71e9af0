//! How fast linearizability is decided here, beside the other checkers that are published as Rust crates:
//! `stateright`'s tester, `porcupine-rs`, and `todc-utils`.
//!
//! Each measurement is a process of its own, so that its peak memory is its own. What is counted is the CPU
//! time of the check alone, on histories that are in memory already; every checker is given them in the same
//! terms and translates them within that time. Checkers take turns, and the median of several measurements is
//! shown, because other work on the machine comes and goes. One that takes more than [`measure::TIME_MAX`] or
//! [`measure::MEMORY_MAX_KIB`] is stopped. All that finish must give the same verdicts.
//!
//! `cargo bench -p stormglass-peers` measures all; words after `--` choose among histories and checkers by
//! their names, or `memory`: how much of it is needed here as histories get longer.
#![expect(
    clippy::disallowed_methods,
    reason = "it reads its time and its memory from the real system, and starts processes"
)]

mod measure;
mod memory;
mod others;
mod ours;
mod public;
mod shapes;
mod table;
mod texts;

use measure::{Measured, Outcome};
use shapes::{History, Shape};
use stormglass_sim::check::Verdict;

/// Measurements of each checker on each shape.
const REPEATS: usize = 5;
/// One that takes longer than this, in milliseconds of CPU time, is measured once.
const REPEAT_IF_SHORTER_MS: f64 = 2_000.0;

/// A checker: its name, and what it says of a history.
type Checker = (&'static str, fn(&History) -> Verdict);

/// Ours, as it is compared: the verdict alone, which is what the others give.
const OURS: &str = "stormglass";
/// The checkers. With `-explained`, a violation is made small as well, found again and shown.
const CHECKERS: [Checker; 5] = [
    (OURS, ours::verdict_alone),
    ("stormglass-explained", ours::explained),
    ("porcupine-rs", others::porcupine::check),
    ("todc-utils", others::todc::check),
    ("stateright", others::stateright::check),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [flag, shape, checker] = &words[..]
        && flag == measure::ONE
    {
        return measure::here(&shape_of(shape), checker_of(checker));
    }
    if let [flag, operations] = &words[..]
        && flag == memory::ONE
    {
        return memory::here(operations.parse().expect("the parent writes a number"));
    }
    let shapes = shapes::all();
    let known = |word: &String| shapes.iter().any(|shape| shape.name == word);
    let checker = |word: &String| CHECKERS.iter().any(|(name, _)| name == word);
    let unknown = words.iter().find(|word| !known(word) && !checker(word) && *word != memory::NAME);
    assert!(unknown.is_none(), "no history and no checker has the name {unknown:?}");
    let chosen = |name: &str, of: &dyn Fn(&String) -> bool| {
        words.iter().any(|word| word == name) || !words.iter().any(of)
    };
    if words.iter().any(|word| word == memory::NAME) {
        return memory::measure();
    }
    table::head();
    for shape in shapes.iter().filter(|shape| chosen(shape.name, &known)) {
        let checkers: Vec<&str> =
            CHECKERS.iter().map(|(name, _)| *name).filter(|name| chosen(name, &checker)).collect();
        measure_shape(shape, &checkers);
    }
    if words.is_empty() {
        memory::measure();
    }
}

fn shape_of(name: &str) -> Shape {
    shapes::all().into_iter().find(|shape| shape.name == name).expect("the parent knows the shapes")
}

fn checker_of(name: &str) -> fn(&History) -> Verdict {
    CHECKERS.iter().find(|known| known.0 == name).expect("the parent knows the checkers").1
}

/// Measures checkers on one shape, in turns, and prints what was found.
fn measure_shape(shape: &Shape, checkers: &[&'static str]) {
    let histories = (shape.make)();
    if histories.is_empty() {
        println!("{}: the files are not there", shape.name);
        return;
    }
    let operations = histories.iter().map(History::operations).sum();
    let expected: Vec<Option<Verdict>> = histories.iter().map(|history| history.expected).collect();
    drop(histories);
    let mut found: Vec<(&'static str, Vec<Outcome>)> =
        checkers.iter().map(|name| (*name, Vec::new())).collect();
    for _ in 0..REPEATS {
        for (name, outcomes) in &mut found {
            let slow = |outcome: &Outcome| match outcome {
                Outcome::Measured(one) => one.ms > REPEAT_IF_SHORTER_MS,
                Outcome::TooSlow | Outcome::Died => true,
            };
            if !outcomes.iter().any(slow) {
                outcomes.push(measure::apart(shape.name, name));
            }
        }
    }
    let found: Vec<(&'static str, Outcome)> =
        found.into_iter().map(|(name, outcomes)| (name, median(outcomes))).collect();
    agree(shape, &expected, &found);
    table::row(shape.name, operations, &found);
}

/// What lies in the middle; or that it did not finish, if it did not once.
fn median(mut outcomes: Vec<Outcome>) -> Outcome {
    if let Some(at) = outcomes.iter().position(|outcome| !matches!(outcome, Outcome::Measured(_))) {
        return outcomes.swap_remove(at);
    }
    let ms = |outcome: &Outcome| if let Outcome::Measured(one) = outcome { one.ms } else { f64::INFINITY };
    outcomes.sort_by(|one, other| ms(one).total_cmp(&ms(other)));
    let middle = outcomes.len() / 2;
    outcomes.swap_remove(middle)
}

/// All that finished say the same, and what is known of the histories.
fn agree(shape: &Shape, expected: &[Option<Verdict>], found: &[(&'static str, Outcome)]) {
    let mut first: Option<(&str, &Measured)> = None;
    for (name, outcome) in found {
        let Outcome::Measured(measured) = outcome else { continue };
        assert_eq!(measured.verdicts.len(), expected.len(), "{name} on {}", shape.name);
        for (at, (verdict, expected)) in measured.verdicts.iter().zip(expected).enumerate() {
            let right = expected.is_none_or(|expected| expected == *verdict);
            assert!(right, "{name} says {verdict} of history {at} of {}", shape.name);
        }
        let (other, one) = first.get_or_insert((name, measured));
        assert_eq!(one.verdicts, measured.verdicts, "{other} and {name} on {}", shape.name);
    }
}
