//! Reading: bytes of unknown origin to a machine, or to a reason why not.

use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use super::check::{self, ensure};
use super::{
    HEADER_BYTES, LastApplied, LockHead, MAGIC, RestoreError, SEAL_BYTES, SessionHead, VERSION, header,
};
use crate::ids::{LogIndex, Sequence};
use crate::machine::expiry::Due;
use crate::machine::limits::Limits;
use crate::machine::lock::Lock;
use crate::machine::session::{Claim, Session};
use crate::machine::{
    LockHolder, LockWaiter, Machine, Name, OPEN_COMMANDS_MAX, Outcome, Reply, Table, Versioned,
};

impl Machine {
    /// Makes a machine of a snapshot's bytes, all its pieces put together. It is the machine that was
    /// frozen: same digest, same answers to every continuation.
    ///
    /// # Errors
    ///
    /// A [`RestoreError`] for anything but what a [`Snapshotter`](super::Snapshotter) wrote. Bytes from
    /// outside never panic, and never take more memory than in proportion to their own length.
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        Self::restore_within(bytes, Limits::default())
    }

    /// The same, with other bounds than the public ones.
    pub(in crate::machine) fn restore_within(bytes: &[u8], limits: Limits) -> Result<Self, RestoreError> {
        let mut reader = Reader { rest: unsealed(bytes)? };
        let LastApplied { index, time } = reader.item()?;
        check::last_applied(index, time)?;
        let mut machine = Self { index, time, limits, ..Self::default() };
        let awaited = machine.restore_sessions(&mut reader)?;
        let waiters = machine.restore_locks(&mut reader)?;
        ensure(awaited == waiters, || format!("{awaited} commands are queued, and {waiters} wait in line"))?;
        machine.restore_registers(&mut reader)?;
        if reader.rest.is_empty() {
            return Ok(machine);
        }
        Err(RestoreError::Undecodable(format!("{} bytes are left over", reader.rest.len())))
    }

    /// Returns how many remembered outcomes say that their command waits in line.
    fn restore_sessions(&mut self, reader: &mut Reader<'_>) -> Result<usize, RestoreError> {
        let mut awaited = 0;
        for _ in 0..reader.count("sessions", self.limits.sessions)? {
            let head: SessionHead = reader.item()?;
            check::session(self, &head)?;
            let SessionHead { id, lease_us, deadline, lowest_open } = head;
            let mut outcomes = Table::new();
            for _ in 0..reader.count("outcomes of one session", OPEN_COMMANDS_MAX)? {
                let (sequence, outcome): (Sequence, Outcome) = reader.item()?;
                check::remembered(lowest_open, outcomes.get_max(), sequence)?;
                awaited += usize::from(is_queued(&outcome));
                outcomes.insert(sequence, outcome);
            }
            let (claims, waits) = (Table::new(), Table::new());
            let session = Session { lease_us, deadline, lowest_open, outcomes, claims, waits };
            self.deadlines.add(deadline, Due::Session(id));
            self.sessions.insert(id, session);
        }
        Ok(awaited)
    }

    /// Gives the sessions their claims and waits on the way. Returns how many wait in line.
    fn restore_locks(&mut self, reader: &mut Reader<'_>) -> Result<usize, RestoreError> {
        let mut waiters = 0;
        for _ in 0..reader.count("locks", self.limits.locks)? {
            let name = reader.name("resource")?;
            check::rises("locks", self.locks.locks.get_max(), &name)?;
            let LockHead { last_token } = reader.item()?;
            let mut lock = Lock { last_token, ..Lock::default() };
            for _ in 0..reader.count("holders of one lock", self.limits.sessions)? {
                let holder: LockHolder = reader.item()?;
                check::holder(self, &lock, &holder)?;
                self.claim(&name, &holder)?;
                lock.holders.insert(holder.token, holder);
            }
            for _ in 0..reader.count("waiters of one lock", self.limits.waiters)? {
                let (ticket, waiter): (LogIndex, LockWaiter) = reader.item()?;
                check::waiter(self, &lock, ticket, &waiter)?;
                self.queue(&name, ticket, &waiter)?;
                lock.line.insert(ticket, waiter);
            }
            check::lock(self, &name, &lock)?;
            waiters += lock.line.len();
            self.locks.locks.insert(name, lock);
        }
        Ok(waiters)
    }

    fn claim(&mut self, name: &Name, holder: &LockHolder) -> Result<(), RestoreError> {
        let LockHolder { session: id, token, .. } = *holder;
        let session = self.sessions.get_mut(&id);
        let session = session.ok_or_else(|| inconsistent(format!("{id} holds a lock and is not open")))?;
        let earlier = session.claims.insert(name.clone(), Claim::Held(token));
        ensure(earlier.is_none(), || format!("{id} holds {name} twice"))
    }

    fn queue(&mut self, name: &Name, ticket: LogIndex, waiter: &LockWaiter) -> Result<(), RestoreError> {
        let LockWaiter { session: id, sequence, deadline, .. } = *waiter;
        let session = self.sessions.get_mut(&id);
        let session = session.ok_or_else(|| inconsistent(format!("{id} awaits a lock and is not open")))?;
        ensure(session.outcome(sequence).is_some_and(is_queued), || {
            format!("{id} waits with {sequence}, and its table does not say so")
        })?;
        let earlier = session.claims.insert(name.clone(), Claim::Waiting(ticket));
        ensure(earlier.is_none(), || format!("{id} is twice at {name}"))?;
        let earlier = session.waits.insert(sequence, name.clone());
        ensure(earlier.is_none(), || format!("{id} waits twice with {sequence}"))?;
        self.deadlines.add(deadline, Due::Wait(id, sequence));
        Ok(())
    }

    fn restore_registers(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        for _ in 0..reader.count("keys", self.limits.keys)? {
            let key = reader.name("key")?;
            check::rises("keys", self.registers.values.get_max(), &key)?;
            let register: Versioned = reader.item()?;
            check::register(self, &key, &register)?;
            self.registers.values.insert(key, register);
        }
        Ok(())
    }
}

