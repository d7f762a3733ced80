//! Where a token may stand in a request, checked.

use super::TokenPlace;
use crate::{Place, check::Check};

/// The places written, or the header.
pub(super) fn check(
    raw: Option<Vec<TokenPlace>>,
    list: &Place,
    check: &mut Check<'_>,
) -> Vec<TokenPlace> {
    let Some(raw) = raw else {
        return vec![TokenPlace::Header];
    };
    if check.is_empty(list) {
        check.report(
            list,
            "name at least one place, or leave it out for the header",
        );
    }
    let mut places: Vec<TokenPlace> = Vec::new();
    for (place, at) in raw.into_iter().zip(check.items(list)) {
        if places.contains(&place) {
            check.report(&at, "is there twice");
        } else if let Err(message) = check_name(&place) {
            check.report(&at, message);
        } else {
            places.push(place);
        }
    }
    places
}

fn check_name(place: &TokenPlace) -> Result<(), &'static str> {
    match place {
        TokenPlace::Header => Ok(()),
        // RFC 6265 section 4.1.1: a token (RFC 9110 section 5.6.2).
        TokenPlace::Cookie(name) if is_token(name) => Ok(()),
        TokenPlace::Cookie(_) => Err("is not the name of a cookie"),
        // Whatever else a name holds, some servers read another name.
        TokenPlace::Query(name) if is_plain(name) => Ok(()),
        TokenPlace::Query(_) => Err("a query parameter's name has letters, digits, `-` and `_`"),
    }
}

fn is_token(name: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_tchar)
}

fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.bytes().all(is_plain)
}
