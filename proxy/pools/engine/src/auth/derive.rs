//! Values that must be the same each time and that nobody can compute: what a user who does not exist is shown, and the
//! successor of a refresh token.
//!
//! They come from a random key of our own, which stands sealed in the store, so that they survive a change of the seal
//! key and are the same on every node.

use aws_lc_rs::hmac;
use store::{Tx, args};
use tokio::sync::OnceCell;

use crate::seal::place;
use crate::{Engine, Result, rng};

/// The key, read from the store once.
#[derive(Debug, Default)]
pub(crate) struct Derivation(OnceCell<hmac::Key>);

impl Derivation {
    /// `N` bytes for a purpose and its inputs.
    pub(crate) async fn bytes<const N: usize>(
        &self,
        engine: &Engine,
        purpose: &str,
        inputs: &[&str],
    ) -> Result<[u8; N]> {
        let key = self.0.get_or_try_init(|| load(engine)).await?;
        Ok(expand(key, purpose, inputs))
    }
}

/// HMAC in counter mode (NIST SP 800-108 section 4.1) over the length-prefixed inputs.
fn expand<const N: usize>(key: &hmac::Key, purpose: &str, inputs: &[&str]) -> [u8; N] {
    let label = place(purpose, "", inputs);
    let mut out = [0; N];
    for (counter, chunk) in (0_u32..).zip(out.chunks_mut(BLOCK)) {
        let mut context = hmac::Context::with_key(key);
        context.update(&counter.to_be_bytes());
        context.update(label.as_bytes());
        for (byte, derived) in chunk.iter_mut().zip(context.sign().as_ref()) {
            *byte = *derived;
        }
    }
    out
}

async fn load(engine: &Engine) -> Result<hmac::Key> {
    let aad = place("derivation_keys", "sealed", &[NAME]);
    let fresh = engine
        .sealer()
        .seal(engine.rng(), &aad, &rng::bytes::<BLOCK>(engine.rng()))?;
    let sealed = engine
        .db()
        .write(move |tx| {
            let fresh = fresh.clone();
            Box::pin(async move { first(tx, &fresh).await })
        })
        .await?;
    Ok(hmac::Key::new(
        hmac::HMAC_SHA256,
        &engine.sealer().open(&aad, &sealed)?,
    ))
}

/// The stored key, which is `fresh` if there was none.
async fn first(tx: &mut Tx, fresh: &str) -> Result<String> {
    let insert =
        "INSERT INTO derivation_keys (name, sealed) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    tx.execute(insert, args![NAME, fresh]).await?;
    let row = tx
        .row(
            "SELECT sealed FROM derivation_keys WHERE name = $1",
            args![NAME],
        )
        .await?;
    Ok(row
        .ok_or(crate::Error::Corrupt {
            what: "derivation key",
            source: None,
        })?
        .text("sealed")?)
}

const NAME: &str = "auth";
const BLOCK: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_anything_derives_differently() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let base: [u8; 80] = expand(&key, "salt", &["pool", "ada"]);
        assert_eq!(base, expand(&key, "salt", &["pool", "ada"]));
        for (purpose, inputs) in [
            ("salu", ["pool", "ada"]),
            ("salt", ["poola", "da"]),
            ("salt", ["pool", "adb"]),
        ] {
            assert_ne!(base, expand(&key, purpose, &inputs));
        }
        assert_ne!(
            base,
            expand(
                &hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]),
                "salt",
                &["pool", "ada"]
            )
        );
        assert_ne!(base.first_chunk::<32>(), base.last_chunk::<32>());
    }
}
