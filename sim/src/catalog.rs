//! The catalogue: scenarios found by name.
//!
//! A name is a file's stem under `scenarios/catalog`, in the current folder or the nearest of its parents
//! that has one, or in a folder that the user gives.
#![expect(clippy::disallowed_methods, reason = "it reads the catalogue from the real disk, before any run")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::plan::{PlanError, Scenario, did_you_mean, load_scenario};

/// Where a project keeps its catalogue, below its root.
pub const CATALOG_FOLDER: &str = "scenarios/catalog";
/// Most files that a catalogue may hold.
pub const SCENARIOS_MAX: usize = 10_000;
/// Most parents that are searched for a catalogue.
const PARENTS_MAX: usize = 64;

/// A folder of scenarios.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    folder: PathBuf,
}

impl Catalog {
    /// The catalogue in `explicit` if given, or else the nearest at or above `current`.
    ///
    /// # Errors
    /// If `explicit` is not a folder, or there is no catalogue at or above `current`.
    pub fn find(explicit: Option<&Path>, current: &Path) -> Result<Self, PlanError> {
        if let Some(folder) = explicit {
            if folder.is_dir() {
                return Ok(Self { folder: folder.to_owned() });
            }
            let hint = "give a folder of scenario files with --catalog";
            return Err(PlanError::of_file(&folder.display().to_string(), "this is not a folder", hint));
        }
        let found = current.ancestors().take(PARENTS_MAX).map(|root| root.join(CATALOG_FOLDER));
        found.into_iter().find(|folder| folder.is_dir()).map(|folder| Self { folder }).ok_or_else(|| {
            let message = format!("there is no {CATALOG_FOLDER} here or in a folder above");
            let hint = "run from within the project, or give --catalog DIR";
            PlanError::of_file(&current.display().to_string(), message, hint)
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of its scenarios, sorted.
    ///
    /// # Errors
    /// If the folder cannot be read or holds more than [`SCENARIOS_MAX`] files.
    pub fn names(&self) -> Result<Vec<String>, PlanError> {
        let failed = |error: std::io::Error| {
            let message = format!("the folder cannot be read: {error}");
            PlanError::of_file(&self.folder.display().to_string(), message, "check its permissions")
        };
        let mut names = Vec::new();
        for (count, entry) in fs::read_dir(&self.folder).map_err(failed)?.enumerate() {
            if count == SCENARIOS_MAX {
                let message = format!("the folder holds more than {SCENARIOS_MAX} files");
                let hint = "is this a catalogue of scenarios?";
                return Err(PlanError::of_file(&self.folder.display().to_string(), message, hint));
            }
            let path = entry.map_err(failed)?.path();
            let is_toml = path.extension().is_some_and(|extension| extension == "toml");
            if let (true, Some(stem)) = (is_toml, path.file_stem()) {
                names.push(stem.to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Every scenario, by name. One that cannot be read stands as its error, so that one bad file does not
    /// hide the others.
    ///
    /// # Errors
    /// As [`Catalog::names`].
    pub fn scenarios(&self) -> Result<Vec<Result<Scenario, PlanError>>, PlanError> {
        Ok(self.names()?.iter().map(|name| load_scenario(&self.path_of(name))).collect())
    }

    /// The file of a name.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.toml"))
    }

    fn unknown(&self, name: &str) -> PlanError {
        let hint = match self.names() {
            Ok(names) => did_you_mean(name, names.iter().map(String::as_str)).map_or_else(
                || "`stormglass list` shows the catalogue".to_owned(),
                |best| format!("did you mean `{best}`?"),
            ),
            Err(error) => error.to_string(),
        };
        let message = format!("there is no such scenario in {}", self.folder.display());
        PlanError::of_file(name, message, hint)
    }
}

/// The file that the user means by `argument`: a path, or a name in the catalogue. What looks like a path
/// (it ends in `.toml` or has a separator) or exists is taken for one.
///
/// # Errors
/// If it is a name and there is no catalogue, or nothing of that name in it.
pub fn resolve(argument: &str, explicit: Option<&Path>, current: &Path) -> Result<PathBuf, PlanError> {
    let path = Path::new(argument);
    let looks_like_path =
        argument.contains(['/', '\\']) || argument.ends_with(".toml") || argument.is_empty();
    if looks_like_path || current.join(path).is_file() {
        return Ok(path.to_owned());
    }
    let catalog = Catalog::find(explicit, current)?;
    let file = catalog.path_of(argument);
    if file.is_file() { Ok(file) } else { Err(catalog.unknown(argument)) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use super::{Catalog, resolve};
    use crate::plan::{expand, load_scenario, parse_schedule};

    fn ours() -> Catalog {
        Catalog::find(None, Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the project has a catalogue")
    }

    #[test]
    fn every_scenario_of_the_catalogue_loads_and_expands_for_many_seeds() {
        let scenarios = ours().scenarios().unwrap();
        assert!(scenarios.len() >= 14, "only {} scenarios", scenarios.len());
        for scenario in scenarios {
            let scenario = scenario.unwrap_or_else(|error| panic!("{}", error.rendered()));
            assert!(scenario.claim.ends_with('.'), "{}: a claim is a sentence", scenario.name);
            for seed in 0..100 {
                let schedule = expand(&scenario, seed);
                let read = parse_schedule("schedule.toml", &schedule.to_toml());
                assert_eq!(read.as_ref(), Ok(&schedule), "{} seed {seed}", scenario.name);
                assert_eq!(schedule.faults.is_empty(), scenario.name == "calm");
            }
        }
    }

    #[test]
    fn no_two_scenarios_make_the_same_claim() {
        let mut claims = BTreeMap::new();
        for scenario in ours().scenarios().unwrap().into_iter().flatten() {
            let other = claims.insert(scenario.claim, scenario.name.clone());
            assert_eq!(other, None, "{}", scenario.name);
        }
    }

    #[test]
    fn a_name_a_path_and_a_misspelt_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = resolve("leader-crash", None, root).unwrap();
        assert_eq!(load_scenario(&path).unwrap().name, "leader-crash");
        assert_eq!(resolve("./x.toml", None, root).unwrap(), Path::new("./x.toml"));
        let error = resolve("leader-crsh", None, root).unwrap_err();
        assert_eq!(error.hint, "did you mean `leader-crash`?");
        let error = resolve("leader-crash", Some(Path::new("nowhere")), root).unwrap_err();
        assert_eq!(error.to_string(), "nowhere: this is not a folder");
    }

    #[test]
    fn an_explicit_folder_comes_before_the_projects() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine.toml"), "claim = \"Mine.\"").unwrap();
        fs::write(folder.path().join("bad.toml"), "claim = 3").unwrap();
        let catalog = Catalog::find(Some(folder.path()), Path::new("/")).unwrap();
        assert_eq!(catalog.names().unwrap(), ["bad", "mine"]);
        let scenarios = catalog.scenarios().unwrap();
        assert!(scenarios[0].is_err() && scenarios[1].is_ok());
    }
}
