//! The commands that wait, each as small as can be: there may be a million.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::resource::ResourceId;
use super::types::LockMode;
use crate::ids::{ClusterTime, LogIndex};

/// A place that a command takes in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Want {
    pub(super) resource: ResourceId,
    pub(super) mode: LockMode,
}

/// What a command waits for.
#[derive(Clone, Debug, Serialize)]
pub(super) enum Wanted {
    /// To be in at this one: what nearly all wait for. It is granted by the entry that admits it.
    One(Want),
    /// To be in at all of these.
    Several(Arc<Several>),
    /// To be alone at this resource, which it holds shared.
    Upgrade(ResourceId),
}

/// The places of a command that takes several, in the order of the requests.
#[derive(Clone, Debug)]
pub(super) struct Several {
    wants: Box<[Want]>,
    /// At how many of them it is not admitted. Follows from the lines.
    blocked: u32,
}

impl Serialize for Several {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.wants.serialize(serializer)
    }
}

/// A command that waits.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Wait {
    /// Its place in all its lines: the index of its entry.
    pub(super) ticket: LogIndex,
    pub(super) deadline: ClusterTime,
    pub(super) wanted: Wanted,
}

// A mode has values to spare that say which kind of wait it is.
const _: () = assert!(size_of::<Wait>() == 32);

impl Wanted {
    /// To be in at these places, at none of which it is admitted yet.
    pub(super) fn acquire(wants: Vec<Want>) -> Self {
        match wants[..] {
            [want] => Self::One(want),
            _ => {
                let (blocked, wants) = (wants.len() as u32, wants.into_boxed_slice());
                Self::Several(Arc::new(Several { wants, blocked }))
            }
        }
    }

    /// The places that it takes in lines.
    pub(super) fn places(&self) -> &[Want] {
        match self {
            Self::One(want) => std::slice::from_ref(want),
            Self::Several(several) => &several.wants,
            Self::Upgrade(_) => &[],
        }
    }

    /// It is admitted at one more of its places. Whether it is at all of them now.
    pub(super) fn let_in(&mut self) -> bool {
        match self {
            Self::One(_) => true,
            Self::Several(several) => {
                let several = Arc::make_mut(several);
                several.blocked -= 1;
                several.blocked == 0
            }
            Self::Upgrade(_) => false,
        }
    }

    /// Its admission at one of its places is taken back.
    pub(super) fn shut_out(&mut self) {
        if let Self::Several(several) = self {
            Arc::make_mut(several).blocked += 1;
        }
    }
}
