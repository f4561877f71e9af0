//! `stormglass cluster`: real nodes out of the one program, and none left behind.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it looks at real processes and folders"
)]

#[path = "../../nodes/tests/skip/mod.rs"]
mod skip;

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdout, Command};

/// A node that is about to end holds its folder for a moment longer.
const ATTEMPTS_MAX: usize = 100;

/// Looks at the status are repeated so often; each takes a request.
const LOOKS_MAX: usize = 20_000;

struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Where the first node serves HTTP.
    http: String,
    /// The first node's process.
    process: String,
}

/// A cluster of one node, and what it says; `None` if it ends at once.
async fn try_start(folder: &std::path::Path, arguments: &[&str]) -> Option<Started> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormglass"));
    command.args(["cluster", "1", "--data"]).arg(folder).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().expect("it can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("it says something")).lines();
    let (mut http, mut process) = (None, None);
    loop {
        let line = lines.next_line().await.expect("it can be read")?;
        let found = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        http = http.or(found.map(|address| address.trim_end_matches('/').to_owned()));
        let id = line.split_once(", process ").and_then(|(_, id)| id.strip_suffix(')'));
        process = process.or(id.map(str::to_owned));
        // The last line before it begins to watch.
        if line.contains("Ctrl-C stops the nodes") {
            let http = http.expect("it says where the nodes serve");
            let process = process.expect("it says which processes they are");
            return Some(Started { child, lines, http, process });
        }
    }
}

/// The same, once the folder is free.
async fn start(folder: &std::path::Path) -> Started {
    start_with(folder, &[]).await
}

async fn start_with(folder: &std::path::Path, arguments: &[&str]) -> Started {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(started) = try_start(folder, arguments).await {
            return started;
        }
    }
    panic!("it does not start");
}

/// Waits until the other side of a connection to the node is gone.
async fn is_over(mut connection: TcpStream) {
    let mut rest = Vec::new();
    // That it was reset is as good an end.
    drop(connection.read_to_end(&mut rest).await);
}

#[tokio::test]
async fn nodes_stop_with_the_program_that_started_them_even_if_it_is_killed() {
    let folder = tempfile::TempDir::new().expect("there is room for a folder");
    let mut started = start(folder.path()).await;
    let connection = TcpStream::connect(&started.http).await.expect("the node serves");
    started.child.kill().await.expect("it can be killed");
    is_over(connection).await;
    // The folder is free once the node has ended: another one takes it.
    let again = start(folder.path()).await;
    assert!(TcpStream::connect(&again.http).await.is_ok());
}

#[tokio::test]
async fn it_stops_in_order_when_it_is_asked_to() {
    let folder = tempfile::TempDir::new().expect("there is room for a folder");
    let mut started = start(folder.path()).await;
    let id = started.child.id().expect("it runs").to_string();
    kill("-TERM", &id).await;
    let mut said = Vec::new();
    while let Some(line) = started.lines.next_line().await.expect("it can be read") {
        said.push(line);
    }
    assert!(started.child.wait().await.expect("it can be waited for").success(), "{said:?}");
    assert!(said.iter().any(|line| line == "stopping"), "{said:?}");
    assert!(TcpStream::connect(&started.http).await.is_err(), "no node is left");
}

#[tokio::test]
async fn it_goes_on_when_nobody_reads_what_it_prints() {
    let folder = tempfile::TempDir::new().expect("there is room for a folder");
    let mut started = start(folder.path()).await;
    // As `head -2` does once it has its lines.
    drop(started.lines);
    until_it_says(&started.http, "\"role\":\"leader\"").await;
    let id = started.child.id().expect("it runs").to_string();
    // It has more to say when it stops.
    let asked = Command::new("kill").args(["-TERM", &id]).status().await.expect("there is such a program");
    assert!(asked.success());
    assert!(started.child.wait().await.expect("it can be waited for").success());
}

/// Asks the node how it is, until it says this of itself.
async fn until_it_says(http: &str, wanted: &str) -> String {
    let mut said = String::new();
    for _ in 0..LOOKS_MAX {
        said = ask(http, "GET", "/status", "").await;
        if said.contains(wanted) {
            return said;
        }
    }
    panic!("it never says {wanted}: {said}");
}

/// The node's answer, with its head.
async fn ask(http: &str, method: &str, path: &str, body: &str) -> String {
    let mut connection = TcpStream::connect(http).await.expect("the node serves");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await.expect("the node listens");
    let mut said = String::new();
    connection.read_to_string(&mut said).await.expect("the node answers");
    said
}

async fn kill(signal: &str, process: &str) {
    let asked = Command::new("kill").args([signal, process]).status().await;
    assert!(asked.expect("there is such a program").success());
}

#[tokio::test]
async fn a_node_that_is_killed_comes_back_where_it_was_with_what_it_had() {
    let folder = tempfile::TempDir::new().expect("there is room for a folder");
    let mut started = start(folder.path()).await;
    let written = ask(&started.http, "PUT", "/v1/cache/greeting", "hello").await;
    assert!(written.starts_with("HTTP/1.1 204"), "{written}");
    kill("-9", &started.process).await;
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.contains("node 1 is back")) {
        said.push(started.lines.next_line().await.expect("it can be read").expect("it goes on"));
    }
    assert!(said.iter().any(|line| line.starts_with("node 1 was killed")), "{said:?}");
    assert!(said.last().is_some_and(|line| line.contains(&started.http)), "{said:?}");
    let read = ask(&started.http, "GET", "/v1/cache/greeting", "").await;
    assert!(read.starts_with("HTTP/1.1 200") && read.ends_with("hello"), "{read}");
}

