//! One connection's side of the server: transactions, watched keys, and what a server says of itself.

use bytes::Bytes;
use stormglass_nodes::marks;

use super::AppendFsync;
use super::keyspace::{Keyspace, arity};
use super::resp::{Reply, encode_command};

/// What a connection has begun.
#[derive(Debug, Default)]
pub struct Session {
    /// The commands since `MULTI`, if one is open.
    queued: Option<Vec<Vec<Bytes>>>,
    /// One of them could not be queued.
    is_spoilt: bool,
    watched: Vec<(Bytes, u64)>,
}

/// What comes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A reply, once what it speaks of is in the file by the server's policy.
    Reply(Reply),
    /// The reply to `WAITAOF`: how many copies are synced, once all that was written so far is.
    AfterSync,
}

impl Session {
    /// Carries out a command. What has to be kept is appended to `file`.
    pub fn handle(
        &mut self,
        keyspace: &mut Keyspace,
        policy: AppendFsync,
        command: &[Bytes],
        file: &mut Vec<u8>,
    ) -> Answer {
        let name = String::from_utf8_lossy(command.first().map_or(&b""[..], |name| name)).to_uppercase();
        if name == "WAITAOF" && self.queued.is_none() {
            return Answer::AfterSync;
        }
        Answer::Reply(self.reply(keyspace, policy, &name, command, file))
    }

    fn reply(
        &mut self,
        keyspace: &mut Keyspace,
        policy: AppendFsync,
        name: &str,
        command: &[Bytes],
        file: &mut Vec<u8>,
    ) -> Reply {
        let words = command.get(1..).unwrap_or_default();
        if let Some(queued) = &mut self.queued
            && !matches!(name, "EXEC" | "DISCARD" | "MULTI" | "WATCH")
        {
            if let Some(error) = refusal(name, command) {
                self.is_spoilt = true;
                return error;
            }
            queued.push(command.to_vec());
            return Reply::Status("QUEUED");
        }
        match name {
            "MULTI" if self.queued.is_some() => Reply::Error("ERR MULTI calls can not be nested".to_owned()),
            "MULTI" => {
                self.queued = Some(Vec::new());
                Reply::OK
            }
            "EXEC" => self.exec(keyspace, policy, file),
            "DISCARD" if self.queued.is_none() => Reply::Error("ERR DISCARD without MULTI".to_owned()),
            "DISCARD" => {
                self.end();
                Reply::OK
            }
            "WATCH" if self.queued.is_some() => {
                Reply::Error("ERR WATCH inside MULTI is not allowed".to_owned())
            }
            "WATCH" => {
                self.watched.extend(words.iter().map(|key| (key.clone(), keyspace.touched(key))));
                Reply::OK
            }
            "UNWATCH" => {
                self.watched.clear();
                Reply::OK
            }
            _ => match refusal(name, command) {
                Some(error) => error,
                None => run(keyspace, policy, name, command, file),
            },
        }
    }

    fn exec(&mut self, keyspace: &mut Keyspace, policy: AppendFsync, file: &mut Vec<u8>) -> Reply {
        let Some(queued) = self.queued.take() else {
            return Reply::Error("ERR EXEC without MULTI".to_owned());
        };
        let is_overtaken = self.watched.iter().any(|(key, seen)| keyspace.touched(key) != *seen);
        let is_spoilt = self.is_spoilt;
        self.end();
        if is_spoilt {
            return Reply::Error("EXECABORT Transaction discarded because of previous errors.".to_owned());
        }
        if is_overtaken {
            marks::hit("world.redis_transaction_overtaken");
            return Reply::NilArray;
        }
        let mut kept = Vec::new();
        let replies = queued.iter().map(|command| {
            let name = String::from_utf8_lossy(&command[0]).to_uppercase();
            run(keyspace, policy, &name, command, &mut kept)
        });
        let replies = replies.collect();
        if !kept.is_empty() {
            encode_command(&[Bytes::from_static(b"MULTI")], file);
            file.append(&mut kept);
            encode_command(&[Bytes::from_static(b"EXEC")], file);
        }
        Reply::Array(replies)
    }

    /// No transaction is open, and nothing is watched.
    fn end(&mut self) {
        self.queued = None;
        self.is_spoilt = false;
        self.watched.clear();
    }
}

/// Why a command cannot even be queued.
fn refusal(name: &str, command: &[Bytes]) -> Option<Reply> {
    let about_itself = match name {
        "PING" | "INFO" => Some((1, 2)),
        "ROLE" | "UNWATCH" => Some((1, 1)),
        "SELECT" => Some((2, 2)),
        "AUTH" => Some((2, 3)),
        "CONFIG" | "CLIENT" => Some((2, usize::MAX)),
        "PUBLISH" => Some((3, 3)),
        "WAITAOF" => Some((4, 4)),
        _ => None,
    };
    match about_itself.or_else(|| arity(name)) {
        None => {
            let shown = String::from_utf8_lossy(command.first().map_or(&b""[..], |name| name)).into_owned();
            Some(Reply::Error(format!("ERR unknown command '{shown}'")))
        }
        Some((least, most)) if !(least..=most).contains(&command.len()) => {
            let shown = name.to_lowercase();
            Some(Reply::Error(format!("ERR wrong number of arguments for '{shown}' command")))
        }
        Some(_) => None,
    }
}

/// Carries out one command, and keeps it if it changed something.
fn run(
    keyspace: &mut Keyspace,
    policy: AppendFsync,
    name: &str,
    command: &[Bytes],
    file: &mut Vec<u8>,
) -> Reply {
    let words = &command[1..];
    if arity(name).is_none() {
        return of_itself(policy, name, words);
    }
    let before = keyspace.changes();
    let reply = keyspace.execute(name, words);
    if keyspace.changes() != before {
        encode_command(command, file);
    }
    reply
}

/// What the server says of itself, as one that can be relied on would.
fn of_itself(policy: AppendFsync, name: &str, words: &[Bytes]) -> Reply {
    let bulk = |text: &str| Reply::Bulk(Bytes::copy_from_slice(text.as_bytes()));
    match name {
        "PING" => Reply::Status("PONG"),
        "ROLE" => Reply::Array(vec![bulk("master"), Reply::Integer(0), Reply::Array(Vec::new())]),
        // The first release that knows WAITAOF.
        "INFO" => bulk("# Server\r\nredis_version:7.2.0\r\nredis_mode:standalone\r\n"),
        "PUBLISH" => Reply::Integer(0),
        "SELECT" if words[0] != "0" => Reply::Error("ERR DB index is out of range".to_owned()),
        "CONFIG" => {
            let setting = words.get(1).map(|word| String::from_utf8_lossy(word).to_lowercase());
            let value = match setting.as_deref() {
                Some("appendonly") => "yes",
                Some("appendfsync") => match policy {
                    AppendFsync::Always => "always",
                    AppendFsync::EverySecond => "everysec",
                },
                Some("no-appendfsync-on-rewrite") => "no",
                Some("maxmemory") => "0",
                Some("maxmemory-policy") => "noeviction",
                _ => return Reply::Array(Vec::new()),
            };
            Reply::Array(vec![bulk(setting.as_deref().unwrap_or_default()), bulk(value)])
        }
        _ => Reply::OK,
    }
}
