//! Who may use a route, checked: tokens and what decides.

use std::collections::{BTreeMap, HashSet};

use http::{HeaderName, header};
use token::{Kind, Requirements, TokenUse};

use super::{Authorize, Bearer, Names, Policies, contradiction, place, position};
use crate::{
    Issuer, Place,
    check::Check,
    written::{self, AuthorizeWord},
};

/// `Some(None)` where nobody is asked, `None` after a problem.
#[expect(
    clippy::option_option,
    reason = "the outer one says whether there is anything to use"
)]
pub(super) fn authenticate(
    raw: Option<written::Authenticate>,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Option<Bearer>> {
    let place = place.key("authenticate");
    match raw {
        None => {
            check.report(
                &place,
                "is left out; write `none` if nobody is asked, or `{bearer: {issuers: […]}}`",
            );
            None
        }
        Some(written::Authenticate::None) => Some(None),
        Some(written::Authenticate::Bearer(bearer)) => {
            Some(Some(tokens(bearer, names, &place.key("bearer"), check)))
        }
    }
}

fn tokens(raw: written::Bearer, names: &Names<'_>, place: &Place, check: &mut Check<'_>) -> Bearer {
    let issuers = issuers(&raw.issuers, names, &place.key("issuers"), check);
    check_kinds(&raw.token_use, &issuers, names, place, check);
    check_asked(&raw.claims, &raw.token_use, place, check);
    let places = place::check(raw.from, &place.key("from"), check);
    let requirements = Requirements {
        token_use: raw.token_use,
        scopes: raw.scopes,
        claims: raw.claims,
    };
    let known = known(&raw.issuers, names);
    contradiction::check(&requirements, &known, place, check);
    Bearer {
        issuers,
        requirements,
        places,
    }
}

/// Which issuers these are; those that could not be made sense of are left out.
fn issuers(
    written: &[String],
    names: &Names<'_>,
    list: &Place,
    check: &mut Check<'_>,
) -> Vec<usize> {
    if check.is_empty(list) {
        check.report(list, "name at least one of `issuers`");
    }
    let mut issuers = Vec::new();
    for (name, place) in written.iter().zip(check.items(list)) {
        match names
            .issuers
            .iter()
            .position(|issuer| issuer.name() == name)
        {
            Some(index) if issuers.contains(&index) => {
                check.report(&place, format!("`{name}` is there twice"));
            }
            Some(index) => issuers.push(index),
            // Written, but with problems of its own.
            None if check.names("issuers", name) => {}
            None => check.report_unknown(&place, "issuers", name),
        }
    }
    issuers
}

/// Tokens of OpenID Connect have no kinds.
fn check_kinds(
    token_use: &[TokenUse],
    issuers: &[usize],
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) {
    let issuers = issuers.iter().filter_map(|index| names.issuers.get(*index));
    let kinds: Vec<_> = issuers.map(Issuer::kind).collect();
    if !token_use.is_empty() && !kinds.is_empty() && !kinds.contains(&Kind::Cognito) {
        check.report(
            &place.key("token_use"),
            "says nothing about issuers of kind `oidc`; take it out",
        );
    }
}

/// The issuers of a route, with their positions in its list; none where one could not be made sense of.
fn known<'n>(list: &[String], names: &Names<'n>) -> Vec<(usize, &'n Issuer)> {
    let find = |(at, name): (usize, &String)| {
        let mut issuers = names.issuers.iter();
        Some((at, issuers.find(|issuer| issuer.name() == name)?))
    };
    let known: Option<_> = list.iter().enumerate().map(find).collect();
    known.unwrap_or_default()
}

fn check_asked(
    claims: &BTreeMap<String, Vec<String>>,
    token_use: &[TokenUse],
    place: &Place,
    check: &mut Check<'_>,
) {
    for name in claims.keys() {
        let place = place.key("claims").key(name);
        if check.is_empty(&place) {
            check.report(
                &place,
                "name at least one value; without one no token can pass",
            );
        }
    }
    if token_use.iter().collect::<HashSet<_>>().len() < token_use.len() {
        check.report(&place.key("token_use"), "names a kind twice");
    }
}

pub(super) fn authorize(
    raw: Option<written::Authorize>,
    is_open: bool,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Authorize> {
    let place = place.key("authorize");
    let Some(raw) = raw else {
        check.report(
            &place,
            "is left out; write `none`, `authenticated` or `{policies: NAME}`",
        );
        return None;
    };
    match raw {
        written::Authorize::Word(AuthorizeWord::None) => Some(Authorize::None),
        written::Authorize::Word(AuthorizeWord::Authenticated) => {
            if is_open {
                check.report(&place, "nobody proves who they are where `authenticate` is `none`; write `none` here too");
            }
            Some(Authorize::Authenticated)
        }
        written::Authorize::Policies(raw) => {
            if is_open {
                check.report(
                    &place,
                    "policies decide about callers, and nobody proves who they are where `authenticate` is `none`: every \
                     request would be refused; write `{bearer: {issuers: […]}}` there, or `none` here",
                );
            }
            policies(raw, names, &place, check).map(Authorize::Policies)
        }
    }
}

fn policies(
    raw: written::Policies,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Policies> {
    let mut headers = Vec::new();
    for (name, place) in raw.headers.iter().zip(check.items(&place.key("headers"))) {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if name == header::AUTHORIZATION || name == header::COOKIE => {
                check.report(&place, "holds credentials, which policies do not get");
            }
            Ok(name) if headers.contains(&name) => {
                check.report(&place, format!("`{name}` is there twice"));
            }
            Ok(name) => headers.push(name),
            Err(_) => check.report(&place, "is not a header name"),
        }
    }
    let policies = position(
        &raw.policies,
        &names.policies,
        "policies",
        &place.key("policies"),
        check,
    )?;
    Some(Policies {
        policies,
        action: raw.action,
        resource: raw.resource,
        headers,
    })
}
