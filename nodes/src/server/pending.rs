//! Who waits for which answer.

use std::collections::BTreeMap;

use crate::api::RequestId;
use crate::ids::{ClientId, LogIndex, Sequence, SessionId, Term};
use crate::machine::Query;

/// A client that waits, and the request it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) client: ClientId,
    pub(super) request: RequestId,
}

/// All askers, by what they wait for.
#[derive(Debug, Default)]
pub(super) struct Pending {
    next_id: u64,
    /// Handed to the core, which has not yet said whether it takes them.
    proposals: BTreeMap<u64, Asker>,
    /// Appended at this index in this term, to be applied.
    appended: BTreeMap<LogIndex, (Term, Asker)>,
    /// Appended changes of the members, to be applied.
    changing: BTreeMap<LogIndex, (Term, Asker)>,
    /// Who wants the leadership handed over.
    transfer: Option<Asker>,
    /// Applied and standing in line for a lock.
    queued: BTreeMap<(SessionId, Sequence), Asker>,
    /// Reads whose leadership round is under way.
    reads: BTreeMap<u64, (Asker, Query)>,
    /// Reads that await the application of their read index.
    confirmed: BTreeMap<(LogIndex, u64), (Asker, Query)>,
}

/// The id of the driver's own proposals, for which nobody waits.
pub(super) const NOBODY: u64 = 0;

impl Pending {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.proposals.len()
            + self.appended.len()
            + self.changing.len()
            + usize::from(self.transfer.is_some())
            + self.queued.len()
            + self.reads.len()
            + self.confirmed.len()
    }

    /// Registers a proposal and names it.
    pub(super) fn propose(&mut self, asker: Asker) -> u64 {
        self.next_id += 1;
        self.proposals.insert(self.next_id, asker);
        self.next_id
    }

    /// The core has appended the proposal.
    pub(super) fn appended(&mut self, id: u64, index: LogIndex, term: Term) {
        if let Some(asker) = self.proposals.remove(&id) {
            self.appended.insert(index, (term, asker));
        }
    }

    /// The core has appended the change of the members.
    pub(super) fn changing(&mut self, id: u64, index: LogIndex, term: Term) {
        if let Some(asker) = self.proposals.remove(&id) {
            self.changing.insert(index, (term, asker));
        }
    }

    /// Everything up to `applied` is: who waited for a change of the members, and whether it is the entry
    /// waited for, by the term of the entry that is there.
    pub(super) fn changed(
        &mut self,
        applied: LogIndex,
        term_of: impl Fn(LogIndex) -> Option<Term>,
    ) -> Vec<(Asker, bool)> {
        let later = self.changing.split_off(&applied.next());
        let due = std::mem::replace(&mut self.changing, later);
        due.into_iter().map(|(index, (term, asker))| (asker, term_of(index) == Some(term))).collect()
    }

    /// Registers who wants the leadership handed over; `false` if somebody else waits for that already.
    pub(super) fn transfer(&mut self, asker: Asker) -> bool {
        if self.transfer.is_some() {
            return false;
        }
        self.transfer = Some(asker);
        true
    }

    /// The transfer has come to an end.
    pub(super) fn transferred(&mut self) -> Option<Asker> {
        self.transfer.take()
    }

    /// The core has refused the proposal.
    pub(super) fn refused(&mut self, id: u64) -> Option<Asker> {
        self.proposals.remove(&id)
    }

    /// The entry at `index` is applied: who waited for it, and whether it is the entry waited for.
    pub(super) fn applied(&mut self, index: LogIndex, term: Term) -> Option<(Asker, bool)> {
        self.appended.remove(&index).map(|(expected, asker)| (asker, expected == term))
    }

    /// The command stands in line; a retry takes the place of the attempt before it.
    pub(super) fn queue(&mut self, session: SessionId, sequence: Sequence, asker: Asker) {
        self.queued.insert((session, sequence), asker);
    }

    /// The command that stood in line is complete.
    pub(super) fn completed(&mut self, session: SessionId, sequence: Sequence) -> Option<Asker> {
        self.queued.remove(&(session, sequence))
    }

    /// Registers a read and names it.
    pub(super) fn read(&mut self, asker: Asker, query: Query) -> u64 {
        self.next_id += 1;
        self.reads.insert(self.next_id, (asker, query));
        self.next_id
    }

    /// The read may be answered from a state that has applied `index`.
    pub(super) fn read_confirmed(&mut self, id: u64, index: LogIndex) {
        if let Some(read) = self.reads.remove(&id) {
            self.confirmed.insert((index, id), read);
        }
    }

    /// The core has refused the read.
    pub(super) fn read_refused(&mut self, id: u64) -> Option<Asker> {
        self.reads.remove(&id).map(|(asker, _)| asker)
    }

    /// The next read that may be answered now that `applied` is.
    pub(super) fn next_answerable(&mut self, applied: LogIndex) -> Option<(Asker, Query)> {
        let first = self.confirmed.first_entry()?;
        (first.key().0 <= applied).then(|| first.remove())
    }

    /// This node leads no more: everybody whose command may or may not take effect.
    pub(super) fn abandon_commands(&mut self) -> Vec<Asker> {
        let proposals = std::mem::take(&mut self.proposals).into_values();
        let appended = std::mem::take(&mut self.appended).into_values().map(|(_, asker)| asker);
        let queued = std::mem::take(&mut self.queued).into_values();
        let changing = std::mem::take(&mut self.changing).into_values().map(|(_, asker)| asker);
        proposals.chain(appended).chain(changing).chain(queued).collect()
    }
}
