//! Reads, writes, compare-and-sets and deletes of a few keys.

use std::collections::BTreeMap;

use rand::RngExt;

use super::{Service, Worker};
use crate::history::{Answer, Call, Outcome};

/// What a client last learnt of each key: what its compare-and-sets expect.
#[derive(Debug, Default)]
pub(super) struct Registers {
    seen: BTreeMap<String, Option<u64>>,
    last_learnt: Option<String>,
    writes: u64,
}

/// Values of one client stay below this, so that every written value is unique in the run.
const VALUES_PER_CLIENT: u64 = 1_000_000_000;

impl<S: Service> Worker<S> {
    /// Does one operation on one key.
    pub(super) async fn register_operation(&mut self, registers: &mut Registers) {
        let call = self.register_call(registers);
        let key = call.object().to_owned();
        let written = match &call {
            Call::Set { value, .. } | Call::CompareAndSet { value, .. } => Some(*value),
            _ => None,
        };
        let seen = match self.call(call).await.1 {
            Outcome::Ok { answer: Answer::Value { value, .. } | Answer::Mismatch { value, .. } } => value,
            Outcome::Ok { answer: Answer::Written { .. } } => written,
            Outcome::Ok { answer: Answer::Deleted { .. } } => None,
            _ => return,
        };
        registers.last_learnt = Some(key.clone());
        registers.seen.insert(key, seen);
    }

    fn register_call(&mut self, registers: &mut Registers) -> Call {
        let key = self.pick("key");
        let mix = &self.spec.mix;
        let (get, set, compare_and_set) =
            (mix.get, mix.get + mix.set, mix.get + mix.set + mix.compare_and_set);
        let drawn = self.rng.random_range(0..compare_and_set + mix.delete);
        if drawn < get {
            return Call::Get { key };
        }
        if drawn >= compare_and_set {
            return Call::Delete { key };
        }
        registers.writes += 1;
        let value = self.client * VALUES_PER_CLIENT + registers.writes;
        if drawn < set {
            Call::Set { key, value }
        } else {
            // Of the key that the client knows best, or else hardly any would find what they expect.
            let key = registers.last_learnt.clone().unwrap_or(key);
            let expected = registers.seen.get(&key).copied().flatten();
            Call::CompareAndSet { key, expected, value }
        }
    }
}
