//! The claims of a token that verified.

mod read;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub(crate) use self::read::Read;
use self::read::{Named, Span};
use crate::{Claim, Object, Rules, TokenUse, packed::List};

/// The claims of a token whose signature, issuer, times and audience hold.
///
/// Only verification makes one. `Debug` shows nothing about the user.
pub struct Claims {
    rules: Arc<Rules>,
    /// What the token says, packed, and behind that the caller's id where no claim is that by itself.
    text: Box<str>,
    /// Where in `text` the claims end.
    end: usize,
    times: Times,
    token_use: Option<TokenUse>,
    named: Named,
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
    /// `raw` has passed every check of `verify`, with keys of `generation`, and `named` is read of it.
    pub(crate) fn new(
        rules: Arc<Rules>,
        raw: Object<'_>,
        mut named: Named,
        (times, token_use): (Times, Option<TokenUse>),
        generation: u64,
    ) -> Self {
        let raw = raw.as_str();
        let id = named.principal.and_then(|span| span.of(raw));
        let text = match (&rules.naming.prefix, id) {
            (Some(prefix), Some(id)) => [raw, prefix, "|", id].concat(),
            _ => raw.to_owned(),
        };
        if text.len() > raw.len() {
            named.principal = Span::new(raw.len(), text.len());
        }
        Self {
            end: raw.len(),
            rules,
            text: text.into(),
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
        self.part(Some(self.named.sub)).unwrap_or_default()
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
        self.raw().get("auth_time").and_then(Claim::as_u64)
    }

    /// `token_use`, of Cognito tokens.
    pub fn token_use(&self) -> Option<TokenUse> {
        self.token_use
    }

    /// The client the token was issued to: `client_id`, else `azp`, else the `aud` of a Cognito ID token.
    pub fn client_id(&self) -> Option<&str> {
        let id_token_audience = || {
            (self.token_use == Some(TokenUse::Id))
                .then(|| self.raw().get("aud").and_then(Claim::as_str))
                .flatten()
        };
        self.part(self.named.client_id)
            .or_else(|| self.part(self.named.azp))
            .or_else(id_token_audience)
    }

    /// `jti`.
    pub fn jti(&self) -> Option<&str> {
        self.part(self.named.jti)
    }

    /// `origin_jti`, which ties a Cognito token to its refresh token.
    pub fn origin_jti(&self) -> Option<&str> {
        self.part(self.named.origin_jti)
    }

    /// The scopes: `scope` (RFC 8693 section 4.2, separated by spaces) or `scp`, as some providers call it, where each may
    /// also be an array.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let raw = self.raw();
        let claim = raw.get("scope").or_else(|| raw.get("scp"));
        strings(claim)
            .flat_map(|scopes| scopes.split(' '))
            .filter(|scope| !scope.is_empty())
    }

    /// The groups, from the issuer's group claim.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        strings(self.raw().get(&self.rules.naming.group_claim))
    }

    /// The caller's id in policies, `"<prefix>|<claim>"`; absent where the issuer names callers by a claim that this
    /// token lacks.
    pub fn principal(&self) -> Option<&str> {
        self.part(self.named.principal)
    }

    /// What stands before the bar in the ids of callers and groups.
    pub fn prefix(&self) -> Option<&str> {
        self.rules.naming.prefix.as_deref()
    }

    /// Everything the token says.
    pub fn raw(&self) -> Object<'_> {
        Object::of(self.text.get(..self.end).unwrap_or_default())
    }

    /// When the token stops being good, without leeway.
    pub fn expires_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.times.expires)
    }

    /// How many bytes the text takes that it holds.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    fn part(&self, span: Option<Span>) -> Option<&str> {
        span?.of(&self.text)
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

/// A string as one item, an array as its strings.
fn strings(claim: Option<Claim<'_>>) -> impl Iterator<Item = &str> {
    let (one, many) = match claim {
        Some(Claim::Text(text)) => (Some(text), None),
        Some(Claim::List(items)) => (None, Some(items)),
        _ => (None, None),
    };
    let many = many.into_iter().flat_map(List::iter);
    one.into_iter().chain(many.filter_map(Claim::as_str))
}
