//! The checks, checked: what each accepts and what it rejects.

mod brute;
mod differential;
mod events;
mod exercise;
mod histories;
mod invariants;
mod invariants_members;
mod invariants_snapshots;
mod linearizability;
mod liveness;
mod lock_safety;
mod support;
mod verdicts;
