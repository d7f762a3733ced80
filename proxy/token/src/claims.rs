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
    named: Named,
    principal: Option<String>,
    generation: u64,
}

/// The claims that every request asks for, found once: to find one in the map costs a hash of its name each time.
#[derive(Default)]
struct Named {
    sub: Option<Box<str>>,
    client_id: Option<Box<str>>,
    azp: Option<Box<str>>,
    jti: Option<Box<str>>,
    origin_jti: Option<Box<str>>,
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
        let named = Named::read(&raw, &rules.naming.group_claim).ok_or(Refusal::Malformed)?;
        let principal = principal(&raw, &rules);
        Ok(Self {
            rules,
            raw,
            times,
            token_use,
            named,
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
        self.named.sub.as_deref().unwrap_or_default()
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
                .then(|| self.raw.get("aud").and_then(Value::as_str))
                .flatten()
        };
        let named = &self.named;
        named
            .client_id
            .as_deref()
            .or(named.azp.as_deref())
            .or_else(id_token_audience)
    }

    /// `jti`.
    pub fn jti(&self) -> Option<&str> {
        self.named.jti.as_deref()
    }

    /// `origin_jti`, which ties a Cognito token to its refresh token.
    pub fn origin_jti(&self) -> Option<&str> {
        self.named.origin_jti.as_deref()
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

impl Named {
    /// Reads the claims that have types here; none if one of them has another type.
    fn read(raw: &Map<String, Value>, group_claim: &str) -> Option<Self> {
        let mut named = Self::default();
        for (name, value) in raw {
            let text = match name.as_str() {
                "sub" => &mut named.sub,
                "client_id" => &mut named.client_id,
                "azp" => &mut named.azp,
                "jti" => &mut named.jti,
                "origin_jti" => &mut named.origin_jti,
                name if ["scope", "scp", group_claim].contains(&name) && !is_texts(value) => {
                    return None;
                }
                _ => continue,
            };
            *text = Some(value.as_str()?.into());
        }
        // RFC 7519 section 4.1.2 makes `sub` optional; RFC 9068 section 2.2, OpenID Connect and Cognito do not, and a
        // caller without a name cannot be recorded.
        named.sub.as_ref().filter(|sub| !sub.is_empty())?;
        Some(named)
    }
}

/// Whether it is a string or an array of strings.
fn is_texts(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(items) => items.iter().all(Value::is_string),
        _ => false,
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
