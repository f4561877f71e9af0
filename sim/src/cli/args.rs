//! The arguments, and the help that teaches them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::check::CheckArguments;

/// Torments a replicated service in a sealed, repeatable world and says whether it stayed correct.
#[derive(Debug, Parser)]
#[command(
    name = "stormglass",
    version,
    after_help = "Try:\n  \
        stormglass list\n  \
        stormglass run leader-crash --seed 7\n  \
        stormglass run leader-crash --seeds 1..200\n  \
        stormglass run --all --seeds 1..20\n  \
        stormglass live leader-crash --seed 7\n\n\
        Exit codes: 0 valid, 1 invalid, 2 unknown, 64 bad usage."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the scenarios of the catalogue with what each one claims
    List(List),
    /// Run a scenario from a seed, or over many seeds, and judge it
    Run(Run),
    /// Run again what a failing run left behind
    Replay(Replay),
    /// Judge a history that was recorded elsewhere: a Jepsen log, EDN, or what a run left
    Check(CheckArguments),
    /// Run a scenario on real processes of this machine, in real time, and judge it the same way
    Live(Live),
    /// A node of a live run
    #[command(hide = true)]
    LiveNode(LiveNode),
    /// A redis-server that ends with whoever started it
    #[command(hide = true)]
    LiveRedis(LiveRedis),
    /// Run a scenario over many seeds and show how long nobody led and nobody was served
    Measure(Measure),
    /// Run a scenario round after round on the same nodes, as long as you like, in memory that does not grow
    Soak(Soak),
    /// Prove that runs repeat: the same seeds twice in this process and once more in another
    Meta(Meta),
    /// Start a cluster of real nodes on this machine, to try things out
    Cluster(Cluster),
    /// Measure the whole system on this machine: locks, messages, cache, and how it scales
    Bench(Bench),
    /// Show the planted bugs, for builds with `--features planted-bugs`
    Bugs(Bugs),
}

#[derive(Debug, Args)]
pub(super) struct Cluster {
    /// How many nodes
    #[arg(value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
    pub(super) nodes: u64,
    /// Where their data is kept; without it, in a folder that goes when they stop
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Keep their logs in a Redis: its URL, or `spawn` to start a private redis-server from the PATH. A URL with a
    /// password is better put into the variable STORMGLASS_REDIS, which the nodes read
    #[arg(long, value_name = "URL|spawn")]
    pub(super) redis: Option<String>,
    /// Options for every node, after `--`: `stormglass daemon --help` explains them
    #[arg(last = true, value_name = "OPTION")]
    pub(super) daemon: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Requests of each kind
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(256..=1_000_000))]
    pub(super) operations: u64,
    /// Callers at a time, where it is measured how many are served
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub(super) clients: u64,
}

#[derive(Debug, Args)]
pub(super) struct Catalog {
    /// Folder of the catalogue [default: scenarios/catalog here or in a folder above]
    #[arg(long = "catalog", value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    pub(super) catalog: Catalog,
}

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Terminal,
    /// For programs: the same bytes for the same seed, but in a live run
    Json,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Args)]
pub(super) struct Output {
    /// How to show the result
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: Format,
    /// When to use colours
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) color: Color,
    /// Where a run that is not valid leaves its folder
    #[arg(long, value_name = "DIR", default_value = "stormglass-runs")]
    pub(super) out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Names from the catalogue, or paths of scenario files
    #[arg(value_name = "SCENARIO", required_unless_present = "all")]
    pub(super) scenarios: Vec<String>,
    /// Run every scenario of the catalogue
    #[arg(long, conflicts_with = "scenarios")]
    pub(super) all: bool,
    /// The seed: the same seed repeats a run to the byte
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(super) seed: u64,
    /// Many seeds, first to last, both included: 1..200
    #[arg(long, value_name = "A..B", conflicts_with = "seed")]
    pub(super) seeds: Option<SeedRange>,
    /// Plant this bug in the nodes and see whether it is found (`stormglass bugs` lists them)
    #[arg(long, value_name = "BUG")]
    pub(super) plant: Option<String>,
    /// Runs at a time with --seeds [default: one for each core]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
    /// Stop a sweep at the first run that is not valid
    #[arg(long, requires = "seeds")]
    pub(super) fail_fast: bool,
    /// Leave the folder of each run, valid or not
    #[arg(long)]
    pub(super) keep: bool,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) catalog: Catalog,
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The folder that a run left, or a schedule.toml
    #[arg(value_name = "PATH")]
    pub(super) path: PathBuf,
    /// Plant this bug, as the first run did
    #[arg(long, value_name = "BUG")]
    pub(super) plant: Option<String>,
    #[command(flatten)]
    pub(super) output: Output,
}

