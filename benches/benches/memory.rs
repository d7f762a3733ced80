//! What a remembered token takes: `cargo bench -p portcullis-benches --bench memory`.
//!
//! Lets many callers through, each with a token of its own, looks how much the process has grown, and asks again to see that
//! every token is remembered. Fails where one takes more than is asked, or some are forgotten.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use portcullis_benches::{Crowd, resident};

fn main() -> Result<ExitCode> {
    // As in the product.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // `cargo test --benches` runs this too, without `--bench`: then that it can be set up is enough.
    let measured = std::env::args().any(|argument| argument == "--bench");
    let callers = 1..=if measured { CALLERS } else { 1 };
    let crowd = Crowd::new()?;
    // What the first caller brings in, the others find.
    ensure!(!crowd.admit(&crowd.token(0))?, "remembered too soon");
    let before = resident()?;
    for caller in callers.clone() {
        crowd.admit(&crowd.token(caller))?;
    }
    let grown = resident()?.saturating_sub(before);
    let mut remembered = 0;
    for caller in callers.clone() {
        remembered += u32::from(crowd.admit(&crowd.token(caller))?);
    }
    if !measured {
        ensure!(remembered == 1, "forgotten at once");
        return Ok(ExitCode::SUCCESS);
    }
    let each = grown / u64::from(CALLERS);
    println!("{remembered} of {CALLERS} tokens and their callers remembered");
    println!("{each} bytes each, {MOST} at most are asked");
    let holds = remembered == CALLERS && each <= MOST;
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

const CALLERS: u32 = 100_000;
/// With an idle gate's 40 MB, this makes the 200 MB that are asked.
const MOST: u64 = 1600;
