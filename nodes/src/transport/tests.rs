//! Every frame comes back as it went, and nothing but a frame is taken for one.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Frame, FrameError, HEADER_BYTES};
use crate::api::{
    ApiError, NodeStatus, QueueTraffic, Request, RequestBody, RequestId, Response, ResponseBody,
};
use crate::coherence::{
    AskNumber, Claim, CoherenceBody, CoherenceMessage, Content, DirectoryStats, HolderStats, Key, Life,
    Surrender, Withheld,
};
use crate::env::FRAME_BYTES_MAX;
use crate::ids::{ClientId, ClusterTime, FenceToken, LogIndex, NodeId, Sequence, SessionId, Term};
use crate::machine::{
    Action, CacheAction, CacheError, CacheQuery, CacheReply, CacheSettings, Command, EvictionPolicy,
    Expected, LockAction, LockError, LockGrant, LockHolder, LockMode, LockQuery, LockReply, LockRequest,
    LockState, LockWaiter, MachineError, Opener, Outcome, Query, Reply, Versioned, Victim,
};
use crate::raft::membership::{MemberChange, Membership, MembershipChange, Transition};
use crate::raft::{
    Body, Entry, Message, Payload, ReadIndexAnswer, Reconfiguration, Role, SnapshotChunk, SnapshotMeta,
};

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn index() -> impl Strategy<Value = LogIndex> {
    any::<u64>().prop_map(LogIndex)
}

fn term() -> impl Strategy<Value = Term> {
    any::<u64>().prop_map(Term)
}

fn session() -> impl Strategy<Value = SessionId> {
    any::<u64>().prop_map(SessionId)
}

fn token() -> impl Strategy<Value = FenceToken> {
    any::<u64>().prop_map(FenceToken)
}

fn sequence() -> impl Strategy<Value = Sequence> {
    any::<u64>().prop_map(Sequence)
}

fn mode() -> impl Strategy<Value = LockMode> {
    prop_oneof![Just(LockMode::Exclusive), Just(LockMode::Shared)]
}

fn node() -> impl Strategy<Value = NodeId> {
    any::<u64>().prop_map(NodeId)
}

fn members() -> impl Strategy<Value = Membership> {
    let list = || vec(node(), 0..4);
    (list(), list(), list(), list(), list(), any::<bool>()).prop_map(
        |(voters, outgoing, learners, learners_next, promotable, auto_leave)| Membership {
            voters,
            outgoing,
            learners,
            learners_next,
            promotable,
            auto_leave,
        },
    )
}

fn change() -> impl Strategy<Value = MembershipChange> {
    let transition =
        prop_oneof![Just(Transition::Auto), Just(Transition::JointImplicit), Just(Transition::JointExplicit)];
    let member = prop_oneof![
        node().prop_map(MemberChange::AddVoter),
        node().prop_map(MemberChange::AddLearner),
        node().prop_map(MemberChange::AddVoterOnceCaughtUp),
        node().prop_map(MemberChange::Remove),
    ];
    (transition, vec(member, 0..4), bytes()).prop_map(|(transition, changes, context)| MembershipChange {
        transition,
        changes,
        context,
    })
}

