//! What a Redis answers to a node that opens its store there: the protocol, and what lies in it.
//!
//! The store is begun, so that the answers hold what it has just written itself, and an entry that another
//! process might have added. Nothing is written again: what was accepted is accepted again, with the same state.

use std::fmt::Write;

use stormglass_nodes::env::StreamAddress;
use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::Recovered;
use stormglass_nodes::storage::{Identity, RedisConfig, RedisStore, StorageStatus};
use tokio::runtime::{Builder, Runtime};

use crate::harness::Target;
use crate::replies_env::CannedEnv;

const IDENTITY: Identity = Identity { cluster: 7, node: NodeId(3) };

/// The answers up to the state key, which is not there yet.
const GREETING: &str = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n$21\r\nredis_version:7.4.0\r\n\r\n\
    *2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n*2\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n\
    *2\r\n$25\r\nno-appendfsync-on-rewrite\r\n$2\r\nno\r\n*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n\
    *2\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n\
    <turn>+OK\r\n*7\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n<turn>:0\r\n<turn>";
/// The answers to the transaction that begins it, up to what the state key holds then.
const BEGUN: &str = "+OK\r\n+QUEUED\r\n*1\r\n:8\r\n+OK\r\n";
/// An empty log.
const NO_ENTRIES: &str = "<turn>*0\r\n";
/// What names the state among the fields that are written.
const STATE_FIELD: &[u8] = b"$5\r\nstate\r\n";

/// The answers.
pub(crate) struct Replies {
    runtime: Runtime,
    seed: Vec<u8>,
}

impl Replies {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime without anything");
        // What the store writes tells what has to lie there after it.
        let env = CannedEnv::answering(GREETING.as_bytes());
        let opened = open(&runtime, &env);
        let asked = env.asked();
        let begins = asked.windows(4).any(|window| window == b"EXEC");
        assert!(begins, "{opened:?} after it had asked {}", asked.escape_ascii());
        let mut seed = GREETING.as_bytes().to_vec();
        seed.extend_from_slice(BEGUN.as_bytes());
        seed.extend_from_slice(&head(&asked));
        seed.extend_from_slice(NO_ENTRIES.as_bytes());
        Self { runtime, seed }
    }
}

/// The state key as the store has written it, by the order in which it asks for its fields.
fn head(asked: &[u8]) -> Vec<u8> {
    let find = |needle: &[u8]| asked.windows(needle.len()).rposition(|window| window == needle);
    let fields = ["format", "cluster", "node", "incarnation", "owner", "batch"];
    let mut head = String::from("*7\r\n");
    for field in fields {
        let named = format!("${}\r\n{field}\r\n", field.len());
        // Of the transaction, not of the question after it.
        let from = asked.windows(named.len()).position(|window| window == named.as_bytes());
        let from = asked.windows(4).position(|window| window == b"HSET").max(from).expect("it is written");
        let rest = &asked[from..];
        let at = rest.windows(named.len()).position(|window| window == named.as_bytes());
        let value = &rest[at.expect("it is written") + named.len()..];
        let number = value.split(|byte| *byte == b'\r').nth(1).expect("a value follows");
        let number = str::from_utf8(&number[1..]).expect("it is a number");
        write!(head, "${}\r\n{number}\r\n", number.len()).expect("memory takes any length");
    }
    let mut head = head.into_bytes();
    let multi = find(b"MULTI").expect("it is written in a transaction");
    let exec = find(b"EXEC").expect("which ends");
    let written = &asked[multi..exec];
    let at = written.windows(STATE_FIELD.len()).rposition(|window| window == STATE_FIELD);
    let value = &written[at.expect("the state is written") + STATE_FIELD.len()..];
    // The next command begins with `*`.
    let end = value.windows(3).rposition(|window| window == b"\r\n*").expect("EXEC follows");
    head.extend_from_slice(&value[..end + 2]);
    head
}

fn open(runtime: &Runtime, env: &CannedEnv) -> Result<Recovered, String> {
    let config = RedisConfig {
        // One attempt.
        open_within_us: 1,
        // A store that is there already is read as well.
        adopts_unmarked: true,
        ..RedisConfig::new(StreamAddress::Tcp { host: "redis".to_owned(), port: 6379 })
    };
    let opening = RedisStore::open(env.clone(), IDENTITY, config, StorageStatus::default());
    let (_store, recovered) = runtime.block_on(opening).map_err(|error| error.to_string())?;
    Ok(recovered)
}

impl Target for Replies {
    fn name(&self) -> &'static str {
        "replies of a redis"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![self.seed.clone()]
    }

    fn pieces(&self) -> &'static [&'static [u8]] {
        &[
            b"<turn>",
            b"\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*7\r\n",
            b"*2147483647\r\n",
            b"*9223372036854775807\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"$5\r\nslave\r\n",
            b"$536870912\r\n",
            b"$9223372036854775807\r\n",
            b":1\r\n",
            b":-9223372036854775808\r\n",
            b"+OK\r\n",
            b"+QUEUED\r\n",
            b"-LOADING Redis is loading\r\n",
            b"-NOAUTH Authentication required.\r\n",
            b"-ERR no\r\n",
            b"%1\r\n",
            b">1\r\n",
            b"(123\r\n",
        ]
    }

    fn memory_per_byte(&self) -> u64 {
        512
    }

    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let recovered = open(&self.runtime, &CannedEnv::answering(input))?;
        assert_eq!(open(&self.runtime, &CannedEnv::answering(input)), Ok(recovered));
        Ok(input.to_vec())
    }
}
