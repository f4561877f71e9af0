//! The arguments of `stormglass check`, and the help that teaches them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::check::linearizability::STEPS_MAX;
use crate::cli::args::Color;

/// What a history is taken to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum HistoryModel {
    /// Registers: read, write, compare-and-set
    Register,
    /// Texts by key: get, put, append
    Kv,
    /// Locks and semaphores: holds, fencing tokens, lines, deadlocks
    Lock,
    /// Topics: deliveries, leases, order, dead letters, counts
    Queue,
    /// Keys of a cache: versions, lives that end, what locks guard
    Cache,
}

impl HistoryModel {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Kv => "kv",
            Self::Lock => "lock",
            Self::Queue => "queue",
            Self::Cache => "cache",
        }
    }
}

/// The format of a history's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum HistoryFormat {
    /// JSON lines, as runs leave them (docs/history-format.md)
    Jsonl,
    /// The log of a Jepsen test: INFO  jepsen.util - 3  :invoke  :cas  [1 2]
    Jepsen,
    /// Maps in EDN: {:process 0, :type :invoke, :f :get, :key "1", :value nil}
    Edn,
}

impl HistoryFormat {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Jepsen => "jepsen",
            Self::Edn => "edn",
        }
    }
}

/// For whom the result is. What was measured differs from one time to the next, which a run's report leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum CheckFormat {
    /// For people
    Terminal,
    /// For programs: the same for the same file, but for read_us, wall_us and memory_peak_bytes
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Try:\n  \
    stormglass check etcd.log --model register\n  \
    stormglass check store.edn --model kv --format json\n  \
    stormglass check stormglass-runs/leader-crash-7 --model register\n\n\
    Exit codes: 0 valid, 1 invalid, 2 unknown, 64 bad usage or a file that is no history.")]
pub(in crate::cli) struct CheckArguments {
    /// The history's file; of a folder that a run left, its history.jsonl
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// What the history is of
    #[arg(long, value_enum)]
    pub(super) model: HistoryModel,
    /// The file's format [default: judged by how the file begins]
    #[arg(long, value_enum)]
    pub(super) from: Option<HistoryFormat>,
    /// Steps that a search may take before it gives up: the verdict is unknown then
    #[arg(long, value_name = "N", default_value_t = STEPS_MAX)]
    pub(super) steps: u64,
    /// By how much a clock that times leases and delays may run fast, in parts per million [default: what the
    /// schedule.toml beside the file says, else 100]
    #[arg(long, value_name = "PPM")]
    pub(super) drift_ppm: Option<u64>,
    /// From when on nothing disturbed the cluster, in milliseconds of the history's time: only from then on is anything
    /// known to be over, such as a life or a lease, and judged as such [default: what a run's report.json and
    /// schedule.toml beside the file say, else never]
    #[arg(long, value_name = "MS")]
    pub(super) calm_from_ms: Option<u64>,
    /// How to show the result
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: CheckFormat,
    /// When to use colours
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) color: Color,
}
