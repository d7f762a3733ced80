//! Routes with `//` in their templates that no request reaches: the table alone cannot say so, since admission stands in front
//! of it, and refuses such paths or those of them that are another route's in another reading.

use std::sync::Arc;

use http::Method;
use route::{Found, Table};
use settings::{Allow, Handling, Problem, Settings};

use super::Plan;
use crate::gateway::admit;

/// What is wrong with them.
pub(super) fn problems(settings: &Settings, table: &Table<Arc<Plan>>) -> Vec<Problem> {
    let doubled = settings.routes.iter().filter_map(|written| {
        let route = table.routes().find(|route| route.name() == written.name)?;
        let why = why_never(written, route, table)?;
        let place = written.place.key("match");
        Some(settings.lines.problem(&place, why))
    });
    doubled.collect()
}

type Route = route::Route<Arc<Plan>>;

fn why_never(written: &settings::Route, route: &Route, table: &Table<Arc<Plan>>) -> Option<String> {
    if !route.template().as_str().contains("//") {
        return None;
    }
    let allows = match &written.handling {
        Handling::Upstream(guarded) => guarded.allow.contains(&Allow::EmptySegment),
        Handling::Pools | Handling::Respond(_) | Handling::Redirect(_) => false,
    };
    if !allows {
        let why = "never matches: requests with `//` are refused where `admit.allow` has no `empty_segment`";
        return Some(why.to_owned());
    }
    let host = host(written.matches.host.as_deref());
    let methods = methods(&written.matches.methods);
    let paths = paths(route, table);
    let asked = paths
        .iter()
        .flat_map(|path| methods.iter().map(move |method| (path, method)));
    let mut takers = asked.map(|(path, method)| taker(table, route, &host, path, method));
    let first = takers.next()??;
    takers.all(|taker| taker.is_some()).then(|| {
        format!("never matches: with `//` read as `/`, its paths are those of {first}, so requests for them are refused")
    })
}

/// Whose one of a path's readings is, if it is another route's: as [`crate::gateway::judge`] finds it for each request.
fn taker(
    table: &Table<Arc<Plan>>,
    route: &Route,
    host: &str,
    path: &str,
    method: &Method,
) -> Option<String> {
    let readings = admit::readings(path).ok()?;
    readings
        .iter()
        .find_map(|reading| match table.find(host, reading, method) {
            Found::Route { route: other, .. } => {
                let is_here =
                    Arc::ptr_eq(other.value(), route.value()) || other.template().takes(path);
                (!is_here).then(|| format!("route `{}`", other.name()))
            }
            Found::MethodNotAllowed { allow } => Some(format!("a route for {allow}")),
            Found::NotFound => None,
        })
}

/// A path of each kind that the route takes: what stands for its parameters is nobody's literal, and a tail may be nothing,
/// one segment, or more of them than any other route has.
fn paths(route: &Route, table: &Table<Arc<Plan>>) -> Vec<String> {
    let example = route.template().example(ANY);
    if !route.template().as_str().ends_with("*}") {
        return vec![example];
    }
    let before = example.strip_suffix(ANY).unwrap_or(&example);
    let depths = table.routes().map(|route| {
        let template = route.template().as_str();
        template.matches('/').count()
    });
    let deep = vec![ANY; depths.max().unwrap_or_default() + 1].join("/");
    ["", ANY, &deep]
        .map(|tail| format!("{before}{tail}"))
        .to_vec()
}

/// One that the route is for, and as few others as can be.
fn host(pattern: Option<&str>) -> String {
    pattern
        .unwrap_or(ANY)
        .to_ascii_lowercase()
        .replace('*', ANY)
}

/// Where a route takes every method, another one takes or refuses each alike.
fn methods(written: &[String]) -> Vec<Method> {
    let known = written
        .iter()
        .filter_map(|method| Method::from_bytes(method.as_bytes()).ok());
    let known: Vec<Method> = known.collect();
    if known.is_empty() {
        vec![Method::GET]
    } else {
        known
    }
}

/// In the spelling of admitted paths.
const ANY: &str = "~any~";

#[cfg(test)]
mod tests {
    use super::super::fixture::{make, texts};

    fn route(name: &str, matches: &str, allow: &str) -> String {
        format!(
            "
  - name: {name}
    match: {{{matches}}}
    authenticate: none
    authorize: none
    admit: {{allow: [{allow}]}}
    upstream: {{to: app}}
"
        )
    }

    /// What is wrong with a route `doubled` for this, beside those routes.
    fn problems(matches: &str, beside: &[&str]) -> Vec<String> {
        let others = beside.iter().enumerate();
        let others = others.map(|(at, matches)| route(&format!("other-{at}"), matches, ""));
        let routes = route("doubled", matches, "empty_segment") + &others.collect::<String>();
        make(&routes, "", None).map_or_else(|found| texts(&found), |_| Vec::new())
    }

    #[test]
    fn a_route_for_what_admission_refuses_is_a_problem() {
        for path in ["/a//b", "//", "/a//{rest*}", "/{x}//{y}"] {
            let routes = route("doubled", &format!("path: \"{path}\""), "semicolon");
            let found = make(&routes, "", None).map_or_else(|found| texts(&found), |_| Vec::new());
            let expected = "routes[0].match: never matches: requests with `//` are refused where `admit.allow` has no `empty_segment`";
            assert_eq!(found, [expected], "{path}");
        }
        assert_eq!(problems("path: /a//b", &[]), [""; 0]);
        assert_eq!(problems("path: /a/b/", &["path: \"/a/{x}\""]), [""; 0]);
    }

    #[test]
    fn a_route_whose_paths_are_anothers_is_a_problem() {
        for (matches, other) in [
            ("path: /a//b", "path: /a/b"),
            ("path: /a//b", "path: \"/a/{x}\""),
            ("path: \"/a//{x}\"", "path: \"/a/{x}\""),
            ("path: \"/{x}//{y}\"", "path: \"/{x}/{y}\""),
            ("path: /a//b, methods: [GET]", "path: /a/b"),
            ("path: /a//b, host: \"*.a.test\"", "path: /a/b"),
            (
                "path: /a//b, host: \"*.a.test\"",
                "path: /a/b, host: \"*.A.test\"",
            ),
        ] {
            let expected = "routes[0].match: never matches: with `//` read as `/`, its paths are those of route `other-0`, so requests for them are refused";
            assert_eq!(
                problems(matches, &[other]),
                [expected],
                "{matches} beside {other}"
            );
        }
        let by_method = problems("path: /a//b", &["path: /a/b, methods: [PUT]"]);
        let expected = "routes[0].match: never matches: with `//` read as `/`, its paths are those of a route for PUT, so requests for them are refused";
        assert_eq!(by_method, [expected]);
    }

    #[test]
    fn a_route_that_some_request_reaches_is_none() {
        for (matches, other) in [
            // It takes the path itself too, and has left it to this one.
            ("path: /a//b", "path: \"/a/{rest*}\""),
            ("path: /a//b", "path: /a/b, host: a.test"),
            ("path: \"/a//{x}\"", "path: /a/b"),
            ("path: \"/a//{rest*}\"", "path: \"/a/{x}\""),
            ("path: \"/a//{rest*}\"", "path: \"/a/{x}/{y}\""),
            (
                "path: /a//b, methods: [GET, PUT]",
                "path: /b, methods: [GET]",
            ),
        ] {
            assert_eq!(
                problems(matches, &[other]),
                [""; 0],
                "{matches} beside {other}"
            );
        }
    }
}
