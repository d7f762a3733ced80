//! Issuers, checked.

mod fetch;
mod revocations;

use std::collections::{BTreeMap, HashMap};

use engine::pool;
use token::{Audience, Kind, Naming, Rules, Transport};
use url::{Host, Url};

use crate::{Place, check::Check, load::check_name, written};

pub use revocations::Revocations;

/// Who signs tokens that routes accept.
#[derive(Debug, Clone)]
pub enum Issuer {
    /// A pool of the embedded engine, which knows its `iss`, clients and keys.
    Embedded {
        /// Its name in the settings.
        name: String,
        /// The pool's id.
        pool: String,
        /// How its users are named in policies.
        naming: Naming,
    },
    /// Anybody else, whose keys are fetched.
    Remote(Box<Remote>),
}

/// An issuer that is not a pool of ours.
#[derive(Debug, Clone)]
pub struct Remote {
    /// What its tokens are held to.
    pub rules: Rules,
    /// Where its keys are; found by discovery when absent.
    pub jwks_uri: Option<Url>,
    /// The way to them.
    pub transport: Transport,
    /// Where its revocations are told, if they are.
    pub revocations: Option<Revocations>,
}

impl Issuer {
    /// Its name in the settings.
    pub fn name(&self) -> &str {
        match self {
            Self::Embedded { name, .. } => name,
            Self::Remote(remote) => &remote.rules.name,
        }
    }

    /// Which rules its tokens follow.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Embedded { .. } => Kind::Cognito,
            Self::Remote(remote) => remote.rules.kind,
        }
    }

    /// How its callers are named in policies.
    pub fn naming(&self) -> &Naming {
        match self {
            Self::Embedded { naming, .. } => naming,
            Self::Remote(remote) => &remote.rules.naming,
        }
    }
}

/// The issuers that could be made sense of.
pub(crate) fn check(
    raw: &BTreeMap<String, written::Issuer>,
    pools: Option<&engine::Config>,
    check: &mut Check<'_>,
) -> Vec<Issuer> {
    check_distinct(raw, pools, check);
    let mut issuers = Vec::new();
    for (name, raw) in raw {
        let place = Place::from("issuers").key(name);
        check_name(name, &place, check);
        issuers.extend(match &raw.embedded {
            Some(pool) => {
                warn_undeclared(pool, pools, &place.key("embedded"), check);
                Some(embedded(name, pool, raw, &place, check))
            }
            // Written, but not readable.
            None if check.is_written(&place.key("embedded")) => None,
            None => remote(name, raw, &place, check),
        });
    }
    issuers
}

/// A pool that is not declared may be in the store already, and clients are made by calls too.
fn warn_undeclared(
    pool: &str,
    pools: Option<&engine::Config>,
    place: &Place,
    check: &mut Check<'_>,
) {
    let Some(pools) = pools.filter(|_| !check.is_unread(&"pools".into())) else {
        return;
    };
    match pools.declare.iter().find(|declared| declared.id == pool) {
        None => check.warn(
            place,
            format!("`{pool}` is not under `pools.declare`: unless the store has it, no token can be its own"),
        ),
        Some(declared) if declared.clients.is_empty() => check.warn(
            place,
            format!("`{pool}` is declared without clients: until a call makes one, it gives nobody a token"),
        ),
        Some(_) => {}
    }
}

/// No two issuers may claim the same tokens, be they pools of the engine or not.
fn check_distinct(
    raw: &BTreeMap<String, written::Issuer>,
    pools: Option<&engine::Config>,
    check: &mut Check<'_>,
) {
    let section = Place::from("pools");
    let is_read = ["public_url", "issuer"]
        .iter()
        .all(|key| !check.is_unread(&section.key(*key)));
    // Without them, pools are still told apart from each other.
    let pools = pools.filter(|_| is_read);
    let mut seen: HashMap<String, (&str, bool)> = HashMap::new();
    for (name, raw) in raw {
        let iss = match &raw.embedded {
            Some(pool) => Some(pools.map_or_else(|| pool.clone(), |pools| pools.issuer_of(pool))),
            None => raw.issuer.clone(),
        };
        let is_pool = raw.embedded.is_some();
        let other = iss.and_then(|iss| seen.insert(iss, (name, is_pool)));
        if let Some(other) = other {
            report_same((name, is_pool), other, check);
        }
    }
}

/// Of a pool and another issuer, it is the other that is written wrongly.
fn report_same(
    (one, one_is_pool): (&str, bool),
    (other, other_is_pool): (&str, bool),
    check: &mut Check<'_>,
) {
    let issuer = |name: &str| Place::from("issuers").key(name);
    let (place, other, owner) = match (one_is_pool, other_is_pool) {
        (true, false) => (issuer(other).key("issuer"), one, "the pool of "),
        (false, true) => (issuer(one).key("issuer"), other, "the pool of "),
        _ => (issuer(one), other, ""),
    };
    check.report(
        &place,
        format!("is the same issuer as {owner}`{other}`; a token would belong to both"),
    );
}

fn embedded(
    name: &str,
    pool: &str,
    raw: &written::Issuer,
    place: &Place,
    check: &mut Check<'_>,
) -> Issuer {
    let stray = [
        ("kind", raw.kind.is_some()),
        ("issuer", raw.issuer.is_some()),
        ("jwks_uri", raw.jwks_uri.is_some()),
        ("clients", !raw.clients.is_empty()),
        ("audiences", !raw.audiences.is_empty()),
        ("fetch", raw.fetch.is_some()),
        ("revocations", raw.revocations.is_some()),
    ];
    for (key, _) in stray.into_iter().filter(|(_, is_there)| *is_there) {
        check.report(
            &place.key(key),
            "says nothing beside `embedded`: the pool knows it; take it out",
        );
    }
    if !pool::is_id(pool) {
        check.report(
            &place.key("embedded"),
            format!("`{pool}` is not a pool id as `us-east-1_Staff0001`"),
        );
    }
    if !check.is_written(&"pools".into()) {
        check.report(
            &place.key("embedded"),
            "there is no engine to ask; add `pools`, or give `kind` and `issuer`",
        );
    }
    Issuer::Embedded {
        name: name.to_owned(),
        pool: pool.to_owned(),
        naming: naming(raw, Naming::cognito(pool), place, check),
    }
}

