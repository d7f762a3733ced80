//! A user's password at rest: an argon2id hash and an SRP verifier, both sealed, since the verifier alone would let
//! passwords be tested at the speed of one fast hash.
//!
//! Passwords are taken as the bytes that came: no trimming, no normalisation, no change of case (ASVS V6.2.8).

use std::fmt;

use zeroize::Zeroizing;

use crate::hasher::Comparison;
use crate::seal::place;
use crate::srp::{Salt, Verifier};
use crate::{Engine, Error, Result, rng};

/// Whose password it is: what its seals are bound to, and the name that SRP hashes.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The pool's id.
    pub pool_id: &'a str,
    /// The user's `sub`.
    pub sub: &'a str,
    /// The user's name, which clients are told as `USER_ID_FOR_SRP`; it never changes.
    pub username: &'a str,
}

/// What the store keeps of a password.
#[derive(Clone)]
pub struct Prepared {
    /// Column `password_hash`: a sealed PHC string.
    pub hash: String,
    /// Column `srp_salt`: hexadecimal, public.
    pub salt: String,
    /// Column `srp_verifier`: sealed.
    pub verifier: String,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Prepared")
            .field("salt", &self.salt)
            .finish_non_exhaustive()
    }
}

/// Hashes a password for the store. It costs as much as a sign-in: no transaction should be open meanwhile.
pub async fn prepare(engine: &Engine, owner: Owner<'_>, password: &str) -> Result<Prepared> {
    let hash = hash(engine, owner, password).await?;
    let salt = Salt::new(rng::bytes(engine.rng()));
    let verifier = verifier(engine, owner, password, salt).await?;
    Ok(Prepared {
        hash,
        salt: salt.hex(),
        verifier: seal(engine, owner, VERIFIER, verifier.to_bytes().as_slice())?,
    })
}

/// The hash alone, for a password whose verifier stays as it is.
pub(crate) async fn hash(engine: &Engine, owner: Owner<'_>, password: &str) -> Result<String> {
    let phc = Zeroizing::new(engine.hasher().hash(password).await?);
    seal(engine, owner, HASH, phc.as_bytes())
}

/// Whether `password` is the one behind a sealed hash. Without a hash the answer is no, after the same work.
pub async fn verify(
    engine: &Engine,
    owner: Owner<'_>,
    hash: Option<&str>,
    password: &str,
) -> Result<bool> {
    let compared = compare(engine, owner, hash, password).await?;
    Ok(compared.is_right())
}

/// Compares `password` with the one behind a sealed hash. Without a hash it is wrong, after the same work.
pub(crate) async fn compare(
    engine: &Engine,
    owner: Owner<'_>,
    hash: Option<&str>,
    password: &str,
) -> Result<Comparison> {
    let Some(sealed) = hash else {
        return engine.hasher().verify_absent(password).await;
    };
    let bytes = engine
        .sealer()
        .open(&place(TABLE, HASH, &[owner.pool_id, owner.sub]), sealed)?;
    let phc =
        std::str::from_utf8(&bytes).map_err(|source| Error::corrupt("password hash", source))?;
    engine.hasher().verify(password, phc).await
}

/// Opens a sealed SRP verifier.
pub(crate) fn open_verifier(engine: &Engine, owner: Owner<'_>, sealed: &str) -> Result<Verifier> {
    let bytes = engine
        .sealer()
        .open(&place(TABLE, VERIFIER, &[owner.pool_id, owner.sub]), sealed)?;
    Verifier::from_bytes(&bytes).ok_or(Error::Corrupt {
        what: "SRP verifier",
        source: None,
    })
}

/// The part of a pool's id that SRP hashes: what stands after the `_`.
fn pool_name(pool_id: &str) -> &str {
    pool_id.split_once('_').map_or(pool_id, |(_, name)| name)
}

async fn verifier(
    engine: &Engine,
    owner: Owner<'_>,
    password: &str,
    salt: Salt,
) -> Result<Verifier> {
    let (pool_id, username) = (owner.pool_id.to_owned(), owner.username.to_owned());
    let password = Zeroizing::new(password.to_owned());
    let work = move || Verifier::of(pool_name(&pool_id), &username, &password, &salt);
    engine.hasher().off_thread(work).await
}

fn seal(engine: &Engine, owner: Owner<'_>, column: &str, plain: &[u8]) -> Result<String> {
    Ok(engine.sealer().seal(
        engine.rng(),
        &place(TABLE, column, &[owner.pool_id, owner.sub]),
        plain,
    )?)
}

const TABLE: &str = "users";
const HASH: &str = "password_hash";
const VERIFIER: &str = "srp_verifier";
