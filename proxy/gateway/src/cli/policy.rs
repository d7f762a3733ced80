//! `portcullis policy`: what policy authors ask.

use std::{path::Path, process::ExitCode};

use decision::{Config, Problems};

/// Validates a directory, and says what is in it or everything that is wrong.
pub(super) fn check(path: &Path) -> ExitCode {
    let checked = Config::infer(path).and_then(|config| decision::check(&config));
    match checked {
        Ok(checked) => {
            println!("{checked}");
            ExitCode::SUCCESS
        }
        Err(problems) => failed(path, &problems),
    }
}

/// Runs a directory's tests.
pub(super) fn test(path: &Path) -> ExitCode {
    let tested = Config::infer(path).and_then(|config| decision::test(&config));
    match tested {
        Ok(tested) => {
            // The failures come first, a line each; the last line counts.
            let text = tested.to_string();
            let (failures, counts) = text.rsplit_once('\n').unwrap_or(("", &text));
            if !failures.is_empty() {
                println!("{failures}\n");
            }
            println!("{}: {counts}", path.display());
            if tested.passed() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(problems) => failed(path, &problems),
    }
}

fn failed(path: &Path, problems: &Problems) -> ExitCode {
    let count = problems.iter().count();
    let plural = if count == 1 { "" } else { "s" };
    println!(
        "{problems}\n\n{count} problem{plural} in {}",
        path.display()
    );
    ExitCode::FAILURE
}