fn remote(
    name: &str,
    raw: &written::Issuer,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<Issuer> {
    check_named(raw, place, check);
    let jwks_uri = raw
        .jwks_uri
        .as_ref()
        .and_then(|url| check_url(url, &place.key("jwks_uri"), check));
    let start = jwks_uri
        .clone()
        .or_else(|| Url::parse(raw.issuer.as_ref()?).ok());
    let transport = fetch::check(raw.fetch.as_ref(), start.as_ref(), place, check);
    let revocations = revocations::check(raw, place, check);
    let kind = raw.kind?;
    let audience = audience(raw, kind, place, check);
    let iss = raw.issuer.clone()?;
    let default = match kind {
        Kind::Cognito => cognito_naming(&iss, raw, place, check),
        Kind::Oidc => Naming::oidc(),
    };
    let rules = Rules {
        name: name.into(),
        iss,
        kind,
        audience,
        naming: naming(raw, default, place, check),
    };
    Some(Issuer::Remote(Box::new(Remote {
        rules,
        jwks_uri,
        transport,
        revocations,
    })))
}

/// Says what is missing, and whether the issuer is a URL.
fn check_named(raw: &written::Issuer, place: &Place, check: &mut Check<'_>) {
    let message = "is missing; write it, or `embedded` for a pool of the engine";
    if raw.kind.is_none() {
        check.report(&place.key("kind"), message);
    }
    let place = place.key("issuer");
    match &raw.issuer {
        None => check.report(&place, message),
        Some(iss) => {
            let url = check_url(iss, &place, check);
            warn_example(url.as_ref(), &place, check);
        }
    }
}

/// Who may be meant: an issuer without an audience would accept tokens that were given to anybody.
fn audience(raw: &written::Issuer, kind: Kind, place: &Place, check: &mut Check<'_>) -> Audience {
    let ((key, values), (stray, strays)) = match kind {
        Kind::Cognito => (("clients", &raw.clients), ("audiences", &raw.audiences)),
        Kind::Oidc => (("audiences", &raw.audiences), ("clients", &raw.clients)),
    };
    if !strays.is_empty() {
        check.report(
            &place.key(stray),
            format!("says nothing for this kind of issuer; write `{key}`"),
        );
    }
    if values.is_empty() && check.is_empty(&place.key(key)) {
        check.report(
            &place.key(key),
            "name at least one: tokens meant for nobody in particular are not accepted",
        );
    }
    for (value, place) in values.iter().zip(check.items(&place.key(key))) {
        if value.is_empty() {
            check.report(&place, "is empty");
        }
    }
    Audience::AnyOf(values.clone())
}

fn cognito_naming(
    iss: &str,
    raw: &written::Issuer,
    place: &Place,
    check: &mut Check<'_>,
) -> Naming {
    let id = iss.rsplit('/').next().unwrap_or_default();
    let is_named = raw
        .principal
        .as_ref()
        .is_some_and(|principal| principal.prefix.is_some());
    if !is_named && !pool::is_id(id) {
        check.report(
            &place.key("issuer"),
            "does not end in a pool id; mend it, or give `principal.prefix`",
        );
    }
    Naming::cognito(id)
}

fn naming(raw: &written::Issuer, default: Naming, place: &Place, check: &mut Check<'_>) -> Naming {
    let Some(principal) = &raw.principal else {
        return default;
    };
    let has_bar = |prefix: &String| prefix.contains('|');
    if principal.prefix.as_ref().is_some_and(has_bar) {
        check.report(
            &place.key("principal").key("prefix"),
            "must not hold `|`, which is where it ends in the names of callers",
        );
    }
    Naming {
        prefix: principal.prefix.clone().or(default.prefix),
        claim: principal.claim.clone().unwrap_or(default.claim),
        group_claim: principal.group_claim.clone().unwrap_or(default.group_claim),
    }
}

/// A URL that keys can be fetched from safely.
fn check_url(text: &str, place: &Place, check: &mut Check<'_>) -> Option<Url> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            check.report(place, format!("is not a URL: {error}"));
            return None;
        }
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if !is_safe || url.host().is_none() {
        check.report(
            place,
            "must start with `https://`: whoever changes the keys on their way can sign tokens",
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        check.report(place, "must not hold a user or password");
    }
    Some(url)
}

/// RFC 2606 keeps names for examples, which then stand in settings that were copied.
fn warn_example(url: Option<&Url>, place: &Place, check: &mut Check<'_>) {
    let Some(Host::Domain(name)) = url.and_then(Url::host) else {
        return;
    };
    let within = |domain: &&str| {
        let rest = name.strip_suffix(*domain);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if EXAMPLES.iter().any(within) {
        check.warn(
            place,
            format!("`{name}` is a name for examples, where nobody is: every token is refused until your own issuer stands here"),
        );
    }
}

/// RFC 2606 sections 2 and 3, but for `.test` and `.localhost`, which are used.
const EXAMPLES: [&str; 5] = [
    "example.com",
    "example.net",
    "example.org",
    "example",
    "invalid",
];

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
