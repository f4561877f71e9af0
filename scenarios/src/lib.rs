//! The catalogue of fault scenarios. What people read and add to is in `catalog/*.toml`; here is only the
//! way for tests to find it.

use std::path::Path;

use stormglass_sim::catalog::Catalog;
use stormglass_sim::plan::{PlanError, Scenario};

/// The catalogue of this source tree.
///
/// # Errors
/// If the folder is gone.
pub fn catalog() -> Result<Catalog, PlanError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
    Catalog::find(Some(&folder), &folder)
}

/// Every scenario of the catalogue, by name.
///
/// # Errors
/// The first that cannot be read.
pub fn scenarios() -> Result<Vec<Scenario>, PlanError> {
    catalog()?.scenarios()?.into_iter().collect()
}
