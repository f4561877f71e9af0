//! The ways in which the simple service can be wrong.

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Grants alone what another holds.
    TwoWriters,
    /// Grants more permits than there are.
    MorePermits,
    /// Lets a reader pass who stands in line.
    ReaderPasses,
    /// Lets a writer, or who wants permits, pass who stands in line.
    NewcomerPasses,
    /// Grants what a release has freed to the first in line, and forgets those who could share it.
    ForgetsReaders,
    /// Grants nobody what a release has freed.
    ForgetsToWake,
    /// Refuses what is free.
    RefusesFree,
    /// Refuses one who would share with those who hold it.
    RefusesSharer,
    /// Refuses permits of which there are enough.
    RefusesPermits,
    /// Grants under the same token again.
    TokenReused,
    /// Grants under an earlier token.
    TokenGoesBack,
    /// Takes back with success what is not held.
    StaleRelease,
    /// Says that it has taken back what it has not.
    ReleaseLost,
    /// Says of a stale token that the lock is held under it.
    StaleIsCurrent,
    /// Takes one lock from a session that has come to its end, and lets it have the rest.
    LosesOneOfSession,
}

/// All of them.
pub(crate) const ALL: [Flaw; 15] = [
    Flaw::TwoWriters,
    Flaw::MorePermits,
    Flaw::ReaderPasses,
    Flaw::NewcomerPasses,
    Flaw::ForgetsReaders,
    Flaw::ForgetsToWake,
    Flaw::RefusesFree,
    Flaw::RefusesSharer,
    Flaw::RefusesPermits,
    Flaw::TokenReused,
    Flaw::TokenGoesBack,
    Flaw::StaleRelease,
    Flaw::ReleaseLost,
    Flaw::StaleIsCurrent,
    Flaw::LosesOneOfSession,
];
