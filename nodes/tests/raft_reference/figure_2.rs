//! Figure 2 of the Raft paper ("In Search of an Understandable Consensus Algorithm", 2014), as it stands
//! there: one server, its rules, no optimization.
//!
//! # Where the core departs from it, and why
//! | departure | reason |
//! |-|-|
//! | a leader opens its term with an empty entry | so that there is one of its term to commit (thesis 6.4) |
//! | a candidate counts its own vote, and a leader its own entries, when they are on its disk | the disk works beside the network (thesis 10.2.1): [`Server::own_disk_has`] |
//! | a candidate that a majority has refused follows again in its term | the term is lost, and a follower is the quieter of the two |
//! | heartbeats are messages of their own, without the consistency check; their commit index is clamped to what the receiver is known to hold | they cost nothing to answer: [`Server::heartbeat`] |
//! | an append is answered by the index of its last entry, not by a yes | one answer then stands for several (etcd's core does so too): [`Server::append_accepted`] |
//! | voters and candidates say what they know to be committed, and whoever has that entry and does not lead takes note | a change of members may be known no other way: [`Server::told_of_commit`] |
//! | a stale append or heartbeat is answered by a heartbeat's answer | all it has to tell is the term |
//! | entries that are refused lead to a hint | elections and logs do not depend on it, so there is nothing of it here |

use std::collections::BTreeMap;

/// A server's name, from 1.
pub(crate) type Name = u64;

/// An entry: its term, and whether it carries a command.
pub(crate) type Entry = (u64, bool);

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Follower,
    Candidate,
    Leader,
}

/// A server: the state of Figure 2, by its names.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    me: Name,
    servers: u64,
    pub(crate) role: Role,
    pub(crate) current_term: u64,
    pub(crate) voted_for: Option<Name>,
    /// The first entry is at position 0 here, and has index 1.
    pub(crate) log: Vec<Entry>,
    pub(crate) commit_index: usize,
    match_index: BTreeMap<Name, usize>,
    votes: BTreeMap<Name, bool>,
    /// Entries of this log that are on its own disk.
    durable: usize,
}

impl Server {
    /// A server that starts from what is on its disk.
    pub(crate) fn started(
        me: Name,
        servers: u64,
        term: u64,
        voted_for: Option<Name>,
        log: Vec<Entry>,
    ) -> Self {
        Self {
            me,
            servers,
            role: Role::Follower,
            current_term: term,
            voted_for,
            commit_index: 0,
            match_index: BTreeMap::new(),
            votes: BTreeMap::new(),
            durable: log.len(),
            log,
        }
    }

    fn is_majority(&self, count: usize) -> bool {
        count as u64 > self.servers / 2
    }

    fn term_at(&self, index: usize) -> Option<u64> {
        if index == 0 { Some(0) } else { self.log.get(index - 1).map(|entry| entry.0) }
    }

    fn last(&self) -> (u64, usize) {
        (self.log.last().map_or(0, |entry| entry.0), self.log.len())
    }

    /// All servers: "If RPC request or response contains term T > currentTerm".
    fn see_term(&mut self, term: u64) {
        if term > self.current_term {
            (self.current_term, self.voted_for, self.role) = (term, None, Role::Follower);
        }
    }

    /// Followers and candidates: election timeout.
    pub(crate) fn election_timeout(&mut self) {
        if self.role != Role::Leader {
            self.current_term += 1;
            (self.role, self.voted_for) = (Role::Candidate, Some(self.me));
            self.votes.clear();
        }
    }

    /// RequestVote RPC; the result is whether the vote is granted.
    pub(crate) fn request_vote(&mut self, term: u64, candidate: Name, last_log: (u64, usize)) -> bool {
        self.see_term(term);
        let is_free = self.voted_for.is_none_or(|voted_for| voted_for == candidate);
        let is_granted = term >= self.current_term && is_free && last_log >= self.last();
        if is_granted {
            self.voted_for = Some(candidate);
        }
        is_granted
    }

    /// The result of a RequestVote RPC.
    pub(crate) fn vote(&mut self, term: u64, voter: Name, is_granted: bool) {
        self.see_term(term);
        if self.role == Role::Candidate && term == self.current_term {
            self.votes.entry(voter).or_insert(is_granted);
            self.count_votes();
        }
    }

