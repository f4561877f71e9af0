//! Tier 2: rules for special objects, in O(n log n).
//!
//! Linearizability is NP-complete in general (Gibbons and Korach 1997), but hardly ever of what is written
//! in practice. A rule looks at the operations on one object, decides whether it applies, and if so says
//! what is the case for certain. Each rule is compared with the search on millions of histories.

mod blocks;
mod exclusion;
mod fifo;
mod tokens;

pub(super) use blocks::rule as blocks;
pub(super) use exclusion::rule as exclusion;
pub(super) use fifo::rule as fifo;
pub(super) use tokens::rule as tokens;

/// What a rule says of the operations on one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// They are linearizable in this order, positions in the entries, which is verified.
    Order(Vec<usize>),
    /// They are linearizable; the rule knows no order.
    Possible,
    /// They are not linearizable.
    Impossible,
    /// They are not linearizable, and those that were invoked before this one returned are not either, of which only
    /// that matters which had been answered by then. A position in the entries.
    ImpossibleAt(usize),
}