fn meta() -> impl Strategy<Value = SnapshotMeta> {
    (index(), term(), any::<u64>(), members(), any::<u16>()).prop_map(
        |(index, term, time, membership, version)| SnapshotMeta {
            index,
            term,
            time: ClusterTime(time),
            membership,
            version,
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let payload = prop_oneof![
        Just(Payload::Noop),
        bytes().prop_map(Payload::Command),
        (change(), members())
            .prop_map(|(change, after)| Payload::Membership(Box::new(Reconfiguration { change, after }))),
        any::<u16>().prop_map(Payload::Version),
    ];
    (index(), term(), any::<u64>(), payload).prop_map(|(index, term, time, payload)| Entry {
        index,
        term,
        time: ClusterTime(time),
        payload,
    })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (index(), term(), index(), term()).prop_map(|(last_index, last_term, at, of)| Body::PreVoteRequest {
            last_index,
            last_term,
            committed: (at, of)
        }),
        (any::<bool>(), index(), term())
            .prop_map(|(granted, at, of)| Body::PreVoteResponse { granted, committed: (at, of) }),
        (index(), term(), any::<bool>(), index(), term()).prop_map(
            |(last_index, last_term, by_transfer, at, of)| Body::VoteRequest {
                last_index,
                last_term,
                by_transfer,
                committed: (at, of)
            }
        ),
        (any::<bool>(), index(), term())
            .prop_map(|(granted, at, of)| Body::VoteResponse { granted, committed: (at, of) }),
        (index(), term(), vec(entry(), 0..5), index()).prop_map(
            |(prev_index, prev_term, entries, commit_index)| Body::AppendRequest {
                prev_index,
                prev_term,
                entries: entries.into(),
                commit_index
            }
        ),
        index().prop_map(|match_index| Body::AppendAccepted { match_index }),
        (index(), index(), term()).prop_map(|(prev_index, hint_index, hint_term)| Body::AppendRejected {
            prev_index,
            hint_index,
            hint_term
        }),
        (index(), any::<u64>(), any::<bool>()).prop_map(|(commit_index, read_round, quiesce)| {
            Body::Heartbeat { commit_index, read_round, quiesce }
        }),
        (any::<u64>(), any::<bool>(), any::<u16>(), any::<u8>()).prop_map(
            |(read_round, quiesced, version, priority)| Body::HeartbeatResponse {
                read_round,
                quiesced,
                version,
                priority
            }
        ),
        (meta(), any::<u64>(), any::<u64>(), any::<u64>(), bytes()).prop_map(
            |(meta, total_bytes, checksum, offset_bytes, data)| Body::SnapshotChunk(Box::new(
                SnapshotChunk { meta, total_bytes, checksum, offset_bytes, data }
            ))
        ),
        (index(), any::<u64>())
            .prop_map(|(index, received_bytes)| Body::SnapshotReceived { index, received_bytes }),
        Just(Body::TimeoutNow),
        any::<u64>().prop_map(|read| Body::ReadIndexRequest { read }),
        (any::<u64>(), read_index_answer())
            .prop_map(|(read, answer)| Body::ReadIndexResponse { read, answer }),
        Just(Body::Wake),
    ]
}

fn read_index_answer() -> impl Strategy<Value = ReadIndexAnswer> {
    prop_oneof![
        index().prop_map(ReadIndexAnswer::Index),
        Just(ReadIndexAnswer::NotLeader),
        Just(ReadIndexAnswer::Overloaded),
    ]
}

fn lock_action() -> impl Strategy<Value = LockAction> {
    let request = (any::<String>(), mode()).prop_map(|(resource, mode)| LockRequest { resource, mode });
    let resource = any::<String>;
    prop_oneof![
        (vec(request, 0..3), any::<u64>())
            .prop_map(|(requests, wait_us)| LockAction::Acquire { requests, wait_us }),
        vec(grant(), 0..3).prop_map(|grants| LockAction::Release { grants }),
        (resource(), token(), any::<u64>()).prop_map(|(resource, token, wait_us)| LockAction::Upgrade {
            resource,
            token,
            wait_us
        }),
        (resource(), token()).prop_map(|(resource, token)| LockAction::Downgrade { resource, token }),
        sequence().prop_map(|sequence| LockAction::Cancel { sequence }),
        (resource(), any::<u32>())
            .prop_map(|(resource, permits)| LockAction::DeclareSemaphore { resource, permits }),
        resource().prop_map(|resource| LockAction::RemoveSemaphore { resource }),
        (resource(), token(), any::<String>())
            .prop_map(|(resource, token, reason)| LockAction::ForceRelease { resource, token, reason }),
    ]
}

fn grant() -> impl Strategy<Value = LockGrant> {
    (any::<String>(), token()).prop_map(|(resource, token)| LockGrant { resource, token })
}

fn ttl() -> impl Strategy<Value = Option<u64>> {
    any::<Option<u64>>()
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        Just(Expected::Absent),
        bytes().prop_map(Expected::Value),
        index().prop_map(Expected::Version),
    ]
}

