//! The queue: what producers, consumers and operators were answered, in true time.
//!
//! **Safety**, rule by rule:
//! * *No phantom.* What is delivered was enqueued, into this topic or one that gives up into it, and not later.
//!   One message has one id however often its producer asked.
//! * *At least once, and no more than that.* Deliveries of a message have receipts that rise in true time, and
//!   attempts that rise in a topic up to its most. What was acknowledged does not come back. Only the current
//!   delivery can be acknowledged, rejected or extended, and that one always; nobody gets more than was asked
//!   for.
//! * *Leases, delays and lives.* Nobody gets a message while another's lease on it runs, unless that one rejected
//!   it; nor before its delay is over; nor, in the calm, when its life is.
//! * *Order.* Within a group strictly first in, first out, and one at a time. Of all others a message is not
//!   passed over by a later one of the same or a lower priority, and takes its old place when it comes back; nor
//!   does a consumer hear that there is nothing while it is there, or others that take turns with it, or before the end
//!   of its wait.
//! * *Dead letters.* A topic gives up a message after all its attempts, and not earlier; where it was declared more than
//!   once, by whichever declaration may have been in force. Each attempt is a delivery that somebody was answered, or may
//!   have been.
//! * *Loops.* The handlers of a consumer loop work only under the lease of their delivery; only what was worked on to
//!   the end is acknowledged or rejected; and a loop that was stopped has nothing in hand any more.
//!
//! **Accounts**: once the topics were seen to be empty, each message that was enqueued for sure has been
//! acknowledged, as far as anybody knows, or had a time to live; the service's own counts add up, and agree
//! with what clients know: with where messages were for certain, with the attempts that can have been used up, and with
//! the counts that were stated before. A topic that was never seen to be empty makes the verdict unknown.
//!
//! An operation of unknown outcome may have had its effect at any time since, or none. Stamps may stand still
//! for any time, so until the calm after the last fault nothing is ever late; it can only be early ([`Drift`],
//! [`Calm`]).
//!
//! Sources: the rules for queues of Horn and Kroening 2015 and of Abdulla et al. 2025, adapted to leases.

mod accounts;
mod counted;
mod covering;
mod dead;
mod declared;
mod deliveries;
mod emptiness;
mod free;
mod journal;
mod leases;
mod loops;
mod order;
mod over_time;
mod stale;
mod unheard;
mod whereabouts;

use super::drift::{Calm, Drift};
use super::side_by_side::both;
use super::{CheckReport, Verdict};
use crate::check::by_name::ByName;
use crate::history::History;
use journal::Journal;
use whereabouts::{Whereabouts, whereabouts};

/// Checks a history whose promises hold. Without any delivery the verdict is unknown.
#[must_use]
pub fn check(history: &History, drift: Drift, calm: Option<Calm>) -> CheckReport {
    let journal = Journal::of(history);
    check_deliveries(history, &journal, &whereabouts(&journal, drift), drift, calm)
}

/// As [`check`] and [`check_accounts`], of a history that is looked through once; `at_once`, each on a thread.
#[must_use]
pub fn check_all(history: &History, drift: Drift, calm: Option<Calm>, at_once: bool) -> [CheckReport; 2] {
    let journal = Journal::of(history);
    let places = whereabouts(&journal, drift);
    both(
        at_once,
        || check_deliveries(history, &journal, &places, drift, calm),
        || accounts::check(history, &journal, &places, drift),
    )
    .into()
}

fn check_deliveries(
    history: &History,
    journal: &Journal<'_>,
    places: &ByName<'_, Whereabouts<'_>>,
    drift: Drift,
    calm: Option<Calm>,
) -> CheckReport {
    let deliveries = journal.topics.values().map(|topic| topic.deliveries.len()).sum::<usize>();
    let problem = deliveries::check(journal)
        .or_else(|| leases::check(journal, drift))
        .or_else(|| stale::check(journal, drift, calm))
        .or_else(|| order::check(journal, places, drift))
        .or_else(|| dead::check(journal))
        .or_else(|| loops::check(history, journal));
    let verdict = match problem {
        Some(_) => Verdict::Invalid,
        None if deliveries == 0 => Verdict::Unknown,
        None => Verdict::Valid,
    };
    CheckReport {
        name: "queue safety".to_owned(),
        source: "at-least-once delivery under leases; Horn and Kroening 2015".to_owned(),
        verdict,
        detail: format!("{deliveries} deliveries of {} messages judged", journal.stories.len()),
        cost_steps: (deliveries + journal.stories.len()) as u64,
        counterexample: problem,
    }
}

/// Checks that nothing was lost, and that the service's counts are true.
#[must_use]
pub fn check_accounts(history: &History, drift: Drift) -> CheckReport {
    let journal = Journal::of(history);
    accounts::check(history, &journal, &whereabouts(&journal, drift), drift)
}
