//! Bends inputs and keeps those that a decoder answers in a way not seen before, as the beginning of others.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use rand::RngExt;
use stormglass_sim::rng::{StreamRng, Streams};

use crate::memory::peak_bytes;

/// Rounds of each target unless the environment says for how long.
pub(crate) const ROUNDS: u64 = 20_000;
/// The variable that says for how many seconds each target goes on.
const SECONDS_VARIABLE: &str = "STORMGLASS_FUZZ_SECONDS";
/// The variable that says from which seed inputs are drawn.
const SEED_VARIABLE: &str = "STORMGLASS_FUZZ_SEED";
/// Most inputs that are kept.
const KEPT_MAX: usize = 1_000;
/// Longer inputs are cut.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// Of what a decoder says, so many characters tell answers apart.
const ANSWER_CHARS: usize = 80;
/// Most changes from one input to the next.
const CHANGES_MAX: u32 = 4;
/// What a decoder may allocate whatever the input.
const MEMORY_BASE_BYTES: u64 = 256 * 1024;
/// Numbers at which decoders are likely to go wrong, as bytes.
const NUMBERS: &[&[u8]] = &[
    &[0],
    &[1],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0x7f],
    // The greatest numbers of 32 and 64 bits in seven bits a byte, and one that never ends.
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
    b"18446744073709551615",
    b"-9223372036854775808",
];

/// A decoder.
pub(crate) trait Target {
    /// The name under which it is reported, and from which its rounds are drawn.
    fn name(&self) -> &'static str;

    /// Valid inputs.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Pieces that its inputs are made of.
    fn pieces(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// Makes checksums right again, so that what lies behind them is reached.
    fn seal(&self, _input: &mut Vec<u8>) {}

    /// What decoding may allocate for each byte of the input.
    fn memory_per_byte(&self) -> u64;

    /// Decodes and returns what the decoder said. If it accepted: the input as it is written again.
    ///
    /// Whatever else must hold of what was accepted is asserted here.
    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String>;
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is {value:?}, which is no number")))
}

/// How long a target goes on.
enum Extent {
    Rounds(u64),
    For(Duration),
}

impl Extent {
    fn of_environment() -> Self {
        number(SECONDS_VARIABLE)
            .map_or(Self::Rounds(ROUNDS), |seconds| Self::For(Duration::from_secs(seconds)))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "on request it goes on for a time; findings name the round"
    )]
    fn rounds(self) -> impl Iterator<Item = u64> {
        let begun = Instant::now();
        (1..).take_while(move |round| match self {
            Self::Rounds(rounds) => *round <= rounds,
            Self::For(time) => begun.elapsed() < time,
        })
    }
}

/// Puts a decoder to the test.
pub(crate) fn fuzz(target: &impl Target) {
    let seed = number(SEED_VARIABLE).unwrap_or(1);
    let mut rng = Streams::new(seed).stream(target.name());
    let mut kept = target.seeds();
    let mut trial = Trial { target, seed, round: 0, most_per_byte: 0 };
    for input in &kept {
        let answer = trial.put(input);
        assert!(answer.is_ok(), "a seed of {} is refused: {answer:?}", target.name());
    }
    let (mut answers, mut accepted) = (BTreeSet::new(), 0_u64);
    for round in Extent::of_environment().rounds() {
        trial.round = round;
        let mut input = kept[rng.random_range(0..kept.len())].clone();
        // Texts with many changes are hardly ever good.
        let changes = if rng.random_bool(0.5) { 1 } else { rng.random_range(1..=CHANGES_MAX) };
        for _ in 0..changes {
            change(&mut rng, target, &mut input, &kept);
        }
        input.truncate(INPUT_BYTES_MAX);
        if rng.random_bool(0.75) {
            target.seal(&mut input);
        }
        let answer = trial.put(&input);
        accepted += u64::from(answer.is_ok());
        let is_new = answers.insert(kind_of(&answer));
        if is_new && kept.len() < KEPT_MAX {
            kept.push(input);
        }
    }
    println!(
        "{}: {} rounds from seed {seed}, {accepted} accepted, {} kinds of answers, at most {} bytes of memory \
         beyond the base for a byte of input",
        target.name(),
        trial.round,
        answers.len(),
        trial.most_per_byte
    );
    assert!(accepted > 0 && accepted < trial.round, "{}: every answer was the same", target.name());
    assert!(answers.len() > 3, "{}: {answers:?}", target.name());
}

/// One input after the other.
struct Trial<'t, T> {
    target: &'t T,
    seed: u64,
    round: u64,
    most_per_byte: u64,
}

impl<T: Target> Trial<'_, T> {
    /// Gives an input to the decoder. What was accepted has to be accepted again as it was written, and to be
    /// written the same from then on.
    fn put(&mut self, input: &[u8]) -> Result<(), String> {
        let name = self.target.name();
        let tried = catch_unwind(AssertUnwindSafe(|| {
            let (answer, peak) = peak_bytes(|| self.target.decode(input));
            let length = input.len().max(1) as u64;
            let beyond = peak.saturating_sub(MEMORY_BASE_BYTES) / length;
            assert!(
                beyond <= self.target.memory_per_byte(),
                "{name} takes {peak} bytes of memory for {} bytes",
                input.len()
            );
            if let Ok(written) = &answer {
                let again = self.target.decode(written);
                assert_eq!(again.as_ref(), Ok(written), "{name} does not take what it wrote for the same");
            }
            (answer.map(drop), beyond)
        }));
        match tried {
            Ok((answer, beyond)) => {
                self.most_per_byte = self.most_per_byte.max(beyond);
                answer
            }
            Err(panic) => {
                let shown = input.escape_ascii();
                eprintln!("{name}, seed {}, round {}: this input does harm: {shown}", self.seed, self.round);
                resume_unwind(panic)
            }
        }
    }
}

/// What an answer comes to, without its numbers.
fn kind_of(answer: &Result<(), String>) -> String {
    let text = answer.as_ref().err().map_or("", String::as_str);
    text.chars().filter(|character| !character.is_numeric()).take(ANSWER_CHARS).collect()
}

fn change(rng: &mut StreamRng, target: &impl Target, input: &mut Vec<u8>, kept: &[Vec<u8>]) {
    let length = input.len();
    let at = rng.random_range(0..=length);
    let size = rng.random_range(1..=32_usize);
    let end = (at + size).min(length);
    let pieces = target.pieces();
    match rng.random_range(0..10) {
        0 if at < length => input[at] = rng.random(),
        1 if at < length => input[at] ^= 1 << rng.random_range(0..8),
        2 if at < length => input[at] = input[at].wrapping_add(if size % 2 == 0 { 1 } else { u8::MAX }),
        3 => drop(input.drain(at..end)),
        4 => {
            let piece = input[at..end].to_vec();
            let to = rng.random_range(0..=input.len());
            input.splice(to..to, piece);
        }
        5 => {
            let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
            let replaced = (at + if size % 2 == 0 { number.len() } else { 1 }).min(length);
            input.splice(at..replaced, number.iter().copied());
        }
        6 if rng.random_bool(0.2) => input.truncate(at),
        7 => {
            let other = &kept[rng.random_range(0..kept.len())];
            let from = rng.random_range(0..=other.len());
            let to = (from + size * 4).min(other.len());
            input.splice(at..at, other[from..to].iter().copied());
        }
        _ if !pieces.is_empty() => {
            let piece = pieces[rng.random_range(0..pieces.len())];
            let replaced = if rng.random_bool(0.5) { (at + piece.len()).min(length) } else { at };
            input.splice(at..replaced, piece.iter().copied());
        }
        _ => {}
    }
}
