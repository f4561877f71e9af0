//! Which format a file is in.

/// A foreign format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Jepsen's log, one event a line.
    Jepsen,
    /// EDN, one map an event.
    Edn,
}

impl Format {
    /// The format that a file seems to be in, judged by how it begins; `None` if by no sign at all. An EDN file
    /// begins with a map, a sequence, a comment or a tag; in a Jepsen log some line names the logger.
    #[must_use]
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace())?;
        if b"{[(;#".contains(first) {
            return Some(Self::Edn);
        }
        let logger = super::jepsen_events::LOGGER.as_bytes();
        bytes.windows(logger.len()).any(|window| window == logger).then_some(Self::Jepsen)
    }

    /// The name under which the command line and reports know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jepsen => "jepsen",
            Self::Edn => "edn",
        }
    }
}
