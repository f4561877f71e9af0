//! A violation as a person reads it: the end of the longest linearizable prefix, and what cannot follow.

use std::fmt::Write;

use super::search::Deepest;
use super::{Entry, Model};
use crate::history::{Answer, Call, VirtualTime};

/// Operations of the prefix that are shown: the last so many.
const PREFIX_SHOWN_MAX: usize = 8;
/// Operations that cannot be placed of which so many are shown.
const STUCK_SHOWN_MAX: usize = 16;

/// Renders a violation.
pub(super) fn render<M: Model>(
    model: &M,
    object: &str,
    entries: &[Entry<'_>],
    deepest: &Deepest<M::State>,
) -> String {
    let mut text = format!(
        "{} {object:?}: {} operations, of which {} can be put in an order, and then none can follow\n",
        model.name(),
        entries.len(),
        deepest.prefix.len(),
    );
    let hidden = deepest.prefix.len().saturating_sub(PREFIX_SHOWN_MAX);
    if hidden > 0 {
        line(&mut text, &format!("  ({hidden} before)"));
    }
    for position in &deepest.prefix[hidden..] {
        line(&mut text, &format!("  then  {}", describe(&entries[*position])));
    }
    line(&mut text, &format!("  state {:?}", deepest.state));
    for position in deepest.stuck.iter().take(STUCK_SHOWN_MAX) {
        line(&mut text, &format!("  stuck {}", describe(&entries[*position])));
    }
    let more = deepest.stuck.len().saturating_sub(STUCK_SHOWN_MAX);
    if more > 0 {
        line(&mut text, &format!("  ({more} more are stuck)"));
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

fn describe(entry: &Entry<'_>) -> String {
    let operation = entry.operation;
    let answer = match &entry.answer {
        Some(answer) => describe_answer(answer),
        None => "no answer".to_owned(),
    };
    let until = operation.returned_ns.map_or_else(|| "open".to_owned(), |at: VirtualTime| at.to_string());
    format!(
        "#{} c{} {} -> {answer}  [{}, {until}]",
        operation.id,
        operation.client,
        describe_call(entry.call()),
        operation.invoked_ns,
    )
}

fn describe_call(call: &Call) -> String {
    match call {
        Call::Get { .. } => "get".to_owned(),
        Call::Set { value, .. } => format!("set {value}"),
        Call::CompareAndSet { expected, value, .. } => format!("set {value} if {}", optional(*expected)),
        Call::Delete { .. } => "delete".to_owned(),
        Call::Acquire { exclusive: true, .. } => "acquire exclusive".to_owned(),
        Call::Acquire { exclusive: false, .. } => "acquire shared".to_owned(),
        Call::Release { token, .. } => format!("release {token}"),
        // Only registers and single locks are searched.
        call => call.kind().to_owned(),
    }
}

fn describe_answer(answer: &Answer) -> String {
    match answer {
        Answer::Value { value, version } => format!("{} (version {})", optional(*value), optional(*version)),
        Answer::Written { version } => format!("written (version {version})"),
        Answer::Mismatch { value, version } => {
            format!("mismatch: {} (version {})", optional(*value), optional(*version))
        }
        Answer::Deleted { existed: true, version } => format!("deleted (version {version})"),
        Answer::Deleted { existed: false, version } => format!("nothing to delete (version {version})"),
        Answer::Granted { token } => format!("granted {token}"),
        Answer::Released => "released".to_owned(),
        Answer::NotGranted => "not granted".to_owned(),
        Answer::NotHeld => "not held".to_owned(),
        answer => format!("{answer:?}"),
    }
}

fn optional(number: Option<u64>) -> String {
    number.map_or_else(|| "nothing".to_owned(), |number| number.to_string())
}
