//! Valid histories of real runs, spoilt on purpose: what do the checks notice?
//!
//! Most kinds of mutants are wrong by construction: what makes each so is said where it is made, and does not
//! depend on any check. Of these every single one must be noticed. Some are right by construction, since they only
//! say less than what was; none of those may be noticed. The last kinds change something at random, and their
//! mutants may be either; of them the share that is noticed is printed.
//!
//! `STORMGLASS_MUTANTS=500 cargo test -p stormglass-sim --test check_suite mutants -- --nocapture` is the larger run;
//! `docs/checking.md` has its figures.

mod at_random;
mod edit;
mod keys;
mod locks;
mod queues;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use stormglass_sim::check::coherence::Coherence;
use stormglass_sim::check::invariants::InvariantSet;
use stormglass_sim::check::{self, Calm, Drift, Evidence, Verdict, linearizability, liveness};
use stormglass_sim::history::{History, VirtualTime};
use stormglass_sim::rng::{StreamRng, Streams};

use runs::Run;

/// Mutants of each kind that are made of each run, unless the environment says otherwise.
const MUTANTS: u64 = 12;

/// Draws a mutant of a history; none if this history has nothing to spoil in that way.
type Spoil = fn(&History, &mut StreamRng) -> Option<History>;

/// A kind of mutants.
struct Kind {
    name: &'static str,
    spoil: Spoil,
    /// Whether each is wrong, or right, by construction; none where it may be either.
    is_wrong: Option<bool>,
}

const fn wrong(name: &'static str, spoil: Spoil) -> Kind {
    Kind { name, spoil, is_wrong: Some(true) }
}

const fn right(name: &'static str, spoil: Spoil) -> Kind {
    Kind { name, spoil, is_wrong: Some(false) }
}

const fn either(name: &'static str, spoil: Spoil) -> Kind {
    Kind { name, spoil, is_wrong: None }
}

/// What became of the mutants of one kind.
#[derive(Default)]
struct Tally {
    made: u64,
    noticed: u64,
    /// By check: how many it noticed, whoever else did.
    by: BTreeMap<String, u64>,
    /// The first that nobody noticed: the run, and the number of the mutant.
    missed: Option<(&'static str, u64)>,
    /// What was changed in those that nobody noticed, and in how many.
    missed_classes: BTreeMap<String, u64>,
}

/// The checks that find a history invalid. Liveness is not asked: it judges the run, not what was answered.
fn noticed(history: &History, run: &Run) -> Vec<String> {
    let never = VirtualTime(u64::MAX);
    let reports = check::judge(&Evidence {
        history,
        invariants: &InvariantSet::new(1..=3),
        coherence: &Coherence::new(Drift::default()),
        expects: BTreeSet::new(),
        times: liveness::Times {
            faults_end: never,
            recover_within_ns: 0,
            ended: never,
            clients: 0,
            idle_ns_max: 0,
            until: never,
        },
        drift: Drift { fast_ppm_max: runs::DRIFT_PPM },
        calm: Some(Calm {
            from: run.calm_from,
            grace_ns: 2_000_000_000,
            slow_ppm_max: runs::DRIFT_PPM,
            lease_us: runs::LEASE_US,
        }),
        budget_steps: linearizability::STEPS_MAX,
    });
    let is_invalid = |report: &check::CheckReport| {
        report.verdict == Verdict::Invalid && !report.name.starts_with("liveness")
    };
    reports.into_iter().filter(is_invalid).map(|report| report.name).collect()
}

#[test]
fn mutants_of_valid_histories_are_noticed() {
    let count =
        std::env::var("STORMGLASS_MUTANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(MUTANTS);
    let runs = runs::all();
    let kinds: Vec<&Kind> =
        [keys::KINDS, locks::KINDS, queues::KINDS, at_random::KINDS].into_iter().flatten().collect();
    let mut tallies: Vec<Tally> = kinds.iter().map(|_| Tally::default()).collect();
    for run in &runs {
        let before = noticed(&run.history, run);
        assert!(before.is_empty(), "{} is invalid as it is: {before:?}", run.name);
        for (kind, tally) in kinds.iter().zip(&mut tallies) {
            let mut rng = Streams::new(run.seed).stream(kind.name);
            for number in 0..count {
                let Some(mutant) = (kind.spoil)(&run.history, &mut rng) else { break };
                assert_eq!(mutant.verify(), Ok(()), "{}: mutant {number} is no history", kind.name);
                tally.made += 1;
                let by = noticed(&mutant, run);
                if by.is_empty() {
                    tally.missed.get_or_insert((run.name, number));
                    *tally.missed_classes.entry(edit::changed(&run.history, &mutant)).or_default() += 1;
                }
                tally.noticed += u64::from(!by.is_empty());
                by.into_iter().for_each(|check| *tally.by.entry(check).or_default() += 1);
            }
        }
    }
    println!("{:<58} {:>6} {:>8}  by", "mutants", "made", "noticed");
    let mut wanting = Vec::new();
    for (kind, tally) in kinds.iter().zip(&tallies) {
        let total = tally.noticed;
        let list = |counts: &BTreeMap<String, u64>| -> String {
            let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            counts.join(", ")
        };
        println!("{:<58} {:>6} {:>8}  {}", kind.name, tally.made, total, list(&tally.by));
        if kind.is_wrong.is_none() {
            println!("  not noticed: {}", list(&tally.missed_classes));
        }
        let is_complete = match kind.is_wrong {
            Some(true) => total == tally.made,
            Some(false) => total == 0,
            None => total > 0,
        };
        if tally.made == 0 || !is_complete {
            wanting
                .push(format!("{}: {total} of {} noticed, missed {:?}", kind.name, tally.made, tally.missed));
        }
    }
    assert!(wanting.is_empty(), "{wanting:#?}");
}
