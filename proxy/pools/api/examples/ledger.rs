//! Prints how far each operation is built; `cargo xtask ledger` runs it. With `--write` it rewrites `tests/ledger`.

use std::path::Path;
use std::{env, fs, io};

use portcullis_api::ledger::{self, State};

fn main() -> io::Result<()> {
    for entry in ledger::entries() {
        println!(
            "{:<9}  {} {}",
            entry.state.to_string(),
            entry.service,
            entry.operation
        );
    }
    if env::args().any(|argument| argument == "--write") {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/ledger");
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("not_built.txt"),
            ledger::lines(State::is_not_built),
        )?;
        fs::write(
            folder.join("recorded.txt"),
            ledger::lines(State::is_recorded),
        )?;
    }
    Ok(())
}
