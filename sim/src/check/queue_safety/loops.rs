//! Consumer loops: a handler works only under the lease of its delivery, nothing is acknowledged or given back that was
//! not worked on to the end, and a loop that was stopped has nothing in hand and has told the truth of it.
//!
//! Leases are believed in by the client's clock, and clocks stray no further than the client was told.

use std::collections::BTreeMap;

use super::journal::{Asked, Handed, Journal};
use crate::history::{Answer, Call, Delivery, History, Operation, Outcome, VirtualTime};

/// Finds what a loop did that it must not, or did not do that it must.
pub(super) fn check(history: &History, journal: &Journal<'_>) -> Option<String> {
    let works = Works::of(history);
    if works.by_delivery.is_empty() && works.stops.is_empty() {
        return None;
    }
    let of_handlers = journal.by_message().find_map(|handed| {
        let each = handed.iter().enumerate();
        each.filter_map(|(place, one)| works.of_delivery(one).map(|work| (place, one, work))).find_map(
            |(place, one, work)| {
                past_its_lease(one, work)
                    .or_else(|| beside_another(one, work, &handed[place + 1..]))
                    .or_else(|| unfinished(one, work, journal.asked_about(one)))
            },
        )
    });
    of_handlers.or_else(|| works.stops.iter().find_map(|stop| left_in_hand(&works, journal, stop)))
}

/// What loops had done, and which were stopped.
#[derive(Default)]
struct Works<'a> {
    /// The work on each delivery, by topic, message and receipt.
    by_delivery: BTreeMap<(&'a str, u64, u64), &'a Operation>,
    stops: Vec<Stop<'a>>,
}

/// A loop from its beginning until it was stopped.
struct Stop<'a> {
    operation: &'a Operation,
    /// Its questions for messages.
    polls: Vec<&'a Operation>,
}

impl<'a> Works<'a> {
    fn of(history: &'a History) -> Self {
        let mut works = Self::default();
        // By who asks; those of a loop that has ended are taken out by its stop.
        let mut polls: BTreeMap<u64, Vec<&Operation>> = BTreeMap::new();
        let mut open: Vec<(u64, &Operation)> = Vec::new();
        for operation in &history.operations {
            let returned = |stop: &Operation| stop.returned_ns.unwrap_or(VirtualTime(u64::MAX));
            open.retain(|(asker, stop)| {
                let is_over = returned(stop) <= operation.invoked_ns;
                if is_over {
                    let polls = polls.remove(asker).unwrap_or_default();
                    works.stops.push(Stop { operation: stop, polls });
                }
                !is_over
            });
            match &operation.call {
                Call::Handle { topic, message, receipt } => {
                    works.by_delivery.insert((topic, *message, *receipt), operation);
                }
                Call::Dequeue { .. } => polls.entry(operation.client).or_default().push(operation),
                Call::StopConsumer { asker, .. } => open.push((*asker, operation)),
                _ => {}
            }
        }
        for (asker, operation) in open {
            let polls = polls.remove(&asker).unwrap_or_default();
            works.stops.push(Stop { operation, polls });
        }
        works
    }

    fn of_delivery(&self, handed: &Handed<'a>) -> Option<&'a Operation> {
        let Delivery { message, receipt, .. } = handed.delivery;
        self.by_delivery.get(&(handed.topic, *message, *receipt)).copied()
    }
}

/// How a handler ended, if that is known: whether of itself, when by its clock, and until when it might work.
fn ending(work: &Operation) -> Option<(bool, VirtualTime, VirtualTime)> {
    match &work.outcome {
        Outcome::Ok { answer: Answer::Handled { finished, ended_ns, believed_until_ns } } => {
            Some((*finished, *ended_ns, *believed_until_ns))
        }
        _ => None,
    }
}

fn past_its_lease(one: &Handed<'_>, work: &Operation) -> Option<String> {
    let (finished, ended, believed_until) = ending(work)?;
    (finished && ended > believed_until).then(|| {
        format!(
            "a handler went on until {ended}, though its lease was over at {believed_until}:\n  {}\n",
            one.text()
        )
    })
}

/// Somebody else was answered with the message while its handler believed in the lease. Who believes too long and who
/// gives too early cannot be told apart here; a cluster that gives too early is found by the leases.
fn beside_another(one: &Handed<'_>, work: &Operation, later: &[Handed<'_>]) -> Option<String> {
    let (_, ended, believed_until) = ending(work)?;
    let until = ended.min(believed_until);
    let other = later.iter().find(|other| other.returned_ns < until)?;
    Some(format!(
        "a message was delivered again while its handler still worked, until {until}:\n  {}\n  {}\n",
        one.text(),
        other.text()
    ))
}

