//! What the daemon refuses to start with, and how it says so.

use std::process::Stdio;

use tokio::process::Command;

use crate::support::Daemons;

/// How it ended, and what it said.
async fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormglassd"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let ended = command.output().await.expect("it can be started");
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_options_are_refused_in_one_line_with_a_hint() {
    let folder = tempfile::TempDir::new().expect("there is room for a folder");
    let data = folder.path().to_str().expect("its name is text");
    let base = ["--id", "1", "--cluster", "1=127.0.0.1:0", "--data", data];
    let with = |more: &[&'static str]| [base.as_slice(), more].concat();
    let cases = [
        (vec![], "--id is missing"),
        (vec!["--idd", "1"], "unexpected argument '--idd'"),
        (with(&["--listen", "0.0.0.0:0"]), "--listen 0.0.0.0:0 is not on loopback"),
        (with(&["--http", "0.0.0.0:0"]), "--http 0.0.0.0:0 is not on loopback"),
        (with(&["--listen", "no-such-host.invalid:1"]), "there is no such address"),
        (with(&["--log-level", "stormglass=loud"]), "--log-level stormglass=loud"),
        (with(&["--config", "/nowhere/at/all.toml"]), "--config /nowhere/at/all.toml"),
    ];
    for (arguments, named) in cases {
        let (code, said) = refused(&arguments).await;
        // What names are known may change: to try again may help.
        let expected = if named == "there is no such address" { 1 } else { 64 };
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        let lines: Vec<&str> = said.lines().collect();
        assert!(
            lines.iter().any(|line| line.starts_with("error: ") && line.contains(named)),
            "{arguments:?}: {said}"
        );
        assert!(lines.last().is_some_and(|line| line.starts_with("hint: ")), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_one_nodes_alone() {
    let mut daemons = Daemons::start(1, &[]).await;
    let data = daemons.folder().join("n1");
    let data = data.to_str().expect("its name is text");
    let (code, said) = refused(&["--id", "1", "--cluster", "1=127.0.0.1:0", "--data", data]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("in use by another process"), "{said}");
    assert!(daemons.cluster.stop(1).await.expect("it can be waited for"));
    for (arguments, named) in [
        (
            ["--id", "2", "--cluster", "2=127.0.0.1:0", "--data", data, "--cluster-name", "stormglass"],
            "belongs to n1",
        ),
        (
            ["--id", "1", "--cluster", "1=127.0.0.1:0", "--data", data, "--cluster-name", "other"],
            "belongs to n1 of cluster",
        ),
    ] {
        let (code, said) = refused(&arguments).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(named) && said.contains("hint: "), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_help_teaches() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormglassd"));
    let help = command.arg("--help").stdin(Stdio::null()).output().await.expect("it can be started");
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert_eq!(help.status.code(), Some(0));
    for part in ["--cluster <1=HOST:PORT", "STORMGLASS_DATA", "--insecure-listen-beyond-loopback", "SIGTERM"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}
