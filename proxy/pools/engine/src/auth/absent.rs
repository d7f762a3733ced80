//! What is shown of a user who does not exist, where a client prevents user existence errors: the same each time, on
//! every node, and of the same shape as what is shown of users who do
//! (<https://docs.aws.amazon.com/cognito/latest/developerguide/cognito-user-pool-managing-errors.html>).

use super::SignIn;
use crate::srp::{GROUP_BYTES, SALT_BYTES, Salt, Verifier};
use crate::user::name::{Alias, canonical};
use crate::{Error, Result};

/// A name that nobody has, or the stand-in for a password that somebody does not have.
#[derive(Debug, Clone)]
pub(super) struct Absent {
    name: String,
    /// A UUID in place of `sub`.
    pub(super) sub: String,
}

impl Absent {
    /// The stand-in of the user that a caller named.
    pub(super) async fn of(sign_in: SignIn<'_>, given: &str) -> Result<Self> {
        let name = canonical(given, sign_in.pool.case()).into_owned();
        let bytes = derive(sign_in, "sub", &name).await?;
        let sub = uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string();
        Ok(Self { name, sub })
    }

    /// `USER_ID_FOR_SRP`. Whoever exists is shown the username: the name itself, or a UUID where an address is the
    /// username. Whoever signs in with an alias is shown another name than the one sent: a UUID is as good as any.
    pub(super) fn user_id(&self, sign_in: SignIn<'_>, given: &str) -> String {
        let pool = sign_in.pool;
        let has_id = !pool.username_attributes().is_empty()
            || Alias::of(pool, given).is_some_and(Alias::is_address);
        if has_id {
            self.sub.clone()
        } else {
            self.name.clone()
        }
    }

    /// A salt.
    pub(super) async fn salt(&self, sign_in: SignIn<'_>) -> Result<Salt> {
        Ok(Salt::new(
            derive::<SALT_BYTES>(sign_in, "salt", &self.name).await?,
        ))
    }

    /// A verifier to which nobody knows a password; no exponentiation, as a stored one costs none either.
    pub(super) async fn verifier(&self, sign_in: SignIn<'_>) -> Result<Verifier> {
        let bytes = derive::<GROUP_BYTES>(sign_in, "verifier", &self.name).await?;
        Verifier::from_bytes(&bytes).ok_or(Error::Crypto("making an SRP verifier"))
    }
}

async fn derive<const N: usize>(sign_in: SignIn<'_>, what: &str, name: &str) -> Result<[u8; N]> {
    let purpose = ["absent user's ", what].concat();
    let derivation = &sign_in.engine.auth().derivation;
    derivation
        .bytes(sign_in.engine, &purpose, &[sign_in.pool.id(), name])
        .await
}
