//! How a 64-bit seed is kept in TOML, whose integers have 63 bits.

use std::fmt;

use serde::Serializer;
use serde::de::{Deserializer, Error, Visitor};

/// Writes a seed as an integer where it fits, else as a string of digits.
pub(super) fn serialize<S: Serializer>(seed: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(*seed) {
        Ok(small) => serializer.serialize_i64(small),
        Err(_) => serializer.serialize_str(&seed.to_string()),
    }
}

/// Reads either form.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(SeedVisitor)
}

struct SeedVisitor;

impl Visitor<'_> for SeedVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a seed: a whole number from 0 to 18446744073709551615, quoted if above 2^63 - 1")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::custom(format!("a seed cannot be negative: {value}")))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<u64, E> {
        value.parse().map_err(|_| E::custom(format!("`{}` is not a seed", value.escape_default())))
    }
}
