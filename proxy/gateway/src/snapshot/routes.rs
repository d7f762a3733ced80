//! A snapshot's routes: what the settings name, put together and held against the policies.

use std::sync::Arc;

use decision::{Ask, Policies, default_action};
use http::Method;
use route::{Table, Template};
use settings::{Handling, Problem, Route, Settings};
use token::Verifier;

use super::{Access, Authenticate, Authorize, Kind, Plan, Proxy, Respond, RouteView};
use crate::{
    gateway::{Answer, Cors, Guards, admit::Allowances},
    metrics::Metrics,
    rate::Limiter,
    upstream::Upstream,
};

/// What routes are made of.
pub(super) struct Parts<'p> {
    pub(super) settings: &'p Settings,
    pub(super) limits: &'p settings::Limits,
    pub(super) metrics: &'p Metrics,
    pub(super) limiters: &'p [Arc<Limiter>],
    /// In the order of the settings; `None` where they could not be loaded.
    pub(super) policies: &'p [Option<Policies>],
    pub(super) upstreams: &'p [Arc<Upstream>],
    pub(super) verifier: &'p Verifier,
}

/// All routes, and how operators see them.
pub(super) fn build(
    parts: &Parts<'_>,
    problems: &mut Vec<Problem>,
) -> (Option<Table<Arc<Plan>>>, Vec<RouteView>) {
    let mut rows = Vec::new();
    let mut views = Vec::new();
    for route in &parts.settings.routes {
        if let Some(plan) = parts.plan(route, problems) {
            views.push(RouteView::of(route, &plan, parts.settings));
            rows.push((route.name.clone(), route.matches.clone(), Arc::new(plan)));
        }
    }
    let table = Table::build(rows).map_err(|found| {
        let of = |problem: route::Problem| {
            let mut routes = parts.settings.routes.iter();
            let route = routes.find(|route| route.name == problem.name);
            let place = route.map_or_else(|| "routes".into(), |route| route.place.clone());
            parts.settings.lines.problem(&place, problem.message)
        };
        problems.extend(found.into_iter().map(of));
    });
    (table.ok(), views)
}

/// What a route lets go of admission.
fn allows(handling: &Handling) -> Allowances {
    match handling {
        Handling::Upstream(guarded) => guarded.allow.iter().copied().collect(),
        Handling::Pools | Handling::Respond(_) | Handling::Redirect(_) => Allowances::default(),
    }
}

impl Parts<'_> {
    /// `None` after a problem.
    fn plan(&self, route: &Route, problems: &mut Vec<Problem>) -> Option<Plan> {
        let template = Template::parse(route.matches.path.as_deref().unwrap_or(EVERY_PATH)).ok()?;
        let parameters: Vec<Arc<str>> = template.names().map(Arc::from).collect();
        let access = route.handling.access().map(|access| {
            let names: Vec<&str> = parameters.iter().map(|name| &**name).collect();
            self.access(route, access, &template, &names, problems)
        });
        let kind = self.kind(&route.handling, access.flatten())?;
        Some(Plan {
            name: route.name.as_str().into(),
            path: route.matches.path.as_deref().map(Box::from),
            metrics: self.metrics.route(&route.name),
            parameters,
            allows: allows(&route.handling),
            body_limit: self.body_limit(&route.handling),
            limits: self.limits(route),
            cors: route.cors.as_ref().map(Cors::of),
            kind,
        })
    }

    /// Of requests to upstreams: the pools have a limit of their own, and nobody reads what comes with others.
    fn body_limit(&self, handling: &Handling) -> u64 {
        let own = match handling {
            Handling::Upstream(guarded) => guarded.body_bytes,
            Handling::Pools | Handling::Respond(_) | Handling::Redirect(_) => None,
        };
        own.unwrap_or(self.limits.body_bytes)
    }

    /// What is done for those who have access; `None` where it must be said who that is, and could not be.
    fn kind(&self, handling: &Handling, access: Option<Access>) -> Option<Kind> {
        Some(match handling {
            Handling::Pools => Kind::Pools,
            Handling::Redirect(redirect) => Kind::Redirect(redirect.clone()),
            Handling::Respond(respond) => Kind::Respond(Box::new(Respond {
                access: access?,
                answer: Answer::of(&respond.answer),
            })),
            Handling::Upstream(guarded) => Kind::Proxy(Box::new(Proxy {
                access: access?,
                upstream: self.upstreams.get(guarded.upstream)?.clone(),
                headers: guarded.headers.clone(),
                rewrite: (!guarded.rewrite.is_empty()).then(|| Box::new(guarded.rewrite.clone())),
                timeouts: guarded.timeouts.into(),
                websocket: guarded.websocket,
            })),
        })
    }

    fn access(
        &self,
        route: &Route,
        access: &settings::Access,
        template: &Template,
        parameters: &[&str],
        problems: &mut Vec<Problem>,
    ) -> Option<Access> {
        let authorize = match &access.authorize {
            settings::Authorize::None => Authorize::None,
            settings::Authorize::Authenticated => Authorize::Authenticated,
            settings::Authorize::Policies(ask) => {
                let guards = self.guards(route, ask, template, parameters, problems)?;
                Authorize::Policies(Box::new(guards))
            }
        };
        Some(Access {
            authenticate: self.authenticate(access)?,
            authorize,
        })
    }

    fn authenticate(&self, access: &settings::Access) -> Option<Authenticate> {
        let Some(bearer) = &access.authenticate else {
            return Some(Authenticate::None);
        };
        let index = |issuer: &usize| {
            let issuer = self.settings.issuers.get(*issuer)?;
            self.verifier.index(issuer.name())
        };
        Some(Authenticate::Bearer {
            issuers: bearer.issuers.iter().map(index).collect::<Option<_>>()?,
            requirements: bearer.requirements.clone(),
            places: bearer.places.clone(),
        })
    }

    /// The policies as the route asks them; with the default action, once for each method.
    fn guards(
        &self,
        route: &Route,
        asked: &settings::Policies,
        template: &Template,
        parameters: &[&str],
        problems: &mut Vec<Problem>,
    ) -> Option<Guards> {
        let policies = self.policies.get(asked.policies)?.as_ref()?;
        let place = route.place.key("authorize");
        let lines = &self.settings.lines;
        let mut report = |why: String| problems.push(lines.problem(&place, why));
        let headers: Vec<&str> = asked.headers.iter().map(http::HeaderName::as_str).collect();
        let mut guard = |action: &str| {
            let ask = Ask {
                action,
                resource: asked.resource.as_deref(),
                parameters,
                headers: &headers,
            };
            let guard = policies.guard(&ask);
            guard.map_err(|found| report(found.to_string())).ok()
        };
        if let Some(action) = &asked.action {
            return guard(action).map(|guard| Guards::Any(Box::new(guard)));
        }
        let methods = &route.matches.methods;
        if methods.is_empty() {
            report("name `methods` in `match`, or the `action` in `authorize`".into());
            return None;
        }
        let of = |method: &String| {
            let guard = guard(&default_action(method, template.as_str()));
            Method::from_bytes(method.as_bytes()).ok().zip(guard)
        };
        // Each method is tried, so that each problem is reported.
        let guards: Vec<_> = methods.iter().map(of).collect();
        guards
            .into_iter()
            .collect::<Option<_>>()
            .map(Guards::ByMethod)
    }
}

const EVERY_PATH: &str = "/{path*}";
