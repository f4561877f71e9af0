//! How many spans cover a moment of which only the earliest and the latest are known.

use super::whereabouts::Span;
use crate::history::VirtualTime;

/// For each question, that is, from when until when the moment may have been, how many of the spans began before the first
/// and ended after the last: they cover it whenever it was.
pub(super) fn covering(spans: impl Iterator<Item = Span>, asked: &[Span]) -> Vec<u64> {
    let mut covering = vec![0; asked.len()];
    if asked.is_empty() {
        return covering;
    }
    let mut spans: Vec<Span> = spans.collect();
    spans.sort_unstable_by_key(|span| span.since_ns);
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.sort_by_key(|place| asked[*place].since_ns);
    let mut ended = Ended::at(asked.iter().map(|moment| moment.until_ns).collect());
    let mut begun = spans.iter().peekable();
    let mut count = 0;
    for place in order {
        let moment = asked[place];
        while let Some(span) = begun.next_if(|span| span.since_ns < moment.since_ns) {
            count += 1;
            ended.note(span.until_ns);
        }
        covering[place] = count - ended.by(moment.until_ns);
    }
    covering
}

/// How many spans have ended by some moments, in a tree of prefixes.
struct Ended {
    moments: Vec<VirtualTime>,
    counts: Vec<u64>,
}

impl Ended {
    fn at(mut moments: Vec<VirtualTime>) -> Self {
        moments.sort_unstable();
        moments.dedup();
        let counts = vec![0; moments.len() + 1];
        Self { moments, counts }
    }

    fn note(&mut self, until_ns: VirtualTime) {
        let mut place = self.moments.partition_point(|moment| *moment < until_ns) + 1;
        while place < self.counts.len() {
            self.counts[place] += 1;
            place += place & place.wrapping_neg();
        }
    }

    fn by(&self, at: VirtualTime) -> u64 {
        let mut place = self.moments.partition_point(|moment| *moment <= at);
        let mut count = 0;
        while place > 0 {
            count += self.counts[place];
            place -= place & place.wrapping_neg();
        }
        count
    }
}
