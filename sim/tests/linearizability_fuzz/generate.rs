//! Random histories: processes invoke operations on an object that works, one step at a time; then perhaps
//! an answer or two is made wrong.

use rand::Rng;
use stormglass_sim::check::linearizability::Entry;
use stormglass_sim::rng::StreamRng;

/// A number below `count`.
pub(crate) fn below(rng: &mut StreamRng, count: u64) -> u64 {
    (u128::from(rng.next_u64()) * u128::from(count)).wrapping_shr(64) as u64
}

/// An object that works, and what processes ask of it.
pub(crate) trait World {
    type Op: Clone;
    type Answer: Clone;

    /// What `process` asks next.
    fn ask(&mut self, rng: &mut StreamRng, process: u64) -> Self::Op;

    /// Lets an operation take effect; none if it has to wait.
    fn take_effect(&mut self, rng: &mut StreamRng, op: &Self::Op) -> Option<Self::Answer>;

    /// `process` learns of the answer.
    fn learn(&mut self, _process: u64, _op: &Self::Op, _answer: &Self::Answer) {}

    /// An answer drawn at random, with another as a model.
    fn any_answer(&self, rng: &mut StreamRng, op: &Self::Op, like: &Self::Answer) -> Self::Answer;
}

/// How a history comes about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) operations: u64,
    pub(crate) processes: u64,
    /// Of 100 operations so many are never answered.
    pub(crate) unanswered_percent: u64,
    /// So many steps have one time.
    pub(crate) coarseness: u64,
    /// Answers that are drawn at random in the end.
    pub(crate) wrong: u64,
}

/// How far an operation has come.
enum Phase<Answer> {
    Invoked,
    Effective(Answer),
}

struct Process<Answer> {
    number: u64,
    open: Option<(usize, Phase<Answer>)>,
    /// When its last operation returned, and which it was.
    returned: Option<(u64, u64)>,
}

/// Steps in which nothing has to happen any more before what is open stays open.
const IDLE_STEPS_MAX: u64 = 40;

/// A history.
pub(crate) fn history<W: World>(
    rng: &mut StreamRng,
    shape: &Shape,
    world: &mut W,
) -> Vec<Entry<W::Op, W::Answer>> {
    let mut entries: Vec<Entry<W::Op, W::Answer>> = Vec::with_capacity(shape.operations as usize);
    let mut processes: Vec<Process<W::Answer>> =
        (0..shape.processes).map(|number| Process { number, open: None, returned: None }).collect();
    let mut numbers = shape.processes;
    let (mut tick, mut idle) = (0, 0);
    while idle < IDLE_STEPS_MAX {
        tick += 1;
        idle += 1;
        let now = tick / shape.coarseness;
        let process = &mut processes[below(rng, shape.processes) as usize];
        match process.open.take() {
            None if (entries.len() as u64) < shape.operations => {
                let op = world.ask(rng, process.number);
                let mut entry = Entry::unanswered(entries.len() as u64, process.number, now, op);
                entry.after = process.returned.filter(|(at, _)| *at == now).map(|(_, id)| id);
                process.open = Some((entries.len(), Phase::Invoked));
                entries.push(entry);
            }
            None => continue,
            // Its process is killed: another takes its place.
            Some(_) if below(rng, 300) < shape.unanswered_percent => {
                *process = Process { number: numbers, open: None, returned: None };
                numbers += 1;
            }
            Some((at, Phase::Invoked)) => {
                let phase = world.take_effect(rng, &entries[at].op).map_or(Phase::Invoked, Phase::Effective);
                if matches!(phase, Phase::Invoked) {
                    process.open = Some((at, phase));
                    continue;
                }
                process.open = Some((at, phase));
            }
            Some((at, Phase::Effective(answer))) => {
                let entry = &mut entries[at];
                world.learn(process.number, &entry.op, &answer);
                process.returned = Some((now, entry.id));
                (entry.returned, entry.answer) = (Some(now), Some(answer));
            }
        }
        idle = 0;
    }
    for _ in 0..shape.wrong {
        let victim = below(rng, entries.len() as u64) as usize;
        let like = &entries[below(rng, entries.len() as u64) as usize].answer;
        let entry = &entries[victim];
        if let (Some(_), Some(like)) = (&entry.answer, like) {
            let answer = world.any_answer(rng, &entry.op, like);
            entries[victim].answer = Some(answer);
        }
    }
    entries
}
