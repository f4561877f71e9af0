//! What the argument parser says, in the form of all our errors: one line, and a hint.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::UsageError;
use super::args::Arguments;
use crate::plan::did_you_mean;

/// Whether this is no error but the help or the version: asked for, or shown for want of a command.
pub(super) fn is_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// The parser's error with its tip, its list of values, or else the way to the help as the hint.
pub(super) fn explain(error: &clap::Error) -> UsageError {
    let text = error.render().to_string();
    let (mut message, mut values, mut tip) = (Vec::new(), None, None);
    for (number, paragraph) in text.split("\n\n").enumerate() {
        for line in paragraph.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("tip: ") {
                tip.get_or_insert(text.to_owned());
            } else if line.starts_with("[possible values") {
                values = Some(line.trim_matches(['[', ']']).to_owned());
            } else if number == 0 {
                message.push(line);
            }
        }
    }
    let message = message.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    UsageError::new(message, tip.or(values).unwrap_or_else(where_to_look))
}

/// The help of the command that the user began to write.
fn where_to_look() -> String {
    let begun = std::env::args().nth(1).unwrap_or_default();
    let arguments = Arguments::command();
    let known: Vec<&str> = arguments.get_subcommands().map(clap::Command::get_name).collect();
    if known.contains(&begun.as_str()) {
        return format!("`stormglass {begun} --help` shows what it takes");
    }
    did_you_mean(&begun, known).map_or_else(
        || "`stormglass --help` shows the commands".to_owned(),
        |best| format!("did you mean `{best}`?"),
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Arguments, explain};

    fn explained(arguments: &[&str]) -> (String, String) {
        let all = ["stormglass"].iter().chain(arguments);
        let error = explain(&Arguments::try_parse_from(all).unwrap_err());
        (error.to_string(), error.hint().to_owned())
    }

    #[test]
    fn what_the_parser_says_becomes_one_line_and_a_hint() {
        let (message, hint) = explained(&["run", "x", "--sede", "7"]);
        assert_eq!(message, "unexpected argument '--sede' found");
        assert_eq!(hint, "a similar argument exists: '--seed'");
        let (message, hint) = explained(&["run", "x", "--format", "xml"]);
        assert_eq!(message, "invalid value 'xml' for '--format <FORMAT>'");
        assert_eq!(hint, "possible values: terminal, json");
        let (message, hint) = explained(&["run"]);
        assert_eq!(message, "the following required arguments were not provided: <SCENARIO>...");
        assert!(hint.contains("--help") || hint.contains("did you mean"), "{hint}");
    }
}
