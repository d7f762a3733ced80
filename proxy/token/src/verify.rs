//! One token against one issuer's keys and rules: pure, the time given.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    Audience, Claim, Claims, KeySet, Kind, Refusal, Rules, TokenUse,
    claims::{Read, Times},
    jws::{Header, Jws},
    keys::Checked,
};

/// The size over which a token is not looked at, where the settings say nothing else.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Verifies `token` against one issuer: form, algorithm, signature, `iss`, times and audience.
///
/// Revocation and what a route asks for are other questions; [`crate::Verifier`] asks them all.
pub fn verify(
    token: &str,
    keys: &KeySet,
    rules: &Arc<Rules>,
    leeway: Duration,
    now: SystemTime,
) -> Result<Claims, Refusal> {
    Unverified::read(token)?.verify(keys, rules, leeway, now)
}

/// A token in good form, for those who must know whom it claims to be from to find the keys. Nothing in it is verified.
pub struct Unverified<'t>(Jws<'t>);

impl<'t> Unverified<'t> {
    /// Takes a token apart.
    pub fn read(token: &'t str) -> Result<Self, Refusal> {
        parse(token, MAX_TOKEN_BYTES, |_| None).map(Self)
    }

    /// The issuer it claims to have, where `iss` is a string.
    pub fn iss(&self) -> Option<&str> {
        iss(&self.0)
    }

    /// As [`verify`] does.
    pub fn verify(
        self,
        keys: &KeySet,
        rules: &Arc<Rules>,
        leeway: Duration,
        now: SystemTime,
    ) -> Result<Claims, Refusal> {
        if self.iss() != Some(rules.iss.as_str()) {
            return Err(Refusal::IssuerUnknown);
        }
        match check_signature(&self.0, keys)? {
            Signed::Yes => claims(&self.0, keys, rules, leeway, now),
            Signed::Elsewhere(refusal) => Err(refusal),
        }
    }
}

/// Takes a token apart; `known` may give what the same text of a header was read as before.
pub(crate) fn parse(
    token: &str,
    limit: usize,
    known: impl FnOnce(&str) -> Option<Arc<Header>>,
) -> Result<Jws<'_>, Refusal> {
    if token.len() > limit {
        return Err(Refusal::TooLarge);
    }
    Jws::parse(token, known)
}

/// The issuer a token claims to have, where `iss` is a string; an array is nobody.
pub(crate) fn iss<'j>(token: &'j Jws<'_>) -> Option<&'j str> {
    token.payload.object().get("iss").and_then(Claim::as_str)
}

/// Whether a key set is the one that a token was signed under.
pub(crate) enum Signed {
    /// With a key of the set.
    Yes,
    /// With a key that the set lacks, and a fresher one may have; if there is none, this is why the token is refused.
    Elsewhere(Refusal),
}

/// Whether a key of the set signed the token.
pub(crate) fn check_signature(token: &Jws<'_>, keys: &KeySet) -> Result<Signed, Refusal> {
    if !keys.is_loaded() {
        return Err(Refusal::KeysUnavailable);
    }
    let header = &token.header;
    let kid = header.kid.as_deref();
    match keys.check(kid, header.algorithm, token.message, &token.signature) {
        Checked::Valid => Ok(Signed::Yes),
        Checked::Invalid => Err(Refusal::SignatureInvalid),
        Checked::Unnamed => Ok(Signed::Elsewhere(Refusal::SignatureInvalid)),
        Checked::OtherAlgorithm => Err(Refusal::AlgorithmRefused),
        Checked::Unknown => Ok(Signed::Elsewhere(Refusal::KeyUnknown)),
        Checked::TooMany => Err(Refusal::KeyUnknown),
    }
}

