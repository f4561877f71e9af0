//! Tables of quorum arithmetic: what a configuration has committed, and how a vote stands.
//!
//! ```text
//! committed cfg=(1,2,3) cfgj=(3,4) idx=(_,5,6,7)   the voters in the order of cfg, then of cfgj, each once
//! vote cfg=(1,2,3) cfgj=zero votes=(y,n,_)         `zero` is a second half without voters
//! ```
//!
//! The results are those of the core's own functions. Beside them the runner asks the same question in other
//! ways whose answer must be the same, and says so in the output where it is not.

use std::collections::BTreeMap;
use std::fmt::Write;

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::quorum::{self, VoteResult};

use crate::script::{self, Command, Misuse};
use crate::transcript::Runner;

/// Runs the tables. Every line stands for itself.
pub(crate) struct Tables;

/// One line's question.
struct Case {
    incoming: Vec<NodeId>,
    outgoing: Vec<NodeId>,
    is_joint: bool,
    /// Every voter once, in the order of the script, with the word that is given for it.
    given: Vec<(NodeId, String)>,
}

impl Runner for Tables {
    fn commands(&self) -> &'static [&'static str] {
        &["committed", "vote"]
    }

    fn commands_with_input(&self) -> &'static [&'static str] {
        &[]
    }

    fn is_comparable(&self, _: &Command) -> bool {
        true
    }

    fn run(&mut self, command: &Command) -> Result<String, Misuse> {
        let values = if command.name == "vote" { "votes" } else { "idx" };
        match Case::of(command, values)? {
            Ok(case) if command.name == "vote" => case.vote(),
            Ok(case) => case.committed(),
            Err(mismatch) => Ok(mismatch),
        }
    }
}

impl Case {
    /// Reads a line. The inner error is a line whose values do not match its voters.
    fn of(command: &Command, values: &str) -> Result<Result<Self, String>, Misuse> {
        let (mut incoming, mut outgoing, mut is_joint, mut words) =
            (Vec::new(), Vec::new(), false, Vec::new());
        for (name, list) in command.options(&["cfg", "cfgj", values])? {
            match name {
                "cfg" => incoming = nodes(list)?,
                "cfgj" => {
                    is_joint = true;
                    outgoing =
                        if matches!(list, [zero] if zero == "zero") { Vec::new() } else { nodes(list)? };
                }
                _ => words = list.to_vec(),
            }
        }
        let mut voters: Vec<NodeId> = Vec::new();
        for &voter in incoming.iter().chain(&outgoing) {
            if !voters.contains(&voter) {
                voters.push(voter);
            }
        }
        if voters.len() != words.len() {
            let voters: Vec<_> = voters.iter().map(|voter| voter.0).collect();
            return Ok(Err(format!(
                "error: mismatched input (explicit or _) for voters {voters:?}: {words:?}"
            )));
        }
        for half in [&mut incoming, &mut outgoing] {
            half.sort_unstable();
            half.dedup();
        }
        let given = voters.into_iter().zip(words).collect();
        Ok(Ok(Self { incoming, outgoing, is_joint, given }))
    }

    fn committed(&self) -> Result<String, Misuse> {
        let mut reached = BTreeMap::new();
        for (voter, word) in &self.given {
            let index = if word == "_" { None } else { Some(script::number::<u64>(word)?) };
            if index == Some(0) {
                return Err(Misuse::new("0 is no index", "write _ for a voter of which nothing is known"));
            }
            reached.insert(*voter, index);
        }
        let index = |incoming: &[NodeId], outgoing: &[NodeId]| Committed::of(incoming, outgoing, &reached);
        let found = index(&self.incoming, &self.outgoing);
        let mut output = chart(&reached);
        let others = if self.is_joint {
            vec![("via symmetry", index(&self.outgoing, &self.incoming))]
        } else {
            vec![
                ("via zero-joint quorum", index(&[], &self.incoming)),
                ("via self-joint quorum", index(&self.incoming, &self.incoming)),
            ]
        };
        for (how, other) in others {
            if other != found {
                writeln!(output, "{other} <-- {how}").expect("strings can be written to");
            }
        }
        writeln!(output, "{found}").expect("strings can be written to");
        Ok(output)
    }

    fn vote(&self) -> Result<String, Misuse> {
        let mut votes = BTreeMap::new();
        for (voter, word) in &self.given {
            let vote = match word.as_str() {
                "y" => Some(true),
                "n" => Some(false),
                "_" => None,
                _ => return Err(Misuse::new(format!("{word:?} is no vote"), "y, n or _")),
            };
            votes.insert(*voter, vote);
        }
        let vote = |voter| votes.get(&voter).copied().flatten();
        let found = vote_name(quorum::vote_result(&self.incoming, &self.outgoing, vote));
        let other = vote_name(quorum::vote_result(&self.outgoing, &self.incoming, vote));
        let remark = if other == found { String::new() } else { format!("{other} <-- via symmetry\n") };
        Ok(format!("{remark}{found}\n"))
    }
}

/// A committed index, or the lack of any voter that would bound it.
#[derive(PartialEq, Eq)]
struct Committed(Option<u64>);

impl Committed {
    fn of(incoming: &[NodeId], outgoing: &[NodeId], reached: &BTreeMap<NodeId, Option<u64>>) -> Self {
        let reached = |voter| reached.get(&voter).copied().flatten().unwrap_or(0);
        let is_bounded =
            [incoming, outgoing].iter().any(|half| quorum::majority_reached(half, &reached).is_some());
        Self(is_bounded.then(|| quorum::committed_index(incoming, outgoing, reached)))
    }
}

impl std::fmt::Display for Committed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(index) => index.fmt(f),
            None => f.write_str("∞"),
        }
    }
}

const fn vote_name(result: VoteResult) -> &'static str {
    match result {
        VoteResult::Pending => "VotePending",
        VoteResult::Lost => "VoteLost",
        VoteResult::Won => "VoteWon",
    }
}

fn nodes(words: &[String]) -> Result<Vec<NodeId>, Misuse> {
    words.iter().map(|word| script::number(word).map(NodeId)).collect()
}

/// One row for each voter, with a bar as long as the number of voters that have reached less.
fn chart(reached: &BTreeMap<NodeId, Option<u64>>) -> String {
    if reached.is_empty() {
        return "<empty majority quorum>".to_owned();
    }
    let width = reached.len();
    let mut chart = format!("{:width$}    idx\n", "");
    for (voter, index) in reached {
        let less = reached.values().filter(|other| other.unwrap_or(0) < index.unwrap_or(0)).count();
        let bar = if index.is_some() { format!("{}>", "x".repeat(less)) } else { "?".to_owned() };
        let (columns, index) = (width + 1, index.unwrap_or(0));
        writeln!(chart, "{bar:columns$} {index:>5}    (id={})", voter.0).expect("strings can be written to");
    }
    chart
}
