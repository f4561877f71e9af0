//! Tables of changes of the members, one after the other.
//!
//! ```text
//! simple                        at most one voter changes
//! v1 l2 r3 u4 p5                voter, learner, removed, unchanged, voter once it has caught up
//! enter-joint autoleave=true    the first half of any change
//! leave-joint                   the second half
//! ```
//!
//! The configurations are those of the core's own functions. The rows below them show which members go on
//! with what a leader knows of them, and which begin anew: `next` is the number of the command that brought
//! the member in.

use std::collections::BTreeMap;
use std::fmt::Write;

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::membership::{MemberChange, Membership};

use crate::script::{self, Command, Misuse};
use crate::transcript::Runner;

/// Runs a table from no members at all.
#[derive(Default)]
pub(crate) struct Tables {
    membership: Membership,
    /// For each member, where a leader would begin to send to it.
    next: BTreeMap<NodeId, u64>,
    /// Commands so far: each stands for one entry.
    commands: u64,
}

impl Runner for Tables {
    fn commands(&self) -> &'static [&'static str] {
        &["simple", "enter-joint", "leave-joint"]
    }

    fn commands_with_input(&self) -> &'static [&'static str] {
        self.commands()
    }

    fn is_comparable(&self, _: &Command) -> bool {
        true
    }

    fn run(&mut self, command: &Command) -> Result<String, Misuse> {
        let changes = changes(command)?;
        let next_index = self.commands.max(1);
        self.commands += 1;
        let result = match command.name.as_str() {
            "simple" => {
                command.options(&[])?;
                self.membership.simple(&changes)
            }
            "enter-joint" => {
                let mut auto_leave = false;
                for (name, values) in command.options(&["autoleave"])? {
                    auto_leave = script::yes_or_no(name, values)?;
                }
                self.membership.enter_joint(auto_leave, &changes)
            }
            _ if !command.input.is_empty() => {
                return Err(Misuse::new(
                    "leave-joint takes no input",
                    "the changes are those of enter-joint",
                ));
            }
            _ => self.membership.leave_joint(),
        };
        match result {
            Ok(membership) => self.membership = membership,
            Err(error) => return Ok(format!("{error}\n")),
        }
        self.next.retain(|&id, _| self.membership.contains(id));
        for id in self.membership.members() {
            self.next.entry(id).or_insert(next_index);
        }
        Ok(self.show())
    }
}

impl Tables {
    fn show(&self) -> String {
        let mut output = format!("{}\n", self.membership);
        for (&id, next) in &self.next {
            let learner = if self.membership.is_learner(id) { " learner" } else { "" };
            writeln!(output, "{}: StateProbe match=0 next={next}{learner}", id.0)
                .expect("strings can be written to");
        }
        output
    }
}

/// The changes that a command's input asks for.
pub(crate) fn changes(command: &Command) -> Result<Vec<MemberChange>, Misuse> {
    let mut changes = Vec::new();
    for token in command.tokens() {
        let hint = "v1 a voter, l1 a learner, r1 removed, u1 unchanged, p1 a voter once it has caught up";
        let unknown = || Misuse::new(format!("no such change: {token:?}"), hint);
        let (kind, id) = token.split_at_checked(1).ok_or_else(unknown)?;
        let id = NodeId(id.parse().map_err(|_| unknown())?);
        changes.extend(match kind {
            "v" => Some(MemberChange::AddVoter(id)),
            "l" => Some(MemberChange::AddLearner(id)),
            "r" => Some(MemberChange::Remove(id)),
            "p" => Some(MemberChange::AddVoterOnceCaughtUp(id)),
            "u" => None,
            _ => return Err(unknown()),
        });
    }
    Ok(changes)
}
