//! Keys and what is done to them.

use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;

use bytes::Bytes;

use super::resp::Reply;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Hash(BTreeMap<Bytes, Bytes>),
    List(VecDeque<Bytes>),
}

/// The keys of a server.
#[derive(Debug, Default)]
pub struct Keyspace {
    values: BTreeMap<Bytes, Value>,
    /// When each key was touched last, in touches.
    touched: BTreeMap<Bytes, u64>,
    touches: u64,
    /// Changes so far: a command that adds none is not kept in the file.
    changes: u64,
}

type Result<T> = std::result::Result<T, Reply>;

fn error(text: &str) -> Reply {
    Reply::Error(text.to_owned())
}

/// The fewest and the most words of a command, its name included, or `None` if there is no such command.
pub(super) fn arity(name: &str) -> Option<(usize, usize)> {
    const ANY: usize = usize::MAX;
    Some(match name {
        "HSET" => (4, ANY),
        "HMGET" | "RPUSH" => (3, ANY),
        "EXISTS" | "DEL" | "UNLINK" => (2, ANY),
        "HINCRBY" | "LRANGE" | "LTRIM" => (4, 4),
        "LLEN" => (2, 2),
        "FLUSHALL" => (1, 2),
        _ => return None,
    })
}

impl Keyspace {
    /// When a key was touched last; 0 if never.
    pub(super) fn touched(&self, key: &Bytes) -> u64 {
        self.touched.get(key).copied().unwrap_or(0)
    }

    /// Changes so far.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Carries out one command on keys. The name is in capitals, and there are as many words as it takes.
    pub fn execute(&mut self, name: &str, words: &[Bytes]) -> Reply {
        self.try_execute(name, words).unwrap_or_else(|error| error)
    }

    fn try_execute(&mut self, name: &str, words: &[Bytes]) -> Result<Reply> {
        let key = words.first().cloned().unwrap_or_default();
        let rest = words.get(1..).unwrap_or_default();
        match name {
            "HSET" => self.hset(key, rest),
            "HMGET" => {
                let hash = self.hash(&key)?;
                let field = |field| hash.and_then(|hash| hash.get(field)).cloned();
                let value = |value| field(value).map_or(Reply::Nil, Reply::Bulk);
                Ok(Reply::Array(rest.iter().map(value).collect()))
            }
            "HINCRBY" => self.hincrby(key, rest),
            "EXISTS" => {
                Ok(Reply::Integer(words.iter().filter(|key| self.values.contains_key(*key)).count() as i64))
            }
            "DEL" | "UNLINK" => {
                let mut removed = 0;
                for key in words {
                    if self.values.remove(key).is_some() {
                        self.touch(key.clone(), 1);
                        removed += 1;
                    }
                }
                Ok(Reply::Integer(removed))
            }
            "RPUSH" => self.rpush(key, rest),
            "LRANGE" => {
                let (from, to) = (number(&rest[0])?, number(&rest[1])?);
                let Some(list) = self.list(&key)? else { return Ok(Reply::Array(Vec::new())) };
                let (start, end) = span(list.len(), from, to);
                Ok(Reply::Array(list.range(start..end).cloned().map(Reply::Bulk).collect()))
            }
            "LTRIM" => self.ltrim(key, rest),
            "LLEN" => Ok(Reply::Integer(self.list(&key)?.map_or(0, VecDeque::len) as i64)),
            "FLUSHALL" => {
                for key in std::mem::take(&mut self.values).into_keys() {
                    self.touch(key, 1);
                }
                Ok(Reply::OK)
            }
            _ => Err(error("ERR unknown command")),
        }
    }

    fn touch(&mut self, key: Bytes, changes: u64) {
        self.touches += 1;
        self.changes += changes;
        self.touched.insert(key, self.touches);
    }

    fn hash(&self, key: &Bytes) -> Result<Option<&BTreeMap<Bytes, Bytes>>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Hash(hash)) => Ok(Some(hash)),
            Some(Value::List(_)) => Err(wrong_type()),
        }
    }

    fn list(&self, key: &Bytes) -> Result<Option<&VecDeque<Bytes>>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(Value::Hash(_)) => Err(wrong_type()),
        }
    }

    fn hash_mut(&mut self, key: &Bytes) -> Result<&mut BTreeMap<Bytes, Bytes>> {
        let value = self.values.entry(key.clone()).or_insert_with(|| Value::Hash(BTreeMap::new()));
        match value {
            Value::Hash(hash) => Ok(hash),
            Value::List(_) => Err(wrong_type()),
        }
    }

    fn hset(&mut self, key: Bytes, pairs: &[Bytes]) -> Result<Reply> {
        if !pairs.len().is_multiple_of(2) {
            return Err(error("ERR wrong number of arguments for 'hset' command"));
        }
        let hash = self.hash_mut(&key)?;
        let mut added = 0;
        for pair in pairs.chunks_exact(2) {
            added += i64::from(hash.insert(pair[0].clone(), pair[1].clone()).is_none());
        }
        self.touch(key, pairs.len() as u64 / 2);
        Ok(Reply::Integer(added))
    }

    fn hincrby(&mut self, key: Bytes, rest: &[Bytes]) -> Result<Reply> {
        let by = number(&rest[1])?;
        let before = match self.hash(&key)?.and_then(|hash| hash.get(&rest[0])) {
            Some(value) => parse(value).ok_or_else(|| error("ERR hash value is not an integer"))?,
            None => 0,
        };
        let after =
            before.checked_add(by).ok_or_else(|| error("ERR increment or decrement would overflow"))?;
        self.hash_mut(&key)?.insert(rest[0].clone(), Bytes::from(after.to_string()));
        self.touch(key, 1);
        Ok(Reply::Integer(after))
    }

    fn rpush(&mut self, key: Bytes, items: &[Bytes]) -> Result<Reply> {
        let value = self.values.entry(key.clone()).or_insert_with(|| Value::List(VecDeque::new()));
        let Value::List(list) = value else { return Err(wrong_type()) };
        list.extend(items.iter().cloned());
        let length = list.len() as i64;
        self.touch(key, items.len() as u64);
        Ok(Reply::Integer(length))
    }

    fn ltrim(&mut self, key: Bytes, rest: &[Bytes]) -> Result<Reply> {
        let (from, to) = (number(&rest[0])?, number(&rest[1])?);
        let Some(list) = self.list(&key)? else { return Ok(Reply::OK) };
        let (start, end) = span(list.len(), from, to);
        let removed = list.len() - (end - start);
        if let Some(Value::List(list)) = self.values.get_mut(&key) {
            list.truncate(end);
            list.drain(..start);
            if list.is_empty() {
                self.values.remove(&key);
            }
        }
        self.touch(key, removed as u64);
        Ok(Reply::OK)
    }
}

fn wrong_type() -> Reply {
    error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

fn number(word: &Bytes) -> Result<i64> {
    parse(word).ok_or_else(|| error("ERR value is not an integer or out of range"))
}

/// An integer as Redis takes it: no sign but a minus, no leading zeros.
fn parse(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    let parsed = i64::from_str(text).ok()?;
    (parsed.to_string() == text).then_some(parsed)
}

/// The positions from `from` to `to`, both included, negative ones counted from the end, as a half-open range.
fn span(length: usize, from: i64, to: i64) -> (usize, usize) {
    let length = length as i64;
    let place = |index: i64| if index < 0 { length.saturating_add(index) } else { index };
    let (start, end) = (place(from).max(0), place(to).min(length - 1).saturating_add(1));
    if start >= end { (0, 0) } else { (start as usize, end as usize) }
}
