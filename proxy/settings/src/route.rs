//! Routes, checked: every name refers to something.

use std::collections::{BTreeMap, HashSet};

use http::{HeaderName, header};
use route::Match;
use token::{Kind, Requirements, TokenUse};

use crate::{
    Issuer, Place, Template,
    check::Check,
    written::{self, AuthorizeWord},
};

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in logs, metrics and records; no two alike.
    pub name: String,
    /// When it applies.
    pub matches: Match,
    /// What is done then.
    pub handling: Handling,
}

/// What is done with a route's requests.
#[derive(Debug, Clone)]
pub enum Handling {
    /// The embedded engine serves them.
    Pools,
    /// They go to an upstream, if the caller may.
    Upstream(Box<Guarded>),
}

/// A route to an upstream.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// Which tokens prove who calls; `None` where nobody is asked.
    pub authenticate: Option<Bearer>,
    /// What decides.
    pub authorize: Authorize,
    /// Which of [`crate::Settings::upstreams`].
    pub upstream: usize,
    /// Headers set from the verified token.
    pub headers: Vec<(HeaderName, Template)>,
}

/// Which tokens a route takes.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// Which of [`crate::Settings::issuers`]; at least one.
    pub issuers: Vec<usize>,
    /// What else is asked of a token.
    pub requirements: Requirements,
}

/// What decides.
#[derive(Debug, Clone)]
pub enum Authorize {
    /// Everybody may.
    None,
    /// Everybody may who proved who they are.
    Authenticated,
    /// Cedar.
    Policies(Policies),
}

/// Cedar decides.
#[derive(Debug, Clone)]
pub struct Policies {
    /// Which of [`crate::Settings::policies`].
    pub policies: usize,
    /// The action's id, where it is not the default.
    pub action: Option<String>,
    /// `Type::"id"`, where it is not the application.
    pub resource: Option<String>,
    /// Request headers that policies may read.
    pub headers: Vec<HeaderName>,
}

/// What routes may refer to.
pub(crate) struct Names<'n> {
    pub(crate) issuers: &'n [Issuer],
    pub(crate) policies: Vec<&'n str>,
    pub(crate) upstreams: Vec<&'n str>,
}

pub(crate) fn check(
    raw: Vec<written::Route>,
    names: &Names<'_>,
    check: &mut Check<'_>,
) -> Vec<Route> {
    let list = Place::from("routes");
    if check.is_empty(&list) {
        check.report(&list, "name at least one route");
    }
    let places = check.items(&list);
    check_table(&raw, &places, check);
    let checked = raw.into_iter().zip(&places).map(|(raw, place)| {
        let name = name(&raw);
        let matches = raw.r#match.clone();
        let handling = handling(raw, names, place, check)?;
        Some(Route {
            name,
            matches,
            handling,
        })
    });
    checked.collect::<Vec<_>>().into_iter().flatten().collect()
}

