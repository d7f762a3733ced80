//! Routes that ask who calls, beside open ones through which the same upstream may be reached by another spelling.

use std::{collections::HashSet, sync::Arc};

use http::Method;
use route::{Found, Table, Template};
use settings::{Guarded, Handling, Problem, Route, Settings};

use super::Plan;

/// Says of each protected route which open route takes another spelling of its requests to the same servers.
pub(super) fn warnings(settings: &Settings, table: &Table<Arc<Plan>>) -> Vec<Problem> {
    let upstreams = settings
        .routes
        .iter()
        .filter_map(|route| match &route.handling {
            Handling::Upstream(guarded) => Some((route, &**guarded)),
            Handling::Pools | Handling::Respond(_) | Handling::Redirect(_) => None,
        });
    let (open, protected): (Vec<_>, Vec<_>) =
        upstreams.partition(|(_, guarded)| guarded.access.authenticate.is_none());
    let mut found = Vec::new();
    for (route, guarded) in protected {
        let shared = open
            .iter()
            .filter(|(_, other)| share_servers(settings, guarded, other));
        for (other, leads) in shared {
            let message = match &leads.rewrite.path {
                Some(to) => asked(route, guarded)
                    .filter(|path| to.takes(path))
                    .map(|path| led(other, to, &path)),
                None => spellings(route, guarded, other)
                    .into_iter()
                    .find(|it| it.is_taken(table, other))
                    .map(|it| message(other, &it)),
            };
            let message = message.map(|it| settings.lines.problem(&route.place.key("match"), it));
            found.extend(message);
        }
    }
    found
}

/// A request that an upstream may take for one of a protected route.
struct Spelling {
    method: Method,
    host: String,
    path: String,
    /// As the protected route has it.
    of: String,
}

impl Spelling {
    fn is_taken(&self, table: &Table<Arc<Plan>>, open: &Route) -> bool {
        let found = table.find(&self.host, &self.path, &self.method);
        matches!(found, Found::Route { route, .. } if route.name() == open.name)
    }
}

fn message(open: &Route, spelling: &Spelling) -> String {
    let Spelling {
        method,
        host,
        path,
        of,
    } = spelling;
    let open = &open.name;
    let taken = if path == of {
        "whatever the host".to_owned()
    } else {
        format!("for `{of}`")
    };
    format!(
        "`{method} {host}{path}` goes to `{open}`, which asks nobody, and to the same servers: if they take it {taken}, \
         it is open to all; lead `{open}` to other servers, or narrow its `match`"
    )
}

/// Of an open route that leads to other paths than it takes.
fn led(open: &Route, to: &Template, path: &str) -> String {
    let (open, to) = (&open.name, to.as_str());
    format!(
        "`{open}`, which asks nobody, leads to `{to}` of the same servers, and so to `{path}`; lead it to other servers, or \
         narrow its `upstream.path`"
    )
}

/// A path that the servers are asked for by a route's requests.
fn asked(route: &Route, guarded: &Guarded) -> Option<String> {
    if let Some(path) = &guarded.rewrite.path {
        return Some(path.example(SEGMENT));
    }
    let template = route.matches.path.as_deref().unwrap_or("/{path*}");
    Some(Template::parse(template).ok()?.example(SEGMENT))
}

fn share_servers(settings: &Settings, one: &Guarded, other: &Guarded) -> bool {
    let servers = |guarded: &Guarded| -> HashSet<String> {
        let upstream = settings.upstreams.get(guarded.upstream);
        let servers = upstream.into_iter().flat_map(|upstream| &upstream.servers);
        servers.map(ToString::to_string).collect()
    };
    !servers(one).is_disjoint(&servers(other))
}

/// What the protected route's servers are asked for, at the open one's host: as it is, with or without a slash at its end, in
/// other case.
fn spellings(protected: &Route, guarded: &Guarded, open: &Route) -> Vec<Spelling> {
    let Some(of) = asked(protected, guarded) else {
        return Vec::new();
    };
    let slashed = of
        .strip_suffix('/')
        .map_or_else(|| format!("{of}/"), str::to_owned);
    let (upper, lower) = (of.to_ascii_uppercase(), of.to_ascii_lowercase());
    let paths = [of.clone(), slashed, upper, lower];
    let host = example_host(open.matches.host.as_deref());
    let methods = match protected.matches.methods.as_slice() {
        [] => open.matches.methods.clone(),
        methods => methods.to_vec(),
    };
    let methods = methods
        .iter()
        .filter_map(|method| Method::from_bytes(method.as_bytes()).ok());
    let mut methods: Vec<_> = methods.collect();
    if methods.is_empty() {
        methods.push(Method::GET);
    }
    let paths = paths.into_iter().filter(|path| path.starts_with('/'));
    let each = |path: String| {
        let spelling = |method: &Method| Spelling {
            method: method.clone(),
            host: host.clone(),
            path: path.clone(),
            of: of.clone(),
        };
        methods.iter().map(spelling).collect::<Vec<_>>()
    };
    paths.flat_map(each).collect()
}

pub(super) fn example_host(pattern: Option<&str>) -> String {
    match pattern.map(str::to_ascii_lowercase) {
        None => "any.example".to_owned(),
        Some(pattern) => match pattern.strip_prefix('*') {
            Some(suffix) => format!("any{suffix}"),
            None => pattern,
        },
    }
}

/// What stands for a parameter; nobody names a route's own segment like this.
pub(super) const SEGMENT: &str = "any-Segment";

#[cfg(test)]
mod tests;
