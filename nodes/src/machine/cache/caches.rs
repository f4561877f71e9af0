//! The cache's state, and what each write and question does with it.
//!
//! Invariants, after each apply: every key is in `written` under its version and, if it does not live for
//! ever, its version is in `expiries`; `bytes` is the sum of all keys and values; what is due and
//! still there has no value to anybody; `created = entries + deleted + expired + evicted`.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::types::{
    ANSWER_BYTES_MAX, CACHE_BYTES_MAX, CacheAction, CacheError, CacheEvent, CacheQuery, CacheReply,
    CacheSettings, CacheStats, CacheTotals, EXPIRY_GRID_US, Expected, GET_MANY_MAX, KEYS_MAX, TTL_US_MAX,
    VALUE_BYTES_MAX, Versioned, Victim,
};
use crate::ids::{ClusterTime, LogIndex};
use crate::machine::expiry::Deadlines;
use crate::machine::limits::check_name;
use crate::machine::service::{Asker, Moment, Out};
use crate::machine::{MachineError, MachineEvent, Name, Outcome, Reply, Table};
use crate::marks;

/// The bounds of the cache's settings.
#[derive(Clone, Copy, Debug)]
pub(in crate::machine) struct CacheLimits {
    /// Keys with a value.
    pub(in crate::machine) keys: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { keys: KEYS_MAX }
    }
}

/// A value.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Kept {
    /// With its length beside it, and no room to spare.
    pub(super) value: Arc<[u8]>,
    pub(super) version: LogIndex,
    /// From this stamp on it is gone; [`FOR_EVER`] if there is none.
    pub(super) expires: ClusterTime,
}

/// A value up to this length is copied to whoever reads it: sharing it costs more.
const COPIED_BYTES_MAX: usize = 256;

/// The end of what has none.
pub(super) const FOR_EVER: ClusterTime = ClusterTime(u64::MAX);

impl Kept {
    /// When it is gone, if ever.
    pub(super) fn ends(&self) -> Option<ClusterTime> {
        Some(self.expires).filter(|&expires| expires != FOR_EVER)
    }

    /// The value, to be handed out.
    pub(super) fn bytes(&self) -> Bytes {
        if self.value.len() <= COPIED_BYTES_MAX {
            Bytes::copy_from_slice(&self.value)
        } else {
            Bytes::from_owner(Arc::clone(&self.value))
        }
    }

    fn versioned(&self) -> Versioned {
        Versioned { value: self.bytes(), version: self.version }
    }
}

/// All keys that have a value.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::machine) struct Caches {
    pub(super) keys: Table<Name, Kept>,
    /// The keys by their versions: the order of their latest writes.
    pub(super) written: Table<LogIndex, Name>,
    /// The versions of the keys that do not live for ever, by their ends.
    pub(super) expiries: Deadlines<LogIndex>,
    pub(super) bytes: u64,
    pub(super) settings: CacheSettings,
    pub(super) totals: CacheTotals,
    #[serde(skip)]
    pub(super) limits: CacheLimits,
}

impl Caches {
    /// An empty cache with these bounds.
    pub(in crate::machine) fn within(limits: CacheLimits) -> Self {
        let settings = CacheSettings { entries_max: limits.keys as u64, ..CacheSettings::default() };
        Self { limits, settings, ..Self::default() }
    }

