//! Imports go one way. Tests are free: what is checked is the code that is shipped.

use super::offences;
use super::sources::{Source, read, rust_sources};

/// For each package, which packages of this workspace it may depend on.
const PACKAGES: &[(&str, &[&str])] = &[
    ("nodes", &[]),
    ("reports", &[]),
    ("sim", &["stormglass-nodes", "stormglass-reports"]),
    ("scenarios", &["stormglass-sim"]),
];

/// For each folder of modules, the other modules of its package that each module may name.
const MODULES: &[(&str, &str, &[&str])] = &[
    ("nodes", "ids", &[]),
    ("nodes", "marks", &[]),
    ("nodes", "plant", &[]),
    ("nodes", "raft", &["ids", "marks", "plant"]),
    ("nodes", "machine", &["ids", "marks", "plant"]),
    ("nodes", "coherence", &["ids", "marks", "plant"]),
    ("nodes", "env", &["ids"]),
    // For unit tests only.
    ("nodes", "fake_env", &["ids", "env"]),
    ("nodes", "api", &["ids", "raft", "machine", "coherence"]),
    ("nodes", "storage", &["ids", "marks", "plant", "raft", "env"]),
    ("nodes", "transport", &["ids", "marks", "plant", "raft", "machine", "coherence", "api", "env"]),
    ("nodes", "client", &["ids", "marks", "plant", "raft", "machine", "api", "env", "fake_env", "transport"]),
    (
        "nodes",
        "server",
        &[
            "ids",
            "marks",
            "plant",
            "raft",
            "machine",
            "coherence",
            "api",
            "env",
            "fake_env",
            "transport",
            "storage",
        ],
    ),
    ("nodes", "tokio_env", &["ids", "marks", "env"]),
    // Of storage it tells how it is.
    ("nodes", "http", &["ids", "raft", "machine", "api", "env", "storage", "client", "tokio_env"]),
    ("nodes", "daemon", &["ids", "raft", "env", "server", "storage", "tokio_env", "http"]),
    ("sim", "rng", &[]),
    ("sim", "plan", &["rng"]),
    ("sim", "history", &[]),
    ("sim", "catalog", &["plan"]),
    ("sim", "plant", &[]),
    ("sim", "check", &["history", "plant"]),
    ("sim", "nemesis", &["plan", "rng", "history", "plant"]),
    ("sim", "workload", &["plan", "rng", "history"]),
    ("sim", "world", &["plan", "rng", "history", "plant", "nemesis"]),
    // Of the simulated world it takes the draws of links and the names of processes.
    ("sim", "live", &["plan", "rng", "history", "nemesis", "world"]),
    (
        "sim",
        "run",
        &["plan", "rng", "history", "plant", "catalog", "check", "nemesis", "workload", "world", "live"],
    ),
    (
        "sim",
        "cli",
        &["plan", "rng", "history", "catalog", "check", "nemesis", "workload", "world", "live", "run"],
    ),
];

#[test]
fn packages_import_one_way() {
    let mut found = Vec::new();
    for (package, allowed) in PACKAGES {
        let manifest = read(&format!("{package}/Cargo.toml"));
        let dependencies = manifest.split("[dependencies]").nth(1).expect("there are dependencies");
        let dependencies = dependencies.split("\n[").next().expect("the table ends");
        for line in dependencies.lines().filter(|line| line.starts_with("stormglass-")) {
            let name = line.split([' ', '.']).next().unwrap_or_default();
            if !allowed.contains(&name) {
                found.push(format!("{package} depends on {name}"));
            }
        }
    }
    offences("these arrows between packages go the wrong way", found);
}

#[test]
fn modules_import_one_way() {
    let mut found = Vec::new();
    for Source { path, text } in rust_sources() {
        let Some((package, module)) = module_of(&path).filter(|(package, _)| layered(package)) else {
            continue;
        };
        let Some((.., allowed)) = MODULES.iter().find(|(p, m, _)| (*p, *m) == (package, module)) else {
            found.push(format!("{path}: the module {module} has no place in the order of arrows"));
            continue;
        };
        let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in shipped.lines().enumerate() {
            for named in names_after(line, "crate::").into_iter().filter(|name| *name != module) {
                let is_module = MODULES.iter().any(|(p, m, _)| (*p, *m) == (package, named));
                if is_module && !allowed.contains(&named) {
                    found.push(format!("{path}:{}: {module} imports {named}", number + 1));
                }
            }
        }
    }
    offences("these arrows between modules go the wrong way", found);
}

/// Checkers share no code with what they check: only the glue in `run` names the nodes.
#[test]
fn only_the_glue_knows_the_nodes() {
    let free = ["check", "history", "plan", "nemesis", "rng", "workload"];
    let mut found = Vec::new();
    for Source { path, text } in rust_sources() {
        let Some(("sim", module)) = module_of(&path) else { continue };
        if free.contains(&module) && text.contains("stormglass_nodes") {
            found.push(path);
        }
    }
    offences("these files must not know the nodes", found);
}

/// Whether a package's modules have an order at all; the others are one layer each.
fn layered(package: &str) -> bool {
    MODULES.iter().any(|(layered, ..)| *layered == package)
}

/// The package and the top-level module that a source file belongs to; `None` for crate roots, binaries,
/// tests and benchmarks.
fn module_of(path: &str) -> Option<(&str, &str)> {
    let (package, rest) = path.split_once("/src/")?;
    let module = rest.split('/').next()?.trim_end_matches(".rs");
    let is_test = rest.contains("/tests") || rest.ends_with("tests.rs");
    (!is_test && !["lib", "bin", "main"].contains(&module)).then_some((package, module))
}

fn names_after<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    if line.trim_start().starts_with("//") {
        return Vec::new();
    }
    let tails = line.match_indices(prefix).map(|(at, _)| &line[at + prefix.len()..]);
    tails.filter_map(|tail| tail.split(|c: char| !c.is_alphanumeric() && c != '_').next()).collect()
}
