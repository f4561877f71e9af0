//! The cache as one would explain it: a list of keys, looked through from end to end.

use crate::machine::{
    CacheAction, CacheError, CacheEvent, CacheReply, CacheSettings, CacheTotals, EvictionPolicy, Expected,
    Versioned, Victim,
};
use bytes::Bytes;

use crate::ids::LogIndex;

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    pub(super) version: u64,
    pub(super) ends: Option<u64>,
}

impl Item {
    pub(super) fn versioned(&self) -> Versioned {
        Versioned { value: Bytes::copy_from_slice(&self.value), version: LogIndex(self.version) }
    }

    fn bytes(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }
}

/// What came of a command: a reply, a refusal, or an argument that makes no sense.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Reply(CacheReply),
    Done,
    Refused(CacheError),
    Senseless,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) items: Vec<Item>,
    pub(super) settings: CacheSettings,
    pub(super) totals: CacheTotals,
    pub(super) events: Vec<CacheEvent>,
    keys_max: u64,
    /// Keys that end by themselves with one entry.
    ends_max: usize,
    time: u64,
}

impl Model {
    pub(super) fn new(keys_max: u64, ends_max: usize) -> Self {
        let settings = CacheSettings { entries_max: keys_max, ..CacheSettings::default() };
        Self { settings, keys_max, ends_max, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.items.iter().map(Item::bytes).sum()
    }

    pub(super) fn find(&self, key: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.key == key)
    }

    /// The same, if its time is not over.
    pub(super) fn alive(&self, key: &str) -> Option<&Item> {
        self.find(key).filter(|item| item.ends.is_none_or(|ends| ends > self.time))
    }

    /// A key whose time is over goes before anything is done with it.
    fn look_at(&mut self, key: &str) {
        if let Some(Item { version, .. }) = self.find(key).filter(|_| self.alive(key).is_none()).cloned() {
            self.expire(key, version);
        }
    }

    fn expire(&mut self, key: &str, version: u64) {
        self.items.retain(|item| item.key != key);
        self.totals.expired += 1;
        self.events.push(CacheEvent::Expired { key: key.to_owned(), version: LogIndex(version) });
    }

    /// Time is now this: whatever ended by it goes, the earliest first, then the oldest, as many as may.
    pub(super) fn pass(&mut self, time: u64) {
        self.time = time;
        self.events.clear();
        let mut over: Vec<Item> = self.items.clone();
        over.retain(|item| item.ends.is_some_and(|ends| ends <= time));
        over.sort_by_key(|item| (item.ends, item.version));
        for Item { key, version, .. } in over.into_iter().take(self.ends_max) {
            self.expire(&key, version);
        }
    }

    pub(super) fn evict(&mut self, victims: &[Victim]) {
        for Victim { key, version } in victims {
            self.look_at(key);
            if self.find(key).is_some_and(|item| item.version == version.0) {
                self.items.retain(|item| item.key != *key);
                self.totals.evicted += 1;
                self.events.push(CacheEvent::Evicted { key: key.clone(), version: *version });
            }
        }
    }

    pub(super) fn act(&mut self, index: u64, time: u64, action: &CacheAction) -> Answer {
        let ends = |ttl_us: &Option<u64>| ttl_us.map(|ttl_us| (time + ttl_us).div_ceil(10_000) * 10_000);
        let is_senseless = |ttl_us: &Option<u64>| *ttl_us == Some(0);
        match action {
            CacheAction::Set { key, .. }
            | CacheAction::CompareAndSet { key, .. }
            | CacheAction::Delete { key }
            | CacheAction::CompareAndDelete { key, .. }
            | CacheAction::Add { key, .. }
            | CacheAction::Touch { key, .. } => self.look_at(key),
            CacheAction::Configure(_) => {}
        }
        match action {
            CacheAction::Set { ttl_us, .. }
            | CacheAction::CompareAndSet { ttl_us, .. }
            | CacheAction::Add { ttl_us, .. }
            | CacheAction::Touch { ttl_us, .. }
                if is_senseless(ttl_us) =>
            {
                Answer::Senseless
            }
            CacheAction::Set { key, value, ttl_us } => self.write(index, key, value, ends(ttl_us)),
            CacheAction::CompareAndSet { key, expected, value, ttl_us } => {
                if self.is_as(key, expected) {
                    self.write(index, key, value, ends(ttl_us))
                } else {
                    Answer::Reply(CacheReply::Mismatch(self.find(key).map(Item::versioned)))
                }
            }
            CacheAction::Delete { key } => self.delete(index, key),
            CacheAction::CompareAndDelete { key, expected } => {
                if self.is_as(key, expected) {
                    self.delete(index, key)
                } else {
                    Answer::Reply(CacheReply::Mismatch(self.find(key).map(Item::versioned)))
                }
            }
            CacheAction::Add { key, delta, initial, ttl_us } => {
                self.add(index, key, *delta, *initial, ends(ttl_us))
            }
            CacheAction::Touch { key, ttl_us } => match self.find(key).cloned() {
                None => Answer::Refused(CacheError::NoSuchKey),
                Some(item) => self.write(index, key, &item.value, ends(ttl_us)),
            },
            CacheAction::Configure(settings) => {
                if settings.entries_max == 0
                    || settings.entries_max > self.keys_max
                    || settings.bytes_max == 0
                {
                    return Answer::Senseless;
                }
                self.settings = *settings;
                Answer::Done
            }
        }
    }