    /// Carries out a write.
    pub(in crate::machine) fn act(
        &mut self,
        at: Moment,
        _by: Asker,
        action: &CacheAction,
        out: &mut Out,
    ) -> Outcome {
        self.end_if_due(at, key_of(action), out);
        let reply = match action {
            CacheAction::Set { key, value, ttl_us } => {
                let (key, expires) = (checked(key)?, self.end(at, *ttl_us)?);
                self.put(at, key, checked_value(value)?, expires, out)?
            }
            CacheAction::CompareAndSet { key, expected, value, ttl_us } => {
                let (key, expires) = (checked(key)?, self.end(at, *ttl_us)?);
                let value = checked_value(value)?;
                match self.mismatch(key, expected) {
                    Some(mismatch) => mismatch,
                    None => self.put(at, key, value, expires, out)?,
                }
            }
            CacheAction::Delete { key } => self.delete(at, checked(key)?, out),
            CacheAction::CompareAndDelete { key, expected } => {
                let key = checked(key)?;
                self.mismatch(key, expected).unwrap_or_else(|| self.delete(at, key, out))
            }
            CacheAction::Add { key, delta, initial, ttl_us } => {
                let (key, expires) = (checked(key)?, self.end(at, *ttl_us)?);
                self.add(at, key, *delta, *initial, expires, out)?
            }
            CacheAction::Touch { key, ttl_us } => {
                let (key, expires) = (checked(key)?, self.end(at, *ttl_us)?);
                let kept = self.keys.get(key).ok_or(CacheError::NoSuchKey)?;
                let value = Arc::clone(&kept.value);
                self.put(at, key, value, expires, out)?
            }
            CacheAction::Configure(settings) => return self.configure(*settings),
        };
        Ok(Reply::Cache(reply))
    }

    /// Removes those of these keys that are still of the version named.
    pub(in crate::machine) fn evict(&mut self, at: Moment, victims: &[Victim], out: &mut Out) {
        for Victim { key, version } in victims {
            self.end_if_due(at, key, out);
            if self.keys.get(key.as_str()).is_some_and(|kept| kept.version == *version) {
                self.totals.evicted += 1;
                self.remove(key);
                out.event(MachineEvent::Cache(CacheEvent::Evicted { key: key.clone(), version: *version }));
            } else {
                marks::hit("machine.victim_was_written");
            }
        }
    }

    /// Removes what is due, as far as there is room.
    pub(in crate::machine) fn expire(&mut self, at: Moment, out: &mut Out) {
        while self.expiries.next().is_some_and(|end| end <= at.time)
            && out.may_end()
            && let Some(version) = self.expiries.take_due(at.time)
        {
            if let Some(name) = self.written.get(&version).cloned() {
                self.end_one(&name, out);
            }
        }
    }

    /// Removes this key if it is due.
    fn end_if_due(&mut self, at: Moment, key: &str, out: &mut Out) {
        if self.keys.get(key).is_some_and(|kept| kept.expires <= at.time) {
            marks::hit("machine.overdue_key_written");
            self.end_one(key, out);
        }
    }

    fn end_one(&mut self, key: &str, out: &mut Out) {
        let Some(Kept { version, .. }) = self.remove(key) else { return };
        marks::hit("machine.key_expired");
        self.totals.expired += 1;
        out.event(MachineEvent::Cache(CacheEvent::Expired { key: key.to_owned(), version }));
    }

    /// When the next key expires.
    pub(in crate::machine) fn next_deadline(&self) -> Option<ClusterTime> {
        self.expiries.next()
    }

    /// Answers a question.
    pub(in crate::machine) fn query(&self, time: ClusterTime, query: &CacheQuery) -> Outcome {
        let reply = match query {
            CacheQuery::Get { key } => CacheReply::Value(self.get(time, checked(key)?)),
            CacheQuery::GetMany { keys } => self.get_many(time, keys)?,
            CacheQuery::Expiry { key } => {
                let kept = self.alive(time, checked(key)?);
                CacheReply::Expiry { exists: kept.is_some(), expires: kept.and_then(Kept::ends), now: time }
            }
            CacheQuery::Stats => CacheReply::Stats(self.stats()),
        };
        Ok(Reply::Cache(reply))
    }

    /// The value of a key and the stamp at which it ends, if any.
    pub(in crate::machine) fn find(
        &self,
        time: ClusterTime,
        key: &str,
    ) -> Option<(Versioned, Option<ClusterTime>)> {
        let kept = self.alive(time, key)?;
        Some((kept.versioned(), kept.ends()))
    }