/// What nodes keep their logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Storage {
    /// Files
    Wal,
    /// A Redis: one for each node, or one for all where the scenario says so
    Redis,
}

#[derive(Debug, Args)]
pub(super) struct Live {
    /// Name from the catalogue, or path of a scenario file
    #[arg(value_name = "SCENARIO")]
    pub(super) scenario: String,
    /// The seed: it brings back the schedule of faults and what clients draw, not what the machine does
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(super) seed: u64,
    /// Many seeds, first to last, both included, one after the other: 1..5
    #[arg(long, value_name = "A..B", conflicts_with = "seed")]
    pub(super) seeds: Option<SeedRange>,
    /// What the nodes keep their logs in, whatever the scenario says: files, or a private redis-server from the PATH
    #[arg(long, value_enum, value_name = "KIND")]
    pub(super) storage: Option<Storage>,
    /// Plant this bug in the nodes and see whether it is found (`stormglass bugs` lists them)
    #[arg(long, value_name = "BUG")]
    pub(super) plant: Option<String>,
    /// Where the nodes keep their folders while the run lasts [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Leave the folder of each run, valid or not
    #[arg(long)]
    pub(super) keep: bool,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) catalog: Catalog,
}

/// What the harness of a live run tells a node that it starts.
#[derive(Debug, Args)]
pub(super) struct LiveNode {
    #[arg(long)]
    pub(super) node: u64,
    #[arg(long)]
    pub(super) schedule: PathBuf,
    #[arg(long)]
    pub(super) data: PathBuf,
    #[arg(long)]
    pub(super) harness: u32,
    #[arg(long = "peer", value_parser = peer)]
    pub(super) peers: Vec<(u64, SocketAddr)>,
    #[arg(long)]
    pub(super) speaks: Option<u16>,
    #[arg(long)]
    pub(super) redis: Option<PathBuf>,
    #[arg(long)]
    pub(super) plant: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct LiveRedis {
    #[arg(long)]
    pub(super) harness: u32,
    #[arg(last = true, allow_hyphen_values = true)]
    pub(super) arguments: Vec<String>,
}

fn peer(text: &str) -> Result<(u64, SocketAddr), String> {
    let parts =
        text.split_once('=').and_then(|(node, place)| Some((node.parse().ok()?, place.parse().ok()?)));
    parts.ok_or_else(|| format!("write a node and its address, such as 2=127.0.0.1:4000, not {text:?}"))
}

#[derive(Debug, Args)]
pub(super) struct Measure {
    /// Name from the catalogue, or path of a scenario file, in which leaders are lost or hand over
    #[arg(value_name = "SCENARIO")]
    pub(super) scenario: String,
    /// The seeds to measure over, first to last, both included
    #[arg(long, value_name = "A..B", default_value = "1..1000")]
    pub(super) seeds: SeedRange,
    /// Runs at a time [default: one for each core]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
    #[command(flatten)]
    pub(super) catalog: Catalog,
}

#[derive(Debug, Args)]
pub(super) struct Soak {
    /// Name from the catalogue, or path of a scenario file, whose faults leave the nodes what they were
    #[arg(value_name = "SCENARIO")]
    pub(super) scenario: String,
    /// The seed: the same seed repeats all rounds to the byte
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub(super) seed: u64,
    /// How many rounds
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) rounds: u64,
    /// Plant this bug in the nodes and see whether it is found (`stormglass bugs` lists them)
    #[arg(long, value_name = "BUG")]
    pub(super) plant: Option<String>,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) catalog: Catalog,
}