fn is_queued(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(Reply::LockQueued { .. }))
}

fn inconsistent(why: String) -> RestoreError {
    RestoreError::Inconsistent(why)
}

/// What stands between a right header and a right seal.
fn unsealed(bytes: &[u8]) -> Result<&[u8], RestoreError> {
    let magic = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic) || bytes.is_empty() {
        return Err(RestoreError::WrongMagic);
    }
    let Some((head, sealed)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(RestoreError::Damaged("it ends within its header"));
    };
    let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    if *head != header(version) {
        return Err(RestoreError::Damaged("its header does not match the header's checksum"));
    }
    if version > VERSION {
        return Err(RestoreError::NewerVersion { found: version });
    }
    if version != VERSION {
        return Err(RestoreError::Undecodable(format!("there is no version {version}")));
    }
    let Some((body, seal)) = sealed.split_last_chunk::<SEAL_BYTES>() else {
        return Err(RestoreError::Damaged("it ends before its seal"));
    };
    if xxh3_64(&bytes[..bytes.len() - SEAL_BYTES]) != u64::from_le_bytes(*seal) {
        return Err(RestoreError::Damaged("its contents do not match its seal"));
    }
    Ok(body)
}

/// What has not been read yet.
struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn item<T: DeserializeOwned>(&mut self) -> Result<T, RestoreError> {
        let (item, rest) = postcard::take_from_bytes(self.rest)
            .map_err(|error| RestoreError::Undecodable(error.to_string()))?;
        self.rest = rest;
        Ok(item)
    }

    /// How many of something follow. No room is made for them before they are read.
    fn count(&mut self, what: &str, max: usize) -> Result<usize, RestoreError> {
        let count: u64 = self.item()?;
        ensure(count <= max as u64, || format!("it has {count} {what}, and there are {max} at most"))?;
        Ok(count as usize)
    }

    fn name(&mut self, what: &str) -> Result<Name, RestoreError> {
        let name: Name = self.item()?;
        check::name(what, &name)?;
        Ok(name)
    }
}
