//! The command line as a user meets it: the built program, started as a process.

mod check;
mod help;
mod runs;
mod support;
mod usage;
