//! Reads the values of EDN that histories are made of, one after the other.
//!
//! Every value ends somewhere for certain, or the text was cut in it. Nesting is bounded, so that no text
//! exhausts the stack.

use std::borrow::Cow;

/// Deeper nesting is refused. Histories have two levels.
const DEPTH_MAX: usize = 32;

/// A value, as far as histories tell values apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// `nil`.
    Nil,
    /// A whole number of 64 bits.
    Number(i64),
    /// A text, its escapes resolved.
    Text(Cow<'a, str>),
    /// A keyword, without its colon.
    Word(&'a str),
    /// A vector, list or set.
    Sequence(Vec<Self>),
    /// A map, in the order of the text.
    Map(Vec<(Self, Self)>),
    /// Anything else: symbols, fractions, characters, larger numbers.
    Other(&'a str),
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EdnError {
    /// The line, counted from the reader's first.
    pub(super) line: u64,
    /// What is wrong.
    pub(super) message: String,
    /// Whether the text ends within a value.
    pub(super) is_cut: bool,
}

/// A value and the line on which it begins.
pub(super) type Placed<'a> = (u64, Value<'a>);

/// Reads one value after the other.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    line: u64,
}

impl<'a> Reader<'a> {
    /// A reader of a text whose first line has this number.
    pub(super) const fn new(text: &'a str, line: u64) -> Self {
        Self { text, line }
    }

    /// What has not been read yet.
    pub(super) const fn rest(&self) -> &'a str {
        self.text
    }

    /// The line that the reader has come to.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    /// The next value; `None` at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<Placed<'a>>, EdnError> {
        self.skip_blank(0)?;
        let line = self.line;
        Ok(if self.text.is_empty() { None } else { Some((line, self.value(0)?)) })
    }

    /// Goes over one character, if it is the next.
    pub(super) fn take(&mut self, wanted: char) -> Result<bool, EdnError> {
        self.skip_blank(0)?;
        let is_there = self.text.starts_with(wanted);
        if is_there {
            self.advance(wanted.len_utf8());
        }
        Ok(is_there)
    }

    fn wrong(&self, message: impl Into<String>) -> EdnError {
        EdnError { line: self.line, message: message.into(), is_cut: false }
    }

    fn cut(&self, what: &str) -> EdnError {
        EdnError { line: self.line, message: format!("it ends within {what}"), is_cut: true }
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.text.split_at(bytes);
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count() as u64;
        self.text = rest;
    }

    /// Goes over white space, commas, comments, and values that `#_` discards.
    fn skip_blank(&mut self, depth: usize) -> Result<(), EdnError> {
        loop {
            let blank = self.text.find(|c: char| !c.is_whitespace() && c != ',').unwrap_or(self.text.len());
            self.advance(blank);
            if self.text.starts_with(';') {
                self.advance(self.text.find('\n').unwrap_or(self.text.len()));
            } else if self.text.starts_with("#_") {
                self.advance(2);
                self.value_after_blank(depth + 1)?;
            } else {
                return Ok(());
            }
        }
    }

    fn value_after_blank(&mut self, depth: usize) -> Result<Value<'a>, EdnError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong(format!("values are nested more than {DEPTH_MAX} deep")));
        }
        self.skip_blank(depth)?;
        self.value(depth)
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, EdnError> {
        let text = self.text;
        match text.chars().next() {
            None => Err(self.cut("a value")),
            Some('"') => self.text_value(),
            Some('[') => self.sequence(1, ']', depth),
            Some('(') => self.sequence(1, ')', depth),
            Some('{') => self.map(depth),
            Some('#') if text.starts_with("#{") => self.sequence(2, '}', depth),
            Some('#') => {
                self.advance(1);
                self.token();
                self.value_after_blank(depth + 1)
            }
            Some(closing @ (']' | ')' | '}')) => Err(self.wrong(format!("`{closing}` closes nothing"))),
            Some('\\') => {
                let first = text[1..].chars().next().map_or(0, char::len_utf8);
                self.advance(1 + first);
                Ok(Value::Other(self.token()))
            }
            Some(_) => {
                let token = self.token();
                Ok(plain(token))
            }
        }
    }

    /// Goes over everything up to the next delimiter, if that is not already here.
    fn token(&mut self) -> &'a str {
        let text = self.text;
        let ends = |c: char| c.is_whitespace() || ",;\"[](){}".contains(c);
        let end = text.find(ends).unwrap_or(text.len());
        self.advance(end);
        &text[..end]
    }

    fn sequence(&mut self, opening: usize, closing: char, depth: usize) -> Result<Value<'a>, EdnError> {
        self.advance(opening);
        let mut values = Vec::new();
        loop {
            self.skip_blank(depth)?;
            if self.text.is_empty() {
                return Err(self.cut("a sequence"));
            }
            if self.text.starts_with(closing) {
                self.advance(1);
                return Ok(Value::Sequence(values));
            }
            values.push(self.value_after_blank(depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value<'a>, EdnError> {
        self.advance(1);
        let mut pairs = Vec::new();
        loop {
            self.skip_blank(depth)?;
            if self.text.is_empty() {
                return Err(self.cut("a map"));
            }
            if self.text.starts_with('}') {
                self.advance(1);
                return Ok(Value::Map(pairs));
            }
            let key = self.value_after_blank(depth + 1)?;
            self.skip_blank(depth)?;
            if self.text.starts_with('}') {
                return Err(self.wrong("a map has a key without a value"));
            }
            pairs.push((key, self.value_after_blank(depth + 1)?));
        }
    }

    fn text_value(&mut self) -> Result<Value<'a>, EdnError> {
        self.advance(1);
        let text = self.text;
        let end = text.find(['"', '\\']).ok_or_else(|| self.cut("a text"))?;
        if text[end..].starts_with('"') {
            self.advance(end + 1);
            return Ok(Value::Text(Cow::Borrowed(&text[..end])));
        }
        let mut resolved = String::new();
        loop {
            let end = self.text.find(['"', '\\']).ok_or_else(|| self.cut("a text"))?;
            resolved.push_str(&self.text[..end]);
            let is_end = self.text[end..].starts_with('"');
            self.advance(end + 1);
            if is_end {
                return Ok(Value::Text(Cow::Owned(resolved)));
            }
            resolved.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Result<char, EdnError> {
        let character = self.text.chars().next().ok_or_else(|| self.cut("a text"))?;
        self.advance(character.len_utf8());
        Ok(match character {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            '"' | '\\' | '/' => character,
            'u' => {
                let digits = self.text.get(..4).ok_or_else(|| self.cut("a text"))?;
                let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                let code = code.ok_or_else(|| self.wrong(format!("`\\u{digits}` is no character")))?;
                self.advance(4);
                code
            }
            other => return Err(self.wrong(format!("`\\{other}` is no escape of a text"))),
        })
    }
}

/// What a token without quotes or brackets stands for.
fn plain(token: &str) -> Value<'_> {
    if token == "nil" {
        return Value::Nil;
    }
    if let Some(word) = token.strip_prefix(':') {
        return Value::Word(word);
    }
    let digits = token.strip_suffix('N').unwrap_or(token);
    digits.parse().map_or(Value::Other(token), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::{Reader, Value};

    fn all(text: &str) -> Result<Vec<Value<'_>>, String> {
        let mut reader = Reader::new(text, 1);
        let mut values = Vec::new();
        loop {
            match reader.next() {
                Ok(Some((_, value))) => values.push(value),
                Ok(None) => return Ok(values),
                Err(error) => return Err(format!("{}: {}", error.line, error.message)),
            }
        }
    }

    #[test]
    fn what_histories_are_made_of_is_read() {
        let text =
            "nil 7 -3N :cas [1, 2] \"a\\\"\\u0041\" ; comment\n #_ {:a 1} #{1} sym \\c 1.5 #tag {:b nil}";
        let values = all(text).unwrap();
        let expected = [
            Value::Nil,
            Value::Number(7),
            Value::Number(-3),
            Value::Word("cas"),
            Value::Sequence(vec![Value::Number(1), Value::Number(2)]),
            Value::Text("a\"A".into()),
            Value::Sequence(vec![Value::Number(1)]),
            Value::Other("sym"),
            Value::Other(""),
            Value::Other("1.5"),
            Value::Map(vec![(Value::Word("b"), Value::Nil)]),
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn what_ends_too_early_or_closes_nothing_is_refused_with_its_line() {
        for (text, said) in [
            ("\n[1 2", "2: it ends within a sequence"),
            ("{:a", "1: it ends within a value"),
            ("{:a }", "1: a map has a key without a value"),
            ("{:a 1\n\n", "3: it ends within a map"),
            ("\"a", "1: it ends within a text"),
            ("\"a\\", "1: it ends within a text"),
            ("\"\\u00", "1: it ends within a text"),
            ("\"\\ud800\"", "1: `\\ud800` is no character"),
            ("\"\\q\"", "1: `\\q` is no escape of a text"),
            ("1 ]", "1: `]` closes nothing"),
            ("#", "1: it ends within a value"),
            ("#_", "1: it ends within a value"),
        ] {
            assert_eq!(all(text), Err(said.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        for opening in ["[", "{", "#a ", "#_ ", "#{"] {
            let said = all(&opening.repeat(100_000)).unwrap_err();
            assert!(said.contains("nested"), "{opening}: {said}");
        }
    }
}
