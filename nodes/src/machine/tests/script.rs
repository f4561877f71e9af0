//! A little language for transcripts: each line is an entry or a question, and is echoed with its answer.
//!
//! ```text
//! 0ms open 2s                      an entry stamped 0 ms; the session's name is the entry's index
//! 10ms keep s1 | close s1 | tick
//! 20ms s1 #1 acquire door x 5s     exclusive (x) or shared (s), waiting up to 5 s
//! 20ms s1 #2 ^2 release door 2.0   ^2: the lowest open number; 2.0: first grant by entry 2
//! 20ms s1 #3 set key value | cas key - value | cas key old new | delete key
//! lock door | get key | recall s1 #1 | next
//! ```

use std::fmt::Write;

use bytes::Bytes;

use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::{
    Action, Applied, Command, LockAction, LockHolder, LockMode, Machine, MachineEvent, Outcome, Query,
    RegisterAction, Reply, Versioned,
};

/// Runs a script on a new machine and returns its transcript.
pub(super) fn run(script: &str) -> String {
    run_on(&mut Machine::new(), script)
}

/// Runs a script on a machine that may have a past.
pub(super) fn run_on(machine: &mut Machine, script: &str) -> String {
    let mut transcript = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(transcript, "{line}").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["#", ..] => continue,
            ["lock", resource] => outcome(&machine.query(&Query::Lock { resource: resource.to_owned() })),
            ["get", key] => outcome(&machine.query(&Query::Register { key: key.to_owned() })),
            ["next"] => machine.next_deadline().map_or_else(|| "nothing is due".to_owned(), self::time),
            ["recall", session, sequence] => machine
                .outcome_of(SessionId(number(session)), Sequence(number(sequence)))
                .map_or_else(|| "nothing is remembered".to_owned(), outcome),
            [stamp, ref rest @ ..] => {
                let index = machine.index().next();
                let applied = machine.apply(index, ClusterTime(duration_us(stamp)), &command(rest));
                render(index, &applied)
            }
            [] => unreachable!("empty lines are left out"),
        };
        for line in answer.lines() {
            writeln!(transcript, "    {line}").unwrap();
        }
    }
    transcript
}

fn command(words: &[&str]) -> Command {
    match *words {
        ["tick"] => Command::Tick,
        ["open", lease] => Command::OpenSession { lease_us: duration_us(lease) },
        ["keep", session] => Command::KeepAlive { session: SessionId(number(session)) },
        ["close", session] => Command::CloseSession { session: SessionId(number(session)) },
        [session, sequence, ref rest @ ..] => {
            let (lowest_open, action) = match rest {
                [open, rest @ ..] if open.starts_with('^') => (number(open), rest),
                rest => (1, rest),
            };
            Command::Once {
                session: SessionId(number(session)),
                sequence: Sequence(number(sequence)),
                lowest_open: Sequence(lowest_open),
                action: self::action(action),
            }
        }
        _ => panic!("not a command: {words:?}"),
    }
}

fn action(words: &[&str]) -> Action {
    let value = |word: &str| Bytes::copy_from_slice(word.as_bytes());
    match *words {
        ["acquire", resource, mode, wait] => Action::Lock(LockAction::Acquire {
            resource: resource.to_owned(),
            mode: if mode == "x" { LockMode::Exclusive } else { LockMode::Shared },
            wait_us: duration_us(wait),
        }),
        ["release", resource, token] => {
            let (index, ordinal) = token.split_once('.').expect("a token is index.ordinal");
            let token = FenceToken(FenceToken::first_of(LogIndex(number(index))).0 + number(ordinal));
            Action::Lock(LockAction::Release { resource: resource.to_owned(), token })
        }
        ["set", key, new] => Action::Register(RegisterAction::Set { key: key.to_owned(), value: value(new) }),
        ["cas", key, expected, new] => Action::Register(RegisterAction::CompareAndSet {
            key: key.to_owned(),
            expected: (expected != "-").then(|| value(expected)),
            value: value(new),
        }),
        ["delete", key] => Action::Register(RegisterAction::Delete { key: key.to_owned() }),
        _ => panic!("not an action: {words:?}"),
    }
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

fn render(index: LogIndex, applied: &Applied) -> String {
    let mut text = String::new();
    for event in &applied.events {
        writeln!(text, "{}", self::event(event)).unwrap();
    }
    write!(text, "{index} -> {}", outcome(&applied.outcome)).unwrap();
    text
}

fn event(event: &MachineEvent) -> String {
    match event {
        MachineEvent::Completed { session, sequence, outcome } => {
            format!("* {session} {sequence} completed: {}", self::outcome(outcome))
        }
        MachineEvent::LockGranted { resource, holder } => format!("* {resource} granted: {}", held(holder)),
        MachineEvent::LockReleased { resource, holder } => format!("* {resource} released: {}", held(holder)),
        MachineEvent::SessionEnded { session, expired } => {
            format!("* {session} {}", if *expired { "expired" } else { "closed" })
        }
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Err(error) => format!("refused: {error}"),
        Ok(Reply::Done) => "done".to_owned(),
        Ok(Reply::SessionOpened { session }) => format!("opened {session}"),
        Ok(Reply::LockGranted { token }) => format!("granted {}", self::token(*token)),
        Ok(Reply::LockQueued { ahead }) => format!("queued, {ahead} ahead"),
        Ok(Reply::Written { version }) => format!("written as version {version}"),
        Ok(Reply::Value(value)) => found(value.as_ref()),
        Ok(Reply::Mismatch(value)) => format!("mismatch: {}", found(value.as_ref())),
        Ok(Reply::Deleted { existed, version }) => format!("deleted at {version}, existed: {existed}"),
        Ok(Reply::Lock(state)) => {
            let held: Vec<String> = state.holders.iter().map(held).collect();
            let line: Vec<String> = state
                .waiters
                .iter()
                .map(|w| format!("{} {} {:?} until {}", w.session, w.sequence, w.mode, time(w.deadline)))
                .collect();
            format!("held [{}], awaited [{}]", held.join(", "), line.join(", "))
        }
    }
}

fn found(value: Option<&Versioned>) -> String {
    value.map_or_else(
        || "nothing".to_owned(),
        |found| format!("{} of version {}", String::from_utf8_lossy(&found.value), found.version),
    )
}

fn held(holder: &LockHolder) -> String {
    format!("{} {:?} {}", holder.session, holder.mode, token(holder.token))
}

fn token(token: FenceToken) -> String {
    let index = token.granting_index();
    format!("{index}.{}", token.0 - FenceToken::first_of(index).0)
}

fn time(time: ClusterTime) -> String {
    if time.0.is_multiple_of(1_000) { format!("{}ms", time.0 / 1_000) } else { format!("{}us", time.0) }
}
