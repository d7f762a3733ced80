//! Logs and records: levels that are some, and a file for each.

use std::{collections::HashSet, path::PathBuf};

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use crate::{Decisions, Log, Output, Place, check::Check, written::NONE};

/// Checks, and makes paths absolute.
pub(crate) fn check(mut log: Log, check: &mut Check<'_>) -> Log {
    let place = Place::from("log");
    if let Some(level) = log.level.as_deref().filter(|level| !is_filter(level)) {
        let message =
            format!("`{level}` is not a level as `info`, nor a filter as `warn,portcullis=debug`");
        check.report(&place.key("level"), message);
    }
    let access = place.key("access").key("file");
    let decisions = match &mut log.decisions {
        Decisions::To(output) => output.file_mut(),
        Decisions::Nowhere => None,
    };
    let lines = log.access.as_mut();
    let lines = lines.and_then(|access| Output::file_mut(&mut access.file));
    if lines.as_ref().is_some_and(|file| file.as_os_str() == NONE) {
        check.report(&access, "leave `log.access` out to have none");
    }
    let mut seen: HashSet<PathBuf> = HashSet::new();
    for (place, file) in [
        (place.key("decisions"), decisions),
        (access, lines),
        (place.key("file"), log.file.as_mut()),
    ] {
        let Some(file) = file else { continue };
        *file = check.path(file);
        if !seen.insert(file.clone()) {
            check.report(&place, "another log has this file; give each its own");
        }
        if file.parent().is_some_and(|folder| !folder.is_dir()) {
            check.report(
                &place,
                format!("the folder of `{}` does not exist; make it", file.display()),
            );
        }
    }
    log
}

/// What `tracing` takes. It also takes a word that is no level, for the name of a crate: the log of nothing else.
fn is_filter(text: &str) -> bool {
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    EnvFilter::try_new(text).is_ok() && (!is_word || text.parse::<LevelFilter>().is_ok())
}
