//! Histories of the shapes in which checkers of linearizability are usually measured.
//!
//! Processes ask objects that work, each next operation as soon as the last is answered, so that about as
//! many are open as there are processes. All draws are from fixed seeds. Of a wrong history one answer,
//! three quarters through, cannot have been given.

use std::cell::Cell;

use rand::RngExt;
use stormglass_sim::check::Verdict;
use stormglass_sim::check::linearizability::{
    Entry, EntryOf, Partition, PartitionOf, PlainRegisterAnswer, PlainRegisterModel, PlainRegisterOp,
    TextAnswer, TextOp,
};
use stormglass_sim::rng::{StreamRng, Streams};

use crate::{public, texts};

/// A history by object.
pub(crate) enum Objects {
    /// Registers.
    Registers(Vec<PartitionOf<PlainRegisterModel>>),
    /// Texts that are put, appended to and got.
    Texts(Vec<Partition<TextOp, TextAnswer>>),
}

/// A history, and what is known of it.
pub(crate) struct History {
    pub(crate) objects: Objects,
    /// What a checker must say, if it is known by construction.
    pub(crate) expected: Option<Verdict>,
}

impl History {
    /// Operations in it.
    pub(crate) fn operations(&self) -> usize {
        match &self.objects {
            Objects::Registers(partitions) => partitions.iter().map(|one| one.entries.len()).sum(),
            Objects::Texts(partitions) => partitions.iter().map(|one| one.entries.len()).sum(),
        }
    }

    pub(crate) fn made(objects: Objects, wrong: bool) -> Self {
        let expected = if wrong { Verdict::Invalid } else { Verdict::Valid };
        Self { objects, expected: Some(expected) }
    }
}

/// A shape: histories that are measured together.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) make: Box<dyn Fn() -> Vec<History>>,
}

impl Shape {
    pub(crate) fn new(name: &'static str, make: impl Fn() -> Vec<History> + 'static) -> Self {
        Self { name, make: Box::new(make) }
    }
}

/// How registers are used.
#[derive(Clone, Copy)]
struct Registers {
    /// Registers, each used by processes of its own.
    keys: usize,
    /// Operations on each.
    operations: usize,
    processes: usize,
    /// Values are drawn below this; 0: every value is written once.
    values: i64,
    /// Of 1,000 operations so many are never answered; another process goes on.
    lost_per_mille: u32,
    wrong: bool,
    seed: u64,
}

const CONTENDED: Registers = Registers {
    keys: 1,
    operations: 200,
    processes: 20,
    values: 5,
    lost_per_mille: 0,
    wrong: false,
    seed: 1,
};
const CONTENDED_HISTORIES: u64 = 20;
/// Five processes, some 170 operations, many timeouts: what a hundred public logs of a test of etcd are like,
/// of which one in four is wrong here.
const ETCD: Registers = Registers { operations: 170, processes: 5, lost_per_mille: 60, ..CONTENDED };
const ETCD_HISTORIES: u64 = 102;
const LONG: Registers = Registers { operations: 200_000, processes: 5, ..CONTENDED };
const LOST: Registers = Registers { lost_per_mille: 100, seed: 2, ..LONG };
const KEYS: Registers = Registers { keys: 1_000, processes: 8, lost_per_mille: 10, ..CONTENDED };
/// What a checker of models is given: so little that trying all orders is no trouble.
const SMALL: Registers = Registers { operations: 8, processes: 3, ..CONTENDED };
const SMALL_HISTORIES: u64 = 1_000;

/// A register of which one operation in ten is of unknown outcome.
pub(crate) fn lost(operations: usize) -> History {
    many(Registers { operations, ..LOST }, 1, |_| false).remove(0)
}

/// All shapes, those of public files last.
pub(crate) fn all() -> Vec<Shape> {
    let one = |name, registers: Registers| Shape::new(name, move || many(registers, 1, |_| registers.wrong));
    let contended = |name, registers: Registers| {
        Shape::new(name, move || many(registers, CONTENDED_HISTORIES, |_| registers.wrong))
    };
    let unique = |registers| Registers { values: 0, ..registers };
    let wrong = |registers| Registers { wrong: true, ..registers };
    let fourth = |number: u64| number.is_multiple_of(4);
    let mut shapes = vec![
        Shape::new("small", move || many(SMALL, SMALL_HISTORIES, fourth)),
        contended("contended", CONTENDED),
        contended("contended-wrong", wrong(CONTENDED)),
        contended("contended-unique", unique(CONTENDED)),
        contended("contended-unique-wrong", wrong(unique(CONTENDED))),
        one("register-20k", Registers { operations: 20_000, processes: 10, ..CONTENDED }),
        one("register-200k", LONG),
        one("register-200k-lost", LOST),
        one("register-200k-lost-unique", unique(LOST)),
        one("many-keys", KEYS),
        one("many-keys-wrong", wrong(KEYS)),
        Shape::new("etcd-like", move || many(ETCD, ETCD_HISTORIES, fourth)),
        Shape::new("texts", || vec![texts::history(false)]),
        Shape::new("texts-wrong", || vec![texts::history(true)]),
    ];
    shapes.extend(public::shapes());
    shapes
}

