//! Reports as JSON: stable field order, two spaces, one newline at the end.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Text that is not the JSON of a report.
#[derive(Debug)]
pub struct JsonError(serde_json::Error);

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is not a report: {}", self.0)
    }
}

impl std::error::Error for JsonError {}

/// A report, or a sweep's report, as JSON.
///
/// # Panics
/// Never for the types of this crate: their keys are strings and none of them fails to serialize.
#[must_use]
pub fn to_json<T: Serialize>(report: &T) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("a report is JSON");
    text.push('\n');
    text
}

/// Reads back what [`to_json`] wrote.
///
/// # Errors
/// If it is not JSON, or not that of a report.
pub fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    serde_json::from_str(text).map_err(JsonError)
}
