//! What becomes of messages that come back unacknowledged: another attempt, another topic, or the list of
//! the dead; and how they return from there.
//!
//! A message is given up and moved by one and the same entry, so at no moment is it in both topics or in
//! none. A dead-letter topic that has no room, or cannot be made, loses nothing: the message then stays in the
//! list of the dead of the topic that gave it up, where it had room all along.
//!
//! A message that is moved keeps its id, its headers, its group, its priority, the time of its enqueueing and
//! the count that makes its receipts, and so takes the place among others that its age gives it. What begins
//! anew are its attempts and its time to live, which is that of the topic it comes to.

use std::collections::BTreeSet;

use super::message::{Home, Message, State};
use super::queues::{Queues, check_count, tell};
use super::strangers::Walk;
use super::types::{BATCH_MAX, Death, DeathReason, QueueError, QueueEvent, QueueReply};
use crate::ids::{ClusterTime, MessageId};
use crate::machine::service::{Moment, Out};
use crate::machine::{Name, Outcome, Reply};
use crate::marks;
use crate::plant::{self, Bug};

impl Queues {
    /// A message in flight comes back unacknowledged: it is gone if its time to live is over, given up if
    /// this was its last attempt, else ready again after the delay. Returns whether it was given up. The
    /// caller hands on what has become ready in the topics `touched`.
    pub(super) fn come_back(
        &mut self,
        at: Moment,
        name: &Name,
        id: MessageId,
        (reason, delay_us): (DeathReason, u64),
        touched: &mut BTreeSet<Name>,
        out: &mut Out,
    ) -> bool {
        let topic = self.must(name);
        let message = &topic.messages[&id];
        if message.body.expires() <= at.time {
            self.expire_message(name, id, out);
            return false;
        }
        if message.attempts >= topic.settings.attempts_max {
            self.give_up(at, name, id, reason, touched, out);
            return true;
        }
        if delay_us == 0 {
            topic.change(id, State::Ready, ClusterTime(0));
        } else {
            topic.change(id, State::Delayed, at.time.plus_us(delay_us));
        }
        false
    }

    fn give_up(
        &mut self,
        at: Moment,
        name: &Name,
        id: MessageId,
        reason: DeathReason,
        touched: &mut BTreeSet<Name>,
        out: &mut Out,
    ) {
        let death = Death { reason, at: at.time };
        let target = self.dead_letter_topic(name, id, out);
        let topic = self.must(name);
        topic.totals.dead_lettered += 1;
        if let Some(target) = &target {
            marks::hit("queue.dead_letter_moved");
            let attempts = topic.messages[&id].attempts;
            let home = Home::new(name.clone(), death, attempts);
            if plant::is(Bug::QueueDeadletterDrops) && reason == DeathReason::LeaseExpired {
                topic.take(id);
                topic.totals.moved_out += 1;
            } else {
                self.move_over(at, name, target, id, Some(home));
                touched.insert(target.clone());
            }
        } else {
            topic.change(id, State::Dead, ClusterTime(0));
            topic.dead.insert(id, death);
        }
        tell(out, QueueEvent::DeadLettered { topic: name.clone(), id, reason, to: target });
    }

    /// The topic that takes this message in if its own gives it up.
    fn dead_letter_topic(&mut self, name: &Name, id: MessageId, out: &mut Out) -> Option<Name> {
        let topic = self.must(name);
        let target = topic.settings.dead_letter.clone()?;
        let weight = topic.messages[&id].body.weight();
        let target = self.named_or_made(&target, out);
        let has_room = |target: &Name| self.topics[target].check_room(1, weight).is_ok();
        let target = target.ok().filter(has_room);
        if target.is_none() {
            marks::hit("queue.dead_letter_topic_full");
        }
        target
    }

    /// Moves a message to a topic that has room for it, where it begins anew.
    fn move_over(&mut self, at: Moment, from: &Name, to: &Name, id: MessageId, home: Option<Home>) {
        let topic = self.must(from);
        let Message { body, deliveries, priority, .. } = topic.take(id);
        topic.totals.moved_out += 1;
        let topic = self.must(to);
        let body = body.renewed(topic.expires(at.time), home);
        topic.totals.moved_in += 1;
        let until = ClusterTime(0);
        topic.admit(id, Message { body, until, deliveries, attempts: 0, state: State::Ready, priority });
    }

    pub(super) fn redrive(&mut self, at: Moment, topic: &str, count_max: u32, out: &mut Out) -> Outcome {
        check_count("count_max", u64::from(count_max))?;
        let name = self.named(topic)?;
        let topic = self.must(&name);
        let strangers = topic.shelves.strangers();
        let dead: Vec<MessageId> = topic.dead.keys().take(count_max as usize).copied().collect();
        for &id in &dead {
            topic.dead.remove(&id);
            topic.renew(id, at.time);
            topic.totals.redriven += 1;
        }
        let mut redriven = dead.len() as u64;
        let mut touched = BTreeSet::from([name.clone()]);
        let refusal = self.send_all_home(
            at,
            &name,
            strangers,
            (&mut redriven, u64::from(count_max)),
            &mut touched,
            out,
        );
        for name in &touched {
            self.hand_on(at, name, out);
        }
        match refusal {
            Some(error) if redriven == 0 => Err(error.into()),
            _ => Ok(Reply::Queue(QueueReply::Redriven { messages: redriven })),
        }
    }

    /// Moves messages back to the topics that gave them up, until there are `count_max` in all. One that is
    /// full does not hold up the others; what it gave up stays, lest later messages overtake earlier ones.
    /// Returns the first refusal.
    ///
    /// Looks at as many homes as may have no room, which is at most all topics, and as many as may be made anew. Of
    /// those whose life is over it passes a batch: they are gone with the next entries.
    fn send_all_home(
        &mut self,
        at: Moment,
        name: &Name,
        mut strangers: Walk,
        (redriven, count_max): (&mut u64, u64),
        touched: &mut BTreeSet<Name>,
        out: &mut Out,
    ) -> Option<QueueError> {
        let (mut refusal, mut overdue) = (None, 0);
        let homes_max = self.limits.topics + BATCH_MAX;
        while *redriven < count_max
            && overdue < BATCH_MAX
            && strangers.homes() < homes_max
            && let Some((id, home)) = strangers.next()
        {
            if self.topics[name].messages[&id].body.expires() <= at.time {
                overdue += 1;
                strangers.go_on(id, home);
                continue;
            }
            match self.send_home(at, name, id, out) {
                Ok(made) => {
                    touched.insert(made);
                    *redriven += 1;
                    strangers.go_on(id, home);
                }
                Err(error) => {
                    marks::hit("queue.redrive_refused");
                    refusal.get_or_insert(error);
                }
            }
        }
        refusal
    }

    /// Moves a message back to the topic that gave it up.
    fn send_home(
        &mut self,
        at: Moment,
        name: &Name,
        id: MessageId,
        out: &mut Out,
    ) -> Result<Name, QueueError> {
        let body = &self.topics[name].messages[&id].body;
        let (home, weight) = (body.home_topic().expect("strangers have a home").clone(), body.weight());
        if let Some(topic) = self.topics.get(&home) {
            topic.check_room(1, weight)?;
        }
        let home = self.named_or_made(&home, out)?;
        self.move_over(at, name, &home, id, None);
        self.must(name).totals.redriven += 1;
        Ok(home)
    }
}
