//! The claims of a token that verified.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value};

use crate::{Naming, Rules, TokenUse};

/// The claims of a token whose signature, issuer, times and audience hold.
///
/// Only verification makes one. `Debug` shows nothing about the user.
pub struct Claims {
    rules: Arc<Rules>,
    raw: Map<String, Value>,
    times: Times,
    token_use: Option<TokenUse>,
    named: Named,
    generation: u64,
}

/// The claims that verification looks at, found in one walk: to find one in the map costs a hash of its name each time.
/// Nothing is known of their types yet.
#[derive(Default)]
pub(crate) struct Read<'c> {
    pub(crate) exp: Option<&'c Value>,
    pub(crate) nbf: Option<&'c Value>,
    pub(crate) iat: Option<&'c Value>,
    pub(crate) aud: Option<&'c Value>,
    pub(crate) token_use: Option<&'c Value>,
    pub(crate) client_id: Option<&'c Value>,
    pub(crate) events: Option<&'c Value>,
    sub: Option<&'c Value>,
    azp: Option<&'c Value>,
    jti: Option<&'c Value>,
    origin_jti: Option<&'c Value>,
    scope: Option<&'c Value>,
    scp: Option<&'c Value>,
    /// The claim that names the caller in policies.
    principal: Option<&'c Value>,
    groups: Option<&'c Value>,
}

/// The claims that every request asks for, found once for the same reason.
pub(crate) struct Named {
    sub: Box<str>,
    client_id: Option<Box<str>>,
    azp: Option<Box<str>>,
    jti: Option<Box<str>>,
    origin_jti: Option<Box<str>>,
    principal: Option<Box<str>>,
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
    /// `raw` has passed every check of `verify`, with keys of `generation`, and `named` is read of it.
    pub(crate) fn new(
        rules: Arc<Rules>,
        raw: Map<String, Value>,
        named: Named,
        (times, token_use): (Times, Option<TokenUse>),
        generation: u64,
    ) -> Self {
        Self {
            rules,
            raw,
            times,
            token_use,
            named,
            generation,
        }
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
        &self.named.sub
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
        self.named.principal.as_deref()
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

impl<'c> Read<'c> {
    pub(crate) fn of(raw: &'c Map<String, Value>, naming: &Naming) -> Self {
        let mut read = Self::default();
        for (name, value) in raw {
            let claim = match name.as_str() {
                "exp" => &mut read.exp,
                "nbf" => &mut read.nbf,
                "iat" => &mut read.iat,
                "aud" => &mut read.aud,
                "token_use" => &mut read.token_use,
                "sub" => &mut read.sub,
                "client_id" => &mut read.client_id,
                "events" => &mut read.events,
                "azp" => &mut read.azp,
                "jti" => &mut read.jti,
                "origin_jti" => &mut read.origin_jti,
                "scope" => &mut read.scope,
                "scp" => &mut read.scp,
                _ => &mut None,
            };
            *claim = Some(value);
            if *name == naming.claim {
                read.principal = Some(value);
            }
            if *name == naming.group_claim {
                read.groups = Some(value);
            }
        }
        read
    }

    /// What is kept of them; nothing if one of them has another type than it must have.
    pub(crate) fn named(&self, naming: &Naming) -> Option<Named> {
        let lists = [self.scope, self.scp, self.groups];
        if !lists.into_iter().flatten().all(is_texts) {
            return None;
        }
        // RFC 7519 section 4.1.2 makes `sub` optional; RFC 9068 section 2.2, OpenID Connect and Cognito do not, and a
        // caller without a name cannot be recorded.
        let sub = text(self.sub)?.filter(|sub| !sub.is_empty())?;
        Some(Named {
            sub,
            client_id: text(self.client_id)?,
            azp: text(self.azp)?,
            jti: text(self.jti)?,
            origin_jti: text(self.origin_jti)?,
            principal: self.principal.and_then(|claim| principal(claim, naming)),
        })
    }
}

/// The text, if there is one; nothing if it is there and no text.
#[expect(clippy::option_option, reason = "absent is not the same as wrong")]
fn text(claim: Option<&Value>) -> Option<Option<Box<str>>> {
    match claim {
        None => Some(None),
        Some(claim) => Some(Some(claim.as_str()?.into())),
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

fn principal(claim: &Value, naming: &Naming) -> Option<Box<str>> {
    let id = claim.as_str().filter(|id| !id.is_empty())?;
    Some(match &naming.prefix {
        Some(prefix) => [prefix, "|", id].concat().into(),
        None => id.into(),
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
