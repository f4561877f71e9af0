//! The server's loop: whatever has arrived is carried out, one command after another, kept, and answered.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use bytes::Bytes;
use madsim::net::TcpListener;
use stormglass_nodes::env::{DiskError, Env, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::aof::AppendOnlyFile;
use super::keyspace::Keyspace;
use super::resp::{Reply, decode_command};
use super::session::{Answer, Session};
use super::{AppendFsync, SimStream};
use crate::world::SimEnv;

/// Where the server listens.
pub const PORT: u16 = 6_379;

const SECOND_US: u64 = 1_000_000;
/// Commands that may wait for the loop.
const COMMANDS_MAX: usize = 1_024;
/// Commands that are carried out before they are kept and answered.
const COMMANDS_PER_TURN: usize = 128;
const READ_BYTES: usize = 64 * 1024;

enum Input {
    Opened { connection: u64, replies: mpsc::UnboundedSender<Vec<u8>> },
    Command { connection: u64, command: Vec<Bytes> },
    Closed { connection: u64 },
}

/// What the loop knows of a connection.
struct Connection {
    session: Session,
    replies: mpsc::UnboundedSender<Vec<u8>>,
    /// The file must be synced up to here before the next command is looked at.
    waits_for: Option<u64>,
    waiting: VecDeque<Vec<Bytes>>,
    /// Bytes of replies that are not sent yet.
    out: Vec<u8>,
}

struct Server<F> {
    policy: AppendFsync,
    keyspace: Keyspace,
    file: AppendOnlyFile<F>,
    /// What is to be appended to the file.
    unkept: Vec<u8>,
    connections: BTreeMap<u64, Connection>,
}

/// Serves until the process ends.
///
/// # Panics
///
/// If the disk fails, as a real server ends itself.
pub async fn serve(env: SimEnv, policy: AppendFsync) {
    let opened = AppendOnlyFile::open(env.disk()).await;
    let (file, keyspace) = opened.expect("the Redis reads its append-only file");
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await.expect("nobody else listens here");
    let (inputs, mut input_queue) = mpsc::channel(COMMANDS_MAX);
    env.spawn("accept", accept(env.clone(), listener, inputs));
    let mut server = Server { policy, keyspace, file, unkept: Vec::new(), connections: BTreeMap::new() };
    let mut next_sync = env.now().plus_us(SECOND_US);
    let mut timer = Box::pin(env.sleep_until(next_sync));
    loop {
        let turn = tokio::select! {
            biased;
            () = &mut timer => {
                next_sync = env.now().plus_us(SECOND_US);
                timer.set(env.sleep_until(next_sync));
                server.every_second().await
            }
            Some(input) = input_queue.recv() => {
                server.take(input);
                for _ in 1..COMMANDS_PER_TURN {
                    let Ok(input) = input_queue.try_recv() else { break };
                    server.take(input);
                }
                server.keep_and_answer().await
            }
        };
        turn.expect("the Redis writes its append-only file");
    }
}

impl<F: File> Server<F> {
    fn take(&mut self, input: Input) {
        match input {
            Input::Opened { connection, replies } => {
                let session = Session::default();
                let opened = Connection {
                    session,
                    replies,
                    waits_for: None,
                    waiting: VecDeque::new(),
                    out: Vec::new(),
                };
                self.connections.insert(connection, opened);
            }
            Input::Closed { connection } => {
                self.connections.remove(&connection);
            }
            Input::Command { connection, command } => {
                if let Some(known) = self.connections.get_mut(&connection) {
                    known.waiting.push_back(command);
                    self.work_on(connection);
                }
            }
        }
    }

    /// Carries out what a connection has asked for, up to a `WAITAOF` that has to wait.
    fn work_on(&mut self, connection: u64) {
        let Some(connection) = self.connections.get_mut(&connection) else { return };
        while connection.waits_for.is_none()
            && let Some(command) = connection.waiting.pop_front()
        {
            let answer =
                connection.session.handle(&mut self.keyspace, self.policy, &command, &mut self.unkept);
            match answer {
                Answer::Reply(reply) => reply.encode(&mut connection.out),
                Answer::AfterSync => {
                    connection.waits_for = Some(self.file.end() + self.unkept.len() as u64);
                }
            }
        }
    }

    async fn keep_and_answer(&mut self) -> Result<(), DiskError> {
        loop {
            if !self.unkept.is_empty() {
                self.file.append(std::mem::take(&mut self.unkept)).await?;
                if self.policy == AppendFsync::Always {
                    self.file.sync().await?;
                }
            }
            for connection in self.connections.values_mut().filter(|connection| !connection.out.is_empty()) {
                // Nobody is there any more to whom it matters, if this fails.
                let _ = connection.replies.send(std::mem::take(&mut connection.out));
            }
            if !self.release_waiting() {
                return Ok(());
            }
        }
    }

    async fn every_second(&mut self) -> Result<(), DiskError> {
        if self.file.synced < self.file.end() {
            self.file.sync().await?;
        }
        self.keep_and_answer().await
    }

    /// Lets those go on that waited for a sync which is done. Says whether there were any.
    fn release_waiting(&mut self) -> bool {
        let synced = self.file.synced;
        let mut released = Vec::new();
        for (number, connection) in &mut self.connections {
            if connection.waits_for.is_some_and(|end| end <= synced) {
                connection.waits_for = None;
                let copies = vec![Reply::Integer(1), Reply::Integer(0)];
                Reply::Array(copies).encode(&mut connection.out);
                released.push(*number);
            }
        }
        released.iter().for_each(|number| self.work_on(*number));
        !released.is_empty()
    }
}

async fn accept(env: SimEnv, listener: TcpListener, inputs: mpsc::Sender<Input>) {
    for connection in 1.. {
        let Ok((stream, from)) = listener.accept().await else { continue };
        env.spawn("connection", attend(env.accepted(stream, from), connection, inputs.clone()));
    }
}

/// Moves bytes between a stream and the loop.
async fn attend(mut stream: SimStream, connection: u64, inputs: mpsc::Sender<Input>) {
    let (replies, mut reply_queue) = mpsc::unbounded_channel::<Vec<u8>>();
    if inputs.send(Input::Opened { connection, replies }).await.is_err() {
        return;
    }
    let mut arrived = Vec::new();
    let mut piece = vec![0; READ_BYTES];
    loop {
        tokio::select! {
            biased;
            Some(bytes) = reply_queue.recv() => {
                if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                    break;
                }
            }
            read = stream.read(&mut piece) => {
                let Ok(length @ 1..) = read else { break };
                arrived.extend_from_slice(&piece[..length]);
                let mut taken = 0;
                loop {
                    match decode_command(&arrived[taken..]) {
                        Ok(Some((command, length))) => {
                            taken += length;
                            if inputs.send(Input::Command { connection, command }).await.is_err() {
                                return;
                            }
                        }
                        Ok(None) => break,
                        Err(malformed) => {
                            let mut bytes = Vec::new();
                            Reply::Error(format!("ERR {malformed}")).encode(&mut bytes);
                            let _ = stream.write_all(&bytes).await;
                            let _ = stream.flush().await;
                            let _ = inputs.send(Input::Closed { connection }).await;
                            return;
                        }
                    }
                }
                arrived.drain(..taken);
            }
        }
    }
    let _ = inputs.send(Input::Closed { connection }).await;
}