    pub(super) fn stats(&self) -> CacheStats {
        CacheStats {
            settings: self.settings,
            entries: self.keys.len() as u64,
            expiring: self.expiries.len() as u64,
            bytes: self.bytes,
            totals: self.totals,
        }
    }

    /// Removes a key from all tables.
    pub(super) fn remove(&mut self, key: &str) -> Option<Kept> {
        let kept = self.keys.remove(key)?;
        self.bytes -= weight_bytes(key, &kept.value);
        self.written.remove(&kept.version);
        if kept.expires != FOR_EVER {
            self.expiries.remove(kept.expires, kept.version);
        }
        Some(kept)
    }

    /// Puts a key into all tables, in which it is not.
    pub(super) fn insert(&mut self, name: Name, kept: Kept) {
        self.bytes += weight_bytes(&name, &kept.value);
        self.written.insert(kept.version, Name::clone(&name));
        if kept.expires != FOR_EVER {
            self.expiries.add(kept.expires, kept.version);
        }
        self.keys.insert(name, kept);
    }

    /// What a key holds at this time.
    fn alive(&self, time: ClusterTime, key: &str) -> Option<&Kept> {
        self.keys.get(key).filter(|kept| kept.expires > time)
    }

    fn get(&self, time: ClusterTime, key: &str) -> Option<Versioned> {
        self.alive(time, key).map(Kept::versioned)
    }

    fn get_many(&self, time: ClusterTime, keys: &[String]) -> Result<CacheReply, MachineError> {
        if keys.len() > GET_MANY_MAX {
            return Err(MachineError::InvalidArgument(format!(
                "at most {GET_MANY_MAX} keys are read at a time, not {}",
                keys.len()
            )));
        }
        let mut bytes = 0;
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let found = self.get(time, checked(key)?);
            bytes += found.as_ref().map_or(0, |found| found.value.len());
            if bytes > ANSWER_BYTES_MAX {
                return Err(CacheError::AnswerTooLong.into());
            }
            values.push(found);
        }
        Ok(CacheReply::Values(values))
    }

    /// What a conditional write finds, if not what it expects.
    fn mismatch(&self, key: &str, expected: &Expected) -> Option<CacheReply> {
        let found = self.keys.get(key);
        let matches = match expected {
            Expected::Absent => found.is_none(),
            Expected::Value(value) => found.is_some_and(|kept| *kept.value == **value),
            Expected::Version(version) => found.is_some_and(|kept| kept.version == *version),
        };
        if matches {
            return None;
        }
        marks::hit("machine.compare_found_other");
        Some(CacheReply::Mismatch(found.map(Kept::versioned)))
    }

    fn put(
        &mut self,
        at: Moment,
        key: &str,
        value: Arc<[u8]>,
        expires: ClusterTime,
        out: &mut Out,
    ) -> Result<CacheReply, MachineError> {
        let weight = weight_bytes(key, &value);
        let CacheSettings { entries_max, bytes_max, .. } = self.settings;
        if weight > bytes_max {
            return Err(CacheError::TooLarge { bytes: weight, bytes_max }.into());
        }
        let before = self.keys.get(key).map(|kept| weight_bytes(key, &kept.value));
        let has_entry = before.is_some() || (self.keys.len() as u64) < entries_max;
        // What does not grow is let in even when bounds were set below what there is.
        let bytes = self.bytes - before.unwrap_or(0) + weight;
        let has_bytes = bytes <= bytes_max || before.is_some_and(|before| weight <= before);
        if !has_entry || !has_bytes {
            marks::hit("machine.keys_full");
            self.totals.refused += 1;
            return Err(CacheError::Full.into());
        }
        let name = match self.keys.get_key_value(key) {
            Some((name, _)) => Name::clone(name),
            None => Name::from(key),
        };
        let created = self.remove(key).is_none();
        self.totals.created += u64::from(created);
        self.totals.overwritten += u64::from(!created);
        let version = at.index;
        self.insert(name, Kept { value, version, expires });
        out.event(MachineEvent::Cache(CacheEvent::Written { key: key.to_owned(), version }));
        Ok(CacheReply::Written { version })
    }

    fn delete(&mut self, at: Moment, key: &str, out: &mut Out) -> CacheReply {
        let removed = self.remove(key);
        if let Some(Kept { version, .. }) = removed {
            self.totals.deleted += 1;
            out.event(MachineEvent::Cache(CacheEvent::Deleted { key: key.to_owned(), version }));
        }
        CacheReply::Deleted { existed: removed.is_some(), version: at.index }
    }

    fn add(
        &mut self,
        at: Moment,
        key: &str,
        delta: i64,
        initial: i64,
        expires: ClusterTime,
        out: &mut Out,
    ) -> Result<CacheReply, MachineError> {
        let (from, expires) = match self.keys.get(key) {
            Some(kept) => (counter(&kept.value)?, kept.expires),
            None => (initial, expires),
        };
        let value = from.checked_add(delta).ok_or(CacheError::CounterOverflow)?;
        self.put(at, key, value.to_string().as_bytes().into(), expires, out)?;
        Ok(CacheReply::Counted { value, version: at.index })
    }

    fn configure(&mut self, settings: CacheSettings) -> Outcome {
        let CacheSettings { entries_max, bytes_max, .. } = settings;
        let keys_max = self.limits.keys as u64;
        if !(1..=keys_max).contains(&entries_max) || !(1..=CACHE_BYTES_MAX).contains(&bytes_max) {
            return Err(MachineError::InvalidArgument(format!(
                "a cache has 1 to {keys_max} keys and 1 to {CACHE_BYTES_MAX} bytes, not {entries_max} and {bytes_max}"
            )));
        }
        self.settings = settings;
        Ok(Reply::Done)
    }

    /// The first stamp at which something written now is gone.
    fn end(&self, at: Moment, ttl_us: Option<u64>) -> Result<ClusterTime, MachineError> {
        let Some(ttl_us) = ttl_us else { return Ok(FOR_EVER) };
        if !(1..=TTL_US_MAX).contains(&ttl_us) {
            return Err(MachineError::InvalidArgument(format!(
                "the time to live must be 1 to {TTL_US_MAX} us, not {ttl_us}"
            )));
        }
        let end = at.time.plus_us(ttl_us).0;
        Ok(ClusterTime(end.checked_next_multiple_of(EXPIRY_GRID_US).unwrap_or(u64::MAX)))
    }
}

