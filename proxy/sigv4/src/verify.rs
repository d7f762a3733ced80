//! Is the signature what the secret makes of this request, here and now?

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use http::HeaderMap;
use secrecy::SecretString;

use crate::authorization::Authorization;
use crate::canonical::{Request, string_to_sign};
use crate::{Refusal, date, key};

/// Proves that `authorization` was made by the holder of `secret` for this request and `service`, within five minutes
/// of `now`. Signatures are compared in constant time.
pub fn verify(
    authorization: &Authorization,
    request: &Request<'_>,
    secret: &SecretString,
    service: &str,
    now: SystemTime,
) -> Result<(), Refusal> {
    let stamp = stamp(request.headers)?;
    check_headers(authorization, request.headers)?;
    check_scope(authorization, service, stamp)?;
    check_time(stamp, now)?;
    let text = string_to_sign(
        request,
        &authorization.signed_headers,
        stamp,
        &authorization.scope,
    );
    let key = key::derive(secret, &authorization.scope);
    hmac::verify(&key, text.as_bytes(), &authorization.signature).map_err(|_| Refusal::Mismatch)
}

/// The one `x-amz-date`.
fn stamp(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all("x-amz-date").iter();
    let value = values.next().ok_or_else(|| {
        Refusal::Incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
                .into(),
        )
    })?;
    let text = value
        .to_str()
        .ok()
        .filter(|text| values.next().is_none() && date::parse(text).is_some());
    text.ok_or_else(|| {
        Refusal::Incomplete(
            "Date must be in ISO-8601 'basic format', e.g. 20150830T123600Z.".into(),
        )
    })
}

/// What decides the request's meaning must be signed, where it is there at all.
fn check_headers(authorization: &Authorization, headers: &HeaderMap) -> Result<(), Refusal> {
    let signed = |name: &str| {
        authorization
            .signed_headers
            .iter()
            .any(|signed| signed == name)
    };
    if !signed("host") || !headers.contains_key("host") {
        return Err(Refusal::Invalid(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".into(),
        ));
    }
    match MEANINGFUL
        .iter()
        .find(|name| headers.contains_key(**name) && !signed(name))
    {
        Some(name) => Err(Refusal::Invalid(format!(
            "'{name}' must be a 'SignedHeader' in the AWS Authorization."
        ))),
        None => Ok(()),
    }
}

fn check_scope(authorization: &Authorization, service: &str, stamp: &str) -> Result<(), Refusal> {
    let scope = &authorization.scope;
    if scope.service != service {
        return Err(Refusal::Invalid(format!(
            "Credential should be scoped to correct service: '{service}'."
        )));
    }
    if scope.date != date::day(stamp) {
        return Err(Refusal::Invalid(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', \
             from '{stamp}'.",
            scope.date,
            date::day(stamp)
        )));
    }
    Ok(())
}

fn check_time(stamp: &str, now: SystemTime) -> Result<(), Refusal> {
    let now = date::utc(now);
    let Some(signed) = date::parse(stamp) else {
        return Err(Refusal::Mismatch);
    };
    let show = |time| date::stamp(time).unwrap_or_default();
    let (earliest, latest) = (now - SKEW, now + SKEW);
    if signed < earliest {
        return Err(Refusal::Invalid(format!(
            "Signature expired: {stamp} is now earlier than {} ({} - 5 min.)",
            show(earliest),
            show(now)
        )));
    }
    if signed > latest {
        return Err(Refusal::Invalid(format!(
            "Signature not yet current: {stamp} is still later than {} ({} + 5 min.)",
            show(latest),
            show(now)
        )));
    }
    Ok(())
}

/// How far the caller's clock may be off.
const SKEW: Duration = Duration::from_mins(5);

/// Headers that must be signed if they are there. Others that begin with `x-amz-` may be added by proxies.
const MEANINGFUL: [&str; 4] = [
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
];