    fn count_votes(&mut self) {
        let count = |wanted| self.votes.values().filter(|&&vote| vote == wanted).count();
        let (granted, refused) = (count(true), count(false));
        if self.is_majority(granted) {
            self.role = Role::Leader;
            self.match_index.clear();
            self.log.push((self.current_term, false));
        } else if !self.is_majority(self.servers as usize - refused) {
            self.role = Role::Follower;
        }
    }

    /// Leaders: a command from a client.
    pub(crate) fn command(&mut self) {
        if self.role == Role::Leader {
            self.log.push((self.current_term, true));
        }
    }

    /// AppendEntries RPC; the result is whether it succeeds.
    pub(crate) fn append_entries(
        &mut self,
        term: u64,
        (prev_log_index, prev_log_term): (usize, u64),
        entries: &[Entry],
        leader_commit: usize,
    ) -> bool {
        self.see_term(term);
        if term < self.current_term {
            return false;
        }
        self.role = Role::Follower;
        if self.term_at(prev_log_index) != Some(prev_log_term) {
            return false;
        }
        for (at, &entry) in entries.iter().enumerate() {
            let index = prev_log_index + at + 1;
            if self.term_at(index).is_some_and(|term| term != entry.0) {
                self.log.truncate(index - 1);
                self.durable = self.durable.min(index - 1);
            }
            if index > self.log.len() {
                self.log.push(entry);
            }
        }
        let last_new = prev_log_index + entries.len();
        self.commit_index = self.commit_index.max(leader_commit.min(last_new));
        true
    }

    /// AppendEntries RPC as a mere sign of life.
    pub(crate) fn heartbeat(&mut self, term: u64, leader_commit: usize) {
        self.see_term(term);
        if term == self.current_term {
            self.role = Role::Follower;
            self.commit_index = self.commit_index.max(leader_commit.min(self.log.len()));
        }
    }

    /// The result of an AppendEntries RPC that succeeded, up to this index.
    pub(crate) fn append_accepted(&mut self, term: u64, follower: Name, index: usize) {
        self.see_term(term);
        if self.role == Role::Leader && term == self.current_term {
            let match_index = self.match_index.entry(follower).or_default();
            *match_index = index.max(*match_index);
            self.commit();
        }
    }

    /// Any other result.
    pub(crate) fn other_result(&mut self, term: u64) {
        self.see_term(term);
    }

    /// Leaders: "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
    /// log[N].term == currentTerm".
    fn commit(&mut self) {
        for n in self.commit_index + 1..=self.log.len() {
            let others = self.match_index.values().filter(|&&index| index >= n).count();
            let count = others + usize::from(self.durable >= n);
            if self.is_majority(count) && self.term_at(n) == Some(self.current_term) {
                self.commit_index = n;
            }
        }
    }

    /// This server's own disk now has this term, vote and log.
    pub(crate) fn own_disk_has(&mut self, term: u64, voted_for: Option<Name>, log: &[Entry]) {
        self.durable = self.log.iter().zip(log).take_while(|(one, other)| one == other).count();
        if self.role == Role::Candidate && (term, voted_for) == (self.current_term, Some(self.me)) {
            self.votes.insert(self.me, true);
            self.count_votes();
        }
        if self.role == Role::Leader {
            self.commit();
        }
    }

    /// A voter or candidate knows this entry to be committed.
    pub(crate) fn told_of_commit(&mut self, index: usize, term: u64) {
        if self.role != Role::Leader && self.term_at(index) == Some(term) {
            self.commit_index = self.commit_index.max(index);
        }
    }

    /// Whether a leader may send this append now.
    pub(crate) fn may_send(&self, term: u64, prev: (usize, u64), entries: &[Entry], commit: usize) -> bool {
        let (index, prev_term) = prev;
        let held = self.log.get(index..index + entries.len());
        self.role == Role::Leader
            && term == self.current_term
            && self.term_at(index) == Some(prev_term)
            && held == Some(entries)
            && commit <= self.commit_index
    }

    /// Whether a candidate may ask for votes by this log.
    pub(crate) fn may_ask(&self, last_log: (u64, usize)) -> bool {
        self.voted_for == Some(self.me) && self.last() == last_log
    }
}
