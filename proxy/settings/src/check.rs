//! What every check needs: what was written where, and a place to report to.

use std::path::{Path, PathBuf};

use crate::{Place, Problem, tree::Node};

/// One run of checks over one file.
pub(crate) struct Check<'t> {
    /// The folder that relative paths start from.
    pub(crate) dir: PathBuf,
    /// The tree as it was written.
    pub(crate) written: &'t Node,
    /// The tree without what could not be read, or with a placeholder for it.
    pub(crate) read: &'t Node,
    pub(crate) problems: Vec<Problem>,
    /// What is odd, but may be meant.
    pub(crate) warnings: Vec<Problem>,
    /// The files and folders whose content counts.
    pub(crate) files: Vec<PathBuf>,
}

impl Check<'_> {
    /// Reports a problem at `place`, unless what stands there could not be read and was reported for that.
    pub(crate) fn report(&mut self, place: &Place, message: impl Into<String>) {
        if !self.is_unread(place) {
            let problem = self.problem(place, message.into());
            self.problems.push(problem);
        }
    }

    /// Likewise, of what is odd, but may be meant.
    pub(crate) fn warn(&mut self, place: &Place, message: impl Into<String>) {
        if !self.is_unread(place) {
            let warning = self.problem(place, message.into());
            self.warnings.push(warning);
        }
    }

    fn problem(&self, place: &Place, message: String) -> Problem {
        Problem {
            place: place.to_string(),
            line: self.written.line_of(place),
            message,
        }
    }

    /// Whether what stands at `place`, or around it, could not be read and was reported for that.
    pub(crate) fn is_unread(&self, place: &Place) -> bool {
        let is_gone =
            |place: &Place| self.written.at(place).is_some() && self.read.at(place).is_none();
        self.read.placeholder_around(place).is_some() || place.around().any(|place| is_gone(&place))
    }

    /// Whether something stands at `place`, right or wrong.
    pub(crate) fn is_written(&self, place: &Place) -> bool {
        self.written.at(place).is_some()
    }

    /// The places of a list's items, as they were written.
    pub(crate) fn items(&self, list: &Place) -> Vec<Place> {
        self.read
            .positions(list)
            .into_iter()
            .map(|position| list.index(position))
            .collect()
    }

    /// Whether a list was written with nothing in it, or not at all.
    pub(crate) fn is_empty(&self, list: &Place) -> bool {
        self.written.positions(list).is_empty()
    }

    /// Whether something called `name` was written in a section of the root, right or wrong.
    pub(crate) fn names(&self, section: &str, name: &str) -> bool {
        self.written
            .keys_of(section)
            .iter()
            .any(|known| known == name)
    }

    /// A path from the settings, absolute.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    /// The path of a file or folder whose content counts, absolute.
    pub(crate) fn file(&mut self, path: &Path) -> PathBuf {
        let path = self.path(path);
        self.files.push(path.clone());
        path
    }

    /// Reports that a name refers to nothing, and what there is.
    pub(crate) fn report_unknown(&mut self, place: &Place, section: &str, name: &str) {
        let known = self.written.keys_of(section);
        let message = if known.is_empty() {
            format!("`{name}` is not under `{section}`, where there is nothing")
        } else {
            format!(
                "`{name}` is not under `{section}`; there are: {}",
                known.join(", ")
            )
        };
        self.report(place, message);
    }
}
