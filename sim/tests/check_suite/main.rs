//! The checks, checked: what each accepts and what it rejects.

mod brute;
mod differential;
mod exercise;
mod histories;
mod invariants;
mod linearizability;
mod liveness;
mod lock_safety;
mod support;
mod verdicts;
