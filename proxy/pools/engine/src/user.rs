//! Users: who they are, what they sign in with, and how they come, change and go.

mod alias;
pub(crate) mod allowance;
mod attribute;
mod confirm;
mod create;
mod filter;
mod history;
mod list;
pub mod name;
mod password;
mod removal;
mod sign_up;
mod simulate;
mod store;
mod update;
mod verify;

use std::collections::BTreeMap;
use std::fmt;

use crate::credential::{Owner, Prepared};

pub use attribute::Given;
pub use confirm::{admin_confirm_sign_up, confirm_sign_up, resend_code};
pub use create::{Invitation, admin_create, admin_resend};
pub use filter::Filter;
pub use history::check_history;
pub use list::{list, members};
pub use password::{ChangePassword, admin_set_password, change_password};
pub use removal::{admin_delete, admin_disable, admin_enable, delete};
pub use sign_up::{SignedUp, sign_up};
pub use store::{by_sub, find, load, load_by_sub, set_password, set_status};
pub(crate) use store::{query, query_sub, read, renew_hash};
pub use update::{admin_update, complete, update};
pub use verify::{send_attribute_code, verify_attribute};

/// A user of a pool, as stored.
#[derive(Debug, Clone)]
pub struct User {
    /// The pool.
    pub pool_id: String,
    /// The id that never changes: a UUID.
    pub sub: String,
    /// The name as it was given; equal to `sub` where an address is the username.
    pub username: String,
    /// Where the user stands between sign-up and sign-in.
    pub status: Status,
    /// Whether the user may sign in.
    pub enabled: bool,
    /// All attributes but `sub`.
    pub attributes: BTreeMap<String, String>,
    /// Epoch milliseconds.
    pub created_ms: i64,
    /// Epoch milliseconds of the last change.
    pub modified_ms: i64,
    /// The password, if the user has one.
    pub password: Option<Password>,
}

impl User {
    /// What the seals of the user's password are bound to.
    pub fn owner(&self) -> Owner<'_> {
        Owner {
            pool_id: &self.pool_id,
            sub: &self.sub,
            username: &self.username,
        }
    }

    /// An attribute's value; `sub` counts as one.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        if name == "sub" {
            Some(&self.sub)
        } else {
            self.attributes.get(name).map(String::as_str)
        }
    }

    /// Whether `email` or `phone_number` is present and proved to be the user's.
    pub fn is_verified(&self, address: &str) -> bool {
        self.attributes.contains_key(address)
            && self
                .attributes
                .get(verified_flag(address))
                .is_some_and(|flag| flag == "true")
    }
}

/// The attribute that says whether `email` or `phone_number` is proved; empty for others.
pub fn verified_flag(address: &str) -> &'static str {
    match address {
        "email" => "email_verified",
        "phone_number" => "phone_number_verified",
        _ => "",
    }
}

/// A stored password: what verifies it, sealed.
#[derive(Clone)]
pub struct Password {
    /// The argon2id hash, sealed.
    pub hash: String,
    /// The SRP salt, in hexadecimal digits.
    pub srp_salt: String,
    /// The SRP verifier, sealed.
    pub srp_verifier: String,
    /// When it was set, in epoch milliseconds.
    pub changed_ms: i64,
    /// When a temporary password stops working, in epoch milliseconds; `None` for a permanent one.
    pub expires_ms: Option<i64>,
    /// Earlier passwords, sealed as one.
    pub(crate) history: Option<String>,
}

impl Password {
    /// A new password; `expires_ms` is set for a temporary one.
    pub(crate) fn new(prepared: Prepared, now_ms: i64, expires_ms: Option<i64>) -> Self {
        Self {
            hash: prepared.hash,
            srp_salt: prepared.salt,
            srp_verifier: prepared.verifier,
            changed_ms: now_ms,
            expires_ms,
            history: None,
        }
    }

    /// Tells this password from every other the user had or will have. It stays while the same password is hashed or
    /// sealed anew: the salt is drawn whenever one is set, and only then.
    pub(crate) fn mark(&self) -> &str {
        &self.srp_salt
    }
}

/// Shows nothing that helps to guess it.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Password")
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

/// How long a new password works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it is changed; the user becomes `CONFIRMED`.
    Permanent,
    /// Until this time (epoch milliseconds), for one sign-in; the user becomes `FORCE_CHANGE_PASSWORD`.
    Temporary(i64),
}

/// `UserStatus`, as in AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Signed up, and the code not given yet.
    Unconfirmed,
    /// May sign in.
    Confirmed,
    /// Has a temporary password.
    ForceChangePassword,
    /// Must set a new password by a code.
    ResetRequired,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [
        Self::Unconfirmed,
        Self::Confirmed,
        Self::ForceChangePassword,
        Self::ResetRequired,
    ];

    /// As on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed => "UNCONFIRMED",
            Self::Confirmed => "CONFIRMED",
            Self::ForceChangePassword => "FORCE_CHANGE_PASSWORD",
            Self::ResetRequired => "RESET_REQUIRED",
        }
    }

    /// The status of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
