//! Lines that fit.

/// Breaks a text at spaces into lines of at most `width` characters, `first` and `rest` included, with which
/// the first line and the others begin. A word that is wider than a line is broken where the line ends.
/// There is always one line, if only an empty one.
///
/// # Panics
/// If `first` or `rest` leave no room for a single character.
pub(super) fn wrap(text: &str, first: &str, rest: &str, width: usize) -> Vec<String> {
    assert!(first.chars().count().max(rest.chars().count()) < width, "the indent leaves no room");
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut used = first.chars().count();
    let mut is_empty = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let long = word.chars().count();
        if !is_empty && used + 1 + long > width {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            used = rest.chars().count();
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
            used += 1;
        }
        for character in word.chars() {
            if used == width {
                lines.push(std::mem::replace(&mut line, rest.to_owned()));
                used = rest.chars().count();
            }
            line.push(character);
            used += 1;
        }
        is_empty = false;
    }
    lines.push(line);
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn a_text_is_broken_at_spaces_and_hangs_behind_its_indent() {
        assert_eq!(wrap("one two three", "> ", "  ", 9), ["> one two", "  three"]);
        assert_eq!(wrap("one", "", "", 3), ["one"]);
        assert_eq!(wrap("", "- ", "  ", 9), ["-"]);
    }

    #[test]
    fn a_word_wider_than_a_line_is_broken() {
        assert_eq!(wrap("a äöüäöüäöü b", " ", " ", 5), [" a", " äöüä", " öüäö", " ü b"]);
    }

    #[test]
    fn nothing_is_lost_and_no_line_is_too_wide() {
        let text = "some words, an-unusually-long-word-that-will-not-fit, and a few more";
        for width in 4..80 {
            let lines = wrap(text, "  ", "   ", width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:?}");
            let joined: String = lines.concat().split_whitespace().collect();
            assert_eq!(joined, text.split_whitespace().collect::<String>(), "{width}");
        }
    }
}
