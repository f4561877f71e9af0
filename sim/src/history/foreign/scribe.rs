//! Puts each process's events together into operations.

use std::collections::BTreeMap;

use super::event::{Ended, Event, Events, Kind, ObjectKey, Problem, Vocabulary, repeats};
use super::{ForeignError, Format, Recorded, Recording};

/// What a process is at.
struct Process {
    /// Its number here.
    number: u64,
    /// The place of its open operation, and what it does.
    open: Option<(usize, String)>,
}

struct Scribe<V: Vocabulary> {
    processes: BTreeMap<u64, Process>,
    processes_made: u64,
    objects: BTreeMap<ObjectKey, usize>,
    /// By place; `None` once it turned out to have had no effect.
    operations: Vec<Option<Recorded<V::Call, V::Answer>>>,
    /// The moment of the latest event.
    latest: u64,
}

/// All operations of a file.
pub(super) fn record<'a, V: Vocabulary>(
    format: Format,
    mut events: impl Events<'a>,
) -> Result<Recording<V::Call, V::Answer>, ForeignError> {
    let mut scribe = Scribe::<V> {
        processes: BTreeMap::new(),
        processes_made: 0,
        objects: BTreeMap::new(),
        operations: Vec::new(),
        latest: 0,
    };
    while let Some(event) = events.next_event()? {
        // Lines, as long as there is at most one event on each.
        scribe.latest = event.line.max(scribe.latest + 1);
        scribe.note(&event)?;
    }
    let seen = events.seen();
    if scribe.operations.is_empty() {
        return Err(ForeignError::new(
            seen.lines.max(1),
            format!(
                "no operation of any process was found (events of a nemesis: {}, lines skipped: {})",
                seen.of_nemesis, seen.skipped
            ),
            "an empty history proves nothing; if there are operations in the file, name its format with --from",
        ));
    }
    let all = scribe.operations.len();
    let operations: Vec<_> = scribe.operations.into_iter().flatten().collect();
    let mut objects = vec![String::new(); scribe.objects.len()];
    for (key, place) in scribe.objects {
        objects[place] = key.name;
    }
    Ok(Recording {
        format,
        failed: (all - operations.len()) as u64,
        operations,
        objects,
        processes: scribe.processes_made,
        seen,
    })
}

impl<V: Vocabulary> Scribe<V> {
    fn note(&mut self, event: &Event<'_>) -> Result<(), ForeignError> {
        match event.kind {
            Kind::Invoke => self.invoke(event),
            Kind::Ok | Kind::Fail | Kind::Info => self.end(event),
        }
    }

    fn invoke(&mut self, event: &Event<'_>) -> Result<(), ForeignError> {
        let place = self.operations.len();
        let object = V::object(event).map_err(|problem| wrong(event, problem))?;
        let call = V::call(event).map_err(|problem| wrong(event, problem))?;
        let made = self.processes_made;
        let process =
            self.processes.entry(event.process).or_insert_with(|| Process { number: made, open: None });
        if let Some((open, function)) = &process.open {
            let since = self.operations[*open].as_ref().map_or(0, |operation| operation.line);
            let message = format!(
                "process {} invokes :{} while its :{function} of line {since} is open",
                event.process, event.function
            );
            return Err(ForeignError::new(event.line, message, "a process does one thing at a time"));
        }
        self.processes_made += u64::from(process.number == made);
        process.open = Some((place, event.function.to_owned()));
        let process = process.number;
        let objects = self.objects.len();
        let object = *self.objects.entry(object).or_insert(objects);
        self.operations.push(Some(Recorded {
            process,
            process_in_file: event.process,
            line: event.line,
            object,
            invoked: self.latest,
            returned: None,
            call,
            answer: None,
        }));
        Ok(())
    }

    fn end(&mut self, event: &Event<'_>) -> Result<(), ForeignError> {
        let Some((place, function)) =
            self.processes.get_mut(&event.process).and_then(|process| process.open.take())
        else {
            let message =
                format!("process {} ends a :{} that it did not invoke", event.process, event.function);
            let hint = "is the beginning of the file missing? every end needs its :invoke before it";
            return Err(ForeignError::new(event.line, message, hint));
        };
        if function != event.function {
            let message = format!(
                "process {} ends a :{}, but what it invoked is a :{function}",
                event.process, event.function
            );
            return Err(ForeignError::new(event.line, message, "are lines of several runs mixed?"));
        }
        if event.kind == Kind::Info {
            self.processes.remove(&event.process);
            return Ok(());
        }
        let slot = &mut self.operations[place];
        let Some(operation) = slot else { return Ok(()) };
        if event.key.is_some() {
            let object = V::object(event).map_err(|problem| wrong(event, problem))?;
            let is_same = self.objects.get(&object) == Some(&operation.object);
            repeats(is_same).map_err(|problem| wrong(event, problem))?;
        }
        match V::ended(&operation.call, event).map_err(|problem| wrong(event, problem))? {
            Ended::Answered(answer) => {
                operation.answer = Some(answer);
                operation.returned = Some(self.latest);
            }
            Ended::Nothing => *slot = None,
        }
        Ok(())
    }
}

fn wrong(event: &Event<'_>, (message, hint): Problem) -> ForeignError {
    ForeignError::new(event.line, format!("process {}: {message}", event.process), hint)
}
