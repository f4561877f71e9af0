//! A table that is short for most of its owners: what one session claims, who waits for one lock.
//!
//! Up to [`FEW_MAX`] entries lie side by side in one allocation, just as long as they are; more are in a [`Table`],
//! whose smallest leaf has room for sixteen however few there are. To search, to change and to copy what is shared
//! costs no more than in one leaf of a `Table`, so an operation is O(log n) in both forms, and a copy of either costs a
//! counter until it is changed.
//!
//! Which form it has depends on its past, and shows in nothing: it compares, iterates and encodes as its entries do.

use std::fmt;
use std::ops::{Bound, Index, RangeBounds};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use smallvec::SmallVec;
use triomphe::Arc;

use super::Table;

/// As many entries as a leaf of a [`Table`] has.
const FEW_MAX: usize = 16;
/// So few entries leave their `Table` again: half as many, lest one more and one less move all of them each time.
const MANY_MIN: usize = FEW_MAX / 2;

/// The table.
#[derive(Clone)]
pub(super) struct ShortTable<K, V>(Form<K, V>);

#[derive(Clone)]
enum Form<K, V> {
    /// No entry, and no allocation.
    Empty,
    /// In the order of their keys. One entry has its place beside the counter of the copies.
    Few(Arc<SmallVec<[(K, V); 1]>>),
    Many(Arc<Table<K, V>>),
}

impl<K, V> Default for ShortTable<K, V> {
    fn default() -> Self {
        Self(Form::Empty)
    }
}

impl<K: Ord + Clone, V: Clone> ShortTable<K, V> {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Form::Empty => 0,
            Form::Few(few) => few.len(),
            Form::Many(many) => many.len(),
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.0, Form::Empty)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match &self.0 {
            Form::Empty => None,
            Form::Few(few) => find(few, key).ok().map(|place| &few[place].1),
            Form::Many(many) => many.get(key),
        }
    }

    /// Whether there is an entry of this key.
    pub(super) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key, to be changed.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match &mut self.0 {
            Form::Empty => None,
            Form::Few(few) => find(few, key).ok().map(|place| &mut Arc::make_mut(few)[place].1),
            Form::Many(many) => Arc::make_mut(many).get_mut(key),
        }
    }

    /// The entry with the least key.
    pub(super) fn get_min(&self) -> Option<&(K, V)> {
        match &self.0 {
            Form::Empty => None,
            Form::Few(few) => few.first(),
            Form::Many(many) => many.get_min(),
        }
    }

    /// The entry with the greatest key.
    pub(super) fn get_max(&self) -> Option<&(K, V)> {
        match &self.0 {
            Form::Empty => None,
            Form::Few(few) => few.last(),
            Form::Many(many) => many.get_max(),
        }
    }

    /// Puts a value under a key; returns the one that it takes the place of.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match &mut self.0 {
            Form::Empty => {
                let mut few = SmallVec::new();
                few.push((key, value));
                self.0 = Form::Few(Arc::new(few));
                None
            }
            Form::Few(few) => match find(few, &key) {
                Ok(place) => Some(std::mem::replace(&mut Arc::make_mut(few)[place].1, value)),
                Err(place) if few.len() < FEW_MAX => {
                    let few = Arc::make_mut(few);
                    few.reserve_exact(1);
                    few.insert(place, (key, value));
                    None
                }
                Err(_) => {
                    let mut many: Table<K, V> = few.iter().cloned().collect();
                    many.insert(key, value);
                    self.0 = Form::Many(Arc::new(many));
                    None
                }
            },
            Form::Many(many) => Arc::make_mut(many).insert(key, value),
        }
    }

    /// Takes an entry out, if there is one of this key.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        match &mut self.0 {
            Form::Empty => None,
            Form::Few(few) => {
                let place = find(few, key).ok()?;
                let few = Arc::make_mut(few);
                let (_, value) = few.remove(place);
                if few.is_empty() {
                    self.0 = Form::Empty;
                } else if few.len() * 2 <= few.capacity() {
                    few.shrink_to_fit();
                }
                Some(value)
            }
            Form::Many(many) => {
                let value = Arc::make_mut(many).remove(key)?;
                if many.len() <= MANY_MIN {
                    let mut few = SmallVec::with_capacity(many.len());
                    few.extend(many.iter().map(|(key, value)| (key.clone(), value.clone())));
                    self.0 = Form::Few(Arc::new(few));
                }
                Some(value)
            }
        }
    }

    /// The entries whose keys are within these bounds, in their order.
    pub(super) fn range<R: RangeBounds<K>>(&self, bounds: R) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let (few, many) = match &self.0 {
            Form::Empty => (&[][..], None),
            Form::Few(few) => (few.as_slice(), None),
            Form::Many(many) => (&[][..], Some(many)),
        };
        let first = match bounds.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(key) => few.partition_point(|(other, _)| other < key),
            Bound::Excluded(key) => few.partition_point(|(other, _)| other <= key),
        };
        let end = match bounds.end_bound() {
            Bound::Unbounded => few.len(),
            Bound::Included(key) => few.partition_point(|(other, _)| other <= key),
            Bound::Excluded(key) => few.partition_point(|(other, _)| other < key),
        };
        let few = few[first..end.max(first)].iter().map(|(key, value)| (key, value));
        let many = many.map(|many| many.range::<R, K>(bounds));
        few.chain(many.into_iter().flatten())
    }

    /// All entries in the order of their keys.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.range(..)
    }

    /// All values in the order of their keys.
    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

/// Where a key is, or where it would be.
fn find<K: Ord, V>(few: &[(K, V)], key: &K) -> Result<usize, usize> {
    few.binary_search_by(|(other, _)| other.cmp(key))
}

impl<K: Ord + Clone, V: Clone> Index<&K> for ShortTable<K, V> {
    type Output = V;

    /// # Panics
    ///
    /// If there is no entry of this key.
    fn index(&self, key: &K) -> &V {
        self.get(key).expect("the caller knows it to be there")
    }
}

impl<K: Ord + Clone + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for ShortTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord + Clone + Serialize, V: Clone + Serialize> Serialize for ShortTable<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}
