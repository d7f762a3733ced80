//! Secrets: read from a file or the environment, held where they cannot be shown.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use engine::Secret;
use secrecy::SecretString;

use crate::{Place, check::Check};

/// Reads a secret, or reports why it cannot be.
///
/// On a problem an empty secret is given, which nobody sees: settings with problems are not used.
pub(crate) fn read(secret: &Secret, place: &Place, check: &mut Check<'_>) -> SecretString {
    let value = match secret {
        Secret::File(path) => {
            let path = check.file(path);
            read_file(&path, &place.key("file"), check)
        }
        Secret::Env(name) => read_variable(name, &place.key("env"), check),
    };
    SecretString::from(value.unwrap_or_default())
}

fn read_file(path: &Path, place: &Place, check: &mut Check<'_>) -> Option<String> {
    check_private(path, place, check);
    match fs::read_to_string(path) {
        Ok(content) => {
            let value = content.strip_suffix('\n').unwrap_or(&content);
            let value = value.strip_suffix('\r').unwrap_or(value).to_owned();
            if value.is_empty() {
                check.report(place, format!("`{}` is empty", path.display()));
            }
            Some(value)
        }
        Err(error) => {
            check.report(
                place,
                format!("`{}` cannot be read: {error}", path.display()),
            );
            None
        }
    }
}

/// Reports a file that every user of the machine may read or write. Groups are left alone: containers get their secrets
/// through them.
pub(crate) fn check_private(path: &Path, place: &Place, check: &mut Check<'_>) {
    if let Ok(metadata) = fs::metadata(path)
        && metadata.permissions().mode() & 0o007 != 0
    {
        check.report(
            place,
            format!(
                "every user may open `{0}`; run `chmod o= {0}`",
                path.display()
            ),
        );
    }
}

fn read_variable(name: &str, place: &Place, check: &mut Check<'_>) -> Option<String> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Some(value),
        Ok(_) => {
            check.report(place, format!("the environment variable `{name}` is empty"));
            None
        }
        Err(std::env::VarError::NotPresent) => {
            check.report(
                place,
                format!("the environment variable `{name}` is not set"),
            );
            None
        }
        Err(std::env::VarError::NotUnicode(_)) => {
            check.report(
                place,
                format!("the environment variable `{name}` is not UTF-8"),
            );
            None
        }
    }
}
