//! The key-value register: set, compare-and-set, delete, get, each write with the log index as its version.
//!
//! A key's versions rise strictly, across deletions too, because no two entries share an index. A deleted
//! key leaves nothing behind.

use bytes::Bytes;
use serde::Serialize;

use super::limits::check_name;
use super::types::{MachineError, Outcome, RegisterAction, Reply, VALUE_BYTES_MAX, Versioned};
use super::{Name, Table};
use crate::ids::LogIndex;
use crate::marks;

/// All keys that have a value.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Registers {
    pub(super) values: Table<Name, Versioned>,
}

impl Registers {
    /// Carries out a write by the entry at `index`; at most `keys_max` keys have a value afterwards.
    pub(super) fn write(&mut self, index: LogIndex, action: &RegisterAction, keys_max: usize) -> Outcome {
        match action {
            RegisterAction::Set { key, value } => {
                check_name("key", key)?;
                check_value(value)?;
                self.put(key, value, index, keys_max)
            }
            RegisterAction::CompareAndSet { key, expected, value } => {
                check_name("key", key)?;
                check_value(value)?;
                let found = self.values.get(key.as_str());
                if found.map(|found| &found.value) != expected.as_ref() {
                    marks::hit("machine.compare_found_other");
                    return Ok(Reply::Mismatch(found.cloned()));
                }
                self.put(key, value, index, keys_max)
            }
            RegisterAction::Delete { key } => {
                check_name("key", key)?;
                let existed = self.values.remove(key.as_str()).is_some();
                Ok(Reply::Deleted { existed, version: index })
            }
        }
    }

    /// The value of a key.
    pub(super) fn read(&self, key: &str) -> Outcome {
        check_name("key", key)?;
        Ok(Reply::Value(self.values.get(key).cloned()))
    }

    fn put(&mut self, key: &str, value: &Bytes, version: LogIndex, keys_max: usize) -> Outcome {
        let written = Versioned { value: value.clone(), version };
        if let Some(current) = self.values.get_mut(key) {
            *current = written;
        } else if self.values.len() < keys_max {
            self.values.insert(Name::from(key), written);
        } else {
            marks::hit("machine.keys_full");
            return Err(MachineError::TooManyResources);
        }
        Ok(Reply::Written { version })
    }
}

fn check_value(value: &Bytes) -> Result<(), MachineError> {
    if value.len() <= VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(MachineError::InvalidArgument(format!(
        "the value must have at most {VALUE_BYTES_MAX} bytes, not {}",
        value.len()
    )))
}