/// The claims of a token whose signature and issuer hold, when the rest does.
pub(crate) fn claims(
    token: &Jws<'_>,
    keys: &KeySet,
    rules: &Arc<Rules>,
    leeway: Duration,
    now: SystemTime,
) -> Result<Claims, Refusal> {
    let raw = token.payload.object();
    let read = Read::of(raw, &rules.naming);
    let times = check_times(&read, leeway, now)?;
    let token_use = match rules.kind {
        Kind::Cognito => Some(check_cognito(&read, &rules.audience)?),
        Kind::Oidc => {
            check_kind(&read)?;
            check_audience(read.aud, &rules.audience)?;
            None
        }
    };
    let named = read.named(raw).ok_or(Refusal::Malformed)?;
    Ok(Claims::new(
        Arc::clone(rules),
        raw,
        named,
        (times, token_use),
        keys.generation(),
    ))
}

fn check_times(read: &Read<'_>, leeway: Duration, now: SystemTime) -> Result<Times, Refusal> {
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_err(|_| Refusal::NotYetValid)?
        .as_secs();
    let leeway = leeway.as_secs();
    let expires = seconds(read.exp)?.ok_or(Refusal::Malformed)?;
    let starts = seconds(read.nbf)?;
    let issued = seconds(read.iat)?;
    if is_over(expires, leeway, now) {
        return Err(Refusal::Expired);
    }
    if starts
        .max(issued)
        .is_some_and(|start| start > now.saturating_add(leeway))
    {
        return Err(Refusal::NotYetValid);
    }
    Ok(Times { expires, issued })
}

/// RFC 7519 section 4.1.4: at `exp` itself a token is no longer good.
pub(crate) fn is_over(expires: u64, leeway: u64, now: u64) -> bool {
    expires.saturating_add(leeway) <= now
}

/// A `NumericDate` (RFC 7519 section 2), which may have a fraction, in whole seconds.
fn seconds(claim: Option<Claim<'_>>) -> Result<Option<u64>, Refusal> {
    let Some(value) = claim else {
        return Ok(None);
    };
    let number = value
        .as_f64()
        .filter(|number| (0.0..=LAST_SECOND).contains(number))
        .ok_or(Refusal::Malformed)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked above"
    )]
    Ok(Some(number as u64))
}

/// The end of the year 9999.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Cognito's checks: `token_use`, then `client_id` of access tokens or `aud` of ID tokens.
fn check_cognito(read: &Read<'_>, audience: &Audience) -> Result<TokenUse, Refusal> {
    let (token_use, client) = match read.token_use.and_then(Claim::as_str) {
        Some("access") => (TokenUse::Access, read.client_id),
        Some("id") => (TokenUse::Id, read.aud),
        _ => return Err(Refusal::TokenUseInvalid),
    };
    let client = client
        .and_then(Claim::as_str)
        .filter(|client| !client.is_empty());
    let client = client.ok_or(Refusal::AudienceInvalid)?;
    if accepts(audience, client) {
        Ok(token_use)
    } else {
        Err(Refusal::AudienceInvalid)
    }
}

/// RFC 8417 section 2.2: `events` makes a token a security event, whatever its `typ`; a logout token is one.
fn check_kind(read: &Read<'_>) -> Result<(), Refusal> {
    match read.events {
        Some(_) => Err(Refusal::TokenUseInvalid),
        None => Ok(()),
    }
}

/// `aud` is a string or an array of strings (RFC 7519 section 4.1.3).
fn check_audience(aud: Option<Claim<'_>>, audience: &Audience) -> Result<(), Refusal> {
    let fits = match aud {
        Some(Claim::Text(value)) => accepts(audience, value),
        Some(Claim::List(values)) if values.iter().all(|value| value.as_str().is_some()) => values
            .iter()
            .filter_map(Claim::as_str)
            .any(|value| accepts(audience, value)),
        Some(_) => return Err(Refusal::Malformed),
        None => false,
    };
    if fits {
        Ok(())
    } else {
        Err(Refusal::AudienceInvalid)
    }
}

fn accepts(audience: &Audience, value: &str) -> bool {
    match audience {
        Audience::AnyOf(values) => values.iter().any(|accepted| accepted == value),
        Audience::Embedded => true,
    }
}

#[cfg(test)]
mod tests;
