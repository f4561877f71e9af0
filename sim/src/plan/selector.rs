//! Whom a fault hits, as a scenario names it.
//!
//! A selector is resolved when its fault fires. Where it leaves a choice, the choice is made by a number
//! that the expansion drew, among the processes that are fit for the fault (running ones, for a crash or a
//! pause), in the order of their numbers: so it depends on the seed and the cluster's state only.
//!
//! | selector | processes |
//! |---|---|
//! | `leader` | the node that leads in the highest term; while nobody leads, the nemesis waits up to a second, then takes any one node |
//! | `follower` | one node that is not the leader |
//! | `followers` | all nodes but the leader |
//! | `any` | one node |
//! | `each` | node 1 the first time, node 2 the next, ... in an order rotated by the seed; for `repeat` |
//! | `all` | every node |
//! | `minority` | the greatest number of nodes that is no majority, chosen freely |
//! | `majority` | the least number of nodes that is a majority, chosen freely |
//! | `leader-and-minority` | the leader and others, together as many as `minority` |
//! | `majority-without-leader` | a majority, none of them the leader; all others if that is fewer |
//! | `spare` | one node that belongs to no configuration now, and whose disk is not lost; for `add` |
//! | `others` | in `from` or `to` only: every node that is not on the other end |
//! | `node-3` | node 3 |
//! | `client` | one client |
//! | `clients` | every client |
//! | `half-of-clients` | half of the clients, rounded up, chosen freely |
//! | `client-2` | client 2 |
//! | `leader+client-1` | the union of its parts |

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::error::did_you_mean;

/// Most parts of a union.
const PARTS_MAX: usize = 64;

/// Whom a fault hits. See the module's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selector {
    /// The leader.
    Leader,
    /// One node that does not lead.
    Follower,
    /// All nodes that do not lead.
    Followers,
    /// One node.
    Any,
    /// A different node at each repetition. Never in a schedule: the expansion names the node.
    Each,
    /// Every node.
    All,
    /// The largest group that is no majority.
    Minority,
    /// The smallest majority.
    Majority,
    /// The leader and as many others as make the largest group that is no majority.
    LeaderAndMinority,
    /// A majority without the leader.
    MajorityWithoutLeader,
    /// One node that does not belong to the cluster now, and whose disk is not lost.
    Spare,
    /// Every node that is not on the other end.
    Others,
    /// One node, by number.
    Node(u64),
    /// One client.
    OneClient,
    /// Every client.
    Clients,
    /// Half of the clients.
    HalfOfClients,
    /// One client, by number.
    Client(u64),
    /// All that its parts select. Never nested, never empty.
    Union(Vec<Selector>),
}

/// The selectors that are one fixed word.
const WORDS: [(&str, Selector); 15] = [
    ("leader", Selector::Leader),
    ("follower", Selector::Follower),
    ("followers", Selector::Followers),
    ("any", Selector::Any),
    ("each", Selector::Each),
    ("all", Selector::All),
    ("minority", Selector::Minority),
    ("majority", Selector::Majority),
    ("leader-and-minority", Selector::LeaderAndMinority),
    ("majority-without-leader", Selector::MajorityWithoutLeader),
    ("spare", Selector::Spare),
    ("others", Selector::Others),
    ("client", Selector::OneClient),
    ("clients", Selector::Clients),
    ("half-of-clients", Selector::HalfOfClients),
];

/// A word that selects nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown target `{word}`{suggestion}")]
pub struct SelectorError {
    word: String,
    suggestion: String,
}

impl Selector {
    /// The selectors of which it is the union; itself if it is none.
    #[must_use]
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::Union(parts) => parts,
            single => std::slice::from_ref(single),
        }
    }

    /// Whether it can select a client.
    #[must_use]
    pub fn has_clients(&self) -> bool {
        let is_client = |part: &Self| {
            matches!(part, Self::OneClient | Self::Clients | Self::HalfOfClients | Self::Client(_))
        };
        self.parts().iter().any(is_client)
    }

    /// Whether it can select a node.
    #[must_use]
    pub fn has_nodes(&self) -> bool {
        let is_node = |part: &Self| {
            !matches!(part, Self::OneClient | Self::Clients | Self::HalfOfClients | Self::Client(_))
        };
        self.parts().iter().any(is_node)
    }

    /// Whether what it selects depends on who leads.
    #[must_use]
    pub fn needs_leader(&self) -> bool {
        let needs = |part: &Self| {
            matches!(
                part,
                Self::Leader
                    | Self::Follower
                    | Self::Followers
                    | Self::LeaderAndMinority
                    | Self::MajorityWithoutLeader
            )
        };
        self.parts().iter().any(needs)
    }

    fn parse_part(word: &str) -> Result<Self, SelectorError> {
        if let Some((_, selector)) = WORDS.iter().find(|(known, _)| *known == word) {
            return Ok(selector.clone());
        }
        let numbered = |prefix: &str| word.strip_prefix(prefix).and_then(|digits| digits.parse().ok());
        if let Some(number) = numbered("node-") {
            return Ok(Self::Node(number));
        }
        if let Some(number) = numbered("client-") {
            return Ok(Self::Client(number));
        }
        let known = WORDS.iter().map(|(known, _)| *known).chain(["node-1", "client-1"]);
        let suggestion =
            did_you_mean(word, known).map_or_else(String::new, |best| format!("; did you mean `{best}`?"));
        Err(SelectorError { word: word.escape_default().to_string(), suggestion })
    }
}

