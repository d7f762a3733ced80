//! Runs saved inputs through a target: `replay TARGET FILE…`; without a target it lists them.

use std::{fs, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        for target in portcullis_fuzz::TARGETS {
            println!("{}", target.name);
        }
        return ExitCode::SUCCESS;
    };
    let Some(target) = portcullis_fuzz::target(&name) else {
        eprintln!("`{name}` is no target");
        return ExitCode::FAILURE;
    };
    for file in arguments {
        match fs::read(&file) {
            Ok(input) => {
                (target.run)(&input);
                println!("{file}: holds");
            }
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
