//! Reports for an engineer's terminal: compact, aligned, and in colour only if asked.
//!
//! The faults are drawn over virtual time, a row for each kind, with the elections below: at a glance one
//! sees which fault cost a leader. A check that is valid takes one line; of one that is not, everything is
//! shown.
//!
//! No line is wider than [`WIDTH`] columns, but for commands: they are never broken, so that they can be
//! pasted.

mod chart;
mod checks;
mod failures;
mod faults;
mod history;
mod run;
mod style;
mod sweep;
mod table;
mod words;
mod wrap;

pub use history::render_history;
pub use run::render_run;
pub use sweep::render_sweep;

use std::time::Duration;

/// How to render.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether to use colours. The caller decides: a terminal, and no `NO_COLOR` in the environment.
    pub color: bool,
    /// Real time that the run or sweep took, to be shown as such.
    pub wall: Option<Duration>,
    /// Whether to list coverage marks rather than only count them.
    pub marks: bool,
}

/// Widest line, in characters.
pub const WIDTH: usize = 110;
/// Faults listed one by one; of more, the rest is counted.
const FAULTS_SHOWN_MAX: usize = 24;
/// Lines shown of one counterexample.
const COUNTEREXAMPLE_LINES_MAX: usize = 40;
/// Reasons shown of one run.
const REASONS_SHOWN_MAX: usize = 20;
/// Groups of failures shown of one sweep.
const GROUPS_SHOWN_MAX: usize = 20;
/// Seeds named of one group of failures.
const SEEDS_SHOWN_MAX: usize = 20;
/// Commands shown of one group of failures.
const REPLAYS_SHOWN_MAX: usize = 3;
