//! Commands, as they stand in the log, in both versions.

use bytes::Bytes;
use stormglass_nodes::ids::{ClientId, FenceToken, Sequence, SessionId};
use stormglass_nodes::machine::{
    Action, CacheAction, Command, LockAction, LockGrant, LockMode, LockRequest, NearTerms, NewMessage,
    Opener, QueueAction, TopicSettings,
};

use crate::harness::Target;

/// The version that bears a checksum, and where that stands.
const CHECKED: u8 = 2;
const CHECKSUM: std::ops::Range<usize> = 1..5;

/// Commands of all kinds that a machine takes in this order: a session, and what it does.
pub(crate) fn commands() -> Vec<Command> {
    let lock = |resource: &str, mode| LockRequest { resource: resource.to_owned(), mode };
    let message = |priority, group: Option<&str>| NewMessage {
        payload: Bytes::from_static(b"payload"),
        headers: vec![("name".to_owned(), "value".to_owned())],
        priority,
        group: group.map(str::to_owned),
        delay_us: u64::from(priority) * 1_000_000,
        ttl_us: Some(60_000_000),
    };
    let topic = || "topic".to_owned();
    let actions = vec![
        Action::Lock(LockAction::Acquire {
            requests: vec![lock("a", LockMode::Exclusive), lock("b", LockMode::Shared)],
            wait_us: 0,
        }),
        Action::Lock(LockAction::Acquire { requests: vec![lock("a", LockMode::Shared)], wait_us: 5_000_000 }),
        Action::Lock(LockAction::Release {
            grants: vec![LockGrant { resource: "b".to_owned(), token: FenceToken(7) }],
        }),
        Action::Cache(CacheAction::Set {
            key: "key".to_owned(),
            value: Bytes::from_static(b"value"),
            ttl_us: Some(1_000_000),
        }),
        Action::Cache(CacheAction::Add { key: "count".to_owned(), delta: -3, initial: 10, ttl_us: None }),
        Action::Queue(QueueAction::Declare { topic: topic(), settings: TopicSettings::default() }),
        Action::Queue(QueueAction::Enqueue {
            topic: topic(),
            messages: vec![message(0, Some("group")), message(1, None)],
            producer: None,
        }),
        Action::Queue(QueueAction::Dequeue {
            topic: topic(),
            count_max: 1,
            visibility_us: 30_000_000,
            wait_us: 0,
        }),
        Action::Queue(QueueAction::Dequeue {
            topic: "other".to_owned(),
            count_max: 1,
            visibility_us: 30_000_000,
            wait_us: 9_000_000,
        }),
    ];
    let once = |(number, action): (u64, Action)| Command::Once {
        session: SessionId(1),
        sequence: Sequence(number),
        lowest_open: Sequence(1),
        open_below: Vec::new(),
        action,
    };
    let terms = NearTerms { lease_us: 500_000, drift_ppm_max: 1_000 };
    let mut all = vec![
        Command::OpenSession { lease_us: 10_000_000 },
        Command::OpenSessionOnce {
            lease_us: 10_000_000,
            opener: Opener { client: ClientId(7), nonce: 9_000_000_000 },
        },
        Command::KeepAlive { session: SessionId(1) },
        Command::AgreeOnNear { terms, replaces: None },
    ];
    all.extend((1..).zip(actions).map(once));
    all.push(Command::Tick);
    all
}

/// The decoder.
pub(crate) struct Commands;

impl Target for Commands {
    fn name(&self) -> &'static str {
        "commands"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let versions = |command: Command| [1, 2].map(|version| command.encode_as(version).to_vec());
        commands().into_iter().flat_map(versions).collect()
    }

    fn seal(&self, input: &mut Vec<u8>) {
        if input.first() == Some(&CHECKED) && input.len() >= CHECKSUM.end {
            let checksum = crc32c::crc32c(&input[CHECKSUM.end..]);
            input[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        }
    }

    fn memory_per_byte(&self) -> u64 {
        256
    }

    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let command = Command::decode(input).map_err(|error| error.to_string())?;
        let version = u16::from(input[0]);
        let written = command.encode_as(version);
        assert_eq!(Command::decode(&written), Ok(command));
        Ok(written.to_vec())
    }
}
