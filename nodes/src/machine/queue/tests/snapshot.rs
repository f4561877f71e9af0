//! The queue's part of a snapshot: altered and sealed again it is refused, or it is a sound state.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::super::{Death, DeathReason, Origin, TopicSettings, TopicTotals};
use super::generate::Source;
use super::model::Queue;
use super::script::run_on;
use super::{SMALL, apply, bytes_of, small_limits, small_machine};
use crate::ids::{ClusterTime, Sequence, SessionId};
use crate::machine::{Action, Command, EvictionPolicy, Machine, Outcome, RestoreError};

/// The body of a snapshot without locks and keys, told a second time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Image {
    index: u64,
    time: u64,
    /// What near-caches agreed on: nothing, of no length.
    near: (Option<(u64, u32)>, u64),
    sessions: Vec<Session>,
    /// The part of the locks, of which there are none: five numbers.
    locks: [u64; 5],
    topics: Vec<Topic>,
    /// The part of the cache, in which there is nothing: bounds, policy, totals, number of keys.
    cache: (u64, u64, EvictionPolicy, [u64; 6], u64),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    id: u64,
    lease_us: u64,
    deadline: u64,
    opener: Option<(u64, u64)>,
    lowest_open: u64,
    open_below: Vec<u64>,
    outcomes: Vec<(u64, Kept)>,
}

/// What is kept of an outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kept {
    Said(Outcome),
    Delivered { topic: String, lease_until: u64, messages: Vec<(u64, u64)> },
}

/// Something done to a snapshot by somebody who can seal it, and its name.
type Alteration = (&'static str, Box<dyn Fn(&mut Image)>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Topic {
    name: String,
    settings: TopicSettings,
    totals: TopicTotals,
    rates: Vec<Mark>,
    messages: Vec<Message>,
    line: Vec<Waiter>,
    producers: Vec<Producer>,
    consumers: Vec<u64>,
}

