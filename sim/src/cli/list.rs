//! `stormglass list`.

use std::process::ExitCode;

use super::UsageError;
use super::args;
use super::output::say;
use crate::catalog::Catalog;
use crate::plan::Scenario;

/// Shows every scenario with its claim. A file that cannot be read is shown too, and makes the command fail.
pub(super) fn list(arguments: &args::List) -> Result<ExitCode, UsageError> {
    let catalog = super::open_catalog(&arguments.catalog)?;
    let (scenarios, broken) = load_all(&catalog)?;
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    for scenario in &scenarios {
        say!("{:width$}  {}", scenario.name, scenario.claim);
    }
    match broken.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// All scenarios that can be read, and what is wrong with the others.
pub(super) fn load_all(catalog: &Catalog) -> Result<(Vec<Scenario>, Vec<UsageError>), UsageError> {
    let (mut scenarios, mut broken) = (Vec::new(), Vec::new());
    for scenario in catalog.scenarios()? {
        match scenario {
            Ok(scenario) => scenarios.push(scenario),
            Err(error) => broken.push(error.into()),
        }
    }
    Ok((scenarios, broken))
}
