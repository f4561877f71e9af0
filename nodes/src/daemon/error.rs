//! Why the daemon does not start, or stopped, and what to do about it.

use std::ffi::OsString;

use thiserror::Error;

use crate::server::NodeError;
use crate::storage::StorageError;

/// An error for people: what is wrong, in one line, and a hint.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// An option is missing or makes no sense.
    #[error("{message}")]
    Usage {
        /// What is wrong, and where.
        message: String,
        /// What would be right.
        hint: String,
    },
    /// Something outside is not as it has to be: an address in use, a folder that cannot be written.
    #[error("{message}")]
    Outside {
        /// What is wrong, and where.
        message: String,
        /// What to look at.
        hint: String,
    },
    /// The node cannot go on.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl DaemonError {
    /// Bad options.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// Trouble outside.
    pub(super) fn outside(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Outside { message: message.into(), hint: hint.into() }
    }

    /// What the reader of the arguments has to say, in one line.
    pub(super) fn of_usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("the arguments cannot be read");
        let tip = lines.find_map(|line| line.strip_prefix("tip: ").or_else(|| line.strip_prefix("[")));
        let tip = tip.map(|tip| tip.trim_end_matches(']'));
        Self::usage(
            without_passwords(first.strip_prefix("error: ").unwrap_or(first)),
            tip.unwrap_or("`stormglassd --help` explains every option"),
        )
    }

    /// The same; where the option that is at fault was given by an environment variable, it is named.
    pub(super) fn with_source(self, arguments: &[OsString], is_set: impl Fn(&str) -> bool) -> Self {
        let Self::Usage { message, hint } = self else { return self };
        let variable = flag_in(&message).and_then(|flag| {
            let is_argument = |argument: &OsString| {
                let argument = argument.to_string_lossy();
                argument.split('=').next() == Some(flag)
            };
            let variable = flag.replacen("--", "STORMGLASS_", 1).replace('-', "_").to_uppercase();
            (!arguments.iter().any(is_argument) && is_set(&variable)).then_some(variable)
        });
        let message = match variable {
            Some(variable) => format!("{message} (it is given by {variable})"),
            None => message,
        };
        Self::Usage { message, hint }
    }

    /// Whether the options are at fault.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage { .. })
    }

    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::Usage { hint, .. } | Self::Outside { hint, .. } => hint,
            Self::Node(NodeError::NearTerms { .. }) => {
                "give --near-lease-us and --near-drift-ppm-max what the cluster has agreed on, the same on every node"
            }
            Self::Node(NodeError::TooOld { .. }) => {
                "install the version that the other nodes run, and start it again"
            }
            Self::Node(NodeError::Storage(StorageError::WrongIdentity { .. })) => {
                "give --data the folder of this very node, or an empty one; and is --cluster-name right?"
            }
            Self::Node(NodeError::Storage(StorageError::NewerFormat { .. })) => {
                "start the release that wrote it, or a later one"
            }
            Self::Node(NodeError::Storage(StorageError::OlderFormat { .. })) => {
                "start the release between that one and this one first"
            }
            Self::Node(NodeError::Storage(StorageError::Failed { .. })) => {
                "look at the disk and its space; once it is mended, start the node again: what it acknowledged is there"
            }
            Self::Node(NodeError::Storage(StorageError::MayForget { .. })) => {
                "set `appendonly yes` and `appendfsync always` there (from Redis 7.2 on `everysec` will do), or give \
                 --allow-volatile-redis if losing data is all right"
            }
            Self::Node(NodeError::Storage(StorageError::Unmarked { .. })) => {
                "if another cluster uses this Redis, give each a --cluster-name of its own, or another database; if it is \
                 this very node's, whose --data was lost, start it once with --adopt-redis"
            }
            Self::Node(NodeError::Storage(
                error @ (StorageError::Unreachable { .. }
                | StorageError::Forgot { .. }
                | StorageError::TakenOver { .. }
                | StorageError::OtherKind { .. }),
            )) => error.hint(),
            Self::Node(_) => {
                "keep a copy of the data folder; if it is damaged for good, remove the node from the cluster and add \
                 one with a new id and an empty folder"
            }
        }
    }
}

/// The first flag that a text names.
fn flag_in(text: &str) -> Option<&str> {
    let flag = &text[text.find("--")?..];
    let end = flag.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(flag.len());
    Some(&flag[..end])
}

/// A text in which a URL may stand, without what stands in it before the `@`.
fn without_passwords(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || c == '\'').unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                shown.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{DaemonError, without_passwords};

    #[test]
    fn an_option_that_a_variable_gives_is_told_of_with_it() {
        let told = |message: &str, arguments: &[&str]| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            let error = DaemonError::usage(message, "").with_source(&arguments, |name| {
                ["STORMGLASS_JOIN", "STORMGLASS_HTTP_TOKENS"].contains(&name)
            });
            error.to_string()
        };
        let wrong = "invalid value '1' for '--join[=<BOOL>]'";
        assert_eq!(told(wrong, &["stormglassd"]), format!("{wrong} (it is given by STORMGLASS_JOIN)"));
        assert_eq!(told(wrong, &["stormglassd", "--join=1"]), wrong);
        assert_eq!(
            told("--http-tokens f: gone", &[]),
            "--http-tokens f: gone (it is given by STORMGLASS_HTTP_TOKENS)"
        );
        assert_eq!(told("--http h", &[]), "--http h");
        assert_eq!(told("no flag at all", &[]), "no flag at all");
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        assert_eq!(
            without_passwords("unexpected argument 'redis://me:sec@ret@h/1' found, not redis://h"),
            "unexpected argument 'redis://***@h/1' found, not redis://h"
        );
        assert_eq!(without_passwords("no URL at all, me@home"), "no URL at all, me@home");
    }
}
