//! Reading: bytes of unknown origin to a machine, or to a reason why not.

use xxhash_rust::xxh3::xxh3_64;

use super::parts::is_waiting;
use super::{
    HEADER_BYTES, LastApplied, MAGIC, Reader, RestoreError, Restoring, SEAL_BYTES, SessionHead, VERSION,
    ensure, header, rises,
};
use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence};
use crate::machine::limits::Limits;
use crate::machine::session::Session;
use crate::machine::{LEASE_US_MAX, LEASE_US_MIN, Machine, OPEN_COMMANDS_MAX, Outcome, Table};

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
        check_last_applied(index, time)?;
        let mut machine = Self { index, time, ..Self::with_limits(limits) };
        let mut restoring = Restoring { index, time, sessions: &mut machine.sessions };
        let awaited = read_sessions(&mut reader, &mut restoring)?;
        machine.locks.read(&mut reader, &mut restoring)?;
        machine.queues.read(&mut reader, &mut restoring)?;
        machine.caches.read(&mut reader, &restoring)?;
        let waits: usize = machine.sessions.open.values().map(|session| session.waits.len()).sum();
        ensure(awaited == waits, || format!("{awaited} commands are to wait, and {waits} do"))?;
        if reader.rest.is_empty() {
            return Ok(machine);
        }
        Err(RestoreError::Undecodable(format!("{} bytes are left over", reader.rest.len())))
    }
}

/// Returns how many remembered outcomes say that their command waits.
fn read_sessions(reader: &mut Reader<'_>, restoring: &mut Restoring<'_>) -> Result<usize, RestoreError> {
    let mut awaited = 0;
    for _ in 0..reader.count("sessions", restoring.sessions.max())? {
        let head: SessionHead = reader.item()?;
        check_session(restoring, &head)?;
        let SessionHead { id, lease_us, deadline, lowest_open } = head;
        let mut outcomes = Table::new();
        for _ in 0..reader.count("outcomes of one session", OPEN_COMMANDS_MAX)? {
            let (sequence, outcome): (Sequence, Outcome) = reader.item()?;
            check_remembered(lowest_open, outcomes.get_max(), sequence)?;
            awaited += usize::from(is_waiting(&outcome));
            outcomes.insert(sequence, outcome);
        }
        let session = Session { lease_us, deadline, lowest_open, outcomes, waits: Table::new() };
        restoring.sessions.insert(id, session);
    }
    Ok(awaited)
}

/// Tokens are made of indexes, which leaves room for a bounded number of them.
fn check_last_applied(index: LogIndex, time: ClusterTime) -> Result<(), RestoreError> {
    ensure(index.0 >> (u64::BITS - FenceToken::ORDINAL_BITS) == 0, || {
        format!("no log reaches the index {index}")
    })?;
    ensure(index.0 > 0 || time.0 == 0, || "it has a stamp and no entry".to_owned())
}

fn check_session(restoring: &Restoring<'_>, head: &SessionHead) -> Result<(), RestoreError> {
    let SessionHead { id, lease_us, deadline, lowest_open } = *head;
    rises("sessions", restoring.sessions.open.get_max(), &id)?;
    restoring.applied("a session", LogIndex(id.0))?;
    ensure((LEASE_US_MIN..=LEASE_US_MAX).contains(&lease_us), || {
        format!("the lease of {id} is {lease_us} us")
    })?;
    ensure(lowest_open.0 > 0, || format!("{id} has no lowest open number"))?;
    restoring.ahead("a lease", deadline, lease_us)
}

/// `last` is the outcome before it.
fn check_remembered<V>(
    lowest_open: Sequence,
    last: Option<&(Sequence, V)>,
    sequence: Sequence,
) -> Result<(), RestoreError> {
    rises("outcomes", last, &sequence)?;
    let beyond = sequence.0.checked_sub(lowest_open.0);
    ensure(beyond.is_some_and(|beyond| beyond < OPEN_COMMANDS_MAX as u64), || {
        format!("{sequence} is remembered, and {lowest_open} is the lowest open")
    })
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
