//! Columns that line up.

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Lays out rows of cells, two spaces apart, each line behind `indent`. Widths count characters; no cell may
/// hold colour codes. Trailing spaces are cut.
pub(super) fn layout(indent: &str, columns: &[Align], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(columns).zip(&widths).map(|((cell, align), width)| {
            let padding = " ".repeat(width - cell.chars().count());
            if *align == Align::Left { format!("{cell}{padding}") } else { format!("{padding}{cell}") }
        });
        let text = format!("{indent}{}", cells.collect::<Vec<_>>().join("  "));
        text.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
