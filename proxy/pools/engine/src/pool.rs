//! User pools: their settings as AWS shows them, and the views of those settings that have effect.

mod document;
mod password;
pub mod schema;
mod store;

use std::sync::Arc;

use ::store::Tx;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use document::drop_nulls;
pub use document::Document;
pub use password::PasswordPolicy;
pub use schema::Schema;

use crate::change::Change;
use crate::revocation::{self, Revocation};
use crate::user::name::Case;
use crate::{Engine, Error, Result, cache, rng, signing_key};

/// Pools by id.
pub(crate) type Cache = cache::Cache<Pool>;

/// A pool as it was when it was loaded; never changed in place.
#[derive(Debug)]
pub struct Pool {
    id: String,
    name: String,
    document: Document,
    created_ms: i64,
    modified_ms: i64,
    password_policy: PasswordPolicy,
    schema: Schema,
    auto_verified: Vec<String>,
    aliases: Vec<String>,
    username_attributes: Vec<String>,
    verified_before_update: Vec<String>,
    case: Case,
    mfa: Mfa,
    admin_create_only: bool,
    deletion_protected: bool,
}

/// `MfaConfiguration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mfa {
    /// No second factor.
    Off,
    /// Who set one up is asked for it.
    Optional,
    /// Everybody is asked for one.
    On,
}

/// What `ListUserPools` says of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The pool's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `LambdaConfig`.
    pub triggers: Value,
    /// Epoch milliseconds.
    pub created_ms: i64,
    /// Epoch milliseconds.
    pub modified_ms: i64,
}

impl Pool {
    /// `<region>_<alphanumerics>`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The part of the id behind the `_`, which SRP calls the pool's name.
    pub fn srp_name(&self) -> &str {
        self.id.split_once('_').map_or(&self.id, |(_, name)| name)
    }

    /// Its friendly name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The settings in AWS's shape, as `DescribeUserPool` gives them (without ids, name, dates and counts).
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Epoch milliseconds.
    pub fn created_ms(&self) -> i64 {
        self.created_ms
    }

    /// Epoch milliseconds of the last change.
    pub fn modified_ms(&self) -> i64 {
        self.modified_ms
    }

    /// The rules for passwords.
    pub fn password_policy(&self) -> &PasswordPolicy {
        &self.password_policy
    }

    /// The attributes users may have.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether `email` or `phone_number` is verified by a code at sign-up.
    pub fn auto_verifies(&self, attribute: &str) -> bool {
        contains(&self.auto_verified, attribute)
    }

    /// `AutoVerifiedAttributes`.
    pub fn auto_verified_attributes(&self) -> &[String] {
        &self.auto_verified
    }

    /// Whether users may sign in with this attribute besides their username.
    pub fn has_alias(&self, attribute: &str) -> bool {
        contains(&self.aliases, attribute)
    }

    /// `AliasAttributes`.
    pub fn alias_attributes(&self) -> &[String] {
        &self.aliases
    }

    /// Attributes whose value is the username (`email`, `phone_number`); empty where usernames are chosen freely.
    pub fn username_attributes(&self) -> &[String] {
        &self.username_attributes
    }

    /// Whether a new value of `email` or `phone_number` waits until it is proved.
    pub fn verifies_before_update(&self, attribute: &str) -> bool {
        contains(&self.verified_before_update, attribute)
    }

    /// Whether `Ada` and `ada` are two users.
    pub fn case(&self) -> Case {
        self.case
    }

    /// Whether `Ada` and `ada` are two users.
    pub fn is_case_sensitive(&self) -> bool {
        self.case == Case::Sensitive
    }

    /// Second factors.
    pub fn mfa(&self) -> Mfa {
        self.mfa
    }

    /// Whether only operators make users.
    pub fn is_admin_create_only(&self) -> bool {
        self.admin_create_only
    }

    /// Whether the pool refuses to be deleted.
    pub fn is_deletion_protected(&self) -> bool {
        self.deletion_protected
    }

    /// A text of a message template, as `["VerificationMessageTemplate", "EmailMessage"]`.
    pub fn template(&self, path: &[&str]) -> Option<&str> {
        document::at(&self.document, path).and_then(Value::as_str)
    }

    fn build(id: String, name: String, document: Document, created_ms: i64, modified_ms: i64) -> Result<Self> {
        let texts = |path: &[&str]| document::texts(&document, path);
        let policy = document::at(&document, &["Policies", "PasswordPolicy"]);
        let flag = |path: &[&str]| document::at(&document, path).and_then(Value::as_bool);
        let text = |key: &str| document.get(key).and_then(Value::as_str);
        Ok(Self {
            password_policy: policy
                .map_or(Ok(PasswordPolicy::default()), PasswordPolicy::deserialize)
                .map_err(|source| Error::corrupt("password policy", source))?,
            schema: Schema::read(document.get("SchemaAttributes").unwrap_or(&Value::Null))?,
            auto_verified: texts(&["AutoVerifiedAttributes"]),
            aliases: texts(&["AliasAttributes"]),
            username_attributes: texts(&["UsernameAttributes"]),
            verified_before_update: texts(&[
                "UserAttributeUpdateSettings",
                "AttributesRequireVerificationBeforeUpdate",
            ]),
            // AWS: pools made through the API tell case apart unless they say otherwise.
            case: match flag(&["UsernameConfiguration", "CaseSensitive"]) {
                Some(false) => Case::Insensitive,
                _ => Case::Sensitive,
            },
            mfa: match text("MfaConfiguration") {
                Some("ON") => Mfa::On,
                Some("OPTIONAL") => Mfa::Optional,
                _ => Mfa::Off,
            },
            admin_create_only: flag(&["AdminCreateUserConfig", "AllowAdminCreateUserOnly"]) == Some(true),
            deletion_protected: text("DeletionProtection") == Some("ACTIVE"),
            id,
            name,
            document,
            created_ms,
            modified_ms,
        })
    }
}

