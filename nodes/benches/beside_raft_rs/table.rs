//! How figures are shown.

/// Columns of a row's name.
const NAME_WIDTH: usize = 36;
/// Columns of a cell.
const CELL_WIDTH: usize = 18;

/// Prints one row: a name, then its cells.
pub(crate) fn row(name: &str, cells: impl Iterator<Item = String>) {
    let cells: String = cells.map(|cell| format!("{cell:>CELL_WIDTH$}")).collect();
    println!("{name:<NAME_WIDTH$}{cells}");
}
