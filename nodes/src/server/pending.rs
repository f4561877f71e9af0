//! Who waits for which answer.

use std::collections::BTreeMap;

use super::under_way::UnderWay;
use crate::api::RequestId;
use crate::ids::{ClientId, LocalTime, LogIndex, Sequence, SessionId, Term};
use crate::machine::Query;

/// Election timeouts (the longest) after which a read that waits at a node is given up: a leader's round has
/// been confirmed by then or the leader deposed, and a follower that lives has applied what it waits for.
const READ_PATIENCE_TIMEOUTS: u64 = 8;

/// A client that waits, and the request it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) client: ClientId,
    pub(super) request: RequestId,
}

/// A read that waits.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) asker: Asker,
    pub(super) query: Query,
    /// When it arrived here.
    pub(super) since: LocalTime,
    /// Whether the answer says how old it may be.
    pub(super) tells_age: bool,
}

/// All askers, by what they wait for.
#[derive(Debug)]
pub(super) struct Pending {
    next_id: u64,
    read_patience_us: u64,
    /// Handed to the core, which has not yet said whether it takes them.
    proposals: BTreeMap<u64, Asker>,
    /// Which of the proposals and of those appended are commands that a retry can join.
    pub(super) under_way: UnderWay,
    /// Appended at this index in this term, to be applied.
    appended: BTreeMap<LogIndex, (Term, Asker)>,
    /// Appended changes of the members, to be applied.
    changing: BTreeMap<LogIndex, (Term, Asker)>,
    /// Who wants the leadership handed over.
    transfer: Option<Asker>,
    /// The transfer that is under way is the driver's own: nobody waits for it.
    is_own_transfer_open: bool,
    /// Applied and waiting in the machine; and whether the attempt renewed the session's lease.
    queued: BTreeMap<(SessionId, Sequence), (Asker, bool)>,
    /// Reads whose leadership round is under way. Later ones have greater numbers.
    reads: BTreeMap<u64, Read>,
    /// Reads that await the application of their read index.
    confirmed: BTreeMap<(LogIndex, u64), Read>,
    /// The read index of each of these, by number: the oldest is the first.
    confirmed_index: BTreeMap<u64, LogIndex>,
}

/// The id of the driver's own proposals, for which nobody waits.
pub(super) const NOBODY: u64 = 0;

impl Pending {
    /// Nobody waits.
    pub(super) fn new(election_timeout_us_max: u64) -> Self {
        Self {
            next_id: 0,
            read_patience_us: election_timeout_us_max.saturating_mul(READ_PATIENCE_TIMEOUTS),
            proposals: BTreeMap::new(),
            under_way: UnderWay::default(),
            appended: BTreeMap::new(),
            changing: BTreeMap::new(),
            transfer: None,
            is_own_transfer_open: false,
            queued: BTreeMap::new(),
            reads: BTreeMap::new(),
            confirmed: BTreeMap::new(),
            confirmed_index: BTreeMap::new(),
        }
    }

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

