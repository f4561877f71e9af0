//! One daemon, as a shell starts it: with pipes for what it says, and nothing that holds it but its process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// A daemon that was started.
pub(crate) struct Process {
    pub(crate) child: Child,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Option<Lines<BufReader<ChildStderr>>>,
}

impl Process {
    /// A cluster of one node, at ports that it chooses.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_anywhere(data, &[&["--cluster", "1=127.0.0.1:0"], arguments].concat())
    }

    /// The same, where the arguments say it is.
    pub(crate) fn start_anywhere(data: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stormglassd"));
        command.args(["--id", "1", "--http", "127.0.0.1:0", "--data"]).arg(data).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it can be started");
        let stdout = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let stderr = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        Self { child, stdout, stderr }
    }

    /// Where it serves, for the nodes and over HTTP, once it says that it is ready.
    pub(crate) async fn ready(&mut self) -> (SocketAddr, SocketAddr) {
        let stdout = self.stdout.as_mut().expect("it is listened to");
        let line = stdout.next_line().await.expect("it can be read").expect("it gets ready");
        let at = |name: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok());
            found.unwrap_or_else(|| panic!("no {name} in {line}"))
        };
        (at("nodes="), at("http="))
    }

    /// The next line of its log that has this in it.
    pub(crate) async fn logged(&mut self, wanted: &str) -> String {
        let stderr = self.stderr.as_mut().expect("it is listened to");
        loop {
            let line = stderr.next_line().await.expect("it can be read");
            let line = line.unwrap_or_else(|| panic!("it never says {wanted}"));
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// All further lines of its log.
    pub(crate) async fn rest_of_log(&mut self) -> Vec<String> {
        let (mut lines, stderr) = (Vec::new(), self.stderr.as_mut().expect("it is listened to"));
        while let Some(line) = stderr.next_line().await.expect("it can be read") {
            lines.push(line);
        }
        lines
    }

    /// From now on nobody reads what it says.
    pub(crate) fn stop_listening(&mut self) {
        (self.stdout, self.stderr) = (None, None);
    }

    /// Sends it a signal, by its name.
    pub(crate) async fn signal(&self, name: &str) {
        signal(self.child.id().expect("it runs"), name).await;
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        self.child.wait().await.expect("it can be waited for")
    }
}

/// Sends a signal to a process.
pub(crate) async fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().await;
    assert!(sent.expect("there is such a program").success(), "{name} to {process}");
}
