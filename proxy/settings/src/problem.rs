//! What is wrong with the settings: all of it, each with its place and what to do.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The member, as `routes[2].upstream.to`; empty for the file as a whole.
    pub place: String,
    /// Where it is written, from 1; absent where nothing is written.
    pub line: Option<u64>,
    /// What is wrong and what to do.
    pub message: String,
}

/// Everything that is wrong with a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: PathBuf,
    list: Vec<Problem>,
    files: Vec<PathBuf>,
}

impl Problems {
    /// Problems of this file, in the order of their lines.
    pub fn new(file: &Path, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.line);
        Self {
            file: file.to_owned(),
            list,
            files: Vec::new(),
        }
    }

    /// With the files and folders whose content counts.
    pub(crate) fn naming(self, files: Vec<PathBuf>) -> Self {
        Self { files, ..self }
    }

    /// The files and folders whose content counts, as far as the settings could be read: whoever mends one of them may
    /// have mended the problem.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Each problem, in the order of the file.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, file) = (self.list.len(), self.file.display());
        write!(
            f,
            "{count} problem{} in {file}",
            if count == 1 { "" } else { "s" }
        )?;
        self.list
            .iter()
            .enumerate()
            .try_for_each(|(index, problem)| write!(f, "\n{:3}. {problem}", index + 1))
    }
}

impl std::error::Error for Problems {}
