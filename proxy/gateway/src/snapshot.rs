//! What requests are judged by: routes, issuers, policies and upstreams, as one immutable value.
//!
//! A reload makes a whole new one or none at all, so a request never sees half of two.

mod beside;
mod circle;
mod effect;
#[cfg(test)]
mod fixture;
mod issuers;
mod limits;
mod routes;
mod shadow;
mod traces;
mod view;

use std::sync::Arc;

use http::HeaderName;
use route::Table;
use serde_json::Value;
use settings::{Place, Problem, Redirect, Settings, Template, TokenPlace};
use token::{IssuerIndex, Requirements, Verifier};
use tokio::runtime::Handle;

use crate::{
    gateway::{
        Answer, Cors, Guards, Limits, Timeouts,
        admit::{self, Allowances},
    },
    metrics::{Metrics, RouteMetrics},
    rate::Limiter,
    status::Degraded,
    traces::{Outlet, Traces},
    upstream::Upstream,
};

pub(crate) use issuers::RemoteIssuer;
pub(crate) use view::{IssuerView, RouteView};

/// Everything that judges a request.
pub(crate) struct Snapshot {
    /// Counts snapshots from 1; decisions name it.
    pub(crate) generation: u64,
    pub(crate) routes: Table<Arc<Plan>>,
    pub(crate) verifier: Verifier,
    pub(crate) rules: admit::Rules,
    /// Counts requests that no route takes.
    pub(crate) unrouted: RouteMetrics,
    /// In the order of the settings.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// Rate limits; the next snapshot goes on with those that it has too.
    limiters: Vec<Arc<Limiter>>,
    /// Where requests are traced.
    pub(crate) traces: Option<Arc<Traces>>,
    /// The routes as operators see them.
    pub(crate) views: Vec<RouteView>,
    /// The settings as operators see them; without secrets.
    pub(crate) config: Value,
    /// Issuers whose keys are fetched; the next snapshot goes on with those that it has too.
    pub(crate) remote: Vec<RemoteIssuer>,
    /// Routes that can permit nobody, by the settings and policies of a reload.
    pub(crate) futile: Vec<Problem>,
    /// What is odd in settings and policies, but may be meant.
    pub(crate) warnings: Vec<Problem>,
}

/// One route, with all that can be found out before a request comes.
pub(crate) struct Plan {
    pub(crate) name: Arc<str>,
    /// The template of its path, if it is for certain paths.
    pub(crate) path: Option<Box<str>>,
    pub(crate) metrics: RouteMetrics,
    /// Names of the path's parameters, from left to right.
    pub(crate) parameters: Vec<Arc<str>>,
    /// What of admission it lets go.
    pub(crate) allows: Allowances,
    /// The longest body it takes, in octets.
    pub(crate) body_limit: u64,
    /// `None` where there are none.
    pub(crate) limits: Option<Box<Limits>>,
    pub(crate) cors: Option<Cors>,
    pub(crate) kind: Kind,
}

/// What is done with a route's requests.
pub(crate) enum Kind {
    /// The embedded engine serves them.
    Pools,
    /// They go upstream, if the caller may.
    Proxy(Box<Proxy>),
    /// They are answered here, if the caller may.
    Respond(Box<Respond>),
    /// Whoever calls is sent elsewhere.
    Redirect(Box<Redirect>),
}

impl Kind {
    /// Who may use the route; `None` where the route itself does not say.
    pub(crate) fn access(&self) -> Option<&Access> {
        match self {
            Self::Proxy(proxy) => Some(&proxy.access),
            Self::Respond(respond) => Some(&respond.access),
            Self::Pools | Self::Redirect(_) => None,
        }
    }

    /// Whether requests may go on as WebSocket.
    pub(crate) fn takes_websocket(&self) -> bool {
        matches!(self, Self::Proxy(proxy) if proxy.websocket)
    }
}

/// Who may use a route.
pub(crate) struct Access {
    pub(crate) authenticate: Authenticate,
    pub(crate) authorize: Authorize,
}

/// A route to an upstream.
pub(crate) struct Proxy {
    pub(crate) access: Access,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) headers: Vec<(HeaderName, Template)>,
    /// What is changed of requests and answers; `None` where nothing is.
    pub(crate) rewrite: Option<Box<settings::Rewrite>>,
    pub(crate) timeouts: Timeouts,
    /// Whether requests may go on as WebSocket.
    pub(crate) websocket: bool,
}

/// A route with an answer of its own.
pub(crate) struct Respond {
    pub(crate) access: Access,
    pub(crate) answer: Answer,
}

/// How a caller proves who it is.
pub(crate) enum Authenticate {
    /// Nobody is asked.
    None,
    /// By a bearer token.
    Bearer {
        issuers: Vec<IssuerIndex>,
        requirements: Requirements,
        places: Vec<TokenPlace>,
    },
}

