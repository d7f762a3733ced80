//! User pools: their settings as AWS shows them, and the views of those settings that have effect.

mod change;
mod document;
mod password;
pub mod schema;
mod store;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

pub use change::{create, delete, update};
pub(crate) use change::{insert_if_absent, prepare};
pub use document::Document;
pub(crate) use document::drop_nulls;
pub use password::PasswordPolicy;
pub use schema::Schema;

use crate::page::{self, Page};
use crate::user::name::Case;
use crate::{Engine, Error, Result, cache};

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

/// Whether a text has the form of a pool's id: `[\w-]+_[0-9a-zA-Z]+`, at most 55 characters, as AWS's model has it.
pub fn is_id(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.len() <= 55
        && text.rsplit_once('_').is_some_and(|(region, name)| {
            !region.is_empty()
                && region.chars().all(is_word)
                && !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric())
        })
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

    fn build(
        id: String,
        name: String,
        document: Document,
        created_ms: i64,
        modified_ms: i64,
    ) -> Result<Self> {
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
            admin_create_only: flag(&["AdminCreateUserConfig", "AllowAdminCreateUserOnly"])
                == Some(true),
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
    find(engine, id)
        .await?
        .ok_or_else(|| Error::pool_not_found(id))
}

/// The pool, or `None`.
pub async fn find(engine: &Engine, id: &str) -> Result<Option<Arc<Pool>>> {
    let epoch = match engine.0.pools.find(id) {
        Ok(pool) => return Ok(Some(pool)),
        Err(epoch) => epoch,
    };
    let Some(pool) = store::find(engine.db(), id).await? else {
        return Ok(None);
    };
    let pool = Arc::new(pool);
    engine.0.pools.keep(epoch, id, &pool);
    Ok(Some(pool))
}

/// Pools by id, from where `token` says; at most `limit`.
pub async fn list(engine: &Engine, limit: usize, token: Option<&str>) -> Result<Page<Summary>> {
    let [after] = page::after(engine, "pools", token)?.unwrap_or_default();
    let found = store::list(engine.db(), &after, limit).await?;
    Page::of(engine, "pools", found, limit, |pool| [pool.id.clone()])
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
