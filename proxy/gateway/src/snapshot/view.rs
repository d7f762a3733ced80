//! What operators see of a snapshot: routes, issuers and settings, without secrets.

use http::header;
use serde::Serialize;
use serde_json::{Value, json};
use settings::{Cors, Handling, Issuer, ListenerRedirect, Redirect, Route, Settings, TokenPlace};
use token::KeySet;

use super::{Authorize, Plan};

/// A route, in `/routes` and in `portcullis check`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RouteView {
    pub(crate) name: String,
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) methods: Vec<String>,
    /// `pools`, `none` or the issuers whose bearer tokens are taken.
    pub(crate) authenticate: String,
    /// `pools`, `none`, `authenticated` or the policy set.
    pub(crate) authorize: String,
    pub(crate) actions: Vec<String>,
    /// `@id`s of the policies that can apply.
    pub(crate) policies: Vec<String>,
    pub(crate) upstream: Option<String>,
    /// The status and where callers are sent.
    pub(crate) redirect: Option<String>,
    /// The status and kind of content of a static answer.
    pub(crate) respond: Option<String>,
    /// Whether requests may go on as WebSocket.
    pub(crate) websocket: bool,
    /// Rules of admission that do not hold here.
    pub(crate) allow: Vec<&'static str>,
    /// Names of its rate limits.
    pub(crate) rate_limits: Vec<String>,
    /// `pass` or `answer`, where it speaks of pages of other origins.
    pub(crate) cors: Option<&'static str>,
    /// Whether anybody can get through without proving who they are.
    pub(crate) open: bool,
}

/// An issuer, in `/issuers`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IssuerView {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) embedded: bool,
    /// Whether its keys have been seen at all.
    pub(crate) loaded: bool,
    pub(crate) keys: Vec<KeyView>,
    /// Since when the set is known to be right.
    pub(crate) age_seconds: Option<u64>,
    pub(crate) next_refresh_seconds: Option<u64>,
    /// Why the latest fetch failed.
    pub(crate) last_error: Option<String>,
    /// Why the set is not on disk for the next start.
    pub(crate) kept_error: Option<String>,
    pub(crate) fetches: Option<FetchView>,
    /// The feed of its revocations, where one is followed.
    pub(crate) revocations: Option<RevocationsView>,
}

/// How a feed of revocations stands.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RevocationsView {
    pub(crate) entries: usize,
    /// Since when some may be unknown; nothing before the first answer.
    pub(crate) age_seconds: Option<u64>,
    /// Whether that is longer ago than the settings let it be.
    pub(crate) stale: bool,
    pub(crate) last_error: Option<String>,
}

impl RevocationsView {
    /// What is not well with it.
    pub(super) fn complaint(self) -> Option<String> {
        let error = match (self.last_error, self.stale) {
            (None, false) => return None,
            (None, true) => "no answer yet".to_owned(),
            (Some(error), _) => error,
        };
        let since = if self.stale {
            "not known"
        } else {
            "not heard of"
        };
        Some(format!("its revocations are {since}: {error}"))
    }
}

/// A key that verifies tokens of an issuer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KeyView {
    pub(crate) kid: Option<String>,
    pub(crate) algorithms: Vec<&'static str>,
}

/// How often an issuer's keys were fetched.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FetchView {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

impl KeyView {
    pub(super) fn of(keys: &KeySet) -> Vec<Self> {
        let view = |key: &token::Key| Self {
            kid: key.kid().map(str::to_owned),
            algorithms: key.algorithms().map(token::Algorithm::as_str).collect(),
        };
        keys.keys().iter().map(view).collect()
    }
}

impl RouteView {
    pub(super) fn of(route: &Route, plan: &Plan, settings: &Settings) -> Self {
        let mut view = Self {
            name: route.name.clone(),
            host: route.matches.host.clone(),
            path: route.matches.path.clone(),
            methods: route.matches.methods.clone(),
            authenticate: "pools".into(),
            authorize: "pools".into(),
            actions: Vec::new(),
            policies: Vec::new(),
            upstream: None,
            redirect: None,
            respond: None,
            websocket: false,
            allow: Vec::new(),
            rate_limits: names(route, settings),
            cors: route.cors.as_ref().map(|cors| match cors {
                Cors::Pass => "pass",
                Cors::Answer(_) => "answer",
            }),
            open: false,
        };
        view.handle(&route.handling, settings);
        if let Some(access) = plan.kind.access()
            && let Authorize::Policies(guards) = &access.authorize
        {
            for guard in guards.iter() {
                view.actions.push(guard.action().to_owned());
                let ids = guard.policies();
                view.policies.extend(ids.into_iter().map(str::to_owned));
            }
            view.policies.sort_unstable();
            view.policies.dedup();
        }
        view
    }

    fn handle(&mut self, handling: &Handling, settings: &Settings) {
        if let Some(access) = handling.access() {
            self.guard(access, settings);
        }
        match handling {
            Handling::Pools => {}
            Handling::Upstream(guarded) => {
                self.websocket = guarded.websocket;
                self.allow = guarded.allow.iter().map(|rule| rule.as_str()).collect();
                let upstream = settings.upstreams.get(guarded.upstream);
                self.upstream = upstream.map(|upstream| upstream.name.clone());
            }
            Handling::Respond(respond) => self.respond = Some(content(&respond.answer)),
            Handling::Redirect(to) => {
                self.open = true;
                (self.authenticate, self.authorize) = ("none".into(), "none".into());
                self.redirect = Some(format!("{} {to}", to.status.as_u16()));
            }
        }
    }

