//! One target under libFuzzer: `FUZZ_TARGET` names it, the arguments are libFuzzer's. `scripts/soak` runs it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

fn chosen() -> Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    portcullis_fuzz::target(&name).unwrap_or_else(|| {
        eprintln!("`FUZZ_TARGET` is `{name}`, which is no target");
        std::process::exit(2)
    })
}

fuzz_target!(|input: &[u8]| (TARGET.get_or_init(chosen).run)(input));
