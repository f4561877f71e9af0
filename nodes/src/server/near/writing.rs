//! Clients that write what they read near.
//!
//! Such a client tells its near node of the write first (`BeginWrite`). The node makes its lines Modified, and the
//! client brings the leader what the node has given up, together with the command (`CommandOfHolder`).
//!
//! A client may do with a surrender what it likes: lose it, bring it twice, late, to a leader of another term, or with
//! another command. What it says stays true. If none of them comes to a leader, the question that is open for the line
//! is given up like any other that nobody answers, and the line with it.

use super::super::pending::Asker;
use super::super::probe::Probe;
use super::super::replica::Replica;
use crate::api::ResponseBody;
use crate::coherence::{KEY_BYTES_MAX, SURRENDERS_MAX, Surrender};
use crate::env::Env;
use crate::ids::NodeId;
use crate::machine::MachineError;
use crate::marks;

/// The node whose lines a write takes out of its own way, and which they are.
pub(in crate::server) type Origin = (NodeId, Vec<Surrender>);

impl<E: Env, P: Probe> Replica<E, P> {
    /// A client that reads here is about to write these keys: says which lines of them are read here no more.
    pub(in crate::server) fn begin_write(&mut self, asker: Asker, keys: &[String]) {
        if let Err(refused) = check_keys(keys.iter().map(String::as_str)) {
            return self.answer(asker, Ok(ResponseBody::Outcome(Err(refused))));
        }
        self.sync_near();
        let (now, status) = (self.env.now(), self.core.status());
        // A leader does it when the command comes. Where no leader is known, the write may be long in coming.
        let surrenders = match status.leader {
            Some(leader) if leader != status.id => {
                keys.iter().filter_map(|key| self.near.holder.begin_write(key, now)).collect()
            }
            _ => Vec::new(),
        };
        self.tell_of_lines();
        self.answer(asker, Ok(ResponseBody::Surrendered(surrenders)));
    }

    /// What a client says that its near node has given up for a write; none if nothing, or by nobody that may hold a
    /// line.
    ///
    /// # Errors
    /// If it is more than a node gives up at a time.
    pub(in crate::server) fn origin_of(
        &self,
        holder: NodeId,
        mut surrenders: Vec<Surrender>,
    ) -> Result<Option<Origin>, MachineError> {
        check_keys(surrenders.iter().map(|surrender| &*surrender.key))?;
        if !self.near.members.contains(holder) {
            marks::hit("server.surrender_of_no_member");
            return Ok(None);
        }
        // Each is a question, too: one per key is what a node asks.
        surrenders.sort_by(|one, other| one.key.cmp(&other.key));
        surrenders.dedup_by(|one, other| one.key == other.key);
        Ok(Some((holder, surrenders)).filter(|(_, surrenders)| !surrenders.is_empty()))
    }
}

fn check_keys<'k>(keys: impl ExactSizeIterator<Item = &'k str>) -> Result<(), MachineError> {
    let count = keys.len();
    if count > SURRENDERS_MAX {
        marks::hit("server.too_many_surrenders");
        let why = format!("a write gives up at most {SURRENDERS_MAX} lines, not {count}: leave some out");
        return Err(MachineError::InvalidArgument(why));
    }
    match keys.map(str::len).max() {
        Some(longest) if longest > KEY_BYTES_MAX => {
            marks::hit("server.surrender_of_an_impossible_key");
            let why = format!("a key has at most {KEY_BYTES_MAX} bytes, not {longest}");
            Err(MachineError::InvalidArgument(why))
        }
        _ => Ok(()),
    }
}
