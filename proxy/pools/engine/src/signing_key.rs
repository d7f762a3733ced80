//! Signing keys: two RSA-2048 keys a pool, one for ID tokens and one for access tokens, and their successors.
//!
//! A key is published from the moment it is stored, in use from its activation until its successor's, and published
//! until no token it signed can be alive.

mod ring;
mod rings;
mod sign;
mod store;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};

use ::store::Tx;

pub(crate) use ring::Ring;
pub(crate) use rings::Rings;
pub(crate) use sign::SigningKey;

use crate::change::Change;
use crate::{Engine, Error, Result, rng, seal};

/// Which tokens a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Id,
    Access,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Id, Self::Access];

    fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Access => "access",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A new key, sealed, that is not stored yet.
#[derive(Debug)]
pub(crate) struct Prepared {
    kid: String,
    kind: Kind,
    sealed: String,
    modulus: String,
    created_ms: i64,
    active_ms: i64,
}

/// Two new keys of a pool, made on a thread that may take its time, in use from `active_ms`.
pub(crate) async fn prepare(
    engine: &Engine,
    pool_id: &str,
    active_ms: i64,
) -> Result<Vec<Prepared>> {
    let mut keys = Vec::with_capacity(2);
    // Side by side: the first start waits for both.
    let making = Kind::BOTH.map(|kind| (kind, tokio::task::spawn_blocking(generate)));
    for (kind, pair) in making {
        let pair = pair
            .await
            .map_err(|_| Error::Crypto("making a signing key"))??;
        keys.push(Prepared::of(engine, pool_id, kind, &pair, active_ms)?);
    }
    Ok(keys)
}

/// Stores new keys of a pool.
pub(crate) async fn insert(tx: &mut Tx, pool_id: &str, keys: &[Prepared]) -> Result<()> {
    for key in keys {
        store::insert(tx, pool_id, key).await?;
    }
    Ok(())
}

/// Makes the successors of a pool's keys; they are published at once and sign from `active_ms` on.
///
/// Returns their `kid`s. The keys before them stay published while a token of theirs may be alive.
pub async fn rotate(engine: &Engine, pool_id: &str, active_ms: i64) -> Result<Vec<String>> {
    crate::pool::load(engine, pool_id).await?;
    succeed(engine, pool_id, active_ms, None).await
}

/// Rotates by schedule, and removes keys whose tokens have all expired.
pub(crate) async fn maintain(engine: &Engine) -> Result<()> {
    let settings = engine.config().signing_keys;
    let now_ms = engine.now_ms();
    engine.rings().forget_unused();
    for pool_id in store::remove_retired(engine.db(), now_ms - KEPT_MS).await? {
        engine.rings().reload(engine, &pool_id).await?;
    }
    if settings.rotation_days == 0 {
        return Ok(());
    }
    let ahead_ms = i64::from(settings.publish_ahead_hours) * HOUR_MS;
    let life_ms = i64::from(settings.rotation_days) * 24 * HOUR_MS;
    for (pool_id, newest_ms) in store::due(engine.db(), now_ms + ahead_ms - life_ms).await? {
        // Keys that a long standstill left overdue still get their time of being published.
        let active_ms = (newest_ms + life_ms).max(now_ms + ahead_ms);
        let kids = succeed(engine, &pool_id, active_ms, Some(newest_ms)).await?;
        tracing::info!(pool = %pool_id, ?kids, active_ms, "New signing keys are published");
    }
    Ok(())
}

/// Stores new keys, unless the newest are no longer those of `newest_ms`: another process was faster.
async fn succeed(
    engine: &Engine,
    pool_id: &str,
    active_ms: i64,
    newest_ms: Option<i64>,
) -> Result<Vec<String>> {
    let keys = prepare(engine, pool_id, active_ms).await?;
    let kids = keys.iter().map(|key| key.kid.clone()).collect();
    let stored = engine
        .db()
        .write_with(
            (pool_id.to_owned(), keys, newest_ms),
            |tx, (pool_id, keys, newest_ms)| {
                Box::pin(async move {
                    if newest_ms.is_some() && store::newest(tx, pool_id).await? != *newest_ms {
                        return Ok::<_, Error>(false);
                    }
                    insert(tx, pool_id, keys).await?;
                    Change::Keys(pool_id.clone()).announce(tx).await?;
                    Ok(true)
                })
            },
        )
        .await?;
    engine.rings().reload(engine, pool_id).await?;
    Ok(if stored { kids } else { Vec::new() })
}

/// The JWK set of a pool, as served at `/.well-known/jwks.json`.
pub async fn jwks(engine: &Engine, pool_id: &str) -> Result<std::sync::Arc<str>> {
    // Anybody may ask for any name: only a pool that is there gets a place in memory.
    let pool = crate::pool::load(engine, pool_id).await?;
    Ok(engine.rings().load(engine, pool.id()).await?.jwks())
}

impl Prepared {
    fn of(
        engine: &Engine,
        pool_id: &str,
        kind: Kind,
        pair: &RsaKeyPair,
        active_ms: i64,
    ) -> Result<Self> {
        // As AWS's look: 32 random bytes in padded base64.
        let id = BASE64.encode(rng::bytes::<32>(engine.rng()));
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(pair)
            .map_err(|_| Error::Crypto("making a signing key"))?;
        let place = seal::place("signing_keys", "sealed", &[pool_id, &id]);
        Ok(Self {
            sealed: engine.sealer().seal(engine.rng(), &place, der.as_ref())?,
            modulus: BASE64_URL.encode(
                pair.public_key()
                    .modulus()
                    .big_endian_without_leading_zero(),
            ),
            kid: id,
            kind,
            created_ms: engine.now_ms(),
            active_ms,
        })
    }
}

fn generate() -> Result<RsaKeyPair> {
    RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Crypto("making a signing key"))
}

const HOUR_MS: i64 = 3_600_000;
/// How long a key stays published after its successor took over: the longest token's life and an hour for clocks.
const KEPT_MS: i64 = 25 * HOUR_MS;

#[cfg(test)]
mod tests;
