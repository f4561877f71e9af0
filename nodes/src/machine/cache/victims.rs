//! Who is to go when room is wanted: asked of the applied state by the leader, who proposes the eviction.

use super::caches::{Caches, weight_bytes};
use super::types::{CacheSettings, EvictionPolicy, VICTIMS_MAX, Victim};
use crate::machine::Name;

/// Room that is wanted beyond what the cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// New keys.
    pub entries: u64,
    /// More bytes of keys and values.
    pub bytes: u64,
}

impl Caches {
    /// The keys that must go so that there is `wanted` room once `leaving` has gone, in the order of the
    /// policy, at most [`VICTIMS_MAX`]. Those that `is_spared` are passed over; they are expected to be few.
    pub(in crate::machine) fn victims(
        &self,
        wanted: Room,
        leaving: Room,
        is_spared: impl Fn(&str) -> bool,
    ) -> Vec<Victim> {
        let over = |held: u64, wanted: u64, leaving: u64, max: u64| {
            held.saturating_add(wanted).saturating_sub(leaving).saturating_sub(max)
        };
        let CacheSettings { entries_max, bytes_max, .. } = self.settings;
        let mut entries_over = over(self.keys.len() as u64, wanted.entries, leaving.entries, entries_max);
        let mut bytes_over = over(self.bytes, wanted.bytes, leaving.bytes, bytes_max);
        let mut victims = Vec::new();
        for key in self.in_order_of_policy() {
            if (entries_over == 0 && bytes_over == 0) || victims.len() == VICTIMS_MAX {
                break;
            }
            let Some(kept) = self.keys.get(&**key).filter(|_| !is_spared(key)) else { continue };
            entries_over = entries_over.saturating_sub(1);
            bytes_over = bytes_over.saturating_sub(weight_bytes(key, &kept.value));
            victims.push(Victim { key: key.to_string(), version: kept.version });
        }
        victims
    }

    /// The bytes with which a key counts; 0 if it has no value.
    pub(in crate::machine) fn weight_bytes(&self, key: &str) -> u64 {
        self.keys.get(key).map_or(0, |kept| weight_bytes(key, &kept.value))
    }

    fn in_order_of_policy(&self) -> Box<dyn Iterator<Item = &Name> + '_> {
        match self.settings.policy {
            EvictionPolicy::Refuse => Box::new(std::iter::empty()),
            EvictionPolicy::LeastRecentlyWritten => Box::new(self.written.values()),
            EvictionPolicy::SoonestToExpire => {
                // Those that expire are found again among all, so each is looked up once more.
                let for_ever = self.written.values().filter(|key| self.lives_for_ever(key));
                let mortal = self.expiries.in_order().filter_map(|version| self.written.get(version));
                Box::new(mortal.chain(for_ever))
            }
        }
    }

    fn lives_for_ever(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|kept| kept.ends().is_none())
    }
}
