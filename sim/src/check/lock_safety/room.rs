//! How much of a resource was free for certain, moment by moment.

use std::collections::BTreeMap;

use super::claims::Claim;
use crate::history::VirtualTime;

/// What is left of a resource whatever of all possible claims was there.
#[derive(Debug)]
pub(super) struct Room {
    /// From when on there is so much, in order; the first from the beginning.
    pieces: Vec<(VirtualTime, u64)>,
    most: Extremes,
    least: Extremes,
}

impl Room {
    /// Who waited in vain for this resource alone takes nothing away, as long as there was room for it: the first of
    /// all those ought to have got it. Where there was none for one of them, that one may have been before all others.
    pub(super) fn of(claims: &[Claim], capacity: u64) -> Self {
        let mut moments: Vec<(u64, bool, &Claim)> = Vec::with_capacity(claims.len() * 2);
        for claim in claims {
            moments.push((claim.from_ns.0, true, claim));
            if let Some(after) = claim.until_ns.0.checked_add(1) {
                moments.push((after, false, claim));
            }
        }
        moments.sort_unstable_by_key(|(at, begins, _)| (*at, *begins));
        let mut pieces = vec![(VirtualTime(0), capacity)];
        let mut taken = 0_u128;
        let mut in_vain: BTreeMap<u64, usize> = BTreeMap::new();
        for at_once in moments.chunk_by(|one, other| one.0 == other.0) {
            for (_, begins, claim) in at_once {
                match (claim.is_in_vain, begins) {
                    (true, true) => *in_vain.entry(claim.weight).or_default() += 1,
                    (true, false) => one_less(&mut in_vain, claim.weight),
                    (false, true) => taken += u128::from(claim.weight),
                    (false, false) => taken -= u128::from(claim.weight),
                }
            }
            let left = u64::try_from(taken).ok().and_then(|taken| capacity.checked_sub(taken)).unwrap_or(0);
            let largest = in_vain.last_key_value().map_or(0, |(weight, _)| *weight);
            let left = if largest > left { 0 } else { left };
            let at = VirtualTime(at_once[0].0);
            match pieces.last_mut() {
                Some((from, piece)) if *from == at => *piece = left,
                Some((_, piece)) if *piece == left => {}
                _ => pieces.push((at, left)),
            }
        }
        let amounts = || pieces.iter().map(|(_, left)| *left);
        let (most, least) =
            (Extremes::of(amounts(), u64::max, 0), Extremes::of(amounts(), u64::min, u64::MAX));
        Self { pieces, most, least }
    }

    /// The most that there was at some moment from `from` to just before `until`.
    pub(super) fn most_within(&self, from: VirtualTime, until: VirtualTime) -> u64 {
        let end = self.pieces.partition_point(|(piece, _)| *piece < until);
        self.most.over(self.place_of(from), end)
    }

    /// The least that there was at some moment from the one to the other, both included.
    pub(super) fn least_between(&self, from: VirtualTime, to: VirtualTime) -> u64 {
        let end = self.pieces.partition_point(|(piece, _)| *piece <= to);
        self.least.over(self.place_of(from), end)
    }

    /// A moment from `from` on at which there was so much, if there was one.
    pub(super) fn first_with(&self, from: VirtualTime, wanted: u64) -> Option<VirtualTime> {
        let pieces = &self.pieces[self.place_of(from)..];
        pieces.iter().find(|(_, left)| *left >= wanted).map(|(at, _)| (*at).max(from))
    }

    fn place_of(&self, at: VirtualTime) -> usize {
        self.pieces.partition_point(|(piece, _)| *piece <= at).saturating_sub(1)
    }
}

fn one_less(counts: &mut BTreeMap<u64, usize>, weight: u64) {
    if let Some(count) = counts.get_mut(&weight) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&weight);
        }
    }
}

/// The greatest, or the least, of any stretch of a list, in O(log n).
#[derive(Debug)]
struct Extremes {
    /// The second half is the list, before it of each two the one that counts.
    tree: Vec<u64>,
    of_two: fn(u64, u64) -> u64,
    of_none: u64,
}

impl Extremes {
    fn of(list: impl ExactSizeIterator<Item = u64>, of_two: fn(u64, u64) -> u64, of_none: u64) -> Self {
        let count = list.len();
        let mut tree = vec![of_none; count];
        tree.extend(list);
        for place in (1..count).rev() {
            tree[place] = of_two(tree[2 * place], tree[2 * place + 1]);
        }
        Self { tree, of_two, of_none }
    }

    fn over(&self, from: usize, end: usize) -> u64 {
        let count = self.tree.len() / 2;
        let (mut low, mut high, mut extreme) = (from + count, end + count, self.of_none);
        while low < high {
            if low % 2 == 1 {
                extreme = (self.of_two)(extreme, self.tree[low]);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                extreme = (self.of_two)(extreme, self.tree[high]);
            }
            (low, high) = (low / 2, high / 2);
        }
        extreme
    }
}

#[cfg(test)]
mod tests {
    use super::{Extremes, Room};
    use crate::check::lock_safety::claims::Claim;
    use crate::history::VirtualTime;

    #[test]
    fn extremes_are_those_of_every_stretch() {
        let list = [3, 1, 4, 1, 5, 9, 2];
        for count in 1..=list.len() {
            let least = Extremes::of(list[..count].iter().copied(), u64::min, u64::MAX);
            for from in 0..count {
                for end in from..=count {
                    let expected = list[from..end].iter().copied().min().unwrap_or(u64::MAX);
                    assert_eq!(least.over(from, end), expected, "{from}..{end} of {count}");
                }
            }
        }
    }

    #[test]
    fn what_is_claimed_is_not_free_up_to_its_last_moment() {
        let claim = |from, until, weight, is_in_vain| Claim {
            operation: 0,
            from_ns: VirtualTime(from),
            until_ns: VirtualTime(until),
            weight,
            is_in_vain,
        };
        let claims = [claim(10, 20, 2, false), claim(15, u64::MAX, 1, false), claim(30, 40, 3, true)];
        let room = Room::of(&claims, 4);
        let at = |at| room.least_between(VirtualTime(at), VirtualTime(at));
        assert_eq!([9, 10, 15, 20, 21, 30, 41].map(at), [4, 2, 1, 1, 3, 3, 3]);
        let small = Room::of(&claims, 3);
        assert_eq!(small.least_between(VirtualTime(30), VirtualTime(30)), 0, "no room for who waits in vain");
        assert_eq!(room.most_within(VirtualTime(9), VirtualTime(10)), 4);
        assert_eq!(room.most_within(VirtualTime(10), VirtualTime(21)), 2);
        assert_eq!(room.first_with(VirtualTime(12), 3), Some(VirtualTime(21)));
    }
}