#[tokio::test]
async fn a_private_redis_keeps_the_logs_and_ends_with_the_program() {
    if let Err(why) = stormglass_sim::live::redis_version() {
        return skip::skip(&format!("{why} (Debian: apt-get install redis-server)"));
    }
    let folder = tempfile::TempDir::new().expect("there is room for a folder");
    let mut started = start_with(folder.path(), &["--redis", "spawn"]).await;
    let said = until_it_says(&started.http, "\"role\":\"leader\"").await;
    assert!(said.contains("\"redis at ") && said.contains("\"durability\":\"synced\""), "{said}");
    // An argument, and a password in it, could be read by everyone on the machine.
    let arguments = std::fs::read(format!("/proc/{}/cmdline", started.process)).expect("the node runs");
    let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
    assert!(arguments.contains("--cluster-name") && !arguments.contains("redis"), "{arguments}");
    let socket = folder.path().join("redis").join("redis.sock");
    let connection = UnixStream::connect(&socket).await.expect("the Redis serves");
    started.child.kill().await.expect("it can be killed");
    let mut rest = Vec::new();
    let mut connection = connection;
    drop(connection.read_to_end(&mut rest).await);
    // The system closes what a killed process had open one by one, the socket it listened at not always first: whoever
    // comes in between is let go of when that is closed, and by a Redis that lives on because it is asked to.
    let mut attempts = 0;
    while let Ok(mut connection) = UnixStream::connect(&socket).await {
        attempts += 1;
        assert!(attempts < ATTEMPTS_MAX, "the Redis outlived the program");
        drop(connection.write_all(b"QUIT\r\n").await);
        drop(connection.read_to_end(&mut rest).await);
    }
    // What it kept is there: another one goes on from it, while one beside it in the same Redis knows nothing of it.
    let again = start_with(folder.path(), &["--redis", "spawn"]).await;
    until_it_says(&again.http, "\"role\":\"leader\"").await;
    let beside = tempfile::TempDir::new().expect("there is room for a folder");
    let url = format!("unix://{}", socket.display());
    let other = start_with(beside.path(), &["--redis", &url]).await;
    let names = [
        until_it_says(&again.http, "\"role\":\"leader\"").await,
        until_it_says(&other.http, "\"role\":\"leader\"").await,
    ];
    let names = names.map(|said| {
        let (_, rest) = said.split_once("\"cluster\":\"").expect("the status names the cluster");
        rest.split('"').next().map(str::to_owned)
    });
    assert!(names[0].is_some() && names[0] != names[1], "{names:?}");
}

/// The program, with this folder as the system's for temporary files.
fn program_in(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormglass"));
    command.args(arguments).env("TMPDIR", temporary).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn left_in(folder: &Path) -> Vec<std::ffi::OsString> {
    std::fs::read_dir(folder).expect("it is there").flatten().map(|entry| entry.file_name()).collect()
}

/// What it said, and how it ended.
fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn a_start_that_is_broken_off_leaves_nothing_behind() {
    let temporary = tempfile::TempDir::new().expect("there is room for a folder");
    let child = program_in(temporary.path(), &["cluster", "3"]).spawn().expect("it can be started");
    // From here on it takes signals, and has a folder.
    while left_in(temporary.path()).is_empty() {
        tokio::task::yield_now().await;
    }
    kill("-TERM", &child.id().expect("it runs").to_string()).await;
    let output = child.wait_with_output().await.expect("it ends");
    assert_eq!(told(&output).0, Some(0), "{output:?}");
    assert_eq!(left_in(temporary.path()), Vec::<std::ffi::OsString>::new());
}

#[tokio::test]
async fn a_node_that_does_not_start_is_told_of_in_one_line_and_leaves_nothing_behind() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = taken.local_addr().map(|address| (taken, address.to_string()));
    let (_taken, address) = taken.expect("it has an address");
    for (option, value, code, why) in [
        ("--near-lines-max", "0", 64, "--near-lines-max 0: it must be"),
        ("--listen", &address, 1, "cannot listen on"),
    ] {
        let temporary = tempfile::TempDir::new().expect("there is room for a folder");
        let arguments = ["cluster", "1", "--", option, value];
        let output = program_in(temporary.path(), &arguments).output().await.expect("it can be started");
        let (ended, said) = told(&output);
        assert_eq!(ended, Some(code), "{said}");
        let mut lines = said.lines().filter(|line| !line.starts_with("not all nodes are ready yet"));
        let (error, hint) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        assert!(error.starts_with("error: node 1 does not start: ") && error.contains(why), "{said}");
        assert!(hint.starts_with("hint: ") && lines.next().is_none(), "{said}");
        assert_eq!(left_in(temporary.path()), Vec::<std::ffi::OsString>::new(), "{said}");
    }
}

#[tokio::test]
async fn a_bench_measures_something_of_everything_and_leaves_nothing_behind() {
    let temporary = tempfile::TempDir::new().expect("there is room for a folder");
    let arguments = ["bench", "--operations", "256", "--clients", "8"];
    let output = program_in(temporary.path(), &arguments).output().await.expect("it can be started");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told(&output), (Some(0), String::new()), "{shown}");
    for measured in [
        "a lock, acquired",
        "a message, enqueued",
        "a message, dequeued at another node",
        "messages of 8 producers",
        "a key, read at each node in turn",
        "found 100.0 %",
        "1 node ",
        "2 nodes ",
        "3 nodes ",
    ] {
        let line = shown.lines().rfind(|line| line.trim_start().starts_with(measured));
        let line = line.unwrap_or_else(|| panic!("{measured} is missing in\n{shown}"));
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert!(!numbers.is_empty() && numbers.iter().all(|number| *number > 0.0), "{line}");
    }
    assert_eq!(left_in(temporary.path()), Vec::<std::ffi::OsString>::new());
}
