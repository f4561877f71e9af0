//! A little language for transcripts: each line is an entry or a question, and is echoed with its answer.
//!
//! ```text
//! 0ms open 60s                              the session's name is the entry's index
//! 0ms close s1 | tick
//! 1ms s1 put jobs a b;prio=5;group=g        messages with their settings: prio, group, delay, ttl, head
//! 1ms s1 put jobs@7:1 a b                   as producer 7, from number 1 on
//! 2ms s1 get jobs 2 5s 10s                  up to two, leased for 5 s, waiting for up to 10 s
//! 3ms s1 ack jobs 2.0/1 2.1/1               first and second message of entry 2, first delivery of each
//! 3ms s1 reject jobs 2.0/1 1s | extend jobs 2.0/1 5s
//! 4ms s1 declare jobs attempts=2 dead=morgue ttl=5s depth=3 bytes=10 payload=4
//! 4ms s1 purge jobs waiting | drop jobs | redrive jobs 5
//! 4ms s1 ^ get …                            lets go of all its earlier commands
//! peek jobs | dead jobs | stats jobs | list | next
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;

use super::super::{
    Death, NewMessage, Origin, PurgeScope, QueueAction, QueueEvent, QueueQuery, QueueReply, StoredMessage,
    TopicSettings, TopicStats,
};
use super::apply;
use crate::ids::{ClusterTime, LogIndex, MessageId, ProducerId, Receipt, Sequence, SessionId};
use crate::machine::{Action, Command, Machine, MachineEvent, Outcome, Query, Reply};

/// Runs a script on a new machine and returns its transcript.
pub(super) fn run(script: &str) -> String {
    run_on(&mut Machine::new(), script)
}

/// Runs a script on a machine that may have a past, but no open sessions that the script uses.
pub(super) fn run_on(machine: &mut Machine, script: &str) -> String {
    let mut transcript = String::new();
    let mut sequences = BTreeMap::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(transcript, "{line}").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["#", ..] => continue,
            ["next"] => machine.next_deadline().map_or_else(|| "nothing is due".to_owned(), self::time),
            ["peek", topic] => ask(machine, QueueQuery::Peek { topic: topic.to_owned(), count_max: 10 }),
            ["dead", topic] => ask(machine, QueueQuery::PeekDead { topic: topic.to_owned(), count_max: 10 }),
            ["stats", topic] => ask(machine, QueueQuery::Stats { topic: topic.to_owned() }),
            ["list"] => ask(machine, QueueQuery::List { after: None, count_max: 10 }),
            [stamp, ref rest @ ..] => {
                let command = command(rest, &mut sequences);
                let (index, applied) = apply(machine, duration_us(stamp), &command);
                render(index, &applied.events, &applied.outcome)
            }
            [] => unreachable!("empty lines are left out"),
        };
        for line in answer.lines() {
            writeln!(transcript, "    {line}").unwrap();
        }
    }
    transcript
}

fn ask(machine: &Machine, query: QueueQuery) -> String {
    outcome(&machine.query(&Query::Queue(query)))
}

fn command(words: &[&str], sequences: &mut BTreeMap<u64, u64>) -> Command {
    match *words {
        ["tick"] => Command::Tick,
        ["open", lease] => Command::OpenSession { lease_us: duration_us(lease) },
        ["close", session] => Command::CloseSession { session: SessionId(number(session)) },
        [session, ref rest @ ..] => {
            let session = SessionId(number(session));
            let sequence = sequences.entry(session.0).or_insert(0);
            *sequence += 1;
            let sequence = Sequence(*sequence);
            let (lowest_open, rest) = match rest {
                ["^", rest @ ..] => (sequence, rest),
                rest => (Sequence(1), rest),
            };
            Command::Once {
                session,
                sequence,
                lowest_open,
                open_below: Vec::new(),
                action: Action::Queue(action(rest)),
            }
        }
        [] => panic!("not a command"),
    }
}

