//! What a caller may write into attributes, and what a user is called.

use std::collections::BTreeMap;

use super::name::{Alias, canonical, is_username};
use super::verified_flag;
use crate::client::Client;
use crate::message::Medium;
use crate::pool::Pool;
use crate::{Error, Result};

/// Attributes as a caller gives them: of a name given twice, the last counts.
pub type Given = BTreeMap<String, String>;

/// Who writes attributes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Writer<'a> {
    /// A user, through an app client that may write some of them.
    Client(&'a Client),
    /// An operator, who may write all of them.
    Operator,
}

impl Writer<'_> {
    /// Refuses attributes that the writer may not write, and values that cannot be stored.
    pub(super) fn check(self, pool: &Pool, given: &Given) -> Result<()> {
        // PostgreSQL has no text with NUL, and what one database refuses is refused on both.
        if given.values().any(|value| value.contains('\0')) {
            return Err(Error::invalid_parameter(
                "Attribute values must not contain NUL.",
            ));
        }
        let Self::Client(client) = self else {
            return Ok(());
        };
        for name in given.keys() {
            // A user proves an address by a code, never by saying so.
            let proof = Alias::ALL
                .iter()
                .any(|address| verified_flag(address.as_str()) == name);
            let developer = pool
                .schema()
                .attribute(name)
                .is_some_and(|attribute| attribute.developer_only);
            let known = pool.schema().attribute(name).is_some();
            if proof || developer || (known && !client.may_write(name)) {
                return Err(Error::not_authorized(
                    "A client attempted to write unauthorized attribute",
                ));
            }
        }
        Ok(())
    }
}

/// The name of a new user, and the attribute that the name stands for where an address is the username.
pub(super) fn name_new(
    pool: &Pool,
    username: &str,
    sub: &str,
    attributes: &mut Given,
) -> Result<String> {
    if pool.username_attributes().is_empty() {
        check_username(pool, username)?;
        return Ok(username.to_owned());
    }
    let kind = Alias::ALL
        .into_iter()
        .find(|kind| kind.is_username(pool) && kind.fits(username));
    let kind = kind.ok_or_else(|| not_an_address(pool))?;
    let given = attributes
        .entry(kind.as_str().into())
        .or_insert_with(|| username.to_owned());
    if canonical(given, pool.case()) != canonical(username, pool.case()) {
        return Err(Error::invalid_parameter(format!(
            "Username and {} must be the same.",
            kind.as_str()
        )));
    }
    Ok(sub.to_owned())
}

/// Refuses a flag that proves an address the user does not have.
pub(super) fn check_flags(attributes: &Given) -> Result<()> {
    for name in [Medium::Email, Medium::Sms].map(Medium::attribute) {
        let flag = verified_flag(name);
        if !attributes.contains_key(name) && attributes.get(flag).is_some_and(|flag| flag == "true")
        {
            return Err(Error::invalid_parameter(format!(
                "{flag} cannot be true without {name}."
            )));
        }
    }
    Ok(())
}

/// The addresses of a user who signs up that a code goes to: AWS sends one, and prefers the phone.
pub(super) fn to_verify(pool: &Pool, attributes: &Given) -> Option<(Medium, String)> {
    [Medium::Sms, Medium::Email].into_iter().find_map(|medium| {
        let name = medium.attribute();
        let value = attributes.get(name).filter(|_| pool.auto_verifies(name))?;
        Some((medium, value.clone()))
    })
}

fn check_username(pool: &Pool, username: &str) -> Result<()> {
    if !is_username(username) {
        let limit = "satisfy regular expression pattern: [\\p{L}\\p{M}\\p{S}\\p{N}\\p{P}]+";
        return Err(Error::beyond_limit("username", limit));
    }
    // A username that looks like an address could be taken for another user's alias.
    match Alias::of(pool, username) {
        Some(Alias::Email) => Err(Error::invalid_parameter(
            "Username cannot be of email format, since user pool is configured for email alias.",
        )),
        Some(Alias::PhoneNumber) => Err(Error::invalid_parameter(
            "Username cannot be of phone number format, since user pool is configured for phone number alias.",
        )),
        _ => Ok(()),
    }
}

fn not_an_address(pool: &Pool) -> Error {
    let email = Alias::Email.is_username(pool);
    Error::invalid_parameter(match (email, Alias::PhoneNumber.is_username(pool)) {
        (true, true) => "Username should be either an email or a phone number.",
        (true, false) => "Username should be an email.",
        _ => "Username should be a phone number.",
    })
}