fn many(registers: Registers, histories: u64, wrong: impl Fn(u64) -> bool) -> Vec<History> {
    let history = |number: u64| {
        let registers =
            Registers { wrong: registers.wrong || wrong(number), seed: registers.seed + number, ..registers };
        let mut rng = Streams::new(registers.seed).stream("bench/registers");
        let mut partitions: Vec<PartitionOf<PlainRegisterModel>> = (0..registers.keys)
            .map(|key| Partition { name: key.to_string(), entries: register(&mut rng, &registers) })
            .collect();
        if registers.wrong {
            make_wrong(&mut partitions[registers.keys * 3 / 4].entries);
        }
        History::made(Objects::Registers(partitions), registers.wrong)
    };
    (0..histories).map(history).collect()
}

enum Phase<Answer> {
    Idle,
    Invoked(usize),
    Effective(usize, Answer),
}

/// How many operations by how many processes, of which how many per mille get no answer.
pub(crate) type Size = (usize, usize, u32);

/// Lets processes take steps until so many operations are over.
pub(crate) fn simulate<Op: Clone, Answer: Clone>(
    rng: &mut StreamRng,
    (operations, processes, lost_per_mille): Size,
    mut ask: impl FnMut(&mut StreamRng) -> Op,
    mut take_effect: impl FnMut(&Op) -> Answer,
) -> Vec<Entry<Op, Answer>> {
    let mut entries: Vec<Entry<Op, Answer>> = Vec::with_capacity(operations);
    let mut phases: Vec<Phase<Answer>> = (0..processes).map(|_| Phase::Idle).collect();
    let mut names: Vec<u64> = (0..processes as u64).collect();
    let mut now = 0;
    let mut over = 0;
    while over < operations {
        now += 1;
        let process = rng.random_range(0..processes);
        // Lost on its way there or back, each with half the chance.
        let lost = rng.random_range(0..2_000) < lost_per_mille;
        let phase = std::mem::replace(&mut phases[process], Phase::Idle);
        phases[process] = match phase {
            Phase::Idle if entries.len() < operations => {
                let number = entries.len();
                entries.push(Entry::unanswered(number as u64, names[process], now, ask(rng)));
                Phase::Invoked(number)
            }
            Phase::Idle => Phase::Idle,
            Phase::Invoked(_) | Phase::Effective(..) if lost => {
                names[process] = entries.len() as u64 + processes as u64;
                over += 1;
                Phase::Idle
            }
            Phase::Invoked(number) => Phase::Effective(number, take_effect(&entries[number].op)),
            Phase::Effective(number, answer) => {
                (entries[number].returned, entries[number].answer) = (Some(now), Some(answer));
                over += 1;
                Phase::Idle
            }
        };
    }
    entries
}

fn register(rng: &mut StreamRng, registers: &Registers) -> Vec<EntryOf<PlainRegisterModel>> {
    let value = Cell::new(None);
    let mut last = 0;
    let mut draw = |rng: &mut StreamRng| {
        last += 1;
        if registers.values == 0 { last } else { rng.random_range(0..registers.values) }
    };
    let ask = |rng: &mut StreamRng| match rng.random_range(0..3) {
        0 => PlainRegisterOp::Read,
        1 => PlainRegisterOp::Write(Some(draw(rng))),
        _ if registers.values == 0 => PlainRegisterOp::Write(Some(draw(rng))),
        _ => PlainRegisterOp::CompareAndSet { from: Some(draw(rng)), to: Some(draw(rng)) },
    };
    let take_effect = |op: &PlainRegisterOp| match *op {
        PlainRegisterOp::Read => PlainRegisterAnswer::Value(value.get()),
        PlainRegisterOp::Write(written) => {
            value.set(written);
            PlainRegisterAnswer::Done
        }
        PlainRegisterOp::CompareAndSet { from, to } if from == value.get() => {
            value.set(to);
            PlainRegisterAnswer::Done
        }
        PlainRegisterOp::CompareAndSet { .. } => PlainRegisterAnswer::Refused,
    };
    simulate(rng, (registers.operations, registers.processes, registers.lost_per_mille), ask, take_effect)
}

/// A read finds what is written nowhere but after it has returned.
fn make_wrong(entries: &mut [EntryOf<PlainRegisterModel>]) {
    const LATER: Option<i64> = Some(i64::MAX - 1);
    let is_read =
        |entry: &EntryOf<PlainRegisterModel>| matches!(entry.answer, Some(PlainRegisterAnswer::Value(_)));
    let from = entries.len() * 3 / 4;
    let at = (from..entries.len()).chain(0..from).find(|at| is_read(&entries[*at]));
    // Small histories may have no read: then a write is made one.
    let at = at.or_else(|| entries.iter().position(|entry| entry.answer.is_some()));
    let at = at.expect("something was answered");
    entries[at].op = PlainRegisterOp::Read;
    entries[at].answer = Some(PlainRegisterAnswer::Value(LATER));
    let returned = entries[at].returned;
    let late = entries
        .iter_mut()
        .find(|entry| matches!(entry.op, PlainRegisterOp::Write(_)) && Some(entry.invoked) > returned);
    if let Some(late) = late {
        late.op = PlainRegisterOp::Write(LATER);
    }
}
