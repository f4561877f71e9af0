//! A little language for transcripts: each line is an entry or a question, and is echoed with its answer.
//!
//! ```text
//! 0ms open 2s                      an entry stamped 0 ms; the session's name is the entry's index
//! 0ms open 2s as c1 7              under a name: the client's and a nonce
//! 10ms keep s1 | close s1 | tick
//! 20ms s1 #1 acquire door x 5s     exclusive (x), shared (s) or so many permits, waiting up to 5 s
//! 20ms s1 #1 acquire a x b s 5s    both at once
//! 20ms s1 #2 ^2 release door 2.0   ^2: the lowest open number; 2.0: first grant by entry 2
//! 20ms s1 #2 upgrade door 2.0 5s | downgrade door 2.0 | cancel #1 | force door 2.0 why
//! 20ms s1 #2 declare pool 3 | remove pool
//! lock door | locks s1 | session s1 | check door 2.0 | forced | recall s1 #1 | next
//! ```
//!
//! What the cache understands is in `cache/tests/script.rs`.

use std::fmt::Write;

use crate::ids::{ClientId, ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::cache::tests::script as cache;
use crate::machine::{
    Action, Applied, Command, ForcedRelease, LockAction, LockEvent, LockGrant, LockHolder, LockMode,
    LockQuery, LockReply, LockRequest, Machine, MachineEvent, Opener, Outcome, Query, Reply, SessionLocks,
    SessionState, TokenStatus,
};

/// Runs a script on a new machine and returns its transcript.
pub(in crate::machine) fn run(script: &str) -> String {
    run_on(&mut Machine::new(), script)
}

/// Runs a script on a machine that may have a past.
pub(in crate::machine) fn run_on(machine: &mut Machine, script: &str) -> String {
    let mut transcript = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(transcript, "{line}").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["#", ..] => continue,
            ["lock", resource] => {
                outcome(&machine.query(&Query::Lock(LockQuery::State { resource: resource.to_owned() })))
            }
            ["locks", session] => {
                let session = SessionId(number(session));
                outcome(&machine.query(&Query::Lock(LockQuery::OfSession { session })))
            }
            ["session", session] => {
                let session = SessionId(number(session));
                outcome(&machine.query(&Query::Session { session }))
            }
            ["check", resource, token] => {
                let (resource, token) = (resource.to_owned(), fence(token));
                outcome(&machine.query(&Query::Lock(LockQuery::Check { resource, token })))
            }
            ["forced"] => outcome(&machine.query(&Query::Lock(LockQuery::ForcedReleases))),
            [word, ref keys @ ..] if let Some(query) = cache::query(word, keys) => {
                outcome(&machine.query(&Query::Cache(query)))
            }
            ["victims", entries, bytes] => cache::victims(machine, entries, bytes),
            ["next"] => machine.next_deadline().map_or_else(|| "nothing is due".to_owned(), self::time),
            ["recall", session, sequence] => machine
                .outcome_of(SessionId(number(session)), Sequence(number(sequence)))
                .map_or_else(|| "nothing is remembered".to_owned(), |remembered| outcome(&remembered)),
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
        ["open", lease, "as", client, nonce] => Command::OpenSessionOnce {
            lease_us: duration_us(lease),
            opener: Opener { client: ClientId(number(client)), nonce: number(nonce) },
        },
        ["keep", session] => Command::KeepAlive { session: SessionId(number(session)) },
        ["evict", ref victims @ ..] => Command::Evict { victims: cache::named(victims) },
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
                open_below: Vec::new(),
                action: self::action(action),
            }
        }
        _ => panic!("not a command: {words:?}"),
    }
}

fn action(words: &[&str]) -> Action {
    match *words {
        ["acquire" | "release" | "upgrade" | "downgrade" | "cancel" | "declare" | "remove" | "force", ..] => {
            Action::Lock(lock_action(words))
        }
        _ => Action::Cache(cache::action(words)),
    }
}

fn lock_action(words: &[&str]) -> LockAction {
    let pairs = |words: &[&str]| -> Vec<(String, String)> {
        words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
    };
    match *words {
        ["acquire", ref requests @ .., wait] => LockAction::Acquire {
            requests: pairs(requests)
                .into_iter()
                .map(|(resource, mode)| LockRequest { resource, mode: self::mode(&mode) })
                .collect(),
            wait_us: duration_us(wait),
        },
        ["release", ref grants @ ..] => LockAction::Release {
            grants: pairs(grants)
                .into_iter()
                .map(|(resource, token)| LockGrant { resource, token: fence(&token) })
                .collect(),
        },
        ["upgrade", resource, token, wait] => LockAction::Upgrade {
            resource: resource.to_owned(),
            token: fence(token),
            wait_us: duration_us(wait),
        },
        ["downgrade", resource, token] => {
            LockAction::Downgrade { resource: resource.to_owned(), token: fence(token) }
        }
        ["cancel", sequence] => LockAction::Cancel { sequence: Sequence(number(sequence)) },
        ["declare", resource, permits] => LockAction::DeclareSemaphore {
            resource: resource.to_owned(),
            permits: permits.parse().expect("a number of permits"),
        },
        ["remove", resource] => LockAction::RemoveSemaphore { resource: resource.to_owned() },
        ["force", resource, token, ref reason @ ..] => LockAction::ForceRelease {
            resource: resource.to_owned(),
            token: fence(token),
            reason: reason.join(" "),
        },
        _ => panic!("not an action: {words:?}"),
    }
}

