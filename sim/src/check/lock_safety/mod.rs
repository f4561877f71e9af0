//! Lock safety: what clients were granted and believed of locks and semaphores, in true time.
//!
//! * No two conflicting holds of one resource overlap, and no more permits of a semaphore are held than were
//!   ever declared: neither by what clients believed, nor by what the service proved by taking a grant back.
//!   A hold is a span `[from, until)` of true time; no clock is asked.
//! * Fencing tokens are unique for a resource and rise in the order of the grants, across upgrades and
//!   downgrades: of two, the one that was answered before the other was asked for has the smaller token
//!   (Kleppmann 2016).
//! * A hold bears the token of the grant that it came from.
//! * What succeeds under a token (a release, an upgrade, a downgrade) uses up a grant of the same client: not twice,
//!   and not after a conflicting later grant had already been answered.
//! * A hold that an operator ends for its holder counts until the operator asks for that. Whatever its holder
//!   believes from then on, it holds nothing; and a lease after the operator was told that it is done, it must know.
//! * A client that asked to stand in line is not turned away early, and while it stands there for certain
//!   nobody who comes later is granted what it waits for.
//! * Nobody waits in vain for what is free, or is refused it.
//! * A deadlock that was named may have been one; one that certainly was is named.

mod claims;
mod deadlock;
mod exclusion;
mod forced;
mod grants;
mod line;
mod moments;
mod outdated;
mod passed;
mod room;
mod tokens;
mod unheard;
mod uses;
mod views;
mod wakeup;

use super::drift::{Calm, Drift};
use super::side_by_side::both;
use super::{CheckReport, Verdict};
use crate::history::History;
use grants::Grants;
use passed::Places;
use unheard::Tokens;
pub use views::check_views;

/// Checks a history whose promises hold (`History::verify`). Without any grant or hold the verdict is
/// unknown.
#[must_use]
pub fn check(history: &History, drift: Drift, calm: Option<Calm>) -> CheckReport {
    check_by(history, drift, calm, false)
}

/// As [`check`]; `at_once`, half of the rules on a thread of their own.
#[must_use]
pub fn check_by(history: &History, drift: Drift, calm: Option<Calm>, at_once: bool) -> CheckReport {
    let outlived = forced::outlived(history, calm);
    let (as_recorded, truncated) = (history, forced::truncated(history));
    let history = truncated.as_ref().unwrap_or(history);
    let grants = Grants::of(history);
    let judged = history.holds.len() + grants.count();
    let waits = line::sure_waits(history, drift);
    let deadlocks = deadlock::named(history).count();
    // What an operator may have ended may go on as well.
    let of_claims = || {
        let claims = claims::all(as_recorded, &grants, calm);
        let mut places = Places::default();
        places.note_refusals(history, &claims);
        (wakeup::lost(history, &waits, &claims), places)
    };
    let (((waited, forgotten), mut places), conflict) =
        both(at_once, of_claims, || exclusion::check(history, &grants));
    let tokens = Tokens::of(history, &grants);
    let answered = uses::answered(&grants);
    let problem = conflict
        .or(outlived)
        .or_else(|| outdated::belief(history, &answered, &tokens))
        .or_else(|| unheard::disordered(&grants, &tokens))
        .or_else(|| grants::baseless_hold(history))
        .or_else(|| uses::check(history, &answered, &tokens))
        .or_else(|| tokens.too_many_unheard())
        .or_else(|| line::turned_away(history, drift))
        .or_else(|| line::overtaken(&waits, &grants))
        .or(forgotten)
        .or_else(|| deadlock::untrue(history, &mut places))
        .or_else(|| places.passed(&grants))
        .or_else(|| deadlock::missed(history, &waits, &grants));
    let verdict = match problem {
        Some(_) => Verdict::Invalid,
        None if judged == 0 => Verdict::Unknown,
        None => Verdict::Valid,
    };
    CheckReport {
        name: "lock safety".to_owned(),
        source: "mutual exclusion within leases; fencing tokens (Kleppmann 2016)".to_owned(),
        verdict,
        detail: format!(
            "{} holds and {} grants judged; {} waits in vain, {waited} of them for one resource; {deadlocks} \
             deadlocks named",
            history.holds.len(),
            grants.count(),
            waits.len()
        ),
        cost_steps: judged as u64,
        counterexample: problem,
    }
}
