//! `portcullis pool`: an operator's changes to pools.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    RotateKeys,
    operator::{call, endpoint, variable},
};

/// Makes new signing keys for a pool, and prints their ids.
pub(super) fn rotate_keys(ask: &RotateKeys) -> anyhow::Result<()> {
    let endpoint = endpoint(ask.endpoint.as_deref())?;
    let input = json!({"UserPoolId": ask.pool});
    let output = call(&endpoint, &region(ask)?, "RotateSigningKeys", &input)
        .with_context(|| format!("rotating the keys of pool `{}` failed", ask.pool))?;
    let ids = output.get("KeyIds").and_then(Value::as_array);
    for id in ids.into_iter().flatten().filter_map(Value::as_str) {
        println!("{id}");
    }
    eprintln!(
        "portcullis: pool `{}` at {endpoint} signs with these new keys from now on; the old ones stay published as long \
         as tokens that they signed may live",
        ask.pool
    );
    Ok(())
}

fn region(ask: &RotateKeys) -> anyhow::Result<String> {
    let of_pool = || {
        let (region, _) = ask.pool.split_once('_')?;
        Some(region.to_owned())
    };
    ask.region
        .clone()
        .or_else(|| variable("AWS_REGION"))
        .or_else(of_pool)
        .with_context(|| {
            let pool = &ask.pool;
            format!("`{pool}` does not begin with a region, as pool ids do; say which it is: `--region` or AWS_REGION")
        })
}
