//! The language: lines of commands, with options, lines of input, and blocks of expected output.
//!
//! ```text
//! # A comment, up to the end of its line.
//! propose-conf-change 1 transition=explicit      a name, plain words, and options
//! v4 r1                                          input, for the commands that take any
//! ----                                           what follows was expected by somebody: up to an empty line,
//! ok                                             or, begun by a doubled `----`, up to another doubled one
//! ```
//!
//! The input of a command that takes any is what stands between its line and its `----`; without such a line,
//! the lines up to the next command, comment or empty line. After any other command each line is a command.

use std::fmt::Display;
use std::str::FromStr;

use stormglass_nodes::ids::NodeId;

/// The line between a command and its output.
pub(crate) const RULE: &str = "----";

/// A piece of a script.
#[derive(Debug)]
pub(crate) enum Item {
    /// An empty line or a comment, as it is written.
    Text(String),
    /// A command.
    Command(Command),
}

/// A command, as written and taken apart.
#[derive(Debug)]
pub(crate) struct Command {
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// Its line and its lines of input, as they are written.
    pub(crate) written: Vec<String>,
    /// Its first word.
    pub(crate) name: String,
    /// The other words, in order.
    pub(crate) words: Vec<Word>,
    /// The lines of input.
    pub(crate) input: Vec<String>,
    /// The output that the script itself gives.
    pub(crate) expected: Option<String>,
}

/// A word after a command's name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// One without `=`.
    Plain(String),
    /// `name=value` or `name=(value,…)`.
    Option(String, Vec<String>),
}

/// What a script asks for cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("{what} (hint: {hint})")]
pub(crate) struct Misuse {
    what: String,
    hint: String,
}

impl Misuse {
    /// Says what is wrong, and what would be right.
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// Takes a script apart, by the names of the commands and of those that take input.
pub(crate) fn parse(text: &str, commands: &[&str], with_input: &[&str]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        if is_text(line) {
            items.push(Item::Text(line.trim_end().to_owned()));
            continue;
        }
        let mut written = vec![line.trim_end().to_owned()];
        if with_input.contains(&first_word(line)) {
            let ends = |line: &str| is_text(line) || line == RULE || commands.contains(&first_word(line));
            while let Some((_, input)) = lines.next_if(|(_, line)| !ends(line)) {
                written.push(input.trim_end().to_owned());
            }
        }
        let expected = lines.next_if(|(_, line)| *line == RULE).map(|_| {
            let is_doubled = lines.next_if(|(_, line)| *line == RULE).is_some();
            let mut block = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| is_doubled || !line.trim().is_empty()) {
                if is_doubled && line == RULE && lines.next_if(|(_, line)| *line == RULE).is_some() {
                    break;
                }
                block.push(line);
            }
            block.join("\n")
        });
        let mut words = words_of(&written[0]).into_iter();
        let name = match words.next() {
            Some(Word::Plain(name) | Word::Option(name, _)) => name,
            None => String::new(),
        };
        items.push(Item::Command(Command {
            line: number + 1,
            input: written[1..].to_vec(),
            written,
            name,
            words: words.collect(),
            expected,
        }));
    }
    items
}

fn first_word(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

fn is_text(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

/// The words of a line. Spaces within parentheses do not part words.
fn words_of(line: &str) -> Vec<Word> {
    let (mut words, mut word, mut depth) = (Vec::new(), String::new(), 0_usize);
    for character in line.chars().chain([' ']) {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if !character.is_whitespace() || depth > 0 {
            word.push(character);
        } else if !word.is_empty() {
            words.push(word_of(&std::mem::take(&mut word)));
        }
    }
    if !word.is_empty() {
        words.push(word_of(word.trim_end()));
    }
    words
}

fn word_of(word: &str) -> Word {
    let Some((name, value)) = word.split_once('=') else {
        return Word::Plain(word.to_owned());
    };
    let list = value.strip_prefix('(').and_then(|list| list.strip_suffix(')'));
    let values = match list {
        Some(list) => list.split([',', ' ']).filter(|value| !value.is_empty()).map(str::to_owned).collect(),
        None => vec![value.to_owned()],
    };
    Word::Option(name.to_owned(), values)
}

impl Command {
    /// The plain words.
    pub(crate) fn plain(&self) -> impl Iterator<Item = &str> {
        self.words.iter().filter_map(|word| match word {
            Word::Plain(word) => Some(word.as_str()),
            Word::Option(..) => None,
        })
    }

    /// All plain words as nodes.
    pub(crate) fn nodes(&self) -> Result<Vec<NodeId>, Misuse> {
        self.plain().map(|word| number(word).map(NodeId)).collect()
    }

    /// The only plain word, as a node.
    pub(crate) fn node(&self) -> Result<NodeId, Misuse> {
        match self.nodes()?[..] {
            [node] => Ok(node),
            _ => Err(Misuse::new(format!("{} takes one node", self.name), format!("{} 1", self.name))),
        }
    }

    /// The two plain words, as nodes.
    pub(crate) fn two_nodes(&self) -> Result<(NodeId, NodeId), Misuse> {
        match self.nodes()?[..] {
            [one, other] => Ok((one, other)),
            _ => Err(Misuse::new(format!("{} takes two nodes", self.name), format!("{} 1 2", self.name))),
        }
    }

    /// The options, provided that each has one of these names.
    pub(crate) fn options(&self, names: &[&str]) -> Result<Vec<(&str, &[String])>, Misuse> {
        let options = self.words.iter().filter_map(|word| match word {
            Word::Option(name, values) => Some((name.as_str(), values.as_slice())),
            Word::Plain(_) => None,
        });
        let known = |(name, values)| {
            let hint = if names.is_empty() { "it takes none".to_owned() } else { names.join(", ") };
            let unknown = || Misuse::new(format!("{} has no option {name:?}", self.name), hint);
            names.contains(&name).then_some((name, values)).ok_or_else(unknown)
        };
        options.map(known).collect()
    }

    /// The tokens of the input.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.input.iter().flat_map(|line| line.split_whitespace())
    }
}

/// A number, or anything else that is written as one word.
pub(crate) fn number<T: FromStr<Err: Display>>(word: &str) -> Result<T, Misuse> {
    word.parse().map_err(|error| Misuse::new(format!("{word:?}: {error}"), "write a number"))
}

/// The one value of an option.
pub(crate) fn single<'a>(name: &str, values: &'a [String]) -> Result<&'a str, Misuse> {
    match values {
        [value] => Ok(value),
        _ => Err(Misuse::new(format!("{name} takes one value"), format!("{name}=…"))),
    }
}

/// The one value of an option that says yes or no.
pub(crate) fn yes_or_no(name: &str, values: &[String]) -> Result<bool, Misuse> {
    match single(name, values)? {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Misuse::new(format!("{name}={other}"), format!("{name}=true or {name}=false"))),
    }
}
