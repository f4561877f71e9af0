//! One history, judged in every way.

use std::fmt::Debug;

use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{
    self, Entry, EntryOf, Limits, Model, Online, Partition, Progress, Ruling, Search, check, follow, replay,
};
use stormglass_sim::rng::{StreamRng, Streams};

use crate::brute;
use crate::generate::{Shape, World, below, history};

/// Small histories that each rule has to rule on; `STORMGLASS_FUZZ` times as many if that is set. With 40 a million.
pub(crate) fn small_count() -> u64 {
    25_000 * larger().unwrap_or(1)
}

/// Histories of 40 to 200 operations that each rule has to rule on.
pub(crate) fn long_count() -> u64 {
    250 * larger().unwrap_or(1)
}

fn larger() -> Option<u64> {
    std::env::var("STORMGLASS_FUZZ").ok()?.parse().ok()
}

fn streams() -> Streams {
    Streams::new(larger().unwrap_or(1))
}

/// Steps that a tier may take over a history before it counts for nothing.
const SEARCH_STEPS: u64 = 50_000;
/// Of so many histories one goes through the whole check, with shrinking and confirming.
const WHOLE_CHECK_EVERY: u64 = 64;

/// Where there is a rule, of so many histories one is given to the frontier, and of small ones to the search, as well.
const CLOSELY_EVERY: u64 = 4;

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) histories: u64,
    pub(crate) ruled: u64,
    pub(crate) ruled_linearizable: u64,
    pub(crate) ruled_not: u64,
    pub(crate) followed: u64,
    pub(crate) online: u64,
    pub(crate) whole: u64,
    pub(crate) undecided: u64,
}

/// What judges a history in a model's terms.
pub(crate) struct Judge<'t> {
    tally: &'t mut Tally,
    small: bool,
    /// See [`CLOSELY_EVERY`].
    closely_every: u64,
}

