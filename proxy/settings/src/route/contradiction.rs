//! What a route asks of tokens, held against what its issuers give: what no token can have is asked for by mistake.

use token::{Audience, Kind, Requirements, TokenUse};

use crate::{Issuer, Place, check::Check};

/// One kind of token of one issuer of the route.
#[derive(Clone, Copy)]
struct Source<'s> {
    issuer: &'s Issuer,
    /// `None` for issuers whose tokens have no such kinds.
    token_use: Option<TokenUse>,
}

/// Reports what no token that the route takes can have; `issuers` with their positions in the route's list.
pub(super) fn check(
    asked: &Requirements,
    issuers: &[(usize, &Issuer)],
    place: &Place,
    check: &mut Check<'_>,
) {
    check_scopes(asked, issuers, place, check);
    let sources: Vec<_> = issuers
        .iter()
        .flat_map(|(_, issuer)| sources(issuer, asked))
        .collect();
    if sources.is_empty() {
        return;
    }
    let mut told = false;
    for (name, values) in &asked.claims {
        let items = check.items(&place.key("claims").key(name));
        for (value, place) in values.iter().zip(items) {
            if let Some(given) = never(&sources, name, value) {
                told = true;
                check.report(&place, message(value, &given));
            }
        }
    }
    if !told {
        check_each(asked, issuers, place, check);
    }
}

/// RFC 6749 section 3.3 says what a scope is made of.
fn check_scopes(
    asked: &Requirements,
    issuers: &[(usize, &Issuer)],
    place: &Place,
    check: &mut Check<'_>,
) {
    let is_of_scope = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let items = check.items(&place.key("scopes"));
    for (scope, place) in asked.scopes.iter().zip(items) {
        if scope.is_empty() || !scope.bytes().all(is_of_scope) {
            check.report(
                &place,
                "can be in no token: a scope has no space, quote or backslash; write each scope alone",
            );
        }
    }
    let is_cognito = issuers
        .iter()
        .any(|(_, issuer)| issuer.kind() == Kind::Cognito);
    if is_cognito && !asked.scopes.is_empty() && asked.token_use.contains(&TokenUse::Id) {
        check.report(
            &place.key("token_use"),
            "ID tokens have no scope, and `scopes` asks for one: take `id` out, or `scopes`",
        );
    }
}

/// An issuer of which no token has what is asked stands in the list for nothing.
fn check_each(
    asked: &Requirements,
    issuers: &[(usize, &Issuer)],
    place: &Place,
    check: &mut Check<'_>,
) {
    let items = check.items(&place.key("issuers"));
    for (at, issuer) in issuers {
        let sources = sources(issuer, asked);
        let vain = asked.claims.iter().find(|(name, values)| {
            let mut values = values.iter().peekable();
            values.peek().is_some() && values.all(|value| never(&sources, name, value).is_some())
        });
        if let (Some((name, _)), Some(place)) = (vain, items.get(*at)) {
            let issuer = issuer.name();
            check.report(
                place,
                format!("no token of `{issuer}` can pass: none has what `claims.{name}` asks for; take `{issuer}` out, or change that"),
            );
        }
    }
}

fn sources<'s>(issuer: &'s Issuer, asked: &Requirements) -> Vec<Source<'s>> {
    let of = |token_use| Source { issuer, token_use };
    match issuer.kind() {
        Kind::Oidc => vec![of(None)],
        Kind::Cognito if asked.token_use.is_empty() => vec![of(Some(TokenUse::Access))],
        Kind::Cognito => asked.token_use.iter().map(|one| of(Some(*one))).collect(),
    }
}

/// What the sources do give, where none of them ever gives this value.
fn never(sources: &[Source<'_>], claim: &str, value: &str) -> Option<Vec<String>> {
    let mut given = Vec::new();
    for source in sources {
        let values = source.values(claim)?;
        if values.contains(&value) {
            return None;
        }
        given.extend(values.into_iter().map(str::to_owned));
    }
    given.dedup();
    Some(given)
}

impl Source<'_> {
    /// All values that a claim can have here; `None` where that is not known.
    fn values(&self, claim: &str) -> Option<Vec<&str>> {
        match (claim, self.token_use) {
            ("iss", _) => match self.issuer {
                // Where the engine is reached may change with the command line.
                Issuer::Embedded { .. } => None,
                Issuer::Remote(remote) => Some(vec![&remote.rules.iss]),
            },
            ("token_use", Some(TokenUse::Access)) => Some(vec!["access"]),
            ("token_use", Some(TokenUse::Id)) => Some(vec!["id"]),
            // Cognito lets nobody add these to tokens that lack them.
            ("client_id" | "scope", Some(TokenUse::Id)) => Some(Vec::new()),
            ("client_id", Some(TokenUse::Access)) | ("aud", Some(TokenUse::Id)) => self.clients(),
            _ => None,
        }
    }

    /// A pool of the engine gets clients by calls too.
    fn clients(&self) -> Option<Vec<&str>> {
        match self.issuer {
            Issuer::Remote(remote) => match &remote.rules.audience {
                Audience::AnyOf(clients) => Some(clients.iter().map(String::as_str).collect()),
                Audience::Embedded => None,
            },
            Issuer::Embedded { .. } => None,
        }
    }
}

fn message(value: &str, given: &[String]) -> String {
    if given.is_empty() {
        return "no token that the route takes has this claim; take it out, or change `token_use`"
            .into();
    }
    let given: Vec<_> = given.iter().map(|one| format!("`{one}`")).collect();
    format!(
        "no token that the route takes has `{value}` here: its issuers leave {}; take it out, or add it there",
        given.join(", ")
    )
}
