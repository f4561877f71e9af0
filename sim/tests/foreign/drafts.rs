//! Small histories of one object, before they are written as a file.

use std::fmt::{Debug, Write};

use rand::RngExt;
use stormglass_sim::check::linearizability::Linearizability;
use stormglass_sim::rng::StreamRng;

/// Processes that are at work at a time.
const PROCESSES: u64 = 3;
/// Operations of one history: few enough for every order to be tried.
const OPERATIONS: usize = 7;
/// Operations of which nobody hears again, in a hundred.
const UNKNOWN_PERCENT: u32 = 20;

/// An object as a specification over one operation after another, and as events of a file.
pub(crate) trait Object: Clone + Debug + PartialEq {
    type Call: Clone + Debug + PartialEq;
    type Answer: Clone + Debug + PartialEq;
    type State: Clone + Debug + Default;

    /// Something to ask; the number is another each time.
    fn draw(rng: &mut StreamRng, number: u64) -> Self::Call;

    /// What happens if it takes effect.
    fn apply(state: &mut Self::State, call: &Self::Call) -> Self::Answer;

    /// Whether an answer tells what was there.
    fn is_seen(answer: &Self::Answer) -> bool;

    /// Whether an answer says that nothing was done.
    fn is_refusal(answer: &Self::Answer) -> bool;

    /// Another answer to the same call.
    fn bend(rng: &mut StreamRng, call: &Self::Call, answer: &Self::Answer) -> Option<Self::Answer>;

    /// The event of an invocation, or of an end: with an answer, or unknown.
    fn event(process: u64, call: &Self::Call, end: Option<Option<&Self::Answer>>) -> String;

    /// Reads a file and judges it.
    fn check(text: &str) -> Linearizability;
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft<O: Object> {
    pub(crate) process: u64,
    /// Moments are whole numbers, no two alike.
    pub(crate) invoked: u64,
    /// When its end was recorded, whatever it was; `None` if it never was.
    pub(crate) returned: Option<u64>,
    pub(crate) call: O::Call,
    pub(crate) answer: Option<O::Answer>,
}

/// Draws the history of an object that works.
pub(crate) fn draw<O: Object>(rng: &mut StreamRng) -> Vec<Draft<O>> {
    let mut state = O::State::default();
    let mut drafts: Vec<Draft<O>> = Vec::new();
    // Per process, the operation that is open, and whether it has taken effect.
    let mut open: Vec<Option<(usize, Option<O::Answer>)>> = vec![None; PROCESSES as usize];
    let mut now = 0;
    while drafts.len() < OPERATIONS || open.iter().any(Option::is_some) {
        let process = rng.random_range(0..PROCESSES);
        let slot = &mut open[process as usize];
        match slot.take() {
            None if drafts.len() < OPERATIONS => {
                let call = O::draw(rng, drafts.len() as u64);
                *slot = Some((drafts.len(), None));
                drafts.push(Draft { process, invoked: now, returned: None, call, answer: None });
            }
            None => continue,
            Some((place, None)) if rng.random_range(0..100) < UNKNOWN_PERCENT => {
                // It takes effect now, or never; and either is all that is heard of it, or it is cut off.
                if rng.random_bool(0.5) {
                    O::apply(&mut state, &drafts[place].call);
                }
                drafts[place].returned = rng.random_bool(0.5).then_some(now);
                // The process is gone: what comes under its number, if anything, must not overlap.
                if drafts[place].returned.is_none() {
                    drafts[place].process += 10 * (place as u64 + 1);
                }
            }
            Some((place, None)) => *slot = Some((place, Some(O::apply(&mut state, &drafts[place].call)))),
            Some((place, Some(answer))) => {
                drafts[place].returned = Some(now);
                drafts[place].answer = Some(answer);
            }
        }
        now += 1;
    }
    drafts
}

/// A history as a file of events.
pub(crate) fn text_of<O: Object>(drafts: &[Draft<O>]) -> String {
    let mut events: Vec<(u64, String)> = Vec::new();
    for draft in drafts {
        events.push((draft.invoked, O::event(draft.process, &draft.call, None)));
        if let Some(returned) = draft.returned {
            events.push((returned, O::event(draft.process, &draft.call, Some(draft.answer.as_ref()))));
        }
    }
    events.sort();
    let mut text = String::new();
    for (_, event) in events {
        writeln!(text, "{event}").expect("writing to a string");
    }
    text
}

/// Whether some order of the operations explains every answer: all orders are tried.
pub(crate) fn brute_force<O: Object>(drafts: &[Draft<O>]) -> bool {
    explains(drafts, &mut vec![false; drafts.len()], &O::State::default())
}

fn explains<O: Object>(drafts: &[Draft<O>], done: &mut [bool], state: &O::State) -> bool {
    let left = |done: &[bool]| (0..drafts.len()).filter(|place| !done[*place]).collect::<Vec<_>>();
    if left(done).iter().all(|place| drafts[*place].answer.is_none()) {
        return true;
    }
    for next in left(done) {
        let comes_later = left(done).iter().any(|other| {
            let other = &drafts[*other];
            other.answer.is_some() && other.returned.is_some_and(|at| at < drafts[next].invoked)
        });
        if comes_later {
            continue;
        }
        let mut after = state.clone();
        let answer = O::apply(&mut after, &drafts[next].call);
        if drafts[next].answer.as_ref().is_some_and(|given| *given != answer) {
            continue;
        }
        done[next] = true;
        let found = explains(drafts, done, &after);
        done[next] = false;
        if found {
            return true;
        }
    }
    false
}
