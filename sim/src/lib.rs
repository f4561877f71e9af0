//! Stormglass's simulator and testbed.
//!
//! Arrows between the modules, each importing only from its left:
//! `rng, plan, history, plant` <- `catalog, workload, check, nemesis` <- `world` <- `live` <- `run` <- `cli` <- `bin`.

#[cfg(not(madsim))]
compile_error!(
    "the simulator needs `--cfg madsim`: an environment RUSTFLAGS has replaced the project's setting; \
     unset it, or add `--cfg madsim` to it"
);

pub mod catalog;
pub mod check;
pub mod cli;
pub mod history;
pub mod live;
pub mod nemesis;
pub mod plan;
pub mod plant;
pub mod rng;
pub mod run;
pub mod workload;
pub mod world;