fn cache_action() -> impl Strategy<Value = CacheAction> {
    prop_oneof![
        (any::<String>(), bytes(), ttl()).prop_map(|(key, value, ttl_us)| CacheAction::Set {
            key,
            value,
            ttl_us
        }),
        (any::<String>(), expected(), bytes(), ttl()).prop_map(|(key, expected, value, ttl_us)| {
            CacheAction::CompareAndSet { key, expected, value, ttl_us }
        }),
        any::<String>().prop_map(|key| CacheAction::Delete { key }),
        (any::<String>(), expected())
            .prop_map(|(key, expected)| CacheAction::CompareAndDelete { key, expected }),
        (any::<String>(), any::<i64>(), any::<i64>(), ttl())
            .prop_map(|(key, delta, initial, ttl_us)| CacheAction::Add { key, delta, initial, ttl_us }),
        (any::<String>(), ttl()).prop_map(|(key, ttl_us)| CacheAction::Touch { key, ttl_us }),
        (any::<u64>(), any::<u64>()).prop_map(|(entries_max, bytes_max)| {
            let policy = EvictionPolicy::SoonestToExpire;
            CacheAction::Configure(CacheSettings { entries_max, bytes_max, policy })
        }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let action = prop_oneof![lock_action().prop_map(Action::Lock), cache_action().prop_map(Action::Cache)];
    prop_oneof![
        Just(Command::Tick),
        any::<u64>().prop_map(|lease_us| Command::OpenSession { lease_us }),
        any::<(u64, u64, u64)>().prop_map(|(lease_us, client, nonce)| Command::OpenSessionOnce {
            lease_us,
            opener: Opener { client: ClientId(client), nonce }
        }),
        session().prop_map(|session| Command::KeepAlive { session }),
        session().prop_map(|session| Command::CloseSession { session }),
        vec((any::<String>(), index()).prop_map(|(key, version)| Victim { key, version }), 0..3)
            .prop_map(|victims| Command::Evict { victims }),
        (session(), sequence(), sequence(), vec(sequence(), 0..3), action).prop_map(
            |(session, sequence, lowest_open, open_below, action)| Command::Once {
                session,
                sequence,
                lowest_open,
                open_below,
                action
            }
        ),
    ]
}

fn lock_state() -> impl Strategy<Value = LockState> {
    let holder =
        (session(), mode(), token()).prop_map(|(session, mode, token)| LockHolder { session, mode, token });
    let waiter =
        (session(), sequence(), mode(), any::<u64>()).prop_map(|(session, sequence, mode, deadline)| {
            let (deadline, is_upgrade) = (ClusterTime(deadline), deadline % 2 == 0);
            LockWaiter { session, sequence, mode, deadline, is_upgrade }
        });
    (proptest::option::of(any::<u32>()), index(), vec(holder, 0..3), vec(waiter, 0..3))
        .prop_map(|(permits, version, holders, waiters)| LockState { permits, version, holders, waiters })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let found =
        || proptest::option::of((bytes(), index()).prop_map(|(value, version)| Versioned { value, version }));
    prop_oneof![
        Just(Ok(Reply::Done)),
        session().prop_map(|session| Ok(Reply::SessionOpened { session })),
        vec(grant(), 0..3).prop_map(|grants| Ok(Reply::Lock(LockReply::Granted { grants }))),
        any::<u64>().prop_map(|ahead| Ok(Reply::Waiting { ahead })),
        index().prop_map(|taken_at| Ok(Reply::Renewed { taken_at })),
        index().prop_map(|version| Ok(Reply::Cache(CacheReply::Written { version }))),
        found().prop_map(|found| Ok(Reply::Cache(CacheReply::Value(found)))),
        found().prop_map(|found| Ok(Reply::Cache(CacheReply::Mismatch(found)))),
        (any::<bool>(), index())
            .prop_map(|(existed, version)| Ok(Reply::Cache(CacheReply::Deleted { existed, version }))),
        lock_state().prop_map(|state| Ok(Reply::Lock(LockReply::State(Box::new(state))))),
        proptest::sample::select(vec![
            MachineError::SessionExpired,
            MachineError::SequenceTooOld,
            MachineError::TooManySessions,
            MachineError::TooManyOpenCommands,
            LockError::Timeout.into(),
            LockError::Reentrant.into(),
            LockError::NotHeld.into(),
            LockError::TooManyWaiters.into(),
            CacheError::Full.into(),
            CacheError::NotACounter.into(),
            CacheError::CounterOverflow.into(),
            CacheError::NoSuchKey.into(),
            CacheError::AnswerTooLong.into(),
            CacheError::TooLarge { bytes: 9, bytes_max: 6 }.into(),
        ])
        .prop_map(Err),
        any::<String>().prop_map(|why| Err(MachineError::InvalidArgument(why))),
        any::<String>().prop_map(|why| Err(MachineError::Undecodable(why))),
    ]
}

fn status() -> impl Strategy<Value = NodeStatus> {
    let role = prop_oneof![
        Just(Role::Follower),
        Just(Role::PreCandidate),
        Just(Role::Candidate),
        Just(Role::Leader)
    ];
    let indexes = (index(), index(), index(), index(), index());
    (node(), role, term(), proptest::option::of(node()), indexes, members(), any::<u16>()).prop_map(
        |(id, role, term, leader, indexes, members, version)| NodeStatus {
            id,
            role,
            term,
            leader,
            voted_for: leader,
            leader_silent_us: leader.map(|leader| leader.0),
            timer_us: Some(u64::from(version)),
            commit_index: indexes.0,
            applied_index: indexes.1,
            last_index: indexes.2,
            first_index: indexes.3,
            snapshot_index: indexes.4,
            members,
            version,
            traffic: QueueTraffic { uptime_us: u64::from(version), ..QueueTraffic::default() },
            near: Box::new(HolderStats { hits: u64::from(version), ..HolderStats::default() }),
            directory: Box::new(DirectoryStats { asks: 7, ..DirectoryStats::default() }),
        },
    )
}

fn surrenders() -> impl Strategy<Value = Vec<Surrender>> {
    let claim = (any::<u64>(), any::<u64>())
        .prop_map(|(life, number)| Claim { life: Life(life), number: AskNumber(number) });
    vec((any::<String>(), claim).prop_map(|(key, claim)| Surrender { key: Key::from(key), claim }), 0..3)
}

fn result() -> impl Strategy<Value = Result<ResponseBody, ApiError>> {
    prop_oneof![
        outcome().prop_map(|outcome| Ok(ResponseBody::Outcome(outcome))),
        status().prop_map(|status| Ok(ResponseBody::Status(Box::new(status)))),
        members().prop_map(|members| Ok(ResponseBody::Members(members))),
        Just(Ok(ResponseBody::Transferred)),
        surrenders().prop_map(|surrenders| Ok(ResponseBody::Surrendered(surrenders))),
        (outcome(), any::<u64>())
            .prop_map(|(outcome, age_us)| Ok(ResponseBody::AgedOutcome { outcome, age_us })),
        node().prop_map(|to| Err(ApiError::Transferring { to })),
        Just(Err(ApiError::ChangePending)),
        any::<String>().prop_map(|why| Err(ApiError::ImpossibleChange(why))),
        any::<String>().prop_map(|why| Err(ApiError::NotTransferred(why))),
        proptest::option::of(node()).prop_map(|leader| Err(ApiError::NotLeader { leader })),
        Just(Err(ApiError::Overloaded)),
        Just(Err(ApiError::LeadershipLost)),
        Just(Err(ApiError::Stopping)),
        any::<String>().prop_map(|what| Err(ApiError::Unsupported(what))),
    ]
}

fn coherence() -> impl Strategy<Value = CoherenceBody> {
    let key = || any::<String>().prop_map(Key::from);
    let claim = || {
        (any::<u64>(), any::<u64>())
            .prop_map(|(life, number)| Claim { life: Life(life), number: AskNumber(number) })
    };
    let content =
        proptest::option::of((bytes(), index()).prop_map(|(value, version)| Content { value, version }));
    prop_oneof![
        (key(), claim()).prop_map(|(key, claim)| CoherenceBody::Ask { key, claim }),
        (key(), claim(), content, index(), any::<u64>(), any::<bool>()).prop_map(
            |(key, claim, content, as_of, lease_us, exclusive)| CoherenceBody::Grant {
                key,
                claim,
                content,
                as_of,
                lease_us,
                exclusive
            }
        ),
        (key(), claim())
            .prop_map(|(key, claim)| { CoherenceBody::Withheld { key, claim, reason: Withheld::Expiring } }),
        (key(), claim()).prop_map(|(key, claim)| CoherenceBody::Invalidate { key, claim }),
        (key(), claim()).prop_map(|(key, claim)| CoherenceBody::Invalidated { key, claim }),
        (key(), claim()).prop_map(|(key, claim)| CoherenceBody::Demote { key, claim }),
        (key(), claim()).prop_map(|(key, claim)| CoherenceBody::Evicted { key, claim }),
        Just(CoherenceBody::Recall),
        Just(CoherenceBody::Recalled),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let request =
        prop_oneof![
            command().prop_map(RequestBody::Command),
            any::<String>().prop_map(|key| RequestBody::Query(Query::Cache(CacheQuery::Get { key }))),
            any::<String>()
                .prop_map(|resource| RequestBody::Query(Query::Lock(LockQuery::State { resource }))),
            Just(RequestBody::Status),
            any::<String>().prop_map(|key| RequestBody::QueryNear(CacheQuery::Get { key })),
            any::<String>().prop_map(|key| RequestBody::QueryAnywhere(Query::Cache(CacheQuery::Get { key }))),
            change().prop_map(RequestBody::ChangeMembers),
            proptest::option::of(node()).prop_map(|to| RequestBody::Transfer { to }),
            (any::<String>(), index(), any::<u64>())
                .prop_map(|(resource, seen, wait_us)| RequestBody::Watch { resource, seen, wait_us }),
            (any::<String>(), any::<u64>()).prop_map(|(key, age_us_max)| RequestBody::QueryWithin {
                query: Query::Cache(CacheQuery::Get { key }),
                age_us_max
            }),
            vec(any::<String>(), 0..3).prop_map(|keys| RequestBody::BeginWrite { keys }),
            (command(), node(), surrenders()).prop_map(|(command, holder, surrenders)| {
                RequestBody::CommandOfHolder { command, holder, surrenders }
            }),
        ];
    prop_oneof![
        (node(), node(), term(), body()).prop_map(|(from, to, term, body)| Frame::Peer(Message {
            from,
            to,
            term,
            body
        })),
        (any::<u64>(), request).prop_map(|(id, body)| Frame::Request(Request { id: RequestId(id), body })),
        (any::<u64>(), result())
            .prop_map(|(id, result)| Frame::Response(Response { id: RequestId(id), result })),
        (term(), coherence()).prop_map(|(term, body)| Frame::Coherence(CoherenceMessage { term, body })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_comes_back_as_it_went(frame in frame()) {
        let encoded = frame.encode();
        prop_assert_eq!(Frame::length(&encoded), Ok(Some(encoded.len())));
        prop_assert_eq!(Frame::decode(&encoded), Ok(frame));
    }

    #[test]
    fn a_single_flipped_bit_is_always_noticed(frame in frame(), place in any::<prop::sample::Index>()) {
        let mut encoded = frame.encode().to_vec();
        let bit = place.index(encoded.len() * 8);
        encoded[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Frame::decode(&encoded).is_err());
    }

    #[test]
    fn a_frame_cut_anywhere_is_short(frame in frame(), place in any::<prop::sample::Index>()) {
        let encoded = frame.encode();
        let found = place.index(encoded.len());
        let expected = if found < HEADER_BYTES { HEADER_BYTES } else { encoded.len() };
        prop_assert_eq!(Frame::decode(&encoded[..found]), Err(FrameError::Short { expected, found }));
    }

    #[test]
    fn a_frame_with_something_behind_it_is_long(frame in frame(), more in vec(any::<u8>(), 1..9)) {
        let encoded = frame.encode();
        let expected = encoded.len();
        let stream = [&encoded[..], &more].concat();
        prop_assert_eq!(Frame::length(&stream), Ok(Some(expected)));
        prop_assert_eq!(Frame::decode(&stream), Err(FrameError::Long { expected, found: stream.len() }));
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Frame::decode(&bytes).is_err());
        let _ = Frame::length(&bytes);
    }

    #[test]
    fn arbitrary_bodies_under_a_right_checksum_never_panic(
        kind in 1_u8..=4,
        body in vec(any::<u8>(), 0..200),
    ) {
        let _ = Frame::decode(&sealed(0xB1, kind, 0, &body));
    }

    #[test]
    fn every_command_comes_back_as_it_went(command in command()) {
        prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
    }

    #[test]
    fn arbitrary_bytes_never_make_the_command_decoder_panic(bytes in vec(any::<u8>(), 0..100)) {
        let _ = Command::decode(&bytes);
        let _ = Command::decode(&[&[1], &bytes[..]].concat());
    }

    #[test]
    fn a_command_with_something_behind_it_is_undecodable(command in command(), more in any::<u8>()) {
        let longer = [&command.encode()[..], &[more]].concat();
        prop_assert!(matches!(Command::decode(&longer), Err(MachineError::Undecodable(_))));
    }
}

/// A frame with any header and a right checksum.
fn sealed(first: u8, kind: u8, group: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, kind];
    frame.extend(group.to_le_bytes());
    frame.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    let crc = crc32c::crc32c(&[&frame[..], body].concat());
    frame.extend(crc.to_le_bytes());
    frame.extend(body);
    frame
}

#[test]
fn the_format_is_pinned_to_the_byte() {
    let request = Frame::Request(Request { id: RequestId(300), body: RequestBody::Status });
    assert_eq!(request.encode()[..], sealed(0xB1, 2, 0, &[0xAC, 0x02, 2])[..]);
    assert_eq!(Command::KeepAlive { session: SessionId(7) }.encode()[..], [1, 2, 7]);
}

#[test]
fn unknown_magics_versions_kinds_and_groups_are_named() {
    assert_eq!(Frame::decode(&sealed(0x47, 1, 0, &[])), Err(FrameError::NotAFrame(0x47)));
    assert_eq!(Frame::decode(&sealed(0xB2, 1, 0, &[])), Err(FrameError::UnknownVersion(2)));
    assert_eq!(Frame::decode(&sealed(0xB1, 9, 0, &[])), Err(FrameError::UnknownKind(9)));
    assert_eq!(Frame::decode(&sealed(0xB1, 1, 5, &[])), Err(FrameError::UnknownGroup(5)));
}

#[test]
fn an_announced_length_above_the_bound_is_refused_before_the_body_comes() {
    let mut header = sealed(0xB1, 1, 0, &[]);
    header[6..10].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(Frame::length(&header), Err(FrameError::Oversized((1 << 32) - 1 + 14)));
    let longest = u32::try_from(FRAME_BYTES_MAX - HEADER_BYTES).unwrap();
    header[6..10].copy_from_slice(&longest.to_le_bytes());
    assert_eq!(Frame::length(&header), Ok(Some(FRAME_BYTES_MAX)));
}

#[test]
fn a_body_with_something_behind_it_is_undecodable() {
    let frame = sealed(0xB1, 2, 0, &[1, 2, 0]);
    assert_eq!(Frame::decode(&frame), Err(FrameError::Undecodable("1 bytes are left over".to_owned())));
}

#[test]
fn commands_of_another_version_are_undecodable() {
    assert!(matches!(Command::decode(&[]), Err(MachineError::Undecodable(_))));
    assert!(matches!(Command::decode(&[2, 0]), Err(MachineError::Undecodable(_))));
    assert_eq!(Command::decode(&[1, 0]), Ok(Command::Tick));
}