fn mode(word: &str) -> LockMode {
    match word {
        "x" => LockMode::Exclusive,
        "s" => LockMode::Shared,
        permits => LockMode::Permits(permits.parse().expect("a mode is x, s or a number of permits")),
    }
}

fn fence(word: &str) -> FenceToken {
    let (index, ordinal) = word.split_once('.').expect("a token is index.ordinal");
    FenceToken(FenceToken::first_of(LogIndex(number(index))).0 + number(ordinal))
}

pub(in crate::machine) fn number(word: &str) -> u64 {
    word.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number")
}

pub(in crate::machine) fn duration_us(word: &str) -> u64 {
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
        MachineEvent::Lock(LockEvent::Granted { resource, holder }) => {
            format!("* {resource} granted: {}", held(holder))
        }
        MachineEvent::Lock(LockEvent::Released { resource, holder }) => {
            format!("* {resource} released: {}", held(holder))
        }
        MachineEvent::Lock(LockEvent::Forced(record)) => format!("* {}", forced(record)),
        MachineEvent::Lock(LockEvent::Semaphore { resource, permits: Some(permits) }) => {
            format!("* {resource} has {permits} permits")
        }
        MachineEvent::Lock(LockEvent::Semaphore { resource, permits: None }) => {
            format!("* {resource} is no semaphore any more")
        }
        MachineEvent::Queue(event) => unreachable!("the queue has scripts of its own: {event:?}"),
        MachineEvent::Cache(event) => cache::event(event),
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
        Ok(Reply::Queue(reply)) => unreachable!("the queue has scripts of its own: {reply:?}"),
        Ok(Reply::Waiting { ahead }) => format!("queued, {ahead} ahead"),
        Ok(Reply::Cache(reply)) => cache::reply(reply),
        Ok(Reply::Lock(reply)) => locks(reply),
        Ok(Reply::Renewed { taken_at }) => format!("renewed, something may have been taken at {taken_at}"),
        Ok(Reply::Session(SessionState::Open { lease_us, locks: of_session })) => {
            format!("lives for {}, {}", time(ClusterTime(*lease_us)), of(of_session))
        }
        Ok(Reply::Session(SessionState::Overdue)) => "its lease is over".to_owned(),
        Ok(Reply::Session(SessionState::NotOpen)) => "not open".to_owned(),
    }
}

fn of(locks: &SessionLocks) -> String {
    let held = locks.held.iter().map(|h| format!("{} {:?} {}", h.resource, h.mode, token(h.token)));
    let awaited = locks
        .awaited
        .iter()
        .map(|a| format!("{} {:?} by {} until {}", a.resource, a.mode, a.sequence, time(a.deadline)));
    let (held, awaited): (Vec<_>, Vec<_>) = (held.collect(), awaited.collect());
    format!("holds [{}], awaits [{}]", held.join(", "), awaited.join(", "))
}

fn locks(reply: &LockReply) -> String {
    match reply {
        LockReply::Granted { grants } => match &grants[..] {
            [LockGrant { token, .. }] => format!("granted {}", self::token(*token)),
            grants => {
                let grants = grants.iter().map(|grant| format!("{} {}", grant.resource, token(grant.token)));
                format!("granted {}", grants.collect::<Vec<_>>().join(", "))
            }
        },
        LockReply::State(state) => {
            let held: Vec<String> = state.holders.iter().map(held).collect();
            let line: Vec<String> = state
                .waiters
                .iter()
                .map(|w| {
                    let upgrade = if w.is_upgrade { " (upgrade)" } else { "" };
                    format!("{} {} {:?}{upgrade} until {}", w.session, w.sequence, w.mode, time(w.deadline))
                })
                .collect();
            let permits = state.permits.map_or_else(String::new, |permits| format!("{permits} permits, "));
            let (held, line) = (held.join(", "), line.join(", "));
            format!("{permits}held [{held}], awaited [{line}], version {}", state.version)
        }
        LockReply::OfSession(locks) => of(locks),
        LockReply::Checked(TokenStatus::Current) => "current".to_owned(),
        LockReply::Checked(TokenStatus::Stale { latest }) => {
            format!("stale, the latest is {}", token(*latest))
        }
        LockReply::Checked(TokenStatus::Unknown) => "unknown".to_owned(),
        LockReply::Stats(stats) => format!("{stats:?}"),
        LockReply::Forced(records) => {
            records.iter().map(forced).collect::<Vec<_>>().join("\n").trim_end().to_owned()
        }
    }
}

fn forced(record: &ForcedRelease) -> String {
    let ForcedRelease { index, time: at, resource, holder, by, reason } = record;
    format!("{resource} forced at {index}, {}, from {} by {by}: {reason}", time(*at), held(holder))
}

fn held(holder: &LockHolder) -> String {
    format!("{} {:?} {}", holder.session, holder.mode, token(holder.token))
}

fn token(token: FenceToken) -> String {
    let index = token.granting_index();
    format!("{index}.{}", token.0 - FenceToken::first_of(index).0)
}

pub(in crate::machine) fn time(time: ClusterTime) -> String {
    if time.0.is_multiple_of(1_000) { format!("{}ms", time.0 / 1_000) } else { format!("{}us", time.0) }
}