/// A second, and what was counted when it began: enqueued, delivered, acknowledged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    second: u64,
    counted: [u64; 3],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Message {
    id: u64,
    enqueued_at: u64,
    expires: u64,
    priority: u8,
    headers: Vec<(String, String)>,
    group: Option<String>,
    origin: Option<Origin>,
    state: State,
    until: u64,
    deliveries: u32,
    attempts: u16,
    death: Option<Death>,
    payload: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum State {
    Ready,
    Delayed,
    InFlight,
    Dead,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Waiter {
    ticket: u64,
    session: u64,
    sequence: u64,
    count_max: u32,
    visibility_us: u64,
    deadline: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Producer {
    id: u64,
    start: u64,
    next: u64,
    used: u64,
    batches: Vec<(u64, u64, u64)>,
}

fn seal(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"STORMGLS".to_vec();
    bytes.extend(5_u32.to_le_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend(body);
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    bytes
}

fn body_of(machine: &Machine) -> Vec<u8> {
    let bytes = bytes_of(machine, 1_000);
    bytes[16..bytes.len() - 8].to_vec()
}

/// A machine in which every table of the queue has something in it.
fn furnished() -> Machine {
    let mut machine = small_machine();
    run_on(
        &mut machine,
        "
        0ms open 60s
        0ms open 60s
        0ms s1 declare jobs attempts=1 dead=morgue
        1ms s1 put jobs@7:1 dead;group=g;prio=3;head=x
        1ms s1 get jobs 1 5s 0s
        1ms s1 reject jobs 4.0/1 0s
        2ms s1 put jobs@7:2 flies;group=g ready;group=g;ttl=9s waits;delay=3s
        2ms s1 get jobs 1 5s 0s
        3ms s1 declare pit attempts=1
        3ms s1 put pit dead
        3ms s1 get pit 1 5s 0s
        3ms s1 reject pit 10.0/1 0s
        4ms s2 get pit 1 5s 10s
        4ms s1 put jobs@8:1 more",
    );
    machine
}

#[test]
fn the_part_is_what_the_documentation_says_and_comes_back() {
    let machine = furnished();
    let body = body_of(&machine);
    let (image, rest): (Image, _) = postcard::take_from_bytes(&body).expect("it was just written");
    assert!(rest.is_empty());
    assert_eq!(image.topics.iter().map(|topic| &*topic.name).collect::<Vec<_>>(), ["jobs", "morgue", "pit"]);
    let jobs = &image.topics[0];
    let states: Vec<State> = jobs.messages.iter().map(|message| message.state).collect();
    assert_eq!(states, [State::InFlight, State::Ready, State::Delayed, State::Ready]);
    assert_eq!((jobs.producers.len(), jobs.consumers.len(), image.topics[2].line.len()), (2, 1, 1));
    assert!(image.topics[1].messages[0].origin.is_some() && image.topics[2].messages[0].death.is_some());
    let restored = Machine::restore_within(&seal(&body), small_limits()).expect("it was just written");
    assert_eq!((restored.digest(), body_of(&restored)), (machine.digest(), body));
}

#[test]
fn what_is_overdue_is_a_state_and_ends_with_the_next_entries() {
    let image: Image = postcard::from_bytes(&body_of(&furnished())).expect("it was just written");
    let mut overdue = image.clone();
    overdue.topics[0].messages[0].until = 4_000;
    overdue.topics[0].messages[1].expires = 4_000;
    overdue.topics[0].messages[2].until = 4_000;
    let bytes = seal(&postcard::to_allocvec(&overdue).expect("it is plain data"));
    let mut machine = Machine::restore_within(&bytes, small_limits()).expect("it is a state");
    assert!(machine.is_behind());
    assert_eq!(run_on(&mut machine, "peek jobs").trim(), "peek jobs\n    14.0 \"more\" tried 0");
    let ended = run_on(&mut machine, "4ms tick");
    assert!(!machine.is_behind(), "{ended}");
    assert!(ended.contains("lease of 7.0/1 expired") && ended.contains("7.1 expired"), "{ended}");
}

/// Alters what the first session keeps of a delivery.
fn kept(how: impl Fn(&mut String, &mut u64, &mut Vec<(u64, u64)>) + 'static) -> Box<dyn Fn(&mut Image)> {
    Box::new(move |image| {
        for (_, kept) in &mut image.sessions[0].outcomes {
            if let Kept::Delivered { topic, lease_until, messages } = kept {
                return how(topic, lease_until, messages);
            }
        }
    })
}

#[test]
fn a_part_that_contradicts_itself_is_refused() {
    let death = Death { reason: DeathReason::Rejected, at: ClusterTime(1) };
    let alterations: Vec<Alteration> = vec![
        ("topics out of order", Box::new(|image| image.topics.reverse())),
        ("settings out of bounds", Box::new(|image| image.topics[0].settings.attempts_max = 0)),
        ("a message lost", Box::new(|image| image.topics[0].messages.truncate(3))),
        (
            "a message twice",
            Box::new(|image| {
                let double = image.topics[0].messages[0].clone();
                image.topics[0].messages.insert(0, double);
            }),
        ),
        (
            "a message in two topics",
            Box::new(|image| {
                image.topics[1].messages[0].id = image.topics[0].messages[1].id;
            }),
        ),
        ("a message of the future", Box::new(|image| image.topics[0].messages[3].id = 99 << 13)),
        ("an enqueueing of the future", Box::new(|image| image.topics[0].messages[3].enqueued_at = 99_000)),
        ("an end too far off", Box::new(|image| image.topics[0].messages[1].expires = u64::MAX - 1)),
        ("a lease too far off", Box::new(|image| image.topics[0].messages[0].until = u64::MAX)),
        ("a delay too far off", Box::new(|image| image.topics[0].messages[2].until = u64::MAX)),
        ("in flight and never tried", Box::new(|image| image.topics[0].messages[0].attempts = 0)),
        ("tried and never delivered", Box::new(|image| image.topics[0].messages[0].deliveries = 0)),
        ("ready and waiting", Box::new(|image| image.topics[0].messages[1].until = 9_000)),
        (
            "two of a group in flight",
            Box::new(|image| {
                let message = &mut image.topics[0].messages[1];
                (message.state, message.until, message.attempts, message.deliveries) =
                    (State::InFlight, 9_000, 1, 1);
            }),
        ),
        ("ready and dead", Box::new(move |image| image.topics[0].messages[1].death = Some(death))),
        ("dead and not dead", Box::new(|image| image.topics[2].messages[0].death = None)),
        (
            "died in the future",
            Box::new(|image| {
                image.topics[2].messages[0].death.as_mut().expect("it is dead").at = ClusterTime(99_000);
            }),
        ),
        (
            "from its own topic",
            Box::new(|image| {
                image.topics[1].messages[0].origin.as_mut().expect("it was moved").topic =
                    "morgue".to_owned();
            }),
        ),
        ("a group without a name", Box::new(|image| image.topics[0].messages[1].group = Some(String::new()))),
        ("accounts out of balance", Box::new(|image| image.topics[0].totals.enqueued += 1)),
        ("too much counted", Box::new(|image| image.topics[0].totals.delivered = u64::MAX)),
        ("a mark of the future", Box::new(|image| image.topics[0].rates[0].second = 99)),
        ("a mark beyond the totals", Box::new(|image| image.topics[0].rates[0].counted[0] += 99)),
        (
            "marks that go back",
            Box::new(|image| {
                let first = image.topics[0].rates[0].clone();
                image.topics[0].rates.push(first);
            }),
        ),
        (
            "a wait in vain",
            Box::new(|image| {
                let message = &mut image.topics[2].messages[0];
                (message.state, message.death) = (State::Ready, None);
            }),
        ),
        ("a delivery of nothing", kept(|_, _, messages| messages.clear())),
        ("a delivery of no topic", kept(|topic, _, _| topic.clear())),
        ("a delivery that lasts too long", kept(|_, lease_until, _| *lease_until = u64::MAX)),
        ("a delivery of a message to come", kept(|_, _, messages| messages[0].0 = 99 << 13)),
        ("a delivery under no receipt", kept(|_, _, messages| messages[0].1 = 0)),
        ("a wait of the future", Box::new(|image| image.topics[2].line[0].ticket = 99)),
        ("a wait too far off", Box::new(|image| image.topics[2].line[0].deadline = u64::MAX)),
        ("a wait for nothing", Box::new(|image| image.topics[2].line[0].count_max = 0)),
        ("a wait of nobody", Box::new(|image| image.topics[2].line[0].session = 7)),
        ("a wait lost", Box::new(|image| image.topics[2].line.clear())),
        ("a consumer lost", Box::new(|image| image.topics[2].consumers.retain(|&session| session != 2))),
        ("a consumer that is nobody", Box::new(|image| image.topics[0].consumers.push(9))),
        ("a gap in numbers", Box::new(|image| image.topics[0].producers[0].batches[0].1 = 7)),
        ("a wrong next number", Box::new(|image| image.topics[0].producers[0].next = 7)),
        ("a start in the midst", Box::new(|image| image.topics[0].producers[0].start = 2)),
        ("a producer without a batch", Box::new(|image| image.topics[0].producers[0].batches.clear())),
        (
            "one use by two",
            Box::new(|image| image.topics[0].producers[1].used = image.topics[0].producers[0].used),
        ),
        ("a use of the future", Box::new(|image| image.topics[0].producers[0].used = 99)),
    ];
    let image: Image = postcard::from_bytes(&body_of(&furnished())).expect("it was just written");
    let is_kept = |(_, kept): &(u64, Kept)| matches!(kept, Kept::Delivered { .. });
    assert!(image.sessions[0].outcomes.iter().any(is_kept), "a delivery is kept by its names");
    for (what, alter) in alterations {
        let mut altered = image.clone();
        alter(&mut altered);
        assert_ne!(altered, image, "{what} altered nothing");
        let bytes = seal(&postcard::to_allocvec(&altered).expect("it is plain data"));
        let refused = Machine::restore_within(&bytes, small_limits()).map(|_| ());
        assert!(matches!(refused, Err(RestoreError::Inconsistent(_))), "{what}: {refused:?}");
    }
}

#[test]
fn any_altered_bytes_are_refused_or_a_state_that_goes_on_soundly() {
    let mut source = Source::new(1);
    let (mut sound, mut refused) = (0, 0);
    let furnished = body_of(&furnished());
    for _ in 0..6_000 {
        let mut body = furnished.clone();
        for _ in 0..=source.below(2) {
            let at = source.below(body.len() as u64) as usize;
            body[at] = match source.below(3) {
                0 => source.below(256) as u8,
                1 => body[at].wrapping_add(1),
                _ => body[at].wrapping_sub(1),
            };
        }
        let Ok(mut machine) = Machine::restore_within(&seal(&body), small_limits()) else {
            refused += 1;
            continue;
        };
        // Not the bytes that were read: a number may have been spelled in more bytes than it needs.
        let again = Machine::restore_within(&seal(&body_of(&machine)), small_limits()).expect("it is sound");
        assert_eq!(again.digest(), machine.digest());
        sound += 1;
        go_on(&mut machine, &mut source);
    }
    assert!(sound > 100 && refused > 1_000, "{sound} sound, {refused} refused");
}

/// Nothing that comes may panic, and everything ends at last.
fn go_on(machine: &mut Machine, source: &mut Source) {
    let nothing = Queue::new(SMALL);
    let session = machine.index().next();
    let time = machine.time().0;
    let _ = apply(machine, time, &Command::OpenSession { lease_us: 60_000_000 });
    for number in 1..30 {
        let action = Action::Queue(source.action(&nothing));
        let (session, sequence) = (SessionId(session.0), Sequence(number));
        let command =
            Command::Once { session, sequence, lowest_open: Sequence(1), open_below: Vec::new(), action };
        let time = machine.time().0.saturating_add(source.below(3_000));
        let _ = apply(machine, time, &command);
    }
    for _ in 0..100 {
        let _ = apply(machine, u64::MAX, &Command::Tick);
    }
    assert_eq!(machine.next_deadline(), None);
}
