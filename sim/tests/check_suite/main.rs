//! The checks, checked: what each accepts and what it rejects.

mod brute;
mod cache_aged;
mod cache_safety;
mod differential;
mod events;
mod exercise;
mod guarded;
mod histories;
mod invariants;
mod invariants_members;
mod invariants_snapshots;
mod linearizability;
mod liveness;
mod lock_line;
mod lock_modes;
mod lock_safety;
mod lock_views;
mod plain_models;
mod planted;
mod queue_accounts;
mod queue_safety;
mod support;
mod verdicts;
