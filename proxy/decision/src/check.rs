//! `policy check`: is this directory right?

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{Config, Policies, Problem, Problems, load};

/// What is in a directory without problems.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The directory.
    pub path: PathBuf,
    /// `@id`s of its policies, sorted.
    pub policies: Vec<String>,
    /// Ids of its actions, sorted.
    pub actions: Vec<String>,
    /// What Cedar finds odd, but not wrong.
    pub warnings: Vec<Problem>,
}

/// Loads and validates a directory.
pub fn check(config: &Config) -> Result<Checked, Problems> {
    let policies = Policies::load(config, 0)?;
    Ok(Checked {
        path: config.path.clone(),
        policies: policies.ids().to_vec(),
        actions: policies.actions().into_iter().map(str::to_owned).collect(),
        warnings: policies.warnings().to_vec(),
    })
}

impl Config {
    /// For a directory that stands alone: callers are of the one type that all actions have principals of, and groups of the
    /// one type that it can be in.
    pub fn infer(path: &Path) -> Result<Self, Problems> {
        load::infer(path)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        let (policies, actions) = (self.policies.len(), self.actions.len());
        let plural = |count: usize, one: &str, many: &str| {
            format!("{count} {}", if count == 1 { one } else { many })
        };
        let (policies, actions) = (
            plural(policies, "policy", "policies"),
            plural(actions, "action", "actions"),
        );
        write!(
            f,
            "{}: {policies} for {actions}, no problems",
            self.path.display()
        )
    }
}
