//! Reading: bytes of unknown origin to a machine, or to a reason why not.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::{
    HEADER_BYTES, LastApplied, MAGIC, Reader, RestoreError, Restoring, SEAL_BYTES, SessionHead, VERSION,
    ensure, header, rises,
};
use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::apply::NearAgreement;
use crate::machine::limits::Limits;
use crate::machine::queue::check_topic;
use crate::machine::remembered::{Handed, Remembered};
use crate::machine::service::Asker;
use crate::machine::session::{Session, check_open_below};
use crate::machine::{
    BATCH_MAX, CONSUMERS_WAITING_MAX, LEASE_US_MAX, LEASE_US_MIN, Machine, OPEN_BELOW_MAX, OPEN_COMMANDS_MAX,
    QueueReply, Reply, VISIBILITY_US_MAX, WAITERS_MAX,
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
        check_last_applied(index, time)?;
        let near: NearAgreement = reader.item()?;
        ensure(near.longest_lease_us >= near.terms.map_or(0, |terms| terms.lease_us), || {
            format!("the longest lease of lines was {}, less than that of now", near.longest_lease_us)
        })?;
        let mut machine = Self { index, time, near, ..Self::with_limits(limits) };
        let mut restoring =
            Restoring { index, time, sessions: &mut machine.sessions, awaiting: BTreeMap::new() };
        read_sessions(&mut reader, &mut restoring)?;
        let awaited = restoring.awaiting.len();
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

/// What waits by its remembered outcome is to be found among the services' waits.
fn read_sessions(reader: &mut Reader<'_>, restoring: &mut Restoring<'_>) -> Result<(), RestoreError> {
    for _ in 0..reader.count("sessions", restoring.sessions.max())? {
        let head: SessionHead = reader.item()?;
        check_session(restoring, &head)?;
        let SessionHead { id, lease_us, deadline, opener, lowest_open, open_below } = head;
        let open_below = open_below.into_iter().collect();
        let mut session = Session::new(lease_us, deadline, opener, lowest_open, open_below);
        let mut last = None;
        for _ in 0..reader.count("outcomes of one session", OPEN_COMMANDS_MAX + OPEN_BELOW_MAX)? {
            let (sequence, outcome): (Sequence, Remembered) = reader.item()?;
            check_remembered(&session, last.as_ref(), sequence)?;
            check_kept(restoring, &outcome)?;
            last = Some((sequence, ()));
            if let Remembered::Said(Ok(Reply::Waiting { ahead })) = outcome {
                restoring.awaiting.insert(Asker { session: id, sequence }, check_ahead(id, ahead)?);
            } else {
                session.keep(sequence, outcome);
            }
        }
        restoring.sessions.insert(id, session);
    }
    Ok(())
}

/// As many as may have stood before a command in any line.
fn check_ahead(session: SessionId, ahead: u64) -> Result<u32, RestoreError> {
    ensure(ahead <= WAITERS_MAX.max(CONSUMERS_WAITING_MAX) as u64, || {
        format!("{session} waits behind {ahead} others")
    })?;
    Ok(ahead as u32)
}

/// Tokens are made of indexes, which leaves room for a bounded number of them.
fn check_last_applied(index: LogIndex, time: ClusterTime) -> Result<(), RestoreError> {
    ensure(index.0 >> (u64::BITS - FenceToken::ORDINAL_BITS) == 0, || {
        format!("no log reaches the index {index}")
    })?;
    ensure(index.0 > 0 || time.0 == 0, || "it has a stamp and no entry".to_owned())
}

fn check_session(restoring: &Restoring<'_>, head: &SessionHead) -> Result<(), RestoreError> {
    let &SessionHead { id, lease_us, deadline, opener, lowest_open, ref open_below } = head;
    rises("sessions", restoring.sessions.open.get_max(), &id)?;
    restoring.applied("a session", LogIndex(id.0))?;
    ensure((LEASE_US_MIN..=LEASE_US_MAX).contains(&lease_us), || {
        format!("the lease of {id} is {lease_us} us")
    })?;
    let before = opener.and_then(|opener| restoring.sessions.opened_by(opener));
    ensure(before.is_none(), || format!("{id} was opened under the name of an earlier session"))?;
    ensure(lowest_open.0 > 0, || format!("{id} has no lowest open number"))?;
    let is_list = open_below.len() <= OPEN_BELOW_MAX && check_open_below(lowest_open, open_below).is_ok();
    ensure(is_list, || format!("{id} has no sound list of open numbers below {lowest_open}"))?;
    restoring.within("a lease", deadline, lease_us)
}

/// `last` is the outcome before it.
fn check_remembered<V>(
    session: &Session,
    last: Option<&(Sequence, V)>,
    sequence: Sequence,
) -> Result<(), RestoreError> {
    rises("outcomes", last, &sequence)?;
    let lowest_open = session.lowest_open;
    let is_near = sequence.0 < lowest_open.0.saturating_add(OPEN_COMMANDS_MAX as u64);
    ensure(session.is_open(sequence) && is_near, || {
        format!("{sequence} is remembered, and {lowest_open} is the lowest open")
    })
}

/// What is kept of an outcome names what there can have been, in the way in which it is kept.
fn check_kept(restoring: &Restoring<'_>, kept: &Remembered) -> Result<(), RestoreError> {
    let handed = match kept {
        Remembered::Said(Ok(Reply::Queue(QueueReply::Delivered(deliveries)))) => {
            return ensure(deliveries.is_empty(), || "a delivery is kept as a whole".to_owned());
        }
        Remembered::Said(_) => return Ok(()),
        Remembered::Delivered(handed) => handed,
    };
    let Handed { topic, lease_until, messages } = handed;
    let is_some = check_topic(topic).is_ok() && (1..=BATCH_MAX).contains(&messages.len());
    ensure(is_some, || "a delivery of nothing is kept".to_owned())?;
    ensure(*lease_until <= restoring.time.plus_us(VISIBILITY_US_MAX), || {
        format!("a delivery lasts until {lease_until}")
    })?;
    for (id, receipt) in messages {
        restoring.applied("a message delivered", id.index())?;
        ensure(receipt.0 > 0, || format!("{id} was delivered under no receipt"))?;
    }
    Ok(())
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