/// Reads `[4, 5]` as `node-4+node-5`, and a string as a target.
pub(super) fn numbers_or_target<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Selector>, D::Error> {
    deserializer.deserialize_any(NumbersOrTarget).map(Some)
}

struct NumbersOrTarget;

impl<'de> Visitor<'de> for NumbersOrTarget {
    type Value = Selector;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers of nodes in a list, or a target")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Selector, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Selector, A::Error> {
        let mut parts = Vec::new();
        while let Some(number) = numbers.next_element::<u64>()? {
            if parts.len() == PARTS_MAX {
                return Err(A::Error::custom(format!("the list has more than {PARTS_MAX} nodes")));
            }
            parts.push(Selector::Node(number));
        }
        match parts.len() {
            0 => Err(A::Error::custom("the list names no node")),
            1 => Ok(parts.remove(0)),
            _ => Ok(Selector::Union(parts)),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        if !text.contains('+') {
            return Self::parse_part(text);
        }
        let parts =
            text.split('+').take(PARTS_MAX + 1).map(Self::parse_part).collect::<Result<Vec<_>, _>>()?;
        if parts.len() > PARTS_MAX {
            let word = format!("{}+...", parts[0]);
            return Err(SelectorError { word, suggestion: format!("; it has more than {PARTS_MAX} parts") });
        }
        Ok(Self::Union(parts))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(number) => write!(f, "node-{number}"),
            Self::Client(number) => write!(f, "client-{number}"),
            Self::Union(parts) => {
                for (position, part) in parts.iter().enumerate() {
                    if position > 0 {
                        f.write_str("+")?;
                    }
                    part.fmt(f)?;
                }
                Ok(())
            }
            word => match WORDS.iter().find(|(_, selector)| selector == word) {
                Some((text, _)) => f.write_str(text),
                None => unreachable!("every selector without a number has a word"),
            },
        }
    }
}

impl TryFrom<String> for Selector {
    type Error = SelectorError;

    fn try_from(text: String) -> Result<Self, SelectorError> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{Selector, WORDS};
    use crate::plan::{FaultSpec, parse_scenario};

    #[test]
    fn members_are_named_by_number_or_by_target() {
        let added = |text: &str| {
            let text = format!(
                "claim = \"X.\"\ncluster.spares = 2\n[[faults]]\nkind = \"members\"\nadd = {text}\nat_ms = 6000\nfor_ms = 9"
            );
            parse_scenario("x.toml", "x", &text).map(|scenario| scenario.faults[0].clone())
        };
        let add = |text: &str| added(text).map(|FaultSpec { add, .. }| add.unwrap().to_string());
        assert_eq!(add("[6, 7]").as_deref(), Ok("node-6+node-7"));
        assert_eq!(add("[6]").as_deref(), Ok("node-6"));
        assert_eq!(add("\"spare\"").as_deref(), Ok("spare"));
        assert!(add("[]").is_err() && add("7").is_err() && add("[8]").is_err());
    }

    #[test]
    fn every_word_parses_to_what_prints_it() {
        for (word, selector) in WORDS {
            assert_eq!(word.parse::<Selector>(), Ok(selector.clone()));
            assert_eq!(selector.to_string(), word);
        }
    }

    #[test]
    fn a_union_keeps_its_parts_in_order() {
        let union: Selector = "leader+client-2+node-10".parse().unwrap();
        assert_eq!(union.parts(), [Selector::Leader, Selector::Client(2), Selector::Node(10)]);
        assert_eq!(union.to_string(), "leader+client-2+node-10");
        assert!(union.has_clients() && union.has_nodes() && union.needs_leader());
    }

    #[test]
    fn a_misspelt_target_is_answered_with_the_nearest_word() {
        let error = "laeder".parse::<Selector>().unwrap_err().to_string();
        assert_eq!(error, "unknown target `laeder`; did you mean `leader`?");
        assert!("leader+".parse::<Selector>().is_err());
        assert!("node--1".parse::<Selector>().is_err());
    }
}