#[derive(Debug, Args)]
pub(super) struct Meta {
    /// Names from the catalogue, or paths of scenario files [default: the whole catalogue in turn]
    #[arg(value_name = "SCENARIO")]
    pub(super) scenarios: Vec<String>,
    /// The seeds to repeat, first to last, both included
    #[arg(long, value_name = "A..B", default_value = "1..20")]
    pub(super) seeds: SeedRange,
    /// Plant this bug and see whether the runs repeat all the same (`stormglass bugs` lists them)
    #[arg(long, value_name = "BUG")]
    pub(super) plant: Option<String>,
    #[command(flatten)]
    pub(super) catalog: Catalog,
    /// Print one line per seed with its trace hash instead, for the comparing process
    #[arg(long, hide = true)]
    pub(super) hashes_only: bool,
}

#[derive(Debug, Args)]
pub(super) struct Bugs {
    /// Look for each bug through the whole catalogue, and show what found it
    #[arg(long)]
    pub(super) sweep: bool,
    /// The seeds to look through, first to last, both included
    #[arg(long, value_name = "A..B", default_value = "1..4", requires = "sweep")]
    pub(super) seeds: SeedRange,
    /// Look for this bug only; may be given more than once
    #[arg(long = "bug", value_name = "BUG", requires = "sweep")]
    pub(super) bugs: Vec<String>,
    /// Runs at a time [default: one for each core]
    #[arg(long, value_name = "N", requires = "sweep")]
    pub(super) jobs: Option<usize>,
    #[command(flatten)]
    pub(super) catalog: Catalog,
}

/// Most seeds of one sweep: the list of its runs is kept in memory.
const SEEDS_MAX: u64 = 1_000_000;

/// Seeds from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeedRange {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl SeedRange {
    pub(super) const fn only(seed: u64) -> Self {
        Self { first: seed, last: seed }
    }

    pub(super) fn seeds(self) -> impl Iterator<Item = u64> {
        self.first..=self.last
    }
}

impl FromStr for SeedRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed =
            || format!("write two whole numbers with two dots between them, such as 1..200, not {text:?}");
        let (first, last) = text.split_once("..").ok_or_else(malformed)?;
        let last = last.strip_prefix('=').unwrap_or(last);
        let number = |part: &str| part.trim().parse::<u64>().map_err(|_| malformed());
        let range = Self { first: number(first)?, last: number(last)? };
        if range.last < range.first {
            return Err(format!("the last seed, {}, comes before the first, {}", range.last, range.first));
        }
        if range.last - range.first >= SEEDS_MAX {
            return Err(format!("that is more than {SEEDS_MAX} seeds: sweep them in parts"));
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn seed_ranges_include_both_ends() {
        assert_eq!("3..5".parse::<SeedRange>().map(|range| range.seeds().collect()), Ok(vec![3, 4, 5]));
        assert_eq!("7..=7".parse(), Ok(SeedRange::only(7)));
    }

    #[test]
    fn malformed_seed_ranges_are_refused() {
        for text in [
            "",
            "1",
            "..",
            "1..",
            "5..3",
            "-1..2",
            "1..2..3",
            "a..b",
            "1..99999999999999999999",
            "0..1000000",
        ] {
            assert!(text.parse::<SeedRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn more_seeds_than_a_list_of_runs_can_hold_are_refused() {
        assert!("0..18446744073709551615".parse::<SeedRange>().is_err());
        assert!("0..1000000".parse::<SeedRange>().is_err());
        assert!("1..1000000".parse::<SeedRange>().is_ok());
        assert!("18446744073709551614..18446744073709551615".parse::<SeedRange>().is_ok());
    }
}