    fn guard(&mut self, access: &settings::Access, settings: &Settings) {
        self.open = access.authenticate.is_none();
        self.authenticate = match &access.authenticate {
            None => "none".into(),
            Some(bearer) => {
                let names = bearer
                    .issuers
                    .iter()
                    .filter_map(|index| settings.issuers.get(*index))
                    .map(Issuer::name);
                let names = names.collect::<Vec<_>>().join(",");
                format!("bearer {names}{}", places(&bearer.places))
            }
        };
        self.authorize = match &access.authorize {
            settings::Authorize::None => "none".into(),
            settings::Authorize::Authenticated => "authenticated".into(),
            settings::Authorize::Policies(asked) => settings
                .policies
                .get(asked.policies)
                .map_or_else(String::new, |(name, _)| format!("policies {name}")),
        };
    }
}

/// `200 text/plain`, or the status alone.
fn content(answer: &settings::Answer) -> String {
    let mut fields = answer.headers.iter();
    let kind = fields.find(|(name, _)| *name == header::CONTENT_TYPE);
    let kind = kind.and_then(|(_, kind)| kind.to_str().ok());
    let kind = kind.map_or_else(String::new, |kind| format!(" {kind}"));
    format!("{}{kind}", answer.status.as_u16())
}

/// Where a token may stand, unless that is the header alone.
fn places(places: &[TokenPlace]) -> String {
    let name = |place: &TokenPlace| match place {
        TokenPlace::Header => "header".to_owned(),
        TokenPlace::Cookie(name) => format!("cookie {name}"),
        TokenPlace::Query(name) => format!("query {name}"),
    };
    match places {
        [TokenPlace::Header] => String::new(),
        places => {
            let names: Vec<_> = places.iter().map(name).collect();
            format!(" in {}", names.join(", "))
        }
    }
}

fn names(route: &Route, settings: &Settings) -> Vec<String> {
    let limits = route.rate_limits.iter();
    let limits = limits.filter_map(|limit| limit.of(&settings.rate_limits));
    limits.map(|limit| limit.name.clone()).collect()
}

/// The settings in force, with names in place of secrets.
pub(super) fn config(settings: &Settings) -> Value {
    let listeners = settings.listeners.iter();
    let upstreams = settings.upstreams.iter();
    let issuers = settings.issuers.iter();
    json!({
        "file": settings.file,
        "data": settings.data,
        "listeners": listeners
            .map(|listener| json!({
                "address": listener.address,
                "tls": listener.tls.is_some(),
                "proxy_protocol": listener.proxy_protocol.as_ref().map(|proxy| &proxy.from),
                "redirect": listener.redirect.map(redirect),
            }))
            .collect::<Vec<_>>(),
        "admin": settings.admin,
        "log": settings.log,
        "limits": settings.limits,
        "trusted_peers": settings.trusted_peers,
        "trusted_header": settings.trusted_header,
        "traces": settings.traces.as_ref().map(traces),
        "issuers": issuers.map(Issuer::name).collect::<Vec<_>>(),
        "policies": settings.policies
            .iter()
            .map(|(name, config)| json!({"name": name, "path": config.path}))
            .collect::<Vec<_>>(),
        "upstreams": upstreams
            .map(|upstream| json!({
                "name": upstream.name,
                "servers": upstream.servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "protocol": upstream.protocol,
                "balance": upstream.balance,
                "health": upstream.health,
                "eject": upstream.eject,
                "slow_start_seconds": upstream.slow_start_seconds,
                "limits": upstream.limits,
                "tls": tls(&upstream.tls),
            }))
            .collect::<Vec<_>>(),
        "rate_limits": settings.rate_limits
            .iter()
            .map(|limit| json!({
                "name": limit.name,
                "by": limit.by.word(),
                "requests": limit.requests,
                "per_seconds": limit.per_seconds,
                "burst": limit.burst,
                "keys": limit.keys,
            }))
            .collect::<Vec<_>>(),
        "pools": settings.pools.as_ref().map(pools),
    })
}

/// Whether each is said, and nothing of it but the name.
fn tls(tls: &settings::UpstreamTls) -> Value {
    json!({"ca": tls.ca.is_some(), "name": tls.name, "certificate": tls.certificate.is_some()})
}

fn redirect(redirect: ListenerRedirect) -> Value {
    let to = Redirect::from(redirect.to_https());
    json!({"status": to.status.as_u16(), "to": to.to_string()})
}

fn traces(traces: &settings::Traces) -> Value {
    let headers = traces.headers.iter();
    json!({
        "otlp": traces.url,
        "headers": headers.map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        "sample": traces.sample,
        "service_name": traces.service_name,
        "trust_parent": traces.trust_parent,
    })
}

fn pools(pools: &settings::Pools) -> Value {
    let operators = pools.operators.iter();
    json!({
        "public_url": pools.config.public_url,
        "region": pools.config.region,
        "account": pools.config.account,
        "declare": pools.config.declare.iter().map(|pool| &pool.id).collect::<Vec<_>>(),
        "operators": operators
            .map(|operator| json!({"access_key_id": operator.access_key_id, "pools": operator.pools}))
            .collect::<Vec<_>>(),
    })
}
