//! The command line of the simulator. See `stormglass --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    stormglass_sim::cli::main()
}