/// The key that an action is about; none has the empty name.
fn key_of(action: &CacheAction) -> &str {
    match action {
        CacheAction::Set { key, .. }
        | CacheAction::CompareAndSet { key, .. }
        | CacheAction::Delete { key }
        | CacheAction::CompareAndDelete { key, .. }
        | CacheAction::Add { key, .. }
        | CacheAction::Touch { key, .. } => key,
        CacheAction::Configure(_) => "",
    }
}

/// The number that a counter's value is.
fn counter(value: &[u8]) -> Result<i64, CacheError> {
    let text = std::str::from_utf8(value).map_err(|_| CacheError::NotACounter)?;
    // Exactly what is written here: no plus sign, no leading zeros.
    let number: i64 = text.parse().map_err(|_| CacheError::NotACounter)?;
    if number.to_string() == text { Ok(number) } else { Err(CacheError::NotACounter) }
}

/// The bytes that count against the bound.
pub(super) fn weight_bytes(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

fn checked(key: &str) -> Result<&str, MachineError> {
    check_name("key", key).map(|()| key)
}

fn checked_value(value: &Bytes) -> Result<Arc<[u8]>, MachineError> {
    if value.len() <= VALUE_BYTES_MAX {
        return Ok(Arc::from(&value[..]));
    }
    Err(MachineError::InvalidArgument(format!(
        "the value must have at most {VALUE_BYTES_MAX} bytes, not {}",
        value.len()
    )))
}
