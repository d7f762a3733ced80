//! The files of a policy directory.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{self, SHA256};
use miette::Diagnostic;

use crate::{Problem, Problems};

/// The files of a directory.
pub(crate) struct Files {
    pub(crate) policies: Vec<File>,
    pub(crate) schemas: Vec<File>,
    pub(crate) tests: Vec<File>,
}

/// One file.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Files {
    /// Reads all policies, schemas and tests in a directory and below it, in the order of their paths. What starts with a
    /// dot is left out.
    pub(crate) fn read(dir: &Path) -> Result<Self, Problems> {
        let mut files = Self {
            policies: Vec::new(),
            schemas: Vec::new(),
            tests: Vec::new(),
        };
        let mut problems = Vec::new();
        files.walk(dir, &mut problems);
        if problems.is_empty() {
            Ok(files)
        } else {
            Err(Problems(problems))
        }
    }

    fn walk(&mut self, dir: &Path, problems: &mut Vec<Problem>) {
        let entries = std::fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries
            .map_err(|error| problems.push(Problem::of_file(dir, error.to_string())))
            .unwrap_or_default();
        entries.sort_by_key(std::fs::DirEntry::path);
        for entry in entries {
            let (path, name) = (
                entry.path(),
                entry.file_name().to_string_lossy().into_owned(),
            );
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                self.walk(&path, problems);
            } else if let Some(files) = self.kind(&name) {
                match std::fs::read_to_string(&path) {
                    Ok(text) => files.push(File { path, text }),
                    Err(error) => problems.push(Problem::of_file(path, error.to_string())),
                }
            }
        }
    }

    fn kind(&mut self, name: &str) -> Option<&mut Vec<File>> {
        let is = |suffix: &str| name.ends_with(suffix);
        if is(".cedarschema") || is(".cedarschema.json") {
            Some(&mut self.schemas)
        } else if is(".cedar") {
            Some(&mut self.policies)
        } else {
            (is(".yaml") || is(".yml")).then_some(&mut self.tests)
        }
    }

    /// Of what decides: policies and schema, by their paths within the directory.
    pub(super) fn hash(&self, dir: &Path) -> String {
        let mut context = digest::Context::new(&SHA256);
        for file in self.schemas.iter().chain(&self.policies) {
            let path = file
                .path
                .strip_prefix(dir)
                .unwrap_or(&file.path)
                .to_string_lossy();
            for part in [&*path, &*file.text] {
                context.update(&(part.len() as u64).to_le_bytes());
                context.update(part.as_bytes());
            }
        }
        hex::encode(context.finish())
    }
}

impl File {
    /// A problem that Cedar found, with its hint.
    pub(super) fn problem(&self, found: &dyn Diagnostic) -> Problem {
        let mut message = found.to_string();
        let label = found.labels().and_then(|mut labels| labels.next());
        for hint in [
            label
                .as_ref()
                .and_then(|label| label.label().map(str::to_owned)),
            found.help().map(|help| help.to_string()),
        ] {
            message.extend(hint.into_iter().flat_map(|hint| ["; ".to_owned(), hint]));
        }
        match label {
            Some(label) => Problem::at(&self.path, &self.text, label.offset(), message),
            None => Problem::of_file(&self.path, message),
        }
    }
}
