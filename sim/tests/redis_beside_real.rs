//! The world's Redis answers as a real one: random commands over two connections, transactions and watched keys
//! among them, are put to both, and every answer compared.

#[path = "../../nodes/tests/skip/mod.rs"]
mod skip;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use rand::RngExt;
use stormglass_sim::rng::{StreamRng, Streams};
use stormglass_sim::world::redis::{Answer, AppendFsync, Keyspace, Session, encode_command};
use tempfile::TempDir;

const SEEDS: u64 = 12;
const COMMANDS: usize = 600;

/// A private server, ended with the test.
struct Server {
    child: Child,
    folder: TempDir,
}

impl Server {
    /// `None`, with a plain statement, where there is no redis-server.
    fn start() -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let socket = folder.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--loglevel", "warning"]);
        command.arg("--unixsocket").arg(&socket).arg("--dir").arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => Some(Self { child, folder }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                skip::skip("there is no redis-server on the PATH (Debian: apt-get install redis-server)");
                None
            }
            Err(error) => panic!("redis-server does not start: {error}"),
        }
    }

    fn connect(&mut self) -> UnixStream {
        let socket = self.folder.path().join("redis.sock");
        loop {
            match UnixStream::connect(Path::new(&socket)) {
                Ok(stream) => return stream,
                Err(_) => {
                    let ended = self.child.try_wait().expect("its state is known");
                    assert!(ended.is_none(), "redis-server ended at once: {ended:?}");
                    std::thread::yield_now();
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads one reply, whole.
fn read_reply(stream: &mut UnixStream, out: &mut Vec<u8>) {
    let start = out.len();
    let mut byte = [0];
    while !out[start..].ends_with(b"\r\n") {
        stream.read_exact(&mut byte).expect("the server answers");
        out.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&out[start..]).into_owned();
    let number = || line[1..].trim_end().parse::<i64>().expect("a length");
    match line.as_bytes()[0] {
        b'$' if number() >= 0 => {
            let mut rest = vec![0; number() as usize + 2];
            stream.read_exact(&mut rest).expect("the server goes on");
            out.extend_from_slice(&rest);
        }
        b'*' => (0..number().max(0)).for_each(|_| read_reply(stream, out)),
        _ => {}
    }
}

/// Of an error only its code counts.
fn comparable(reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply).into_owned();
    let lines = text.split("\r\n").map(|line| match line.strip_prefix('-') {
        Some(error) => format!("-{}", error.split(' ').next().unwrap_or_default()),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

fn drawn(random: &mut StreamRng) -> Vec<Bytes> {
    let key = ["a", "b", "c"][random.random_range(0..3)].to_owned();
    let index = random.random_range(-4_i64..6).to_string();
    let other = random.random_range(-4_i64..6).to_string();
    let field = ["f", "g"][random.random_range(0..2)].to_owned();
    let value = ["1", "-7", "x", "", "9223372036854775807", "01"][random.random_range(0..6)].to_owned();
    let words: Vec<String> = match random.random_range(0..22) {
        0 | 1 => vec!["HSET".into(), key, field, value],
        2 => vec!["HSET".into(), key, field.clone(), value.clone(), "h".into(), field],
        3 => vec!["HSET".into(), key, field, value, "odd".into()],
        4 | 5 => vec!["HMGET".into(), key, "f".into(), "g".into(), "h".into()],
        6 => vec!["HINCRBY".into(), key, field, value],
        7 | 8 => vec!["rpush".into(), key, value.clone(), index, value],
        9 => vec!["LRANGE".into(), key, index, other],
        10 => vec!["LTRIM".into(), key, index, other],
        11 => vec!["LTRIM".into(), key, value, other],
        12 => vec!["LLEN".into(), key],
        13 => vec!["UNLINK".into(), key, "b".into()],
        14 => vec!["EXISTS".into(), key.clone(), key, "c".into()],
        15 | 16 => vec!["MULTI".into()],
        17 | 18 => vec!["EXEC".into()],
        19 => vec!["WATCH".into(), key],
        20 => vec![["UNWATCH", "DISCARD", "PING", "FLUSHALL"][random.random_range(0..4)].into()],
        _ => vec![["NOSUCH", "HSET", "LLEN", "EXISTS"][random.random_range(0..4)].into()],
    };
    words.into_iter().map(Bytes::from).collect()
}

#[test]
fn the_worlds_redis_answers_as_a_real_one() {
    for seed in 1..=SEEDS {
        let Some(mut server) = Server::start() else { return };
        let mut streams = [server.connect(), server.connect()];
        let (mut keyspace, mut sessions) = (Keyspace::default(), [Session::default(), Session::default()]);
        let mut random = Streams::new(seed).stream("commands");
        let mut before = Vec::new();
        for _ in 0..COMMANDS {
            let connection = random.random_range(0..2_usize);
            let command = drawn(&mut random);
            let mut bytes = Vec::new();
            encode_command(&command, &mut bytes);
            streams[connection].write_all(&bytes).expect("the server listens");
            let mut real = Vec::new();
            read_reply(&mut streams[connection], &mut real);
            let answer =
                sessions[connection].handle(&mut keyspace, AppendFsync::Always, &command, &mut Vec::new());
            let Answer::Reply(reply) = answer else { panic!("nothing asks for a sync") };
            let mut ours = Vec::new();
            reply.encode(&mut ours);
            before.push(format!("{connection}: {command:?}"));
            assert_eq!(
                comparable(&ours),
                comparable(&real),
                "seed {seed}, after:\n{}",
                before[before.len().saturating_sub(25)..].join("\n")
            );
        }
    }
}
