//! Beliefs in what was over: that of another client had been told that it was granted a conflicting later grant, or its
//! own that it had given the lock back.
//!
//! A client that asks for a release believes no more, so its belief ends before the answer. What it believes between the
//! two does no harm unless another is granted the lock meanwhile.

use super::exclusion::describe;
use super::tokens::ByToken;
use super::unheard::Tokens;
use super::uses::{Answered, uses};
use crate::check::by_name::ByName;
use crate::history::{Call, History, Hold, LockMode, VirtualTime};

/// Finds a belief that lasted too long.
pub(super) fn belief(
    history: &History,
    answered: &ByName<'_, Vec<Answered<'_>>>,
    tokens: &Tokens<'_>,
) -> Option<String> {
    let released: ByToken<'_, VirtualTime> = uses(history)
        .filter(|used| matches!(used.operation.call, Call::Release { .. } | Call::ReleaseAll { .. }))
        .filter_map(|used| Some(((used.resource, used.token), used.operation.returned_ns?)))
        .collect();
    // Of a hold that an operator ended before its holder had heard of it there is nothing left.
    let mut holds = history.holds.iter().filter(|hold| hold.from_ns < hold.until_ns);
    holds.find_map(|hold| {
        if let Some(at) = released.get(&hold.resource, hold.token)
            && *at < hold.until_ns
        {
            return Some(format!("{:?} had been given back at {at}:\n  {}\n", hold.resource, describe(hold)));
        }
        let answered = answered.get(hold.resource.as_str()).map_or(&[][..], Vec::as_slice);
        let count = answered.partition_point(|grant| grant.returned_ns < hold.until_ns);
        let rival = answered[count.checked_sub(1)?].excluding(mode_of(hold))?;
        let is_another = !tokens.unanswered.succession().may_act_for(hold.client, rival.operation.client);
        (is_another && rival.token > hold.token).then(|| {
            format!(
                "{:?} was granted under the conflicting token {} to operation #{} of client {}, answered at {}, but was \
                 believed to be held for longer:\n  {}\n",
                hold.resource,
                rival.token,
                rival.operation.id,
                rival.operation.client,
                rival.returned_ns,
                describe(hold)
            )
        })
    })
}

const fn mode_of(hold: &Hold) -> LockMode {
    match (hold.permits, hold.exclusive) {
        (0, true) => LockMode::Exclusive,
        (0, false) => LockMode::Shared,
        (permits, _) => LockMode::Permits(permits),
    }
}