/// What decides.
pub(crate) enum Authorize {
    /// Everybody may.
    None,
    /// Everybody may who proved who they are.
    Authenticated,
    /// Policies.
    Policies(Box<Guards>),
}

/// What a snapshot is made with.
pub(crate) struct Maker {
    pub(crate) metrics: Metrics,
    /// As they were at the start.
    pub(crate) limits: settings::Limits,
    pub(crate) engine: Option<engine::Engine>,
    /// Where keys are fetched and servers watched; without it, nothing is: for checks.
    pub(crate) background: Option<Handle>,
    /// Where spans are put.
    pub(crate) outlet: Outlet,
}

impl Snapshot {
    /// What is not well at this moment.
    pub(crate) fn degraded(&self) -> Vec<Degraded> {
        let upstreams = self.upstreams.iter().filter_map(|u| u.degraded());
        let traces = self.traces.iter().filter_map(|traces| traces.degraded());
        let futile = self.futile.iter().cloned().map(Degraded::from);
        self.degraded_issuers()
            .into_iter()
            .chain(upstreams)
            .chain(traces)
            .chain(futile)
            .collect()
    }

    /// Whether all is there that requests may need and that comes by itself: keys, revocations, servers' addresses.
    pub(crate) fn is_settled(&self) -> bool {
        self.degraded_issuers().is_empty() && self.upstreams.iter().all(|it| it.is_resolved())
    }

    /// Has spans go where its settings say; where they say nothing, what is left goes where it went before.
    pub(crate) fn export(&self) {
        if let Some(traces) = &self.traces {
            traces.put_in_force();
        }
    }

    /// Tells the log what is odd.
    pub(crate) fn tell(&self) {
        for futile in &self.futile {
            tracing::error!(what = %futile.place, why = %futile.message, "A route permits nobody");
        }
        for warning in &self.warnings {
            tracing::warn!(what = %warning.place, why = %warning.message, "Settings are odd");
        }
    }
}

impl Maker {
    /// Makes a snapshot, or says everything that stands in its way.
    pub(crate) fn make(
        &self,
        settings: &Settings,
        generation: u64,
        previous: Option<&Snapshot>,
    ) -> Result<Snapshot, Vec<Problem>> {
        let mut problems = Vec::new();
        let issuers = self.issuers(settings, previous, &mut problems);
        let policies = policies(settings, generation, &mut problems);
        let Some((verifier, remote)) = issuers else {
            return Err(problems);
        };
        let background = self.background.as_ref().filter(|_| problems.is_empty());
        let upstreams: Vec<_> = settings
            .upstreams
            .iter()
            .map(|upstream| self.upstream(upstream, previous, background))
            .collect();
        let limiters = self.limiters(settings, previous);
        let traces = self.traces(settings, previous, &mut problems);
        let parts = routes::Parts {
            settings,
            limits: &self.limits,
            limiters: &limiters,
            metrics: &self.metrics,
            policies: &policies,
            upstreams: &upstreams,
            verifier: &verifier,
        };
        let (routes, views) = routes::build(&parts, &mut problems);
        if let Some(routes) = &routes {
            problems.extend(shadow::problems(settings, routes));
            problems.extend(circle::problems(settings, routes));
        }
        let mut effect = routes
            .as_ref()
            .map(|routes| effect::judge(settings, routes))
            .unwrap_or_default();
        // Whoever closes a route by its policies while it is in force must not keep it open by that.
        if previous.is_none() {
            problems.append(&mut effect.futile);
        }
        match routes {
            Some(routes) if problems.is_empty() => Ok(Snapshot {
                warnings: warnings(settings, &policies, &routes, effect.warnings),
                futile: effect.futile,
                generation,
                routes,
                verifier,
                rules: rules(settings, &self.limits),
                unrouted: self.metrics.route("(none)"),
                upstreams,
                limiters,
                traces,
                views,
                config: view::config(settings),
                remote,
            }),
            _ => Err(problems),
        }
    }

    /// The upstream as it stands, where the settings left it alone: one made anew would have to learn its servers'
    /// addresses and health again, and would refuse requests meanwhile.
    fn upstream(
        &self,
        settings: &settings::Upstream,
        previous: Option<&Snapshot>,
        background: Option<&Handle>,
    ) -> Arc<Upstream> {
        let kept = previous
            .into_iter()
            .flat_map(|previous| &previous.upstreams)
            .find(|upstream| upstream.is_made_of(settings));
        kept.cloned()
            .unwrap_or_else(|| Arc::new(Upstream::new(settings, &self.metrics, background)))
    }
}

