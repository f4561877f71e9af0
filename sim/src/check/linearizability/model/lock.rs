//! A lock as its answers show it. Holders may lose it at any moment, because leases expire unseen; what the
//! answers still prove is that no conflicting grant came between a grant and its successful release.
//!
//! Whether two clients believed in conflicting holds at one time is judged elsewhere, by lock safety.

use std::collections::BTreeSet;

use super::{Entry, Model};
use crate::history::{Answer, Call};

/// The specification of acquire and release on one resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct LockModel;

/// Who may still hold the lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LockState {
    /// The token of the last grant; 0 before the first.
    pub last_token: u64,
    /// Whether the last grant was exclusive.
    pub exclusive: bool,
    /// Tokens of grants since which no conflicting grant and no release was seen.
    pub live: BTreeSet<u64>,
}

impl Model for LockModel {
    type State = LockState;

    fn name(&self) -> &'static str {
        "lock"
    }

    fn applies(&self, call: &Call) -> bool {
        matches!(call, Call::Acquire { .. } | Call::Release { .. })
    }

    fn initial(&self) -> LockState {
        LockState::default()
    }

    fn step(&self, state: &LockState, call: &Call, answer: Option<&Answer>) -> Option<LockState> {
        match (call, answer?) {
            (Call::Acquire { exclusive, .. }, Answer::Granted { token }) => {
                (*token > state.last_token).then_some(())?;
                let mut live =
                    if *exclusive || state.exclusive { BTreeSet::new() } else { state.live.clone() };
                live.insert(*token);
                Some(LockState { last_token: *token, exclusive: *exclusive, live })
            }
            (Call::Acquire { .. }, Answer::NotGranted) => Some(state.clone()),
            (Call::Release { token, .. }, answer @ (Answer::Released | Answer::NotHeld)) => {
                let mut after = state.clone();
                let held = after.live.remove(token);
                (held || *answer == Answer::NotHeld).then_some(after)
            }
            _ => None,
        }
    }

    fn rank(&self, _call: &Call, answer: &Answer) -> Option<u64> {
        match answer {
            Answer::Granted { token } => Some(*token),
            _ => None,
        }
    }

    /// An unanswered acquisition or release can only end holds, which leases may do anyway: none is ever
    /// needed to explain an answer. A release under a token that its client can only have learnt from an
    /// acquisition of unknown outcome proves nothing and goes too.
    fn settle(&self, entries: &mut Vec<Entry<'_>>) {
        let mut granted = BTreeSet::new();
        let mut uncertain = BTreeSet::new();
        for entry in entries.iter() {
            match (entry.call(), &entry.answer) {
                (Call::Acquire { .. }, Some(Answer::Granted { token })) => {
                    granted.insert(*token);
                }
                (Call::Acquire { .. }, None) => {
                    uncertain.insert(entry.operation.client);
                }
                _ => {}
            }
        }
        entries.retain(|entry| match entry.call() {
            _ if entry.answer.is_none() => false,
            Call::Release { token, .. } => {
                granted.contains(token) || !uncertain.contains(&entry.operation.client)
            }
            _ => true,
        });
    }

    /// None: tokens order the grants already, and releases fall into place in the search.
    fn guess(&self, _entries: &[Entry<'_>]) -> Option<Vec<usize>> {
        None
    }
}
