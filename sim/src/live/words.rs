//! How nodes tell the harness what they do: one pipe for all of them.
//!
//! A node writes what it did before it does anything that depends on it, and the write has returned by then.
//! So the order in which words stand in the pipe, which all nodes share, is an order in which they can have
//! happened: a vote stands before the election that it decides, an acknowledgement before the commit. What a
//! process had told when it was killed is in the pipe; what it had not, had no consequence.
//!
//! The system keeps writes whole up to `PIPE_BUF` bytes (POSIX, `write`); longer words go in pieces.

use std::collections::BTreeMap;
use std::io::{self, PipeWriter, Write};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::history::NodeEvent;

/// The longest piece, header included: `PIPE_BUF` on Linux.
const PIECE_BYTES_MAX: usize = 4096;
/// Length of the rest (2 bytes), the node (8), whether more pieces follow (1).
const HEADER_BYTES: usize = 11;

/// What a node tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// It accepts connections on this port of the loopback.
    Listens(u16),
    /// It did this.
    Did(NodeEvent),
}

/// A node's end of the pipe.
#[derive(Debug)]
pub struct Teller {
    node: u64,
    /// Locked for a whole word, so that its pieces follow one another.
    pipe: Mutex<PipeWriter>,
}

impl Teller {
    /// Tells on behalf of `node`.
    #[must_use]
    pub fn new(node: u64, pipe: PipeWriter) -> Self {
        Self { node, pipe: Mutex::new(pipe) }
    }

    /// Returns once the word is in the pipe.
    ///
    /// # Errors
    /// If nobody listens any more.
    pub fn tell(&self, word: &Word) -> io::Result<()> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        pieces(self.node, word).iter().try_for_each(|piece| pipe.write_all(piece))
    }
}

/// A word, cut into pieces that each go in with one write.
fn pieces(node: u64, word: &Word) -> Vec<Vec<u8>> {
    let text = serde_json::to_vec(word).expect("words serialize");
    let parts: Vec<&[u8]> = text.chunks(PIECE_BYTES_MAX - HEADER_BYTES).collect();
    let last = parts.len() - 1;
    let piece = |(number, part): (usize, &&[u8])| {
        let mut piece = Vec::with_capacity(HEADER_BYTES + part.len());
        let length = u16::try_from(HEADER_BYTES - 2 + part.len()).expect("a piece is short");
        piece.extend_from_slice(&length.to_le_bytes());
        piece.extend_from_slice(&node.to_le_bytes());
        piece.push(u8::from(number < last));
        piece.extend_from_slice(part);
        piece
    };
    parts.iter().enumerate().map(piece).collect()
}

/// Puts pieces together again.
#[derive(Debug, Default)]
pub(super) struct Listener {
    unread: Vec<u8>,
    begun: BTreeMap<u64, Vec<u8>>,
}

impl Listener {
    /// Takes what was read from the pipe; returns the words that are whole now, in order.
    ///
    /// # Errors
    /// If it is none of our words: somebody else writes into the pipe.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<(u64, Word)>, serde_json::Error> {
        self.unread.extend_from_slice(bytes);
        let (mut words, mut at) = (Vec::new(), 0);
        while let Some((header, rest)) = self.unread[at..].split_first_chunk::<HEADER_BYTES>() {
            let length =
                usize::from(u16::from_le_bytes([header[0], header[1]])).saturating_sub(HEADER_BYTES - 2);
            let Some(part) = rest.get(..length) else { break };
            let mut node = [0; 8];
            node.copy_from_slice(&header[2..10]);
            let node = u64::from_le_bytes(node);
            let begun = self.begun.entry(node).or_default();
            begun.extend_from_slice(part);
            if header[10] == 0 {
                words.push((node, serde_json::from_slice(begun)?));
                begun.clear();
            }
            at += HEADER_BYTES + length;
        }
        self.unread.drain(..at);
        Ok(words)
    }

    /// A node's process is dead and will not finish what it began to tell.
    pub(super) fn forget(&mut self, node: u64) {
        self.begun.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::LogSlot;

    fn long_word() -> Word {
        let slot = LogSlot { term: 3, digest: u64::MAX, change: None };
        let log = vec![slot; 1_000];
        Word::Did(NodeEvent::Started { version: 1, term: 3, voted_for: None, snapshot: None, log })
    }

    #[test]
    fn words_of_several_nodes_come_out_whole_and_in_order_wherever_reads_end() {
        let long = pieces(1, &long_word());
        assert!(long.len() > 10 && long.iter().all(|piece| piece.len() <= PIECE_BYTES_MAX));
        let stopped = Word::Did(NodeEvent::WriteBegan);
        let mut stream = long[0].clone();
        stream.extend(pieces(2, &stopped).concat());
        stream.extend(long[1..].concat());
        for read in [1, 7, 4096, stream.len()] {
            let mut listener = Listener::default();
            let heard: Vec<(u64, Word)> =
                stream.chunks(read).flat_map(|bytes| listener.hear(bytes).expect("they are words")).collect();
            assert_eq!(heard, [(2, stopped.clone()), (1, long_word())], "{read} bytes at a time");
        }
    }

    #[test]
    fn what_a_dead_process_had_begun_to_tell_is_forgotten() {
        let mut listener = Listener::default();
        let long = pieces(1, &long_word());
        assert_eq!(listener.hear(&long[0]).expect("a piece"), []);
        listener.forget(1);
        let word = Word::Listens(7);
        assert_eq!(listener.hear(&pieces(1, &word).concat()).expect("a word"), [(1, word)]);
    }

    #[test]
    fn what_is_no_word_is_refused() {
        let mut bytes = vec![12, 0];
        bytes.extend_from_slice(&1_u64.to_le_bytes());
        bytes.extend_from_slice(b"\0abc");
        assert!(Listener::default().hear(&bytes).is_err());
    }
}
