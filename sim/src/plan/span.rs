//! A number of milliseconds that is either given or left to the seed.

use std::fmt;

use rand::RngExt;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rng::StreamRng;

/// Milliseconds: an integer, or `[least, most]` from which the seed draws evenly, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsSpan {
    /// Least.
    pub min_ms: u64,
    /// Most; not below the least.
    pub max_ms: u64,
}

impl MsSpan {
    /// Exactly this many milliseconds.
    #[must_use]
    pub const fn exactly(ms: u64) -> Self {
        Self { min_ms: ms, max_ms: ms }
    }

    /// From `min_ms` to `max_ms`.
    #[must_use]
    pub const fn between(min_ms: u64, max_ms: u64) -> Self {
        Self { min_ms, max_ms }
    }

    /// Draws a number of microseconds. An exact span draws nothing from the stream and has no fraction of
    /// a millisecond.
    pub fn draw_us(self, stream: &mut StreamRng) -> u64 {
        if self.max_ms <= self.min_ms {
            return self.min_ms.saturating_mul(1_000);
        }
        stream.random_range(self.min_ms.saturating_mul(1_000)..=self.max_ms.saturating_mul(1_000))
    }
}

impl fmt::Display for MsSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min_ms == self.max_ms {
            write!(f, "{}", self.min_ms)
        } else {
            write!(f, "{}-{}", self.min_ms, self.max_ms)
        }
    }
}

impl Serialize for MsSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.min_ms == self.max_ms {
            self.min_ms.serialize(serializer)
        } else {
            [self.min_ms, self.max_ms].serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for MsSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

fn whole_ms<E: Error>(value: i64) -> Result<u64, E> {
    u64::try_from(value).map_err(|_| E::custom(format!("a time cannot be negative: {value}")))
}

impl<'de> Visitor<'de> for SpanVisitor {
    type Value = MsSpan;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of milliseconds, or [least, most]")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<MsSpan, E> {
        Ok(MsSpan::exactly(whole_ms(value)?))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<MsSpan, E> {
        Ok(MsSpan::exactly(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<MsSpan, A::Error> {
        let wrong = || A::Error::custom("a span is [least, most]: two numbers of milliseconds");
        let least: i64 = values.next_element()?.ok_or_else(wrong)?;
        let most: i64 = values.next_element()?.ok_or_else(wrong)?;
        if values.next_element::<i64>()?.is_some() {
            return Err(wrong());
        }
        let (min_ms, max_ms) = (whole_ms(least)?, whole_ms(most)?);
        if min_ms > max_ms {
            return Err(A::Error::custom(format!("the span [{min_ms}, {max_ms}] ends before it begins")));
        }
        Ok(MsSpan { min_ms, max_ms })
    }
}
