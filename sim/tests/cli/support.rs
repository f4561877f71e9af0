//! A folder to work in, and the program started in it.
#![expect(clippy::disallowed_methods, reason = "it tests what a program does with real files")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Variables that change what the program prints, or how wide.
const VARIABLES_REMOVED: [&str; 4] = ["CARGO", "CARGO_PKG_NAME", "NO_COLOR", "COLUMNS"];

/// A short scenario whose only fault leaves nothing to be seen: no run of it can be more than unknown.
pub(crate) const VACUOUS: &str = r#"claim = "A loss that never happens is noticed."

[cluster]
nodes = 3
clients = 2

[timing]
faults_from_ms = 1_500
faults_until_ms = 2_000
recover_within_ms = 500
end_ms = 3_000

[[faults]]
kind = "degrade"
loss = 1e-15
at_ms = 1_500
for_ms = 100
"#;

/// A short scenario whose fault is seen.
pub(crate) const SHORT: &str = r#"claim = "Three nodes outlive a follower."

[cluster]
nodes = 3
clients = 2

[timing]
faults_from_ms = 1_500
faults_until_ms = 2_500
recover_within_ms = 2_000
end_ms = 5_000

[[faults]]
kind = "crash"
target = "follower"
at_ms = [1_500, 1_700]
for_ms = 500
"#;

/// A document of the project.
pub(crate) fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a started program left.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A folder of our own in which the program is started.
pub(crate) struct Place(TempDir);

impl Place {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for a folder"))
    }

    /// A folder with these files; folders on the way to them are made.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        for (path, text) in files {
            let path = place.path(path);
            fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders are made");
            fs::write(path, text).expect("the file is written");
        }
        place
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Puts a text where a file is or is to be.
    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).expect("the file is written");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A text in which this folder is called `PLACE`: its real name is another each time.
    pub(crate) fn without_its_path(&self, text: &str) -> String {
        let path = self.0.path();
        let real = path.canonicalize().expect("the folder is there");
        let text = text.replace(&real.display().to_string(), "PLACE");
        text.replace(&path.display().to_string(), "PLACE")
    }

    /// Every file below the folder, by its path in it, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(self.0.path(), self.0.path(), &mut found);
        found.sort();
        found
    }

    /// Starts the program in the folder and waits for its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        run_in(self.0.path(), arguments)
    }
}

/// Starts the program in a folder and waits for its end.
pub(crate) fn run_in(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormglass"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for variable in VARIABLES_REMOVED {
        command.env_remove(variable);
    }
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let relative = path.strip_prefix(root).expect("it lies below the root");
            found.push(relative.to_string_lossy().into_owned());
        }
    }
}
