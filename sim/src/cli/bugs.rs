//! `stormglass bugs`.

use std::process::ExitCode;

use stormglass_nodes::plant::Bug;

use super::UsageError;

/// Lists the planted bugs.
pub(super) fn bugs() -> ExitCode {
    for bug in Bug::ALL {
        println!("{:<28}{}", bug.name(), bug.description().trim());
    }
    if !cfg!(feature = "planted-bugs") {
        println!("\nThis build has none of them: build with `--features planted-bugs` to plant one.");
    }
    ExitCode::SUCCESS
}

/// The bug of this name, if this build has it.
pub(super) fn find(name: Option<&str>) -> Result<Option<Bug>, UsageError> {
    let Some(name) = name else { return Ok(None) };
    let bug = name.parse::<Bug>().map_err(|error| {
        let known = Bug::ALL.iter().map(|bug| bug.name());
        let hint = crate::plan::did_you_mean(name, known).map_or_else(
            || "`stormglass bugs` lists them".to_owned(),
            |best| format!("did you mean `{best}`?"),
        );
        UsageError::new(error.to_string(), hint)
    })?;
    if !cfg!(feature = "planted-bugs") {
        return Err(UsageError::new(
            format!("this build has no planted bugs, so it cannot plant {bug}"),
            "cargo run --release --features planted-bugs -- run …",
        ));
    }
    Ok(Some(bug))
}