/// Ties, templates, methods and names.
fn check_table(raw: &[written::Route], places: &[Place], check: &mut Check<'_>) {
    let entries = raw
        .iter()
        .map(|raw| (name(raw), raw.r#match.clone(), ()))
        .collect();
    for problem in route::Table::build(entries).err().unwrap_or_default() {
        let Some(place) = places.get(problem.index) else {
            continue;
        };
        let place = problem
            .place
            .to_string()
            .split('.')
            .fold(place.clone(), |place, key| place.key(key));
        check.report(&place, problem.message);
    }
}

/// `GET api.example.com/pets/{petId}`, where the settings give no name.
fn name(raw: &written::Route) -> String {
    raw.name.clone().unwrap_or_else(|| {
        let methods = if raw.r#match.methods.is_empty() {
            "*".into()
        } else {
            raw.r#match.methods.join(",")
        };
        let host = raw.r#match.host.as_deref().unwrap_or("*");
        format!(
            "{methods} {host}{}",
            raw.r#match.path.as_deref().unwrap_or("/{path*}")
        )
    })
}

fn handling(
    raw: written::Route,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Handling> {
    if raw.serve.is_some() {
        check_served(&raw, place, check);
        return Some(Handling::Pools);
    }
    let authenticate = authenticate(raw.authenticate, names, place, check);
    let is_open = matches!(authenticate, Some(None));
    let authorize = authorize(raw.authorize, is_open, names, place, check);
    let (upstream, headers) = forward(raw.upstream, is_open, names, place, check)?;
    let guarded = Guarded {
        authenticate: authenticate?,
        authorize: authorize?,
        upstream,
        headers,
    };
    Some(Handling::Upstream(Box::new(guarded)))
}

fn check_served(raw: &written::Route, place: &Place, check: &mut Check<'_>) {
    if check.written.at(&"pools".into()).is_none() {
        check.report(
            &place.key("serve"),
            "there is no engine to serve; add `pools`",
        );
    }
    let stray = [
        ("authenticate", raw.authenticate.is_some()),
        ("authorize", raw.authorize.is_some()),
        ("upstream", raw.upstream.is_some()),
    ];
    for (key, _) in stray.into_iter().filter(|(_, is_there)| *is_there) {
        check.report(
            &place.key(key),
            "says nothing beside `serve`: the engine decides for itself; take one of them out",
        );
    }
}

/// `Some(None)` where nobody is asked, `None` after a problem.
#[expect(
    clippy::option_option,
    reason = "the outer one says whether there is anything to use"
)]
fn authenticate(
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
    let list = place.key("issuers");
    if check.is_empty(&list) {
        check.report(&list, "name at least one of `issuers`");
    }
    let mut issuers = Vec::new();
    for (name, place) in raw.issuers.iter().zip(check.items(&list)) {
        match names
            .issuers
            .iter()
            .position(|issuer| issuer.name() == name)
        {
            Some(index) if issuers.contains(&index) => {
                check.report(&place, format!("`{name}` is there twice"))
            }
            Some(index) => issuers.push(index),
            // Written, but with problems of its own.
            None if check.names("issuers", name) => {}
            None => check.report_unknown(&place, "issuers", name),
        }
    }
    let kinds = issuers
        .iter()
        .filter_map(|index| names.issuers.get(*index))
        .map(Issuer::kind)
        .collect::<Vec<_>>();
    if !raw.token_use.is_empty() && !kinds.is_empty() && !kinds.contains(&Kind::Cognito) {
        check.report(
            &place.key("token_use"),
            "says nothing about issuers of kind `oidc`; take it out",
        );
    }
    check_asked(&raw.claims, &raw.token_use, place, check);
    let requirements = Requirements {
        token_use: raw.token_use,
        scopes: raw.scopes,
        claims: raw.claims,
    };
    Bearer {
        issuers,
        requirements,
    }
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

fn authorize(
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
                check.report(&place, format!("`{name}` is there twice"))
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

fn forward(
    raw: Option<written::Forward>,
    is_open: bool,
    names: &Names<'_>,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<(usize, Vec<(HeaderName, Template)>)> {
    let place = place.key("upstream");
    let Some(raw) = raw else {
        check.report(
            &place,
            "is left out; write `{to: NAME}`, or `serve: pools` for the engine",
        );
        return None;
    };
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    for (name, text) in &raw.headers {
        let place = place.key("headers").key(name);
        match header(name, text, is_open) {
            Ok((name, _)) if headers.iter().any(|(earlier, _)| *earlier == name) => {
                check.report(&place, format!("`{name}` is there twice, in other letters"));
            }
            Ok(header) => headers.push(header),
            Err(message) => check.report(&place, message),
        }
    }
    let upstream = position(
        &raw.to,
        &names.upstreams,
        "upstreams",
        &place.key("to"),
        check,
    )?;
    Some((upstream, headers))
}

fn header(name: &str, text: &str, is_open: bool) -> Result<(HeaderName, Template), String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is not a header name")?;
    if RESERVED.contains(&name) || name.as_str().starts_with("x-forwarded-") {
        return Err("is a header that the gate itself writes or takes away; choose another".into());
    }
    let template = Template::parse(text)?;
    if is_open && template.has_claims() {
        return Err("there is no token to take a claim from where `authenticate` is `none`".into());
    }
    Ok((name, template))
}

/// Where a name is in a section; a name that is written with problems of its own is no further problem.
fn position(
    name: &str,
    known: &[&str],
    section: &str,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<usize> {
    let found = known.iter().position(|known| *known == name);
    if found.is_none() && !check.names(section, name) {
        check.report_unknown(place, section, name);
    }
    found
}

/// Framing and hop-by-hop headers (RFC 9110 section 7.6.1), the host, and what the gate writes of its own.
const RESERVED: [HeaderName; 13] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("keep-alive"),
];
