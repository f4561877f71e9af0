//! What was said of locks to those who look on: states, watches, and checks of tokens.
//!
//! * A state or a check that is linearizable names as held no token that was used up before it was asked for (a
//!   hold that an operator ended is none), or after which a conflicting one had been granted; and it does name one
//!   that was held for certain from before the question until after the answer.
//! * No token is named that nobody can have been granted.
//! * Versions of states rise in true time, and one version of a lock has the same holders for everybody.
//! * A watch returns when something has changed, and otherwise not before its time is over. In the calm it does
//!   not sleep through a grant that came after the version that it knew. (Tokens and versions both rise, but nobody
//!   says how they compare.)

use std::collections::BTreeMap;

use super::grants::{Grant, Grants};
use super::moments::{InForce, Latest, Sweep};
use super::tokens::ByToken;
use super::unheard::Tokens;
use super::uses::uses;
use crate::check::drift::{Calm, Drift};
use crate::check::{CheckReport, Verdict};
use crate::history::{Answer, Call, History, Operation, Outcome, VirtualTime};

/// Something said of a lock.
#[derive(Clone, Copy, Debug)]
struct View<'a> {
    operation: &'a Operation,
    resource: &'a str,
    returned_ns: VirtualTime,
    said: Said<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Said<'a> {
    /// Who holds it, linearizably or as some node had it.
    Holders { version: u64, tokens: &'a [u64], is_latest: bool },
    /// Whether this token is the one to obey.
    Token { token: u64, current: bool, latest: Option<u64> },
}

/// What is known of the grants of all resources.
struct Facts<'a> {
    latest: Latest<'a>,
    in_force: Sweep<'a>,
    tokens: Tokens<'a>,
    /// What used up each token for certain: the request and its answer.
    ends: ByToken<'a, (VirtualTime, VirtualTime)>,
    /// When each version of a lock was first told, and who held it then.
    told: BTreeMap<(&'a str, u64), (VirtualTime, &'a [u64])>,
}

/// Checks what those were told who look on; nothing if nobody did.
#[must_use]
pub fn check_views(history: &History, drift: Drift, calm: Option<Calm>) -> Option<CheckReport> {
    let looks = |call: &Call| {
        matches!(call, Call::LockState { .. } | Call::WatchLock { .. } | Call::CheckToken { .. })
    };
    if !history.operations.iter().any(|operation| looks(&operation.call)) {
        return None;
    }
    let views = views(history);
    let grants = Grants::of(history);
    let mut facts = Facts::of(history, &grants, &views);
    let problem = views
        .iter()
        .find_map(|view| facts.untrue(view))
        .or_else(|| versions_go_back(&views))
        .or_else(|| versions_differ(&views))
        .or_else(|| views.iter().find_map(|view| woken_early(view, drift)))
        .or_else(|| views.iter().find_map(|view| facts.slept_through(view, calm)));
    let verdict = match problem {
        Some(_) => Verdict::Invalid,
        None if views.is_empty() => Verdict::Unknown,
        None => Verdict::Valid,
    };
    Some(CheckReport {
        name: "lock views".to_owned(),
        source: "linearizable states; watches that miss nothing (Chubby, section 2.5)".to_owned(),
        verdict,
        detail: format!("{} states, watches and checks of tokens judged", views.len()),
        cost_steps: views.len() as u64,
        counterexample: problem,
    })
}

/// All that was answered, in the order of the requests.
fn views(history: &History) -> Vec<View<'_>> {
    let mut views: Vec<View<'_>> = history.operations.iter().filter_map(view_of).collect();
    views.sort_by_key(|view| view.operation.invoked_ns);
    views
}

fn view_of(operation: &Operation) -> Option<View<'_>> {
    let (Outcome::Ok { answer }, Some(returned_ns)) = (&operation.outcome, operation.returned_ns) else {
        return None;
    };
    let (resource, said) = match (&operation.call, answer) {
        (Call::LockState { resource }, Answer::Holders { version, tokens }) => {
            (resource, Said::Holders { version: *version, tokens, is_latest: true })
        }
        (Call::WatchLock { resource, .. }, Answer::Holders { version, tokens }) => {
            (resource, Said::Holders { version: *version, tokens, is_latest: false })
        }
        (Call::CheckToken { resource, token }, Answer::TokenIs { current, latest }) => {
            (resource, Said::Token { token: *token, current: *current, latest: *latest })
        }
        _ => return None,
    };
    Some(View { operation, resource, returned_ns, said })
}

impl View<'_> {
    /// Whether this was in force from before the question until after the answer.
    fn is_within(&self, in_force: &InForce) -> bool {
        in_force.throughout(self.operation.invoked_ns, self.returned_ns)
    }
}

