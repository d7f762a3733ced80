//! The claims of a token that verified.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value};

use crate::{Refusal, Rules, TokenUse};

/// The claims of a token whose signature, issuer, times and audience hold.
///
/// Only verification makes one. `Debug` shows nothing about the user.
pub struct Claims {
    rules: Arc<Rules>,
    raw: Map<String, Value>,
    times: Times,
    token_use: Option<TokenUse>,
    principal: Option<String>,
    generation: u64,
}

/// The token's times, in whole seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// First second it is no longer good.
    pub(crate) expires: u64,
    /// When it was issued.
    pub(crate) issued: Option<u64>,
}

impl Claims {
    /// `raw` has passed every check of `verify`, with keys of `generation`.
    ///
    /// The claims that have types here have them, else the token is malformed.
    pub(crate) fn new(
        rules: Arc<Rules>,
        raw: Map<String, Value>,
        times: Times,
        token_use: Option<TokenUse>,
        generation: u64,
    ) -> Result<Self, Refusal> {
        check_types(&raw, &rules.naming.group_claim)?;
        let principal = principal(&raw, &rules);
        Ok(Self {
            rules,
            raw,
            times,
            token_use,
            principal,
            generation,
        })
    }

    /// The issuer's name in the settings.
    pub fn issuer(&self) -> &str {
        &self.rules.name
    }

    /// The rules the token was held to.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// `iss`.
    pub fn iss(&self) -> &str {
        &self.rules.iss
    }

    /// `sub`.
    pub fn sub(&self) -> &str {
        self.text("sub").unwrap_or_default()
    }

    /// `exp`, seconds since 1970.
    pub fn exp(&self) -> u64 {
        self.times.expires
    }

    /// `iat`, seconds since 1970.
    pub fn iat(&self) -> Option<u64> {
        self.times.issued
    }

    /// `auth_time`, seconds since 1970.
    pub fn auth_time(&self) -> Option<u64> {
        self.raw.get("auth_time").and_then(Value::as_u64)
    }

    /// `token_use`, of Cognito tokens.
    pub fn token_use(&self) -> Option<TokenUse> {
        self.token_use
    }

    /// The client the token was issued to: `client_id`, else `azp`, else the `aud` of a Cognito ID token.
    pub fn client_id(&self) -> Option<&str> {
        let id_token_audience = || {
            (self.token_use == Some(TokenUse::Id))
                .then(|| self.text("aud"))
                .flatten()
        };
        self.text("client_id")
            .or_else(|| self.text("azp"))
            .or_else(id_token_audience)
    }

    /// `jti`.
    pub fn jti(&self) -> Option<&str> {
        self.text("jti")
    }

    /// `origin_jti`, which ties a Cognito token to its refresh token.
    pub fn origin_jti(&self) -> Option<&str> {
        self.text("origin_jti")
    }

    /// The scopes: `scope` (RFC 8693 section 4.2, separated by spaces) or `scp`, as some providers call it, where each may
    /// also be an array.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let claim = self.raw.get("scope").or_else(|| self.raw.get("scp"));
        strings(claim)
            .flat_map(|scopes| scopes.split(' '))
            .filter(|scope| !scope.is_empty())
    }

    /// The groups, from the issuer's group claim.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        strings(self.raw.get(&self.rules.naming.group_claim))
    }

    /// The caller's id in policies, `"<prefix>|<claim>"`; absent where the issuer names callers by a claim that this
    /// token lacks.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// What stands before the bar in the ids of callers and groups.
    pub fn prefix(&self) -> Option<&str> {
        self.rules.naming.prefix.as_deref()
    }

    /// Everything the token says.
    pub fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// When the token stops being good, without leeway.
    pub fn expires_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.times.expires)
    }

    /// The key-set generation it was verified under.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.raw.get(name).and_then(Value::as_str)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("issuer", &self.rules.name)
            .field("token_use", &self.token_use)
            .field("exp", &self.times.expires)
            .finish_non_exhaustive()
    }
}

fn check_types(raw: &Map<String, Value>, group_claim: &str) -> Result<(), Refusal> {
    // RFC 7519 section 4.1.2 makes `sub` optional; RFC 9068 section 2.2, OpenID Connect and Cognito do not, and a
    // caller without a name cannot be recorded.
    if raw
        .get("sub")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return Err(Refusal::Malformed);
    }
    let is_text = |name: &str| raw.get(name).is_none_or(Value::is_string);
    if !["client_id", "azp", "jti", "origin_jti"]
        .into_iter()
        .all(is_text)
    {
        return Err(Refusal::Malformed);
    }
    let is_texts = |name: &str| match raw.get(name) {
        None | Some(Value::String(_)) => true,
        Some(Value::Array(items)) => items.iter().all(Value::is_string),
        Some(_) => false,
    };
    if ["scope", "scp", group_claim].into_iter().all(is_texts) {
        Ok(())
    } else {
        Err(Refusal::Malformed)
    }
}

fn principal(raw: &Map<String, Value>, rules: &Rules) -> Option<String> {
    let id = raw
        .get(&rules.naming.claim)?
        .as_str()
        .filter(|id| !id.is_empty())?;
    Some(match &rules.naming.prefix {
        Some(prefix) => format!("{prefix}|{id}"),
        None => id.to_owned(),
    })
}

/// A string as one item, an array as its strings.
fn strings(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claim {
        Some(Value::String(text)) => (Some(text.as_str()), [].as_slice()),
        Some(Value::Array(items)) => (None, items.as_slice()),
        _ => (None, [].as_slice()),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}