    fn is_as(&self, key: &str, expected: &Expected) -> bool {
        match (self.find(key), expected) {
            (None, Expected::Absent) => true,
            (Some(item), Expected::Value(value)) => item.value == *value,
            (Some(item), Expected::Version(version)) => item.version == version.0,
            _ => false,
        }
    }

    fn write(&mut self, index: u64, key: &str, value: &[u8], ends: Option<u64>) -> Answer {
        let new = Item { key: key.to_owned(), value: value.to_vec(), version: index, ends };
        let CacheSettings { bytes_max, .. } = self.settings;
        if new.bytes() > bytes_max {
            return Answer::Refused(CacheError::TooLarge { bytes: new.bytes(), bytes_max });
        }
        let old = self.find(key).cloned();
        let others: u64 = self.items.iter().filter(|item| item.key != key).map(Item::bytes).sum();
        let grows = old.as_ref().is_none_or(|old| new.bytes() > old.bytes());
        let too_many = old.is_none() && self.items.len() as u64 >= self.settings.entries_max;
        if too_many || (grows && others + new.bytes() > self.settings.bytes_max) {
            self.totals.refused += 1;
            return Answer::Refused(CacheError::Full);
        }
        if old.is_some() {
            self.totals.overwritten += 1;
        } else {
            self.totals.created += 1;
        }
        self.items.retain(|item| item.key != key);
        self.items.push(new);
        self.events.push(CacheEvent::Written { key: key.to_owned(), version: LogIndex(index) });
        Answer::Reply(CacheReply::Written { version: LogIndex(index) })
    }

    fn delete(&mut self, index: u64, key: &str) -> Answer {
        let old = self.find(key).cloned();
        if let Some(Item { version, .. }) = &old {
            let version = LogIndex(*version);
            self.items.retain(|item| item.key != key);
            self.totals.deleted += 1;
            self.events.push(CacheEvent::Deleted { key: key.to_owned(), version });
        }
        Answer::Reply(CacheReply::Deleted { existed: old.is_some(), version: LogIndex(index) })
    }

    fn add(&mut self, index: u64, key: &str, delta: i64, initial: i64, ends: Option<u64>) -> Answer {
        let (from, ends) = match self.find(key) {
            None => (initial, ends),
            Some(item) => {
                let text = String::from_utf8_lossy(&item.value).into_owned();
                match text.parse::<i64>() {
                    Ok(number) if number.to_string() == text => (number, item.ends),
                    _ => return Answer::Refused(CacheError::NotACounter),
                }
            }
        };
        let Some(sum) = from.checked_add(delta) else { return Answer::Refused(CacheError::CounterOverflow) };
        match self.write(index, key, sum.to_string().as_bytes(), ends) {
            Answer::Reply(_) => Answer::Reply(CacheReply::Counted { value: sum, version: LogIndex(index) }),
            other => other,
        }
    }

    /// Who goes first, and how many of them, until there is room.
    pub(super) fn victims(&self, entries: u64, bytes: u64, spared: &str) -> Vec<Victim> {
        let mut order = self.items.clone();
        match self.settings.policy {
            EvictionPolicy::Refuse => order.clear(),
            EvictionPolicy::LeastRecentlyWritten => order.sort_by_key(|item| item.version),
            EvictionPolicy::SoonestToExpire => order.sort_by_key(|item| match item.ends {
                Some(ends) => (0, ends, item.version),
                None => (1, item.version, 0),
            }),
        }
        order.retain(|item| item.key != spared);
        let mut victims = Vec::new();
        let (mut left, mut held) = (self.items.len() as u64, self.bytes());
        for item in order {
            if left + entries <= self.settings.entries_max && held + bytes <= self.settings.bytes_max {
                break;
            }
            left -= 1;
            held -= item.bytes();
            victims.push(Victim { key: item.key.clone(), version: LogIndex(item.version) });
        }
        victims
    }
}
