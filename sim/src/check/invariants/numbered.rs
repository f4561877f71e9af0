//! A list numbered from 1 whose beginning can be forgotten, so that what follows a cluster for long does not grow.

use std::collections::VecDeque;

/// Items numbered from 1, of which the first few may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered<T> {
    /// How many are gone: the first that is left has the next number.
    forgotten: u64,
    items: VecDeque<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Numbered<T> {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { forgotten: 0, items: VecDeque::new() }
    }

    /// The number of the last item; of an empty list, how many there were.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.forgotten + self.items.len() as u64
    }

    /// The item of this number, if there is one that has not been forgotten.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&T> {
        self.items.get(self.place(number)?)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let place = self.place(number)?;
        self.items.get_mut(place)
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<&T> {
        self.items.back()
    }

    /// Puts one behind the last.
    pub fn push(&mut self, item: T) {
        self.items.push_back(item);
    }

    /// What comes behind `number`, with numbers; of what is forgotten nothing.
    pub fn after(&self, number: u64) -> impl Iterator<Item = (u64, &T)> {
        let first = self.forgotten.max(number);
        let skipped = usize::try_from(first - self.forgotten).unwrap_or(usize::MAX).min(self.items.len());
        let numbered = move |(place, item)| (self.forgotten + (skipped + place) as u64 + 1, item);
        self.items.range(skipped..).enumerate().map(numbered)
    }

    /// A list of what `f` makes of the items up to `number`, as much forgotten as of this one.
    pub(super) fn map_up_to<U>(&self, number: u64, f: impl Fn(&T) -> U) -> Numbered<U> {
        let items =
            self.after(0).take_while(|(other, _)| *other <= number).map(|(_, item)| f(item)).collect();
        Numbered { forgotten: self.forgotten.min(number), items }
    }

    /// Leaves nothing behind `number`.
    pub(super) fn truncate(&mut self, number: u64) {
        let kept = number.saturating_sub(self.forgotten);
        self.items.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        self.forgotten = self.forgotten.min(number);
    }

    /// Forgets what comes before `number`, if that is not more than there is.
    pub(super) fn forget_before(&mut self, number: u64) {
        if number > self.last_number() {
            return;
        }
        let gone = number.saturating_sub(self.forgotten + 1);
        self.items.drain(..usize::try_from(gone).unwrap_or(usize::MAX).min(self.items.len()));
        self.items.shrink_to_fit();
        self.forgotten += gone;
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.forgotten + 1)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Numbered;

    fn up_to(last: u64) -> Numbered<u64> {
        let mut list = Numbered::new();
        (1..=last).for_each(|number| list.push(number));
        list
    }

    #[test]
    fn numbers_stay_when_the_beginning_is_forgotten() {
        let mut list = up_to(9);
        list.forget_before(4);
        assert_eq!(
            [list.get(0), list.get(3), list.get(4), list.get(9), list.get(10)],
            [None, None, Some(&4), Some(&9), None]
        );
        list.push(10);
        assert_eq!(list.last_number(), 10);
        assert_eq!(list.after(8).collect::<Vec<_>>(), [(9, &9), (10, &10)]);
        assert_eq!(list.after(1).count(), 7, "of what is forgotten nothing comes");
        let doubled = list.map_up_to(5, |item| item * 2);
        assert_eq!(doubled.after(0).collect::<Vec<_>>(), [(4, &8), (5, &10)]);
    }

    #[test]
    fn nothing_is_forgotten_that_is_not_there_and_cuts_before_the_beginning_leave_nothing() {
        let mut list = up_to(3);
        list.forget_before(4);
        assert_eq!(list, up_to(3));
        list.forget_before(3);
        list.truncate(1);
        assert_eq!((list.last_number(), list.last()), (1, None));
        list.push(2);
        assert_eq!(list.get(2), Some(&2));
    }
}
