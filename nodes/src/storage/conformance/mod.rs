//! Test support: one suite for every store ([`run_contract_suite`]), and one for every disk that the write-ahead
//! log is to stand on ([`run_suite`]).
//!
//! The simulated disk and the real one are different programs behind the same trait, and the log must keep
//! its contract on both. Each part gets an empty disk, and fails with a sentence that says what was
//! expected. Parts that need a power loss run only where the disk can stage one; the report names those
//! that were skipped, so that nobody takes a short list for a full one.

mod contract;
mod crash_points;
mod damage;
mod faulty;
mod images;
mod journal;
mod model;
mod parts;
mod random;
mod snapshot_damage;
mod snapshots;

use std::fmt;

pub use contract::{StoreUnderTest, run_contract_suite};
pub use model::after;

use crate::env::Disk;

/// A disk that can be taken away and given back.
pub trait DiskUnderTest {
    /// Its handle.
    type Disk: Disk;

    /// A handle on the disk as it is now. After a crash, handles from before are not used any more.
    fn disk(&self) -> Self::Disk;

    /// Loses power now: what was not synced survives wholly, in part, or not at all, as hostile as the
    /// disk can make it. `false` if it cannot stage that; nothing happens then.
    fn crash(&self) -> bool;
}

/// What the suite did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuiteReport {
    /// The parts that ran and passed.
    pub passed: Vec<&'static str>,
    /// The parts that were skipped, because nothing can be made to crash.
    pub skipped: Vec<&'static str>,
}

impl fmt::Display for SuiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.passed {
            writeln!(f, "passed   {part}")?;
        }
        for part in &self.skipped {
            writeln!(f, "SKIPPED  {part} (nothing can be made to crash here)")?;
        }
        Ok(())
    }
}

/// How a part ended: `Ok(false)` if it needs a power loss and the disk has none to offer.
type Outcome = Result<bool, String>;

/// Runs every part, each on a disk of its own from `fresh`.
///
/// # Errors
///
/// The name of the first part that failed, and why.
pub async fn run_suite<T: DiskUnderTest>(mut fresh: impl FnMut() -> T) -> Result<SuiteReport, String> {
    let mut report = SuiteReport::default();
    macro_rules! run {
        ($($module:ident::$part:ident),* $(,)?) => {$(
            let name = stringify!($part);
            match $module::$part(&fresh()).await {
                Ok(true) => report.passed.push(name),
                Ok(false) => report.skipped.push(name),
                Err(reason) => return Err(format!("{name}: {reason}")),
            }
        )*};
    }
    run!(
        parts::an_empty_disk_opens_as_an_empty_log,
        parts::what_is_stored_is_recovered,
        parts::every_restart_recovers_exactly,
        parts::a_log_spans_many_segments,
        parts::truncation_makes_room_for_other_entries,
        parts::an_empty_request_changes_nothing,
        parts::preallocated_zeros_are_not_records,
        parts::a_failed_sync_poisons_the_store,
        parts::a_failed_write_poisons_the_store,
        parts::an_abandoned_store_poisons_the_store,
        parts::a_whole_but_unacknowledged_batch_is_made_durable_before_it_is_believed,
        parts::power_loss_keeps_all_that_was_acknowledged,
        parts::power_loss_amid_a_batch_keeps_all_of_it_or_nothing,
        damage::a_tail_cut_at_any_byte_loses_only_unfinished_batches,
        damage::a_tail_with_any_hole_is_cut,
        damage::any_changed_byte_is_refused_or_cut_with_the_last_batch,
        damage::a_changed_byte_before_the_last_segment_is_refused,
        damage::a_missing_segment_is_refused,
        damage::a_folder_of_another_node_is_refused,
        damage::a_newer_format_is_refused,
        damage::an_unused_segment_is_replaced,
        damage::remains_of_a_cut_tail_never_return,
        snapshots::snapshots_and_what_follows_them_are_recovered,
        snapshots::an_installed_snapshot_takes_the_place_of_any_log,
        snapshots::a_snapshot_of_many_pieces_comes_back_whole,
        snapshots::a_superseded_snapshot_leaves_the_folder,
        snapshots::whole_segments_are_forgotten,
        snapshots::what_still_counts_outlives_its_segment,
        snapshots::the_folder_stays_small,
        snapshots::given_up_files_that_return_are_removed_again,
        snapshots::snapshots_that_no_record_names_are_removed,
        snapshots::power_loss_after_any_request_keeps_snapshots_too,
        snapshot_damage::a_lost_snapshot_is_refused,
        snapshot_damage::any_change_of_a_snapshot_is_refused,
        snapshot_damage::a_snapshot_of_another_time_is_refused,
        snapshot_damage::a_snapshot_of_another_node_is_refused,
        snapshot_damage::a_newer_snapshot_format_is_refused,
        snapshot_damage::a_segment_that_was_not_given_up_is_missed,
        snapshot_damage::a_snapshot_without_a_log_is_refused,
        snapshot_damage::a_changed_header_is_refused_where_reading_begins,
        crash_points::a_crash_while_a_snapshot_is_kept_leaves_all_or_nothing,
        crash_points::a_crash_while_a_snapshot_is_installed_leaves_all_or_nothing,
        crash_points::a_crash_while_segments_are_removed_loses_none_of_the_others,
        crash_points::a_crash_amid_a_request_that_does_everything_leaves_all_or_nothing,
    );
    Ok(report)
}