fn unfinished(one: &Handed<'_>, work: &Operation, asked: &[Asked<'_>]) -> Option<String> {
    let finished_ns = ending(work).filter(|(finished, ..)| *finished).and(work.returned_ns);
    let early = asked.iter().find(|asked| {
        let is_end = matches!(asked.operation.call, Call::Acknowledge { .. } | Call::Reject { .. });
        is_end && finished_ns.is_none_or(|at| asked.operation.invoked_ns < at)
    })?;
    Some(format!(
        "operation #{}, {}, at {} was for a message that had not been worked on to the end:\n  {}\n",
        early.operation.id,
        early.operation.call.kind(),
        early.operation.invoked_ns,
        one.text()
    ))
}

/// A loop that was stopped asks once more at most, the question that was under way; has asked for the end of all that
/// it finished, and dropped the rest; and counts what became of it all.
fn left_in_hand(works: &Works<'_>, journal: &Journal<'_>, stop: &Stop<'_>) -> Option<String> {
    let Outcome::Ok { answer: Answer::Stopped { delivered, acknowledged, rejected, lost, unsettled } } =
        &stop.operation.outcome
    else {
        return None;
    };
    let name = format!("the loop that operation #{} stopped", stop.operation.id);
    let late = stop.polls.iter().filter(|poll| poll.id > stop.operation.id).count();
    if late > 1 {
        return Some(format!("{name} asked for messages {late} times after that\n"));
    }
    let (mut given, mut done, mut back) = (0_u64, 0_u64, 0_u64);
    for poll in &stop.polls {
        let Outcome::Ok { answer: Answer::Delivered { deliveries } } = &poll.outcome else { continue };
        for delivery in deliveries {
            let about = (delivery.message, delivery.receipt);
            let Some(handed) = journal.delivery(about) else { continue };
            given += 1;
            let work = works.of_delivery(handed);
            let ended = work.and_then(ending);
            let asked = journal.asked_about(handed);
            done += u64::from(asked.iter().any(|ask| ask.is_sure && is_acknowledgement(ask)));
            back += u64::from(asked.iter().any(|ask| ask.is_sure && is_rejection(ask)));
            let has_asked = asked.iter().any(|ask| is_acknowledgement(ask) || is_rejection(ask));
            let was_stale = journal.found_stale(handed);
            if !matches!(ended, Some((false, ..))) && !has_asked && !was_stale {
                return Some(format!("{name} left a message in hand:\n  {}\n", handed.text()));
            }
        }
    }
    let counted = delivered == &given
        && acknowledged == &done
        && rejected == &back
        && done + back + lost + unsettled == given;
    (!counted).then(|| {
        format!(
            "{name} was given {given}, of which {done} were acknowledged and {back} given back; it says {delivered}, \
             {acknowledged} and {rejected}, with {lost} lost and {unsettled} unsettled\n"
        )
    })
}

fn is_acknowledgement(asked: &Asked<'_>) -> bool {
    matches!(asked.operation.call, Call::Acknowledge { .. })
}

fn is_rejection(asked: &Asked<'_>) -> bool {
    matches!(asked.operation.call, Call::Reject { .. })
}
