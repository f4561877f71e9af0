//! Numbers and texts with bounds, which requests are checked against and the OpenAPI document tells of: one definition
//! for both, so that neither promises what the other does not hold.

/// Whole numbers from one bound to another.
macro_rules! number {
    ($($(#[doc = $doc:literal])* $name:ident = $min:expr, $max:expr;)*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) u64);

        impl $name {
            const MIN: u64 = $min;
            const MAX: u64 = $max;
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = <u64 as serde::Deserialize>::deserialize(deserializer)?;
                if (Self::MIN..=Self::MAX).contains(&number) {
                    return Ok(Self(number));
                }
                Err(serde::de::Error::custom(format!("{number} is not from {} to {}", Self::MIN, Self::MAX)))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u64(self.0)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::Integer)
                    .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
                        utoipa::openapi::KnownFormat::Int64,
                    )))
                    .minimum(Some(Self::MIN))
                    .maximum(Some(Self::MAX))
                    .description(Some([$($doc),*].join("\n").trim()))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )* };
}

/// Texts of so many characters.
macro_rules! text {
    ($($(#[doc = $doc:literal])* $name:ident = $min:expr, $max:expr;)*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) String);

        impl $name {
            /// Takes a text that is within the bounds.
            pub(crate) fn of(text: String) -> Result<Self, String> {
                let length = text.chars().count();
                if ($min..=$max).contains(&length) {
                    return Ok(Self(text));
                }
                Err(format!("a text of {length} characters is not one of {} to {}", $min, $max))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                Self::of(text).map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .min_length(Some($min))
                    .max_length(Some($max))
                    .description(Some([$($doc),*].join("\n").trim()))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )* };
}

/// The largest number that a request may hold: JSON's readers agree on those below 2^63.
pub(crate) const NUMBER_MAX: u64 = i64::MAX as u64;

number! {
    /// How long the request may wait, in milliseconds: up to a minute. 0 is not at all.
    WaitMs = 0, 60_000;
    /// The lease of a session, in milliseconds: a tenth of a second to an hour.
    LeaseMs = 100, 3_600_000;
    /// How long nobody else gets a message, in milliseconds: up to twelve hours.
    VisibilityMs = 1, 43_200_000;
    /// How long a message is held back, in milliseconds: up to thirty days.
    DelayMs = 0, 2_592_000_000;
    /// How long a message lives, in milliseconds: up to 366 days.
    MessageTtlMs = 1, 31_622_400_000;
    /// How long a key of the cache lives, in milliseconds: up to ten years.
    TtlMs = 1, 316_224_000_000;
    /// How many at most.
    Count = 1, 1_024;
    /// Permits of a semaphore.
    Permits = 1, u32::MAX as u64;
    /// A fencing token: it rises with every grant of a lock.
    Token = 0, super::bounded::NUMBER_MAX;
    /// A session.
    Session = 1, 999_999_999_999_999_999;
    /// A message's number.
    MessageNumber = 0, super::bounded::NUMBER_MAX;
    /// A delivery's receipt: how often the message had been delivered by then.
    ReceiptNumber = 0, super::bounded::NUMBER_MAX;
    /// A node's number.
    NodeNumber = 1, super::bounded::NUMBER_MAX;
    /// Higher ones are delivered first.
    Priority = 0, 255;
    /// Deliveries of a message before it is given up as dead.
    Attempts = 1, 10_000;
    /// Messages that a topic may hold.
    Depth = 1, crate::machine::DEPTH_MAX;
    /// Bytes that a topic may hold.
    TopicBytes = 1, crate::machine::TOPIC_STORED_BYTES_MAX;
    /// How old the state may be from which an answer comes, in milliseconds: up to an hour.
    StaleMs = 0, 3_600_000;
    /// A version of a lock: it rises whenever something changes.
    LockVersion = 0, super::bounded::NUMBER_MAX;
    /// Keys that the cache may hold.
    CacheEntries = 1, crate::machine::KEYS_MAX as u64;
    /// Bytes that the cache may hold.
    CacheBytes = 1, crate::machine::CACHE_BYTES_MAX;
    /// Who makes messages, by a number of its own.
    Producer = 1, super::bounded::NUMBER_MAX;
    /// The first message's number among all of its producer's, from 1 on.
    ProducerSequence = 1, super::bounded::NUMBER_MAX;
    /// Bytes of a payload.
    PayloadBytes = 1, 1_048_576;
}

text! {
    /// A name: of a lock, a topic or a key.
    Name = 1, 256;
    /// The name of a group whose messages keep their order.
    Group = 1, 64;
    /// A client, as the older system's calls name it.
    CallClient = 1, 64;
    /// A resource, as the older system's calls name it.
    CallResource = 1, 128;
    /// Why, for the record.
    Reason = 0, 64;
}

#[cfg(test)]
mod tests {
    use super::{Name, WaitMs};

    #[test]
    fn what_is_out_of_bounds_is_refused_with_the_bounds() {
        assert_eq!(serde_json::from_str::<WaitMs>("60000").ok(), Some(WaitMs(60_000)));
        let refused = serde_json::from_str::<WaitMs>("60001").expect_err("it is too long").to_string();
        assert!(refused.contains("60001 is not from 0 to 60000"), "{refused}");
        for wrong in ["-1", "1.5", "\"1\"", "null", "[]"] {
            assert!(serde_json::from_str::<WaitMs>(wrong).is_err(), "{wrong}");
        }
        assert!(Name::of(String::new()).is_err());
        assert!(Name::of("é".repeat(256)).is_ok(), "characters count, not bytes");
        assert!(Name::of("x".repeat(257)).is_err());
    }
}
