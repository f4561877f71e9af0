//! The project's own sources.
#![expect(clippy::disallowed_methods, reason = "this test reads the real sources")]

use std::path::{Path, PathBuf};

/// One Rust file, by its path from the root.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

/// A file's text, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All Rust files of the workspace, sorted by path.
pub(crate) fn rust_sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for package in ["nodes", "sim", "reports", "scenarios", "peers"] {
        collect(&root().join(package), &mut paths);
    }
    paths.sort();
    assert!(paths.len() > 50, "the sources were not found");
    let relative =
        |path: &Path| path.strip_prefix(root()).expect("it is below the root").to_string_lossy().into_owned();
    paths.iter().map(|path| Source { path: relative(path), text: read(&relative(path)) }).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}
