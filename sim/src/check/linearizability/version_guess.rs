//! A guess at the order of operations on what has versions, read off these.
//!
//! Writes and deletes follow one another by version. A read that saw a value belongs after the write of
//! its version. A read that saw nothing belongs into one of the gaps in which nothing was there, or may have been:
//! the first that ends late enough for it, and in which something can have vanished by then, because a later gap could
//! only begin too late.

use std::collections::BTreeMap;

use super::Entry;

/// What an answer says of the order.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// It made this version, after which nothing may have been there, or something for certain.
    Made {
        /// The version.
        version: u64,
        /// From when on nothing may have been there before the next, if ever.
        absent_from: Option<u64>,
    },
    /// It saw this version.
    Saw(u64),
    /// It saw nothing.
    SawNothing,
    /// It took effect, but nobody knows where.
    Hidden,
    /// It need not have taken effect.
    Open,
}

/// So many gaps are tried for a read that saw nothing.
const GAPS_TRIED_MAX: usize = 16;

/// What happens between one write and the next.
#[derive(Default)]
struct Gap {
    /// The write that opens it; none for the first.
    write: Option<usize>,
    /// From when on nothing is there, or may be, if ever.
    absent_from: Option<u64>,
    /// Reads that belong here.
    reads: Vec<usize>,
}

/// The order, as positions in `entries`; none if some operation's place cannot be read off its answer.
/// Operations that may never have taken effect are left out.
pub(super) fn guess<Op, Answer>(
    entries: &[Entry<Op, Answer>],
    place: impl Fn(&Entry<Op, Answer>) -> Place,
) -> Option<Vec<usize>> {
    let mut gaps = vec![Gap { absent_from: Some(0), ..Gap::default() }];
    let mut by_version = BTreeMap::new();
    for (position, entry) in entries.iter().enumerate() {
        if let Place::Made { version, absent_from } = place(entry) {
            let gap = Gap { write: Some(position), absent_from, reads: Vec::new() };
            if by_version.insert(version, gap).is_some() {
                return None;
            }
        }
    }
    // Somebody of unknown outcome made what was seen and nobody is known to have made.
    for entry in entries {
        if let Place::Saw(version) = place(entry) {
            by_version.entry(version).or_default();
        }
    }
    let versions: Vec<u64> = by_version.keys().copied().collect();
    gaps.extend(by_version.into_values());

    let mut of_absence = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        match place(entry) {
            Place::Hidden => return None,
            Place::Saw(version) => {
                let gap = versions.binary_search(&version).ok()? + 1;
                gaps[gap].reads.push(position);
            }
            Place::SawNothing => of_absence.push(position),
            Place::Made { .. } | Place::Open => {}
        }
    }
    place_reads_of_absence(entries, &mut gaps, &of_absence)?;
    Some(gaps.into_iter().flat_map(|gap| gap.write.into_iter().chain(gap.reads)).collect())
}

fn place_reads_of_absence<Op, Answer>(
    entries: &[Entry<Op, Answer>],
    gaps: &mut [Gap],
    reads: &[usize],
) -> Option<()> {
    // A gap ends, at the latest, when the first of all later operations returns.
    let mut ends = Vec::new();
    let mut end = u64::MAX;
    for (number, gap) in gaps.iter().enumerate().rev() {
        if let Some(absent_from) = gap.absent_from {
            ends.push((number, absent_from, end));
        }
        for &position in gap.write.iter().chain(&gap.reads) {
            end = end.min(entries[position].returned.unwrap_or(u64::MAX));
        }
    }
    ends.reverse();
    for &position in reads {
        let Entry { invoked, returned, .. } = entries[position];
        let first = ends.partition_point(|(_, _, end)| *end < invoked);
        let has_begun =
            |(_, absent_from, _): &&(usize, u64, u64)| returned.is_none_or(|by| *absent_from <= by);
        let (number, ..) = ends[first..].iter().take(GAPS_TRIED_MAX).find(has_begun)?;
        gaps[*number].reads.push(position);
    }
    Some(())
}
