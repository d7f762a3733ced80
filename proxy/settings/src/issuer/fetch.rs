//! The way to an issuer, checked: certificate authorities and a forward proxy.

use std::fs;

use token::{Proxy, Transport};
use url::Url;

use crate::{Place, check::Check, secret, written};

/// The way as it is written; `start` is the URL that is fetched first.
pub(super) fn check(
    raw: Option<&written::Fetch>,
    start: Option<&Url>,
    issuer: &Place,
    check: &mut Check<'_>,
) -> Transport {
    let Some(raw) = raw else {
        return Transport::default();
    };
    let place = issuer.key("fetch");
    let ca = authorities(raw, &place.key("ca"), check);
    let proxy = raw.proxy.as_ref();
    let proxy = proxy.and_then(|raw| proxy_of(raw, &place.key("proxy"), check));
    if start.is_some_and(|url| url.scheme() == "http") {
        let says =
            "says nothing about an issuer on this machine that is asked without TLS; take it out";
        check.report(&place, says);
    }
    // Without authorities this cannot fail; those that are no certificates are told here.
    Transport::new(ca, proxy).unwrap_or_else(|error| {
        check.report(&place.key("ca"), error.to_string());
        Transport::default()
    })
}

/// The content of the file, which is watched.
fn authorities(raw: &written::Fetch, place: &Place, check: &mut Check<'_>) -> Option<Vec<u8>> {
    let file = check.file(raw.ca.as_ref()?);
    let message = match fs::read(&file) {
        Ok(content) => return Some(content),
        Err(error) => format!("`{}` cannot be read: {error}", file.display()),
    };
    check.report(place, message);
    None
}

fn proxy_of(raw: &written::Proxy, place: &Place, check: &mut Check<'_>) -> Option<Proxy> {
    let credentials = credentials(raw, place, check);
    match url(&raw.url) {
        Ok(url) => Some(Proxy { url, credentials }),
        Err(message) => {
            check.report(&place.key("url"), message);
            None
        }
    }
}

fn credentials(
    raw: &written::Proxy,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<(String, secrecy::SecretString)> {
    let password = raw
        .password
        .as_ref()
        .map(|password| secret::read(password, &place.key("password"), check));
    match (&raw.user, password) {
        // RFC 7617 section 2: the colon ends the user.
        (Some(user), _) if user.is_empty() || user.contains(':') => {
            check.report(&place.key("user"), "must be some characters, and no `:`");
            None
        }
        (Some(user), Some(password)) => Some((user.clone(), password)),
        (None, None) => None,
        (Some(_), None) => {
            check.report(&place.key("password"), "is missing beside `user`");
            None
        }
        (None, Some(_)) => {
            check.report(&place.key("user"), "is missing beside `password`");
            None
        }
    }
}

/// The text is not shown: a password may be in it.
fn url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL as `http://proxy.example.com:3128`")?;
    if !["http", "https"].contains(&url.scheme()) || url.host().is_none() {
        return Err("must start with `http://` or `https://`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or password; write `user` and `password` beside it");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("is more than scheme, host and port");
    }
    Ok(url)
}