impl<'a> Facts<'a> {
    fn of(history: &'a History, grants: &'a Grants<'a>, views: &[View<'a>]) -> Self {
        let end = |used: super::uses::Use<'a>| {
            let at = (used.operation.invoked_ns, used.operation.returned_ns?);
            Some(((used.resource, used.token), at))
        };
        let ends = uses(history).filter_map(end).collect();
        let tokens = Tokens::of(history, grants);
        let tokens_granted = grants
            .by_resource
            .iter()
            .flat_map(|(resource, grants)| grants.iter().map(move |grant| (resource, grant.token)));
        let in_force = tokens_granted
            .filter_map(|(resource, token)| Some((resource, in_force(&tokens, &ends, resource, token)?)));
        let in_force = Sweep::of(in_force);
        let mut told = BTreeMap::new();
        for view in views {
            if let Said::Holders { version, tokens, .. } = view.said {
                let first = told.entry((view.resource, version)).or_insert((view.returned_ns, tokens));
                first.0 = first.0.min(view.returned_ns);
            }
        }
        Self { latest: Latest::of(grants), in_force, tokens, ends, told }
    }

    /// Something that cannot have been so while it was asked for.
    fn untrue(&mut self, view: &View<'a>) -> Option<String> {
        let what = match view.said {
            Said::Holders { tokens, is_latest, .. } => {
                let mut named = tokens.iter();
                let mut wrong = named.find_map(|token| self.not_granted(view, *token));
                if is_latest {
                    wrong = wrong
                        .or_else(|| tokens.iter().find_map(|token| self.not_held(view, *token)))
                        .or_else(|| self.left_out(view, tokens));
                }
                wrong
            }
            Said::Token { token, current: true, .. } => {
                self.not_granted(view, token).or_else(|| self.not_held(view, token))
            }
            Said::Token { token, current: false, latest } => {
                self.held_throughout(view, token).or_else(|| {
                    let latest = latest?;
                    self.not_granted(view, latest).or_else(|| self.outdated(view, latest))
                })
            }
        };
        what.map(|what| format!("{} was told {}, but {what}\n", text(view), words(view.said)))
    }

    fn not_granted(&self, view: &View<'_>, token: u64) -> Option<String> {
        let is_possible = match self.tokens.answered.get(view.resource, token) {
            Some(grant) => grant.operation.invoked_ns <= view.returned_ns,
            None => self.tokens.may_be_unheard(view.resource, token),
        };
        (!is_possible).then(|| format!("nobody can have been granted token {token} by then"))
    }

    fn not_held(&self, view: &View<'_>, token: u64) -> Option<String> {
        if let Some((_, ended_ns)) = self.ends.get(view.resource, token)
            && *ended_ns < view.operation.invoked_ns
        {
            return Some(format!("token {token} had been given back, or ended by force, at {ended_ns}"));
        }
        let own = self.tokens.answered.get(view.resource, token).map(|own| own.mode);
        let own = own.or_else(|| self.tokens.mode_of_unheard(view.resource, token))?;
        let rival = self.latest.before(view.resource, view.operation.invoked_ns, |mode| mode.excludes(own));
        let rival = rival.filter(|rival| rival.token > token)?;
        Some(format!("token {}, granted at {}, excludes token {token}", rival.token, rival.returned_ns))
    }

    /// A token that was in force for certain from before the question until after the answer.
    fn held_throughout(&self, view: &View<'_>, token: u64) -> Option<String> {
        let in_force = in_force(&self.tokens, &self.ends, view.resource, token)?;
        view.is_within(&in_force).then(|| held(&in_force))
    }

    fn left_out(&mut self, view: &View<'a>, tokens: &[u64]) -> Option<String> {
        let is_sorted = tokens.is_sorted();
        let is_named =
            |token| if is_sorted { tokens.binary_search(&token).is_ok() } else { tokens.contains(&token) };
        let in_force = self.in_force.at(view.resource, view.operation.invoked_ns);
        in_force.iter().find(|one| view.is_within(one) && !is_named(one.token)).map(held)
    }

    fn outdated(&self, view: &View<'_>, latest: u64) -> Option<String> {
        let later = self.latest.before(view.resource, view.operation.invoked_ns, |_| true);
        let later = later.filter(|later| later.token > latest)?;
        Some(format!("token {} had been granted at {}", later.token, later.returned_ns))
    }

    /// A watch that came back with nothing new although, in the calm, a grant had been answered long before.
    fn slept_through(&self, view: &View<'_>, calm: Option<Calm>) -> Option<String> {
        let calm = calm?;
        let Call::WatchLock { seen, .. } = view.operation.call else { return None };
        let Said::Holders { version, .. } = view.said else { return None };
        let since_ns = view.operation.invoked_ns.max(calm.from);
        if view.returned_ns.since_ns(since_ns) <= calm.grace_ns {
            return None;
        }
        let long_ago = VirtualTime(view.returned_ns.0.saturating_sub(calm.grace_ns));
        let (told_ns, holders) = *self.told.get(&(view.resource, seen.max(version)))?;
        // Whoever asks what comes after a version knew of it then.
        let there_ns = if version <= seen { told_ns.min(view.operation.invoked_ns) } else { told_ns };
        // What was asked for later is later; and so is what was given back later and is not among its holders.
        let is_later = |grant: &&Grant<'_>| {
            let (resource, token) = (grant.resource, grant.token);
            grant.operation.invoked_ns > there_ns
                || (in_force(&self.tokens, &self.ends, resource, token)
                    .is_some_and(|one| one.until_ns > there_ns)
                    && !holders.contains(&token))
        };
        let grant = self.latest.between(view.resource, there_ns, long_ago).find(is_later)?;
        Some(format!(
            "{} came back with version {version}, having seen {seen}, and slept through token {}, granted at {}\n",
            text(view),
            grant.token,
            grant.returned_ns
        ))
    }
}