    /// A name for something of the driver's own.
    pub(super) fn name(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Registers a proposal and names it.
    pub(super) fn propose(&mut self, asker: Asker) -> u64 {
        self.next_id += 1;
        self.proposals.insert(self.next_id, asker);
        self.next_id
    }

    /// The core has appended the proposal.
    pub(super) fn appended(&mut self, id: u64, index: LogIndex, term: Term) {
        self.under_way.taken(id);
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

    /// The driver has begun a transfer of its own.
    pub(super) fn own_transfer_begun(&mut self) {
        self.is_own_transfer_open = true;
    }

    /// A transfer was refused, or has come to an end: who waited for it. The core begins none while one is
    /// under way, so what ends is the driver's own if that was begun, and what is refused is not.
    pub(super) fn transferred(&mut self, was_refused: bool) -> Option<Asker> {
        if !was_refused && std::mem::take(&mut self.is_own_transfer_open) {
            return None;
        }
        self.transfer.take()
    }

    /// The core has refused the proposal: who waits for it.
    pub(super) fn refused(&mut self, id: u64) -> impl Iterator<Item = Asker> + use<> {
        self.proposals.remove(&id).into_iter().chain(self.under_way.refused(id))
    }

    /// The entry at `index` is applied: who waited for it, and whether it is the entry waited for.
    pub(super) fn applied(&mut self, index: LogIndex, term: Term) -> Option<(Asker, bool)> {
        self.appended.remove(&index).map(|(expected, asker)| (asker, expected == term))
    }

    /// The command stands in line; a retry takes the place of the attempt before it. `renews` says whether this
    /// attempt is an entry of its own, which has renewed the session's lease.
    pub(super) fn queue(&mut self, session: SessionId, sequence: Sequence, asker: Asker, renews: bool) {
        self.queued.insert((session, sequence), (asker, renews));
    }

    /// The command that stood in line is complete.
    pub(super) fn completed(&mut self, session: SessionId, sequence: Sequence) -> Option<(Asker, bool)> {
        self.queued.remove(&(session, sequence))
    }

    /// Registers a read and names it.
    pub(super) fn read(&mut self, asker: Asker, query: Query, since: LocalTime) -> u64 {
        self.register(Read { asker, query, since, tells_age: false })
    }

    /// The same, for one whose answer is to say how old it may be.
    pub(super) fn read_with_age(&mut self, asker: Asker, query: Query, since: LocalTime) -> u64 {
        self.register(Read { asker, query, since, tells_age: true })
    }

    fn register(&mut self, read: Read) -> u64 {
        self.next_id += 1;
        self.reads.insert(self.next_id, read);
        self.next_id
    }

    /// The read may be answered from a state that has applied `index`.
    pub(super) fn read_confirmed(&mut self, id: u64, index: LogIndex) {
        if let Some(read) = self.reads.remove(&id) {
            self.confirmed.insert((index, id), read);
            self.confirmed_index.insert(id, index);
        }
    }

    /// The core has refused the read.
    pub(super) fn read_refused(&mut self, id: u64) -> Option<Asker> {
        self.reads.remove(&id).map(|read| read.asker)
    }

    /// The next read that may be answered now that `applied` is.
    pub(super) fn next_answerable(&mut self, applied: LogIndex) -> Option<Read> {
        let first = self.confirmed.first_entry()?;
        let (index, id) = *first.key();
        if index > applied {
            return None;
        }
        self.confirmed_index.remove(&id);
        Some(first.remove())
    }

    /// When the read that has waited longest is given up, if any waits.
    pub(super) fn read_deadline(&self) -> Option<LocalTime> {
        let unconfirmed = self.reads.first_key_value().map(|(_, read)| read.since);
        let confirmed = self.confirmed_index.first_key_value();
        let confirmed = confirmed.and_then(|(&id, &index)| Some(self.confirmed.get(&(index, id))?.since));
        let oldest = unconfirmed.into_iter().chain(confirmed).min()?;
        Some(oldest.plus_us(self.read_patience_us))
    }

    /// A read that has waited too long.
    pub(super) fn next_overdue_read(&mut self, now: LocalTime) -> Option<Asker> {
        let is_overdue = |read: &Read| read.since.plus_us(self.read_patience_us) <= now;
        if let Some(first) = self.reads.first_entry()
            && is_overdue(first.get())
        {
            return Some(first.remove().asker);
        }
        let (&id, &index) = self.confirmed_index.first_key_value()?;
        self.confirmed.get(&(index, id)).is_some_and(is_overdue).then(|| self.forget_confirmed(id, index))?
    }

    /// Whether a read awaits the application of its read index.
    pub(super) fn is_any_read_confirmed(&self) -> bool {
        !self.confirmed.is_empty()
    }

    /// A read whose index is confirmed, whatever the index: for a node that will not apply so far.
    pub(super) fn next_confirmed(&mut self) -> Option<Asker> {
        let (&id, &index) = self.confirmed_index.first_key_value()?;
        self.forget_confirmed(id, index)
    }

    fn forget_confirmed(&mut self, id: u64, index: LogIndex) -> Option<Asker> {
        self.confirmed_index.remove(&id);
        self.confirmed.remove(&(index, id)).map(|read| read.asker)
    }

    /// This node leads no more: everybody whose command may or may not take effect.
    pub(super) fn abandon_commands(&mut self) -> Vec<Asker> {
        let proposals = std::mem::take(&mut self.proposals).into_values();
        let appended = std::mem::take(&mut self.appended).into_values().map(|(_, asker)| asker);
        let queued = std::mem::take(&mut self.queued).into_values().map(|(asker, _)| asker);
        let changing = std::mem::take(&mut self.changing).into_values().map(|(_, asker)| asker);
        proposals.chain(appended).chain(changing).chain(queued).chain(self.under_way.abandon()).collect()
    }
}
