//! Redirects that lead their callers in a circle, from route to route at the host that was asked, until their browsers give
//! up. Of what may be another server's, another gate's among them, nothing is said.

use std::sync::Arc;

use http::Method;
use route::{Found, Table, Template};
use settings::{Problem, Redirect, Scheme, Settings};

use super::{
    Kind, Plan,
    beside::{SEGMENT, example_host},
};

/// Says of each redirect that comes to itself again where that is.
pub(super) fn problems(settings: &Settings, table: &Table<Arc<Plan>>) -> Vec<Problem> {
    let circles = settings.routes.iter().filter_map(|written| {
        let mut starts = Step::starts(written).into_iter();
        let by = starts.find_map(|start| start.circle(settings, table, &written.name))?;
        let place = written.place.key("redirect");
        let message = format!(
            "leads in a circle: it comes to `{by}`, which is of route `{}` again; lead it elsewhere",
            written.name
        );
        Some(settings.lines.problem(&place, message))
    });
    circles.collect()
}

/// A request that some route may take.
struct Step {
    host: String,
    path: String,
    method: Method,
}

impl Step {
    /// A request of a route with each of its methods, or with one where it takes all.
    fn starts(route: &settings::Route) -> Vec<Self> {
        let matches = &route.matches;
        let template = Template::parse(matches.path.as_deref().unwrap_or("/{path*}"));
        let Ok(template) = template else {
            return Vec::new();
        };
        let named = matches.methods.iter();
        let named = named.filter_map(|method| Method::from_bytes(method.as_bytes()).ok());
        let mut methods: Vec<_> = named.collect();
        if methods.is_empty() {
            methods.push(Method::GET);
        }
        let start = |method| Self {
            host: example_host(matches.host.as_deref()),
            path: template.example(SEGMENT),
            method,
        };
        methods.into_iter().map(start).collect()
    }

    /// The path by which this route is come to again.
    fn circle(
        mut self,
        settings: &Settings,
        table: &Table<Arc<Plan>>,
        name: &str,
    ) -> Option<String> {
        // Whoever has not come back by then goes in a circle that has another beginning.
        for _ in table.routes() {
            self.path = self.next(settings, table)?;
            if self.taker(table)?.name() == name {
                return Some(self.path);
            }
        }
        None
    }

    /// Where the route that takes it leads, if that is at the same host for certain.
    fn next(&self, settings: &Settings, table: &Table<Arc<Plan>>) -> Option<String> {
        let Found::Route { route, params } = table.find(&self.host, &self.path, &self.method)
        else {
            return None;
        };
        match &route.value().kind {
            Kind::Redirect(to) if stays(to, settings) => {
                to.path.as_ref()?.fill(|name| params.get(name))
            }
            _ => None,
        }
    }

    fn taker<'t>(&self, table: &'t Table<Arc<Plan>>) -> Option<&'t route::Route<Arc<Plan>>> {
        match table.find(&self.host, &self.path, &self.method) {
            Found::Route { route, .. } => Some(route),
            Found::NotFound | Found::MethodNotAllowed { .. } => None,
        }
    }
}

/// Whether it leads to this gate for certain: to the host that was asked, and a scheme that a listener serves.
fn stays(to: &Redirect, settings: &Settings) -> bool {
    let serves = |scheme| {
        let mut listeners = settings.listeners.iter();
        listeners.any(|listener| match scheme {
            Scheme::Https => listener.tls.is_some(),
            Scheme::Http => listener.tls.is_none() && listener.redirect.is_none(),
        })
    };
    to.host.is_none() && to.port.is_none() && to.scheme.is_none_or(serves)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{make, texts};

    fn problems(routes: &[(&str, &str)]) -> Vec<String> {
        let routes = routes.iter().enumerate();
        let routes = routes.map(|(at, (matches, to))| {
            format!("  - {{name: r{at}, match: {{{matches}}}, redirect: {{{to}}}}}\n")
        });
        let routes = routes.collect::<String>();
        make(&routes, "", None).map_or_else(|found| texts(&found), |_| Vec::new())
    }

    #[test]
    fn a_circle_is_a_problem() {
        for (routes, expected) in [
            (&[("path: /a", "path: /a")][..], &[(0, "/a")][..]),
            (
                &[("path: \"/a/{r*}\"", "path: \"/a/b/{r*}\"")],
                &[(0, "/a/b/any-Segment")],
            ),
            (&[("path: \"/{r*}\"", "path: /b")], &[(0, "/b")]),
            (
                &[
                    ("path: /a, host: \"*.x.test\"", "path: /b"),
                    ("path: /b", "scheme: http, path: /a"),
                ],
                &[(0, "/a")],
            ),
            (
                &[
                    ("path: /a, methods: [GET, PUT]", "path: /b"),
                    ("path: /b, methods: [PUT]", "path: /a"),
                ],
                &[(0, "/a"), (1, "/b")],
            ),
            (
                &[
                    ("path: /a", "path: /b"),
                    ("path: /b", "path: /c"),
                    ("path: /c", "path: /b"),
                ],
                &[(1, "/b"), (2, "/c")],
            ),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(at, path)| {
                    format!("routes[{at}].redirect: leads in a circle: it comes to `{path}`, which is of route `r{at}` again; lead it elsewhere")
                })
                .collect();
            assert_eq!(problems(routes), expected, "{routes:?}");
        }
    }

    #[test]
    fn what_leads_out_is_none() {
        for routes in [
            &[("path: /a", "path: /b")][..],
            &[("path: \"/a/{r*}\"", "path: \"/b/{r*}\"")],
            &[("path: \"/a/{r*}\"", "path: \"/{r*}\"")],
            &[("path: \"/a/{x}\"", "path: \"/a/b/{x}\"")],
            &[("path: /a", "path: /b"), ("path: /b", "path: /c")],
            &[
                ("path: /a, methods: [GET]", "path: /b"),
                ("path: /b, methods: [PUT]", "path: /a"),
            ],
            &[("path: /a", "host: other.test, path: /a")],
            &[("path: /a", "port: 8443, path: /a")],
            &[("path: /a", "scheme: https")],
            // There is no TLS here.
            &[("path: \"/{r*}\"", "scheme: https, path: \"/b/{r*}\"")],
        ] {
            assert_eq!(problems(routes), [""; 0], "{routes:?}");
        }
    }
}
