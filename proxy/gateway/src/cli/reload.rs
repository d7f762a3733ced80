//! `portcullis reload`: has a running gate read its settings again, and says what came of it.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    Reload,
    operator::{call, endpoint, plain, variable},
};

/// Asks, waits for the answer, and prints the generation that is in force then.
pub(super) fn run(ask: &Reload) -> anyhow::Result<()> {
    let endpoint = endpoint(ask.endpoint.as_deref())?;
    let region = ask.region.clone().or_else(|| variable("AWS_REGION"));
    let region = region.unwrap_or_else(|| REGION.to_owned());
    let output = call(&endpoint, &region, "Reload", &json!({}))
        .with_context(|| format!("the reload at `{endpoint}` failed"))?;
    let generation = output.get("Generation").and_then(Value::as_u64);
    let generation = generation.context("the answer names no generation")?;
    println!("{generation}");
    eprintln!("portcullis: `{endpoint}` has read its settings again, as generation {generation}");
    let awaiting = output.get("AwaitingRestart").and_then(Value::as_array);
    for what in awaiting.into_iter().flatten().filter_map(Value::as_str) {
        let what = plain(what);
        eprintln!("portcullis: `{what}` has changed and waits for a restart or an upgrade");
    }
    Ok(())
}

/// Any will do: an engine checks the region that was signed for.
const REGION: &str = "us-east-1";
