//! Clients that read near.

use super::super::pending::Asker;
use super::super::probe::Probe;
use super::super::replica::Replica;
use crate::api::ResponseBody;
use crate::coherence::{Content, NearRead, ReaderId, Reading};
use crate::env::Env;
use crate::machine::{ANSWER_BYTES_MAX, CacheQuery, CacheReply, GET_MANY_MAX, Query, Reply, Versioned};
use crate::marks;
use crate::raft::Input;

impl<E: Env, P: Probe> Replica<E, P> {
    /// Answers from a line if there is one, or when there is; else as any node does.
    pub(in crate::server) fn query_near(&mut self, asker: Asker, query: CacheQuery) {
        self.sync_near();
        let now = self.env.now();
        let reply = match &query {
            CacheQuery::Get { key } => {
                self.near.last_reader += 1;
                let reader = ReaderId(self.near.last_reader);
                let read = self.near.holder.read(key, reader, now);
                self.tell_of_lines();
                match read {
                    NearRead::Hit(reading) => Some(CacheReply::Near(versioned(reading))),
                    NearRead::Waiting => {
                        self.near.readers.insert(reader, (asker, query));
                        return;
                    }
                    NearRead::Uncached => None,
                }
            }
            // Too many, or too much together: the machine says it best.
            CacheQuery::GetMany { keys } if keys.len() > GET_MANY_MAX => None,
            CacheQuery::GetMany { keys } => {
                let values = self.near.holder.read_many(keys.iter().map(String::as_str), now);
                self.tell_of_lines();
                values
                    .filter(|values| bytes_of(values) <= ANSWER_BYTES_MAX)
                    .map(|values| CacheReply::Values(values.into_iter().map(versioned).collect()))
            }
            CacheQuery::Expiry { .. } | CacheQuery::Stats => None,
        };
        match reply {
            Some(reply) => self.answer(asker, Ok(ResponseBody::Outcome(Ok(Reply::Cache(reply))))),
            None => self.query_anywhere(asker, query),
        }
    }

    /// The reader's line has come, or will not.
    pub(super) fn answer_reader(&mut self, reader: ReaderId, reading: Option<Reading>) {
        let Some((asker, query)) = self.near.readers.remove(&reader) else { return };
        match reading {
            Some(reading) => {
                let reply = Reply::Cache(CacheReply::Value(versioned(reading)));
                self.answer(asker, Ok(ResponseBody::Outcome(Ok(reply))));
            }
            None => self.query_anywhere(asker, query),
        }
    }

    fn query_anywhere(&mut self, asker: Asker, query: CacheQuery) {
        marks::hit("server.near_read_goes_the_long_way");
        let id = self.pending.read(asker, Query::Cache(query), self.env.now());
        self.core.step(Input::ReadAnywhere { id }, self.env.now());
    }
}

fn bytes_of(values: &[Reading]) -> usize {
    values.iter().filter_map(|reading| reading.content.as_ref()).map(|content| content.value.len()).sum()
}

fn versioned(reading: Reading) -> Option<Versioned> {
    reading.content.map(|Content { value, version }| Versioned { value, version })
}
