//! A lock as its answers show it. Holders may lose it at any moment, because leases expire unseen; what the
//! answers still prove is that no conflicting grant came between a grant and its successful release.
//!
//! Whether two clients believed in conflicting holds at one time is judged elsewhere, by lock safety.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Ruling, ServiceModel, rule};
use super::{EntryOf, Model, readers};
use crate::history::{Answer, Call};

/// The specification of acquire and release on one resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct LockModel;

/// What can be asked of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockOp {
    /// To hold it.
    Acquire {
        /// Alone, or else beside others.
        exclusive: bool,
    },
    /// To hold it no longer.
    Release {
        /// The token of the grant.
        token: u64,
    },
}

/// What a lock can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockAnswer {
    /// It is held, under this token.
    Granted {
        /// The token.
        token: u64,
    },
    /// It is not granted.
    NotGranted,
    /// It was held until now.
    Released,
    /// It was held no longer.
    NotHeld,
    /// No answer that a lock gives.
    Foreign,
}

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
    type Op = LockOp;
    type Answer = LockAnswer;
    type State = LockState;

    fn name(&self) -> &'static str {
        "lock"
    }

    fn initial(&self) -> LockState {
        LockState::default()
    }

    fn step(&self, state: &LockState, op: &LockOp, answer: Option<&LockAnswer>) -> Option<LockState> {
        match (*op, answer?) {
            (LockOp::Acquire { exclusive }, LockAnswer::Granted { token }) => {
                (*token > state.last_token).then_some(())?;
                let mut live =
                    if exclusive || state.exclusive { BTreeSet::new() } else { state.live.clone() };
                live.insert(*token);
                Some(LockState { last_token: *token, exclusive, live })
            }
            (LockOp::Acquire { .. }, LockAnswer::NotGranted) => Some(state.clone()),
            (LockOp::Release { token }, answer @ (LockAnswer::Released | LockAnswer::NotHeld)) => {
                let mut after = state.clone();
                let held = after.live.remove(&token);
                (held || *answer == LockAnswer::NotHeld).then_some(after)
            }
            _ => None,
        }
    }

    fn reads(&self, _op: &LockOp, answer: &LockAnswer) -> bool {
        matches!(answer, LockAnswer::NotGranted | LockAnswer::NotHeld)
    }

    fn rank(&self, _op: &LockOp, answer: &LockAnswer) -> Option<u64> {
        match answer {
            LockAnswer::Granted { token } => Some(*token),
            _ => None,
        }
    }

    /// An unanswered acquisition or release can only end holds, which leases may do anyway: none is ever
    /// needed to explain an answer. A release under a token that its client can only have learnt from an earlier
    /// acquisition of unknown outcome proves nothing and goes too.
    fn settle(&self, entries: &mut Vec<EntryOf<Self>>) {
        let mut granted = BTreeSet::new();
        // When each client first asked without an answer.
        let mut uncertain: BTreeMap<u64, u64> = BTreeMap::new();
        for entry in entries.iter() {
            match (entry.op, entry.answer) {
                (LockOp::Acquire { .. }, Some(LockAnswer::Granted { token })) => {
                    granted.insert(token);
                }
                (LockOp::Acquire { .. }, None) => {
                    let first = uncertain.entry(entry.process).or_insert(entry.invoked);
                    *first = entry.invoked.min(*first);
                }
                _ => {}
            }
        }
        entries.retain(|entry| match entry.op {
            _ if entry.answer.is_none() => false,
            LockOp::Release { token } => {
                let earlier = uncertain.get(&entry.process).is_some_and(|asked| *asked < entry.invoked);
                granted.contains(&token) || !earlier
            }
            LockOp::Acquire { .. } => true,
        });
    }

    fn rule(&self, entries: &[EntryOf<Self>]) -> Option<Ruling> {
        rule::tokens(entries)
    }

    /// A grant with the releases under its token: it can only have stood in the way of others.
    fn removable(&self, entries: &[EntryOf<Self>]) -> Vec<Vec<usize>> {
        let mut tokens: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            match (entry.op, entry.answer) {
                (LockOp::Acquire { .. }, Some(LockAnswer::Granted { token }))
                | (LockOp::Release { token }, Some(_)) => tokens.entry(token).or_default().push(at),
                _ => {}
            }
        }
        readers(self, entries).into_iter().chain(tokens.into_values()).collect()
    }

    fn describe_op(&self, op: &LockOp) -> String {
        match op {
            LockOp::Acquire { exclusive: true } => "acquire exclusive".to_owned(),
            LockOp::Acquire { exclusive: false } => "acquire shared".to_owned(),
            LockOp::Release { token } => format!("release {token}"),
        }
    }

    fn describe_answer(&self, answer: &LockAnswer) -> String {
        match answer {
            LockAnswer::Granted { token } => format!("granted {token}"),
            LockAnswer::NotGranted => "not granted".to_owned(),
            LockAnswer::Released => "released".to_owned(),
            LockAnswer::NotHeld => "not held".to_owned(),
            LockAnswer::Foreign => "no answer of a lock".to_owned(),
        }
    }
}

impl ServiceModel for LockModel {
    fn op(&self, call: &Call) -> Option<LockOp> {
        match *call {
            Call::Acquire { exclusive, .. } => Some(LockOp::Acquire { exclusive }),
            Call::Release { token, .. } => Some(LockOp::Release { token }),
            _ => None,
        }
    }

    fn answer(&self, answer: &Answer) -> LockAnswer {
        match *answer {
            Answer::Granted { token } => LockAnswer::Granted { token },
            // Whoever is refused for a deadlock has nothing, either.
            Answer::NotGranted | Answer::Deadlock { .. } => LockAnswer::NotGranted,
            Answer::Released => LockAnswer::Released,
            Answer::NotHeld => LockAnswer::NotHeld,
            _ => LockAnswer::Foreign,
        }
    }
}
