//! The cache's part of a snapshot: its settings and totals, how many keys, then each with its value, version
//! and end.

use std::sync::Arc;

use bytes::Bytes;

use super::caches::{Caches, FOR_EVER, Kept};
use super::types::{
    CACHE_BYTES_MAX, CacheSettings, CacheTotals, EXPIRY_GRID_US, TTL_US_MAX, VALUE_BYTES_MAX,
};
use crate::ids::{ClusterTime, LogIndex};
use crate::machine::Name;
use crate::machine::snapshot::{Reader, RestoreError, Restoring, beyond, ensure, put, rises};

/// How far the part has been written.
#[derive(Clone, Default)]
pub(in crate::machine) struct CachePlace {
    /// Written up to this key, settings, totals and the number of keys before them.
    after: Option<Name>,
}

impl Caches {
    /// Writes from `place` on, until the buffer holds `bytes_max`. Returns the place reached, or `None` at
    /// the end of the part.
    pub(in crate::machine) fn write(
        &self,
        place: &CachePlace,
        buffer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Option<CachePlace> {
        if place.after.is_none() {
            put(buffer, &(self.settings, self.totals));
            put(buffer, &self.keys.len());
        }
        for (key, kept) in self.keys.range::<_, Name>(beyond(place.after.as_ref())) {
            put(buffer, &(key, kept.bytes(), kept.version, kept.ends()));
            if buffer.len() >= bytes_max {
                return Some(CachePlace { after: Some(Name::clone(key)) });
            }
        }
        None
    }

    /// Reads the part into an empty cache.
    ///
    /// # Errors
    ///
    /// Whatever is no state of a cache.
    pub(in crate::machine) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        restoring: &Restoring<'_>,
    ) -> Result<(), RestoreError> {
        let (settings, totals): (CacheSettings, CacheTotals) = reader.item()?;
        let keys_max = self.limits.keys as u64;
        ensure((1..=keys_max).contains(&settings.entries_max), || {
            format!("its cache is to have {} keys", settings.entries_max)
        })?;
        ensure((1..=CACHE_BYTES_MAX).contains(&settings.bytes_max), || {
            format!("its cache is to have {} bytes", settings.bytes_max)
        })?;
        (self.settings, self.totals) = (settings, totals);
        for _ in 0..reader.count("keys", self.limits.keys)? {
            let key = reader.name("key")?;
            rises("keys", self.keys.get_max(), &key)?;
            let (value, version, ends): (Bytes, LogIndex, Option<ClusterTime>) = reader.item()?;
            let kept = Kept { value: Arc::from(&value[..]), version, expires: ends.unwrap_or(FOR_EVER) };
            self.check(restoring, &key, &kept)?;
            self.insert(key, kept);
        }
        ensure(self.bytes <= CACHE_BYTES_MAX, || format!("its cache holds {} bytes", self.bytes))?;
        let CacheTotals { created, overwritten, deleted, expired, evicted, refused } = totals;
        let most = created.max(overwritten).max(refused);
        ensure(most <= restoring.index.0, || format!("its cache did {most} writes, more than entries"))?;
        let gone = deleted.checked_add(expired).and_then(|gone| gone.checked_add(evicted));
        ensure(gone.and_then(|gone| gone.checked_add(self.keys.len() as u64)) == Some(created), || {
            format!("its cache created {created} keys, and they are not accounted for")
        })
    }

    fn check(&self, restoring: &Restoring<'_>, key: &Name, kept: &Kept) -> Result<(), RestoreError> {
        let Kept { value, version, expires } = kept;
        ensure(value.len() <= VALUE_BYTES_MAX, || format!("the value of {key} has {} bytes", value.len()))?;
        restoring.applied("a write", *version)?;
        ensure(!self.written.contains_key(version), || format!("two keys have the version {version}"))?;
        if *expires == FOR_EVER {
            return Ok(());
        }
        ensure(expires.0.is_multiple_of(EXPIRY_GRID_US), || format!("{key} expires at {expires}"))?;
        restoring.within("a time to live", *expires, TTL_US_MAX + EXPIRY_GRID_US)
    }
}
