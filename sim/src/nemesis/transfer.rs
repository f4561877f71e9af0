//! `transfer`: an operator has the leadership handed over.
//!
//! **Legal:** at any time; the cluster may refuse, or fail to, where the target does not take over.
//!
//! **Effect:** the cluster answered that it has handed over, and another node was seen to lead; the one that
//! was asked for, if one was.

use super::family::{Active, Reach};
use super::operator::Order;
use super::{Effect, Process};

/// How often the nemesis looks who leads.
const POLL_US: u64 = 5_000;

pub(super) struct Transfer {
    number: usize,
    from: Option<u64>,
    to: Option<u64>,
    is_seen: bool,
}

pub(super) fn begin(number: usize, to: Option<Process>, reach: &mut Reach<'_>) -> Transfer {
    let to = match to {
        Some(Process::Node(node)) => Some(node),
        _ => None,
    };
    let transfer = Transfer { number, from: reach.surface.leader(), to, is_seen: false };
    reach.operator.order(number, Order::Transfer { to }, reach.until());
    transfer
}

impl Active for Transfer {
    fn turn(&mut self, reach: &mut Reach<'_>) -> Option<u64> {
        let leader = reach.surface.leader();
        self.is_seen |= match self.to {
            Some(to) => leader == Some(to) && self.from != Some(to),
            None => leader.is_some() && leader != self.from,
        };
        Some(reach.now_us.saturating_add(POLL_US))
    }

    fn heal(&mut self, reach: &mut Reach<'_>) -> (Effect, bool) {
        self.turn(reach);
        let is_done = reach.operator.is_done(self.number);
        let effect = Effect {
            orders_done: u64::from(is_done),
            leaders_replaced: u64::from(self.is_seen),
            ..Effect::default()
        };
        (effect, is_done && self.is_seen)
    }
}