fn action(words: &[&str]) -> QueueAction {
    let topic = |name: &&str| (*name).to_owned();
    match words {
        ["put", name, messages @ ..] => {
            let (name, producer) = name.split_once('@').map_or((*name, None), |(name, producer)| {
                let (id, first) = producer.split_once(':').expect("a producer is id:first");
                (name, Some((ProducerId(number(id)), number(first))))
            });
            let messages = messages.iter().map(|message| self::message(message)).collect();
            QueueAction::Enqueue { topic: name.to_owned(), messages, producer }
        }
        ["get", name, count, visibility, wait] => QueueAction::Dequeue {
            topic: topic(name),
            count_max: number(count) as u32,
            visibility_us: duration_us(visibility),
            wait_us: duration_us(wait),
        },
        ["ack", name, receipts @ ..] => QueueAction::Acknowledge {
            topic: topic(name),
            receipts: receipts.iter().map(|receipt| self::receipt(receipt)).collect(),
        },
        ["reject", name, receipt, delay] => {
            let ((id, receipt), delay_us) = (self::receipt(receipt), duration_us(delay));
            QueueAction::Reject { topic: topic(name), id, receipt, delay_us }
        }
        ["extend", name, receipt, visibility] => {
            let ((id, receipt), visibility_us) = (self::receipt(receipt), duration_us(visibility));
            QueueAction::Extend { topic: topic(name), id, receipt, visibility_us }
        }
        ["declare", name, settings @ ..] => {
            QueueAction::Declare { topic: topic(name), settings: self::settings(settings) }
        }
        ["drop", name] => QueueAction::DeleteTopic { topic: topic(name) },
        ["purge", name, what] => {
            let what = match *what {
                "waiting" => PurgeScope::Waiting,
                "dead" => PurgeScope::Dead,
                _ => PurgeScope::All,
            };
            QueueAction::Purge { topic: topic(name), what, after: None }
        }
        ["redrive", name, count] => {
            QueueAction::Redrive { topic: topic(name), count_max: number(count) as u32 }
        }
        _ => panic!("not an action: {words:?}"),
    }
}

fn message(word: &str) -> NewMessage {
    let mut parts = word.split(';');
    let payload = Bytes::copy_from_slice(parts.next().unwrap_or_default().as_bytes());
    let mut message = NewMessage { payload, ..NewMessage::default() };
    for (key, value) in parts.map(|part| part.split_once('=').expect("a setting is key=value")) {
        match key {
            "prio" => message.priority = number(value) as u8,
            "group" => message.group = Some(value.to_owned()),
            "delay" => message.delay_us = duration_us(value),
            "ttl" => message.ttl_us = Some(duration_us(value)),
            "head" => message.headers.push(("kind".to_owned(), value.to_owned())),
            _ => panic!("not a setting of a message: {key}"),
        }
    }
    message
}

fn settings(words: &[&str]) -> TopicSettings {
    let mut settings = TopicSettings::default();
    for (key, value) in words.iter().map(|word| word.split_once('=').expect("a setting is key=value")) {
        match key {
            "attempts" => settings.attempts_max = number(value) as u16,
            "dead" => settings.dead_letter = Some(value.to_owned()),
            "ttl" => settings.ttl_us = Some(duration_us(value)),
            "depth" => settings.depth_max = number(value),
            "bytes" => settings.bytes_max = number(value),
            "payload" => settings.payload_bytes_max = number(value),
            _ => panic!("not a setting of a topic: {key}"),
        }
    }
    settings
}

/// `2.1/3`: the second message of entry 2, third delivery.
fn receipt(word: &str) -> (MessageId, Receipt) {
    let (id, receipt) = word.split_once('/').expect("a receipt is id/number");
    let (index, ordinal) = id.split_once('.').expect("an id is index.ordinal");
    (MessageId::of(LogIndex(number(index)), number(ordinal)), Receipt(number(receipt)))
}

fn number(word: &str) -> u64 {
    word.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number")
}

fn duration_us(word: &str) -> u64 {
    let (digits, unit_us) = if let Some(digits) = word.strip_suffix("us") {
        (digits, 1)
    } else if let Some(digits) = word.strip_suffix("ms") {
        (digits, 1_000)
    } else {
        (word.strip_suffix('s').expect("a duration ends in us, ms or s"), 1_000_000)
    };
    digits.parse::<u64>().expect("a duration begins with a number") * unit_us
}

fn render(index: LogIndex, events: &[MachineEvent], outcome: &Outcome) -> String {
    let mut text = String::new();
    for event in events {
        let told = match event {
            MachineEvent::Completed { session, sequence, outcome } => {
                format!("{session} {sequence} completed: {}", self::outcome(outcome))
            }
            MachineEvent::SessionEnded { session, expired } => {
                format!("{session} {}", if *expired { "expired" } else { "closed" })
            }
            MachineEvent::Queue(event) => self::event(event),
            MachineEvent::Lock(_) | MachineEvent::Cache(_) => {
                unreachable!("no script here leads to {event:?}")
            }
        };
        writeln!(text, "* {told}").unwrap();
    }
    write!(text, "{index} -> {}", self::outcome(outcome)).unwrap();
    text
}

fn event(event: &QueueEvent) -> String {
    match event {
        QueueEvent::TopicMade { topic } => format!("{topic} made"),
        QueueEvent::LeaseExpired { topic, id, receipt } => {
            format!("{topic}: lease of {}/{} expired", self::id(*id), receipt.0)
        }
        QueueEvent::Expired { topic, id } => format!("{topic}: {} expired", self::id(*id)),
        QueueEvent::DeadLettered { topic, id, reason, to } => {
            let to = to.as_deref().unwrap_or("its own dead");
            format!("{topic}: {} given up ({reason:?}), to {to}", self::id(*id))
        }
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Err(error) => format!("refused: {error}"),
        Ok(Reply::Queue(reply)) => self::reply(reply),
        Ok(Reply::SessionOpened { session }) => format!("opened {session}"),
        Ok(Reply::Waiting { ahead }) => format!("waits, {ahead} ahead"),
        Ok(Reply::Done) => "done".to_owned(),
        Ok(other) => unreachable!("no script here leads to {other:?}"),
    }
}

