//! Who held what at the same time.

use std::collections::BTreeMap;

use super::grants::Grants;
use super::tokens::ByToken;
use super::uses::uses;
use crate::history::{Call, History, Hold, LockMode, Outcome, VirtualTime};

/// What clients believed; and what the service proved: a grant that was given back successfully was in force
/// from its answer until that was asked for. Each by itself, and one against the other.
pub(super) fn check(history: &History, grants: &Grants<'_>) -> Option<String> {
    let believed: Vec<&Hold> = history.holds.iter().collect();
    let proved = proved(history, grants);
    let declared = declared(history);
    if let Some(what) = more_than_there_are(grants, &declared) {
        return Some(what);
    }
    // As a rule whatever is proved was believed, and there is nothing more to compare.
    let mut both = not_believed(history, &proved);
    if !both.is_empty() {
        both.extend(&believed);
    }
    let proved: Vec<&Hold> = proved.iter().collect();
    let all = [
        ("two clients believed to hold", believed),
        ("the service let two clients hold", proved),
        ("one client believed to hold what the service let another hold,", both),
    ];
    all.into_iter().find_map(|(who, holds)| {
        let holds: Vec<&Hold> = holds.into_iter().filter(|hold| hold.from_ns < hold.until_ns).collect();
        conflicting(who, &holds).or_else(|| beyond_permits(&holds, &declared))
    })
}

/// Grants that were given back successfully: each was in force from its answer until that was asked for.
pub(super) fn proved(history: &History, grants: &Grants<'_>) -> Vec<Hold> {
    let mut ends: ByToken<'_, VirtualTime> = ByToken::default();
    for used in uses(history) {
        ends.or_insert(used.resource, used.token, used.operation.invoked_ns);
    }
    let all = grants.by_resource.values().flatten();
    all.filter_map(|grant| {
        let until_ns = *ends.get(grant.resource, grant.token)?;
        Some(Hold {
            client: grant.operation.client,
            operation: grant.operation.id,
            resource: grant.resource.to_owned(),
            exclusive: grant.mode == LockMode::Exclusive,
            permits: grant.mode.permits(),
            token: grant.token,
            from_ns: grant.returned_ns,
            until_ns,
            lapsed: false,
        })
    })
    .collect()
}

/// Those of the proved holds that no client is on record to have believed in.
pub(super) fn not_believed<'h>(history: &History, proved: &'h [Hold]) -> Vec<&'h Hold> {
    let believed: ByToken<'_, ()> =
        history.holds.iter().map(|hold| ((hold.resource.as_str(), hold.token), ())).collect();
    proved.iter().filter(|hold| believed.get(&hold.resource, hold.token).is_none()).collect()
}

/// Holds by resource: names are compared once for each, and not at every step of a sorting.
fn by_resource<'h>(holds: impl Iterator<Item = &'h Hold>) -> BTreeMap<&'h str, Vec<&'h Hold>> {
    let mut by_resource: BTreeMap<&str, Vec<&Hold>> = BTreeMap::new();
    for hold in holds {
        by_resource.entry(&hold.resource).or_default().push(hold);
    }
    by_resource
}

/// Finds two holds that exclude each other.
fn conflicting(who: &str, holds: &[&Hold]) -> Option<String> {
    let of_locks = holds.iter().copied().filter(|hold| hold.permits == 0);
    by_resource(of_locks).into_iter().find_map(|(resource, holds)| {
        let (rival, hold) = conflicting_pair(holds)?;
        Some(format!("{who} {resource:?} at once:\n  {}\n  {}\n", describe(rival), describe(hold)))
    })
}

/// Sweeps the holds of one resource by their beginning, remembering which of the earlier ones lasts longest.
fn conflicting_pair(mut holds: Vec<&Hold>) -> Option<(&Hold, &Hold)> {
    holds.sort_by_key(|hold| (hold.from_ns, hold.until_ns, hold.token));
    let mut longest: Option<&Hold> = None;
    let mut longest_exclusive: Option<&Hold> = None;
    for hold in holds {
        let rival = if hold.exclusive { longest } else { longest_exclusive };
        if let Some(rival) = rival.filter(|rival| rival.until_ns > hold.from_ns) {
            return Some((rival, hold));
        }
        longest = longest.filter(|other| other.until_ns >= hold.until_ns).or(Some(hold));
        if hold.exclusive {
            longest_exclusive =
                longest_exclusive.filter(|other| other.until_ns >= hold.until_ns).or(Some(hold));
        }
    }
    None
}