/// The pool, from memory where possible.
pub async fn load(engine: &Engine, id: &str) -> Result<Arc<Pool>> {
    find(engine, id).await?.ok_or_else(|| Error::pool_not_found(id))
}

/// The pool, or `None`.
pub async fn find(engine: &Engine, id: &str) -> Result<Option<Arc<Pool>>> {
    let epoch = match engine.0.pools.find(id) {
        Ok(pool) => return Ok(Some(pool)),
        Err(epoch) => epoch,
    };
    let Some(pool) = store::find(engine.db(), id).await? else { return Ok(None) };
    let pool = Arc::new(pool);
    engine.0.pools.keep(epoch, id, &pool);
    Ok(Some(pool))
}

/// Makes a pool of these settings (`CreateUserPool` without `PoolName`), with its signing keys.
pub async fn create(engine: &Engine, name: &str, settings: Document) -> Result<Arc<Pool>> {
    let id = format!("{}_{}", engine.config().region, rng::text(engine.rng(), rng::ALPHANUMERIC, 9));
    let pool = Arc::new(prepare(id, name, settings, engine.now_ms())?);
    let keys = signing_key::prepare(engine, pool.id(), engine.now_ms()).await?;
    engine
        .db()
        .write_with((Arc::clone(&pool), keys), |tx, (pool, keys)| {
            Box::pin(async move {
                store::insert(tx, pool).await?;
                signing_key::insert(tx, pool.id(), keys).await
            })
        })
        .await?;
    Ok(pool)
}

/// A new pool, checked and complete, that is not stored yet.
pub(crate) fn prepare(id: String, name: &str, settings: Document, now_ms: i64) -> Result<Pool> {
    Pool::build(id, name.to_owned(), document::create(settings)?, now_ms, now_ms)
}

/// Stores a prepared pool; `false` if one of that id is there.
pub(crate) async fn insert_if_absent(tx: &mut Tx, pool: &Pool) -> Result<bool> {
    store::insert_if_absent(tx, pool).await
}

/// Replaces a pool's settings (`UpdateUserPool` without id and name); what is omitted goes back to its default.
pub async fn update(engine: &Engine, id: &str, name: Option<String>, settings: Document) -> Result<()> {
    let input = (id.to_owned(), name, settings, engine.now_ms());
    engine
        .db()
        .write_with(input, |tx, (id, name, settings, now_ms)| {
            Box::pin(async move {
                let current = store::read(tx, id).await?.ok_or_else(|| Error::pool_not_found(id))?;
                let name = name.clone().unwrap_or(current.name);
                let document = document::update(&current.document, settings.clone())?;
                let pool = Pool::build(current.id, name, document, current.created_ms, *now_ms)?;
                store::update(tx, &pool).await?;
                Change::Pool(pool.id).announce(tx).await
            })
        })
        .await?;
    engine.0.pools.forget(id);
    Ok(())
}

/// Deletes a pool and all that belongs to it; its tokens are revoked.
pub async fn delete(engine: &Engine, id: &str) -> Result<()> {
    let revoked = engine
        .db()
        .write_with((id.to_owned(), engine.now_ms()), |tx, (id, now_ms)| {
            Box::pin(async move { delete_in(tx, id, *now_ms).await })
        })
        .await?;
    engine.note_revoked(&revoked);
    engine.forget_pool(id);
    Ok(())
}

async fn delete_in(tx: &mut Tx, id: &str, now_ms: i64) -> Result<Revocation> {
    let pool = store::read(tx, id).await?.ok_or_else(|| Error::pool_not_found(id))?;
    if pool.is_deletion_protected() {
        return Err(Error::invalid_parameter(
            "The user pool cannot be deleted because deletion protection is activated. \
             Deletion protection must be inactivated first.",
        ));
    }
    store::delete(tx, id).await?;
    Change::Pool(id.to_owned()).announce(tx).await?;
    revocation::revoke_pool(tx, id, now_ms).await
}

/// Pools in the order of their ids, from behind `after`; at most `limit`.
pub async fn list(engine: &Engine, after: Option<&str>, limit: u16) -> Result<Vec<Summary>> {
    store::list(engine.db(), after.unwrap_or_default(), limit).await
}

/// How many users a pool has.
pub async fn count_users(engine: &Engine, id: &str) -> Result<i64> {
    store::count_users(engine.db(), id).await
}

fn contains(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == wanted)
}

#[cfg(test)]
mod tests;
