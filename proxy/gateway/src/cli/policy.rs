//! `portcullis policy`: what policy authors ask.

use std::{path::Path, process::ExitCode};

use decision::Config;

/// Validates a directory, and says what is in it or everything that is wrong.
pub(super) fn check(path: &Path) -> ExitCode {
    let checked = Config::infer(path).and_then(|config| decision::check(&config));
    match checked {
        Ok(checked) => {
            println!("{checked}");
            ExitCode::SUCCESS
        }
        Err(problems) => {
            println!("{problems}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a directory's tests.
pub(super) fn test(path: &Path) -> ExitCode {
    let tested = Config::infer(path).and_then(|config| decision::test(&config));
    match tested {
        Ok(tested) => {
            println!("{tested}");
            if tested.passed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(problems) => {
            println!("{problems}");
            ExitCode::FAILURE
        }
    }
}
