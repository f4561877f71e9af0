//! Linearizability while a run goes on: registers and locks, object by object.
//!
//! What is told here is certain, and ends the run: there is no use in going on after a violation, and the shorter
//! history is the easier one to read. It is no verdict. The finished history is judged by all tiers, which also
//! find what this one leaves undecided, and make the counterexample small.
//!
//! Deliberately absent: keys of the cache, which are registers only if nothing in the whole history makes them
//! something else.

use std::collections::{BTreeMap, BTreeSet};

use super::CheckReport;
use super::linearizability::{LockModel, Online, OnlineViolation, RegisterModel, ServiceModel};
use super::{Subject, Verdict};
use crate::history::{Answer, Call, Operation, Outcome, VirtualTime};

static REGISTERS: RegisterModel = RegisterModel;
static LOCKS: LockModel = LockModel;

/// An operation that could not have returned as it did, whatever happens later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certain {
    /// What kind of object it was asked of.
    pub subject: Subject,
    /// The object.
    pub object: String,
    /// The operation's number.
    pub id: u64,
    /// When it returned.
    pub returned: VirtualTime,
}

/// Follows the registers and locks of one run.
#[derive(Default)]
pub struct OnlineChecks {
    registers: BTreeMap<String, Online<'static, RegisterModel>>,
    locks: BTreeMap<String, Online<'static, LockModel>>,
    /// Tokens of single acquisitions that nobody has given back, by resource.
    granted: BTreeMap<String, BTreeSet<u64>>,
    violation: Option<Certain>,
}

impl OnlineChecks {
    /// What is certain by now, if anything is: the first that was found.
    #[must_use]
    pub const fn violation(&self) -> Option<&Certain> {
        self.violation.as_ref()
    }

    /// What the judgement of the whole history has to confirm. If it does not, one of the two is wrong, and nothing
    /// is known.
    #[must_use]
    pub fn contradiction(&self, reports: &[CheckReport]) -> Option<CheckReport> {
        let Certain { subject, object, id, returned } = self.violation()?;
        let name = match subject {
            Subject::Lock => "linearizable locks",
            _ => "linearizable registers",
        };
        let is_confirmed = |report: &CheckReport| report.name == name && report.verdict == Verdict::Invalid;
        (!reports.iter().any(is_confirmed)).then(|| CheckReport {
            name: "online".to_owned(),
            source: "Lowe 2017, while the run went on".to_owned(),
            verdict: Verdict::Unknown,
            detail: format!(
                "operation #{id} on {object:?} could not have returned as it did at {returned}, which ended the \
                 run; `{name}` does not find that: one of the two is wrong"
            ),
            cost_steps: 0,
            counterexample: None,
        })
    }

    /// Whether a release is one of the lock model's: others belong to upgrades, downgrades and grants of several.
    fn is_of_single(&self, call: &Call) -> bool {
        match call {
            Call::Release { resource, token } => {
                self.granted.get(resource).is_some_and(|tokens| tokens.contains(token))
            }
            _ => true,
        }
    }

    fn note_grants(&mut self, operation: &Operation) {
        match (&operation.call, &operation.outcome) {
            (Call::Acquire { resource, .. }, Outcome::Ok { answer: Answer::Granted { token } }) => {
                self.granted.entry(resource.clone()).or_default().insert(*token);
            }
            (Call::Release { resource, token }, Outcome::Ok { .. }) => {
                if let Some(tokens) = self.granted.get_mut(resource) {
                    tokens.remove(token);
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, object: &str, found: Option<(Subject, OnlineViolation)>) -> bool {
        let Some((subject, found)) = found else { return false };
        let (object, returned) = (object.to_owned(), VirtualTime(found.returned));
        self.violation = Some(Certain { subject, object, id: found.id, returned });
        true
    }
}

impl OnlineChecks {
    /// An operation was invoked. Says whether this is the moment at which a violation became certain.
    pub fn invoked(&mut self, operation: &Operation) -> bool {
        if self.violation.is_some() {
            return false;
        }
        let Operation { id, client, call, invoked_ns: at, .. } = operation;
        let found = if let Some(op) = REGISTERS.op(call) {
            let object = of(&mut self.registers, call.object(), || Online::new(&REGISTERS, true));
            object.invoke(*id, *client, at.0, op).err().map(|found| (Subject::Register, found))
        } else if let Some(op) = LOCKS.op(call).filter(|_| self.is_of_single(call)) {
            // No answer of a lock needs one that was lost: leases end holds as well.
            let object = of(&mut self.locks, call.object(), || Online::new(&LOCKS, false));
            object.invoke(*id, *client, at.0, op).err().map(|found| (Subject::Lock, found))
        } else {
            None
        };
        self.conclude(call.object(), found)
    }

    /// An operation ended, or nobody will ever know how. Says the same.
    pub fn completed(&mut self, operation: &Operation) -> bool {
        if self.violation.is_some() {
            return false;
        }
        self.note_grants(operation);
        let Operation { id, call, returned_ns, outcome, .. } = operation;
        let at = returned_ns.unwrap_or_default().0;
        let registers = self.registers.get_mut(call.object()).filter(|_| REGISTERS.op(call).is_some());
        let locks = self.locks.get_mut(call.object()).filter(|_| LOCKS.op(call).is_some());
        let found = match (registers, locks, outcome) {
            (Some(object), _, Outcome::Ok { answer }) => {
                let answered = object.answer(*id, at, REGISTERS.answer(answer));
                answered.err().map(|found| (Subject::Register, found))
            }
            (Some(object), _, Outcome::Unknown { .. }) => {
                object.lose(*id);
                None
            }
            (Some(object), _, Outcome::Fail { .. }) => {
                object.forget(*id);
                None
            }
            (_, Some(object), Outcome::Ok { answer }) => {
                object.answer(*id, at, LOCKS.answer(answer)).err().map(|found| (Subject::Lock, found))
            }
            (_, Some(object), _) => {
                object.forget(*id);
                None
            }
            (None, None, _) => None,
        };
        self.conclude(call.object(), found)
    }
}

fn of<'a, T>(objects: &'a mut BTreeMap<String, T>, name: &str, new: impl FnOnce() -> T) -> &'a mut T {
    if !objects.contains_key(name) {
        objects.insert(name.to_owned(), new());
    }
    objects.get_mut(name).expect("it is there now")
}
