//! `stormglassd`: one node of a cluster, as an operator runs it. `stormglassd --help` says how.

fn main() -> std::process::ExitCode {
    stormglass_nodes::daemon::main(std::env::args_os())
}