fn reply(reply: &QueueReply) -> String {
    match reply {
        QueueReply::Declared { created } => format!("declared, created: {created}"),
        QueueReply::Deleted { messages } => format!("deleted with {messages:?} messages"),
        QueueReply::Purged { messages, next: None } => format!("purged {messages}"),
        QueueReply::Purged { messages, next: Some(next) } => {
            format!("purged {messages}, looked as far as {}", id(*next))
        }
        QueueReply::Redriven { messages } => format!("redriven {messages}"),
        QueueReply::Enqueued { ids, duplicate } => {
            let ids: Vec<String> = ids.iter().map(|&id| self::id(id)).collect();
            format!("enqueued {}{}", ids.join(" "), if *duplicate { " before" } else { "" })
        }
        QueueReply::AlreadyEnqueued => "enqueued long before".to_owned(),
        QueueReply::Delivered(deliveries) if deliveries.is_empty() => "nothing".to_owned(),
        QueueReply::Delivered(deliveries) => {
            let lines = deliveries.iter().map(|delivery| {
                let said = StoredMessage {
                    id: delivery.id,
                    attempts: delivery.attempt,
                    enqueued_at: delivery.enqueued_at,
                    priority: delivery.priority,
                    group: delivery.group.clone(),
                    headers: delivery.headers.clone(),
                    payload: delivery.payload.clone(),
                    origin: delivery.origin.clone(),
                    death: None,
                };
                let (receipt, until) = (delivery.receipt.0, time(delivery.lease_until));
                format!("/{receipt} until {until}: {}", stored(&said))
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        QueueReply::Acknowledged(results) => format!("acknowledged: {results:?}"),
        QueueReply::Rejected { dead } => format!("rejected, dead: {dead}"),
        QueueReply::Extended { lease_until } => format!("extended until {}", time(*lease_until)),
        QueueReply::Peeked(messages) if messages.is_empty() => "nothing".to_owned(),
        QueueReply::Peeked(messages) => messages.iter().map(stored).collect::<Vec<_>>().join("\n"),
        QueueReply::Topics(topics) => {
            let lines = topics.iter();
            lines.map(|t| format!("{}: {} of {} B", t.topic, t.depth, t.bytes)).collect::<Vec<_>>().join("\n")
        }
        QueueReply::Stats(stats) => self::stats(stats),
        QueueReply::DeliveredBefore { .. } => unreachable!("no script here asks again"),
    }
}

fn stored(message: &StoredMessage) -> String {
    let mut text = format!("{} {:?}", id(message.id), String::from_utf8_lossy(&message.payload));
    write!(text, " tried {}", message.attempts).unwrap();
    if message.priority > 0 {
        write!(text, " prio {}", message.priority).unwrap();
    }
    if let Some(group) = &message.group {
        write!(text, " group {group}").unwrap();
    }
    for (name, value) in &message.headers {
        write!(text, " {name}={value}").unwrap();
    }
    if let Some(Origin { topic, death, attempts }) = &message.origin {
        write!(text, " from {topic} ({} after {attempts})", self::death(death)).unwrap();
    }
    if let Some(death) = &message.death {
        write!(text, " dead ({})", self::death(death)).unwrap();
    }
    text
}

fn death(death: &Death) -> String {
    format!("{:?} at {}", death.reason, time(death.at))
}

/// Totals of zero are left out.
fn stats(stats: &TopicStats) -> String {
    stats.check_accounts().expect("the accounts balance");
    let t = stats.totals;
    let totals = [
        ("enqueued", t.enqueued),
        ("moved in", t.moved_in),
        ("moved out", t.moved_out),
        ("delivered", t.delivered),
        ("redelivered", t.redelivered),
        ("acknowledged", t.acknowledged),
        ("rejected", t.rejected),
        ("lease expired", t.lease_expired),
        ("expired", t.expired),
        ("purged", t.purged),
        ("dead-lettered", t.dead_lettered),
        ("redriven", t.redriven),
    ];
    let totals: Vec<String> =
        totals.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
    format!(
        "ready {} ({} deliverable), delayed {}, in flight {}, dead {}, {} B, oldest {:?} us, waiting {}, consumers {}\n{}",
        stats.ready,
        stats.deliverable,
        stats.delayed,
        stats.in_flight,
        stats.dead,
        stats.bytes,
        stats.oldest_ready_us,
        stats.waiting,
        stats.consumers,
        totals.join(", "),
    )
}

fn id(id: MessageId) -> String {
    format!("{}.{}", id.index(), id.ordinal())
}

fn time(time: ClusterTime) -> String {
    if time.0.is_multiple_of(1_000) { format!("{}ms", time.0 / 1_000) } else { format!("{}us", time.0) }
}
