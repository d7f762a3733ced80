//! The ledger files say what the tables say, and the lists of what is not built only shrink.

use std::path::Path;
use std::{fs, str::Lines};

use crate::dispatch::Target;
use crate::ledger::{State, Who, lines};

/// Operations that are not built. May only be lowered.
const NOT_BUILT: usize = 181;

/// Operations that are recorded without effect. May only be lowered.
const RECORDED: usize = 0;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/ledger")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_files_equal_the_tables() {
    let hint = "run `cargo xtask ledger --write`";
    assert_eq!(file("not_built.txt"), lines(State::is_not_built), "{hint}");
    assert_eq!(file("recorded.txt"), lines(State::is_recorded), "{hint}");
}

#[test]
fn what_is_not_built_only_shrinks() {
    let count = |wanted: fn(State) -> bool| Lines::count(lines(wanted).lines());
    let hint = "a row went back, or fewer are left: lower the number in this file, never raise it";
    assert_eq!(count(State::is_not_built), NOT_BUILT, "{hint}");
    assert_eq!(count(State::is_recorded), RECORDED, "{hint}");
}

#[test]
fn all_operations_have_a_row() {
    assert_eq!(crate::ledger::entries().len(), 226);
}

#[test]
fn rows_name_the_caller_that_the_model_asks_for() {
    for target in Target::all() {
        let who = match target.state() {
            State::Built(who) | State::Recorded(who) => who,
            State::NotBuilt => continue,
        };
        assert_eq!(who == Who::Admin, target.spec().signed, "{}", target.name());
    }
}