/// Per semaphore, when it was declared with how many permits; in the order of the requests.
fn declared(history: &History) -> BTreeMap<&str, Vec<(VirtualTime, u64)>> {
    let mut declared: BTreeMap<&str, Vec<(VirtualTime, u64)>> = BTreeMap::new();
    for operation in &history.operations {
        if let Call::DeclareSemaphore { resource, permits } = &operation.call
            && !matches!(operation.outcome, Outcome::Fail { .. })
        {
            declared.entry(resource).or_default().push((operation.invoked_ns, *permits));
        }
    }
    declared
}

/// More permits granted to one than anybody had declared by then.
fn more_than_there_are(
    grants: &Grants<'_>,
    declared: &BTreeMap<&str, Vec<(VirtualTime, u64)>>,
) -> Option<String> {
    grants.by_resource.iter().find_map(|(resource, grants)| {
        if grants.iter().all(|grant| grant.mode.permits() == 0) {
            return None;
        }
        let declared = declared.get(resource).map_or(&[][..], Vec::as_slice);
        let most = most_by(declared);
        grants.iter().find_map(|grant| {
            let (wanted, most) = (grant.mode.permits(), most(grant.returned_ns));
            (wanted > most).then(|| {
                format!(
                    "operation #{} of client {} was granted {wanted} permits of {resource:?} at {}, which has {most}\n",
                    grant.operation.id, grant.operation.client, grant.returned_ns
                )
            })
        })
    })
}

/// The greatest number of permits that somebody had declared by a moment.
fn most_by(declared: &[(VirtualTime, u64)]) -> impl Fn(VirtualTime) -> u64 {
    let greatest = |most: &mut u64, (at, permits): &(VirtualTime, u64)| {
        *most = permits.max(most).to_owned();
        Some((*at, *most))
    };
    let greatest: Vec<(VirtualTime, u64)> = declared.iter().scan(0, greatest).collect();
    move |at| {
        let count = greatest.partition_point(|(declared, _)| *declared <= at);
        count.checked_sub(1).map_or(0, |last| greatest[last].1)
    }
}

/// Sweeps begins and ends in time. There are never more permits than the greatest number that somebody had
/// declared by then.
fn beyond_permits(holds: &[&Hold], declared: &BTreeMap<&str, Vec<(VirtualTime, u64)>>) -> Option<String> {
    let of_semaphores = holds.iter().copied().filter(|hold| hold.permits > 0);
    by_resource(of_semaphores).into_iter().find_map(|(resource, holds)| {
        // At one moment, who leaves makes room for who comes.
        let both_ends = |hold: &Hold| [(hold.from_ns, true), (hold.until_ns, false)];
        let mut moments: Vec<(VirtualTime, bool, &Hold)> =
            holds.iter().flat_map(|hold| both_ends(hold).map(|(at, begins)| (at, begins, *hold))).collect();
        moments.sort_by_key(|(at, begins, hold)| (*at, *begins, hold.token));
        let most = most_by(declared.get(resource).map_or(&[][..], Vec::as_slice));
        let mut held: BTreeMap<u64, &Hold> = BTreeMap::new();
        let mut taken = 0_u128;
        moments.into_iter().find_map(|(at, begins, hold)| {
            let gone = if begins { held.insert(hold.token, hold) } else { held.remove(&hold.token) };
            taken = taken.saturating_sub(gone.map_or(0, |gone| u128::from(gone.permits)));
            if !begins {
                return None;
            }
            taken = taken.saturating_add(u128::from(hold.permits));
            let most = most(at);
            (taken > u128::from(most)).then(|| {
                let who: String = held.values().map(|hold| format!("  {}\n", describe(hold))).collect();
                format!("{taken} permits of {resource:?} were held, which has {most}:\n{who}")
            })
        })
    })
}

pub(super) fn describe(hold: &Hold) -> String {
    let how = match (hold.permits, hold.exclusive) {
        (0, true) => "exclusively".to_owned(),
        (0, false) => "shared".to_owned(),
        (permits, _) => format!("{permits} permits"),
    };
    format!(
        "client {} {how} under token {} from {} until {} ({}), by operation #{}",
        hold.client,
        hold.token,
        hold.from_ns,
        hold.until_ns,
        if hold.lapsed { "its lease ran out" } else { "it asked for the release" },
        hold.operation
    )
}
