//! Histories in foreign formats: what is read, what is refused with its line, and what is found wrong.

mod drafts;
mod edn;
mod hostile;
mod jepsen;
mod mutants;
mod registers;
mod texts;