/// Every policy set; `None` where one could not be loaded.
fn policies(
    settings: &Settings,
    generation: u64,
    problems: &mut Vec<Problem>,
) -> Vec<Option<decision::Policies>> {
    let load = |(name, config): &(String, decision::Config)| {
        let loaded = decision::Policies::load(config, generation);
        let loaded = loaded.map_err(|found| {
            let found = found.iter();
            problems.extend(found.map(|found| of_policies(settings, name, found)));
        });
        loaded.ok()
    };
    settings.policies.iter().map(load).collect()
}

/// What is odd, in the order of the file.
fn warnings(
    settings: &Settings,
    policies: &[Option<decision::Policies>],
    routes: &Table<Arc<Plan>>,
    of_effect: Vec<Problem>,
) -> Vec<Problem> {
    let mut all = settings.warnings.clone();
    for ((name, _), policies) in settings.policies.iter().zip(policies) {
        let found = policies.iter().flat_map(decision::Policies::warnings);
        all.extend(found.map(|found| of_policies(settings, name, found)));
    }
    all.extend(of_effect);
    all.extend(beside::warnings(settings, routes));
    all.sort_by_key(|warning| warning.line);
    all
}

/// What was found in a policy set. Where it names a place in a file of its own, that is the one to look at.
fn of_policies(settings: &Settings, name: &str, found: &decision::Problem) -> Problem {
    let place = Place::from("policies").key(name);
    let problem = settings.lines.problem(&place, found.to_string());
    Problem {
        line: problem.line.filter(|_| found.file.is_none()),
        ..problem
    }
}

/// Admission must know the names of all headers that any route sets or policies read.
fn rules(settings: &Settings, limits: &settings::Limits) -> admit::Rules {
    let mut rules = admit::Rules {
        bounds: limits.into(),
        trusted_peers: settings.trusted_peers.clone(),
        trusted_header: settings.trusted_header,
        ..admit::Rules::default()
    };
    for route in &settings.routes {
        if let settings::Handling::Upstream(guarded) = &route.handling {
            for (name, _) in &guarded.headers {
                let key = admit::identity_key(name.as_str()).into_owned();
                rules.identity_headers.insert(key);
            }
        }
        let access = route.handling.access();
        if let Some(settings::Authorize::Policies(policies)) = access.map(|it| &it.authorize) {
            let names = policies.headers.iter();
            names.for_each(|name| rules.read(name.clone()));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"
listeners: [{address: 127.0.0.1:0}]
issuers: {a: {kind: oidc, issuer: "https://login.example.com", audiences: [api]}}
policies: {pets: {path: pets, principal: "PetStore::User"}}
upstreams: {app: {servers: ["http://127.0.0.1:9"]}}
routes:
  - match: {path: "/pets/{rest*}", methods: [GET]}
    authenticate: {bearer: {issuers: [a]}}
    authorize: {policies: pets, headers: [X-Role, X_Plan]}
    upstream: {to: app, headers: {x_user: "{claims.sub}"}}
  - match: {path: "/more/{rest*}", methods: [GET]}
    authenticate: {bearer: {issuers: [a]}}
    authorize: {policies: pets, headers: [x-role]}
    upstream: {to: app}
"#;

    #[test]
    fn a_route_that_the_policies_do_not_know_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portcullis.yaml");
        let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/petstore");
        std::fs::write(
            &file,
            SETTINGS.replace("path: pets", &format!("path: {policies}")),
        )
        .unwrap();
        let metrics = Metrics::new().unwrap();
        let maker = Maker {
            outlet: Outlet::new(&metrics),
            metrics,
            limits: settings::Limits::default(),
            engine: None,
            background: None,
        };
        let made = maker.make(&settings::load(&file).unwrap(), 1, None);
        let places: Vec<_> = made
            .err()
            .unwrap()
            .into_iter()
            .map(|problem| (problem.place, problem.line))
            .collect();
        assert_eq!(
            places,
            [
                ("routes[0].authorize".to_owned(), Some(9)),
                ("routes[1].authorize".to_owned(), Some(13)),
            ]
        );
    }

    #[test]
    fn admission_knows_what_routes_set_and_policies_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portcullis.yaml");
        std::fs::create_dir(folder.path().join("pets")).unwrap();
        std::fs::write(&file, SETTINGS).unwrap();
        let rules = rules(
            &settings::load(&file).unwrap(),
            &settings::Limits::default(),
        );
        assert_eq!(rules.identity_headers, ["x-user".to_owned()].into());
        let read = [("x-role", "x-role"), ("x-plan", "x_plan")];
        assert_eq!(
            rules.policy_headers,
            read.map(|(key, name)| (key.to_owned(), vec![HeaderName::from_static(name)]))
                .into()
        );
    }
}