/// From when until when this token was in force for certain.
fn in_force(
    tokens: &Tokens<'_>,
    ends: &ByToken<'_, (VirtualTime, VirtualTime)>,
    resource: &str,
    token: u64,
) -> Option<InForce> {
    let from_ns = tokens.answered.get(resource, token)?.returned_ns;
    let (until_ns, _) = *ends.get(resource, token)?;
    Some(InForce { token, from_ns, until_ns })
}

fn held(InForce { token, from_ns, until_ns }: &InForce) -> String {
    format!("token {token} was held from {from_ns} until {until_ns}, when it was given back")
}

/// A watch that came back with nothing new before its time was over.
fn woken_early(view: &View<'_>, drift: Drift) -> Option<String> {
    let Call::WatchLock { seen, wait_us, .. } = view.operation.call else { return None };
    let Said::Holders { version, .. } = view.said else { return None };
    let took_ns = view.returned_ns.since_ns(view.operation.invoked_ns);
    (version <= seen && took_ns < drift.least_ns(wait_us)).then(|| {
        format!(
            "{} was to wait for {wait_us} us, and came back with the version {version} that it knew after {} us\n",
            text(view),
            took_ns / 1_000
        )
    })
}

/// A linearizable state of a version that is older than one that had been told before it was asked for.
fn versions_go_back(views: &[View<'_>]) -> Option<String> {
    let mut by_resource: BTreeMap<&str, Vec<(&View<'_>, u64)>> = BTreeMap::new();
    for view in views {
        if let Said::Holders { version, .. } = view.said {
            by_resource.entry(view.resource).or_default().push((view, version));
        }
    }
    by_resource.into_values().find_map(|told| {
        let mut by_return = told.clone();
        by_return.sort_by_key(|(view, _)| view.returned_ns);
        let mut before = by_return.into_iter().peekable();
        let mut latest: Option<(&View<'_>, u64)> = None;
        told.into_iter().find_map(|(view, version)| {
            while let Some(next) = before.next_if(|(one, _)| one.returned_ns < view.operation.invoked_ns) {
                latest = latest.filter(|(_, known)| *known >= next.1).or(Some(next));
            }
            let (earlier, known) = latest?;
            let is_latest = matches!(view.said, Said::Holders { is_latest: true, .. });
            (is_latest && known > version).then(|| {
                let (now, then) = (text(view), text(earlier));
                format!("{now} was told version {version}, although {then} had been told version {known}\n")
            })
        })
    })
}

fn versions_differ(views: &[View<'_>]) -> Option<String> {
    let mut known: BTreeMap<(&str, u64), (&View<'_>, &[u64])> = BTreeMap::new();
    views.iter().find_map(|view| {
        let Said::Holders { version, tokens, .. } = view.said else { return None };
        let (first, theirs) = *known.entry((view.resource, version)).or_insert((view, tokens));
        (theirs != tokens).then(|| {
            let (one, other) = (text(first), text(view));
            format!("version {version} has the holders {theirs:?} for {one}, but {tokens:?} for {other}\n")
        })
    })
}

fn text(view: &View<'_>) -> String {
    format!(
        "operation #{} of client {} ({} {:?}, from {} to {})",
        view.operation.id,
        view.operation.client,
        view.operation.call.kind(),
        view.resource,
        view.operation.invoked_ns,
        view.returned_ns
    )
}

fn words(said: Said<'_>) -> String {
    match said {
        Said::Holders { version, tokens, .. } => format!("of the holders {tokens:?} at version {version}"),
        Said::Token { token, current: true, .. } => format!("that token {token} is the one to obey"),
        Said::Token { token, current: false, latest: Some(latest) } => {
            format!("that token {token} is stale and {latest} the latest")
        }
        Said::Token { token, current: false, latest: None } => format!("nothing of token {token}"),
    }
}