impl Judge<'_> {
    /// Compares all verdicts.
    pub(crate) fn judge<M: Model>(&mut self, model: &M, entries: Vec<EntryOf<M>>) {
        self.tally.histories += 1;
        let closely = self.tally.histories.is_multiple_of(self.closely_every);
        let mut settled = entries.clone();
        model.settle(&mut settled);
        // A release that may be under a token nobody told of is not judged by the models: settling drops it.
        let answered =
            |entries: &[EntryOf<M>]| entries.iter().filter(|entry| entry.returned.is_some()).count();
        let comparable = answered(&settled) == answered(&entries);
        let ruled = if comparable { ruled(model, &settled) } else { None };
        // Where a search takes its time it is asked only if the rule said something.
        if !self.small && !closely && ruled.is_none() {
            return;
        }
        let truth = if self.small { Some(brute::linearizable(model, &entries)) } else { None };
        let search = || verdict(Search::new(model, &entries).run(SEARCH_STEPS));
        let searched = if closely || truth.is_none() { search() } else { truth };
        let Some(truth) = truth.or(searched) else {
            self.tally.undecided += 1;
            return;
        };
        let fail = |who: &str| panic!("{who}, but linearizable is {truth}: {}", show::<M>(&entries));
        if searched != Some(truth) {
            fail("the search says otherwise");
        }
        if closely {
            let object = Partition { name: "x".to_owned(), entries: entries.clone() };
            let limits = Limits { steps: SEARCH_STEPS };
            let found = linearizability::verdict_of(model, [&object], &limits).verdict;
            if found == if truth { Verdict::Invalid } else { Verdict::Valid } {
                fail("all tiers together say otherwise");
            }
            self.follow(model, &entries, truth);
            self.follow_online(model, &entries, truth);
        }
        if !comparable {
            return;
        }
        if closely && settled != entries {
            if self.small && brute::linearizable(model, &settled) != truth {
                fail("settling what was not answered changed it");
            }
            self.follow(model, &settled, truth);
            if verdict(Search::new(model, &settled).run(SEARCH_STEPS)).is_some_and(|found| found != truth) {
                fail("the search after settling says otherwise");
            }
        }
        if model.guess(&settled).is_some_and(|order| replay(model, &settled, &order).certified) && !truth {
            fail("the replay certified it");
        }
        if let Some(ruled) = ruled {
            if ruled != truth {
                fail("the rule says otherwise");
            }
            self.tally.ruled += 1;
            self.tally.ruled_linearizable += u64::from(ruled);
            self.tally.ruled_not += u64::from(!ruled);
        }
        if self.tally.histories.is_multiple_of(WHOLE_CHECK_EVERY) {
            self.whole(model, entries, truth);
        }
    }

    fn follow<M: Model>(&mut self, model: &M, entries: &[EntryOf<M>], truth: bool) {
        let Some(mut frontier) = follow(model, entries) else { return };
        if let Some(found) = verdict(frontier.run(SEARCH_STEPS)) {
            self.tally.followed += 1;
            assert_eq!(found, truth, "the frontier says otherwise: {}", show::<M>(entries));
        }
    }

    fn follow_online<M: Model>(&mut self, model: &M, entries: &[EntryOf<M>], truth: bool) {
        // Each process's events are in their order; of different processes, at one time, any order will do.
        let mut events: Vec<(u64, u64, usize, bool)> = Vec::with_capacity(entries.len() * 2);
        for (at, entry) in entries.iter().enumerate() {
            events.push((entry.invoked, entry.process, at, false));
            events.extend(entry.returned.map(|returned| (returned, entry.process, at, true)));
        }
        events.sort_unstable();
        let lossy = entries.iter().any(|entry| entry.returned.is_none());
        let mut online = Online::new(model, lossy);
        for (time, process, at, returns) in events {
            let entry = &entries[at];
            let so_far = match &entry.answer {
                Some(answer) if returns => online.answer(entry.id, time, answer.clone()),
                _ => online.invoke(entry.id, process, time, entry.op.clone()),
            };
            if so_far.is_err() {
                assert!(!truth, "online: {so_far:?}: {}", show::<M>(entries));
                self.tally.online += 1;
                return;
            }
            if entry.returned.is_none() && at.is_multiple_of(2) {
                online.lose(entry.id);
            }
        }
        let found = online.finish();
        self.tally.online += u64::from(found != Ok(Verdict::Unknown));
        let wrong = match found {
            Ok(Verdict::Valid) => !truth,
            Ok(_) => false,
            Err(_) => truth,
        };
        assert!(!wrong, "online: {found:?}: {}", show::<M>(entries));
    }

    fn whole<M: Model>(&mut self, model: &M, entries: Vec<EntryOf<M>>, truth: bool) {
        self.tally.whole += 1;
        let shown = show::<M>(&entries);
        let answered = entries.iter().any(|entry| entry.answer.is_some());
        let result =
            check(model, vec![Partition { name: "x".to_owned(), entries }], &Limits { steps: SEARCH_STEPS });
        if !self.small && result.verdict == Verdict::Unknown && result.undecided > 0 {
            return;
        }
        let expected = match (answered, truth) {
            (false, _) => Verdict::Unknown,
            (true, true) => Verdict::Valid,
            (true, false) => Verdict::Invalid,
        };
        assert_eq!(result.verdict, expected, "the whole check says otherwise: {result:#?}\n{shown}");
        // A long one may take more to confirm than there is to spend.
        if expected == Verdict::Invalid && self.small {
            assert!(
                result.refutation.is_some_and(|found| found.confirmed_by.is_some()),
                "{result:#?}\n{shown}"
            );
        }
    }
}

/// What the rule says, if anything.
fn ruled<M: Model>(model: &M, settled: &[EntryOf<M>]) -> Option<bool> {
    let tied = settled.iter().any(|entry| entry.after.is_some());
    match model.rule(settled)? {
        Ruling::Impossible | Ruling::ImpossibleAt(_) => Some(false),
        Ruling::Possible => (!tied).then_some(true),
        Ruling::Order(order) => {
            let certified = replay(model, settled, &order).certified;
            assert!(certified || tied, "the rule gave an order that is none: {}", show::<M>(settled));
            certified.then_some(true)
        }
    }
}

