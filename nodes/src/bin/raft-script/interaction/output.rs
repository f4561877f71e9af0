//! What a command prints, and how much of it.

use crate::script::Misuse;

/// How important a line is; and from which importance on lines are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Everything.
    #[default]
    Debug,
    /// What changes a node's role or configuration.
    Info,
    /// What should not go on like this.
    Warn,
    /// What fails.
    Error,
    /// Nothing at all but the refusal of what was asked for.
    None,
}

impl Level {
    /// By its name, in any case.
    pub(super) fn parse(name: &str) -> Result<Self, Misuse> {
        match name.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            "none" => Ok(Self::None),
            _ => Err(Misuse::new(format!("no such level: {name:?}"), "debug, info, warn, error, none")),
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG ",
            Self::Info => "INFO ",
            Self::Warn => "WARN ",
            Self::Error => "ERROR ",
            Self::None => "",
        }
    }
}

/// The output of one command.
#[derive(Debug, Default)]
pub(super) struct Output {
    level: Level,
    text: String,
    is_indented: bool,
}

impl Output {
    /// Sets the level, and gives the one before.
    pub(super) fn set_level(&mut self, level: Level) -> Level {
        std::mem::replace(&mut self.level, level)
    }

    /// Whether the lines that follow belong to a line before them.
    pub(super) fn indent(&mut self, is_indented: bool) {
        self.is_indented = is_indented;
    }

    /// Prints lines of the command itself: always, but at the level `none`.
    pub(super) fn say(&mut self, text: &str) {
        if self.level < Level::None {
            self.print("", text);
        }
    }

    /// Prints what nodes say, as far as it is important enough. Lines of the level `none` are refusals.
    pub(super) fn log(&mut self, lines: &[(Level, String)]) {
        let least = self.level;
        for (level, line) in lines.iter().filter(|(level, _)| *level >= least) {
            self.print(level.prefix(), line);
        }
    }

    /// Gives what was printed since the last call.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    fn print(&mut self, prefix: &str, text: &str) {
        for line in text.lines() {
            self.text.push_str(if self.is_indented { "  " } else { "" });
            self.text.push_str(prefix);
            self.text.push_str(line);
            self.text.push('\n');
        }
    }
}