const fn verdict(progress: Progress) -> Option<bool> {
    match progress {
        Progress::Linearizable => Some(true),
        Progress::NotLinearizable => Some(false),
        Progress::Unfinished => None,
    }
}

fn show<M: Model>(entries: &[EntryOf<M>]) -> String {
    let line = |Entry { id, process, op, answer, invoked, returned, after, .. }: &EntryOf<M>| {
        format!("\n  #{id} p{process} {op:?} -> {answer:?} [{invoked}, {returned:?}] after {after:?}")
    };
    entries.iter().map(line).collect()
}

/// Judges a history, in the terms of whatever model it is for.
pub(crate) type Bring<W> = fn(Vec<Entry<<W as World>::Op, <W as World>::Answer>>, &mut Judge<'_>);

fn small_shape(rng: &mut StreamRng) -> Shape {
    Shape {
        operations: 3 + below(rng, 5),
        processes: 2 + below(rng, 2),
        unanswered_percent: [0, 0, 20][below(rng, 3) as usize],
        coarseness: 1 + below(rng, 3),
        wrong: below(rng, 4),
    }
}

/// Nearly all operations are open at a time.
fn crowded_shape(rng: &mut StreamRng) -> Shape {
    Shape { operations: 5 + below(rng, 4), processes: 4 + below(rng, 4), ..small_shape(rng) }
}

fn long_shape(rng: &mut StreamRng) -> Shape {
    Shape {
        operations: 40 + below(rng, 161),
        processes: 3 + below(rng, 6),
        unanswered_percent: [0, 0, 5][below(rng, 3) as usize],
        coarseness: 1 + below(rng, 3),
        wrong: below(rng, 3),
    }
}

pub(crate) fn run_small<W: World>(name: &str, world: fn() -> W, bring: Bring<W>) -> Tally {
    run(name, "small", world, bring, small_shape, small_count())
}

/// As [`run_small`], of objects that many use at a time.
pub(crate) fn run_crowded<W: World>(name: &str, world: fn() -> W, bring: Bring<W>) -> Tally {
    run(name, "crowded", world, bring, crowded_shape, small_count())
}

pub(crate) fn run_long<W: World>(name: &str, world: fn() -> W, bring: Bring<W>) -> Tally {
    run(name, "long", world, bring, long_shape, long_count())
}

/// As [`run_long`], of objects of which a search can follow a few processes only.
pub(crate) fn run_long_of_few<W: World>(name: &str, world: fn() -> W, bring: Bring<W>) -> Tally {
    // One in four loses an operation or so: each may have taken any item, or put one at any time since.
    let few = |rng: &mut StreamRng| Shape {
        processes: 2 + below(rng, 3),
        unanswered_percent: [0, 0, 0, 1][below(rng, 4) as usize],
        ..long_shape(rng)
    };
    run(name, "long", world, bring, few, long_count())
}

/// Runs until so many histories were ruled on. If there is no rule, until there were about a third as many.
fn run<W: World>(
    name: &str,
    size: &str,
    world: fn() -> W,
    bring: Bring<W>,
    shape: fn(&mut StreamRng) -> Shape,
    count: u64,
) -> Tally {
    let mut rng = streams().stream(&format!("{name}/{size}"));
    let mut tally = Tally::default();
    let without_rule = count / 4 + count / 8;
    let is_over = |tally: &Tally| match size {
        "crowded" => tally.histories >= without_rule,
        _ => tally.ruled >= count || (tally.ruled == 0 && tally.histories >= without_rule),
    };
    while !is_over(&tally) {
        let shape = shape(&mut rng);
        let entries = history(&mut rng, &shape, &mut world());
        // Where there is no rule, there is nothing else to do.
        let closely_every = if size != "crowded" && tally.ruled > 0 { CLOSELY_EVERY } else { 1 };
        bring(entries, &mut Judge { tally: &mut tally, small: size != "long", closely_every });
    }
    println!("{name}, {size}: {tally:?}");
    tally
}
