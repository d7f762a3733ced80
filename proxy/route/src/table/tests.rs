use http::Method;
use proptest::prelude::*;

use crate::{Found, Match, Place, Table};

fn route(
    name: &str,
    host: Option<&str>,
    path: Option<&str>,
    methods: &[&str],
) -> (String, Match, ()) {
    let methods = methods.iter().map(|&method| method.to_owned()).collect();
    (
        name.to_owned(),
        Match {
            host: host.map(str::to_owned),
            path: path.map(str::to_owned),
            methods,
        },
        (),
    )
}

/// `Ok(name)`, or `Err(allow)`, which is empty when nothing is found.
fn find(table: &Table<()>, host: &str, path: &str, method: &Method) -> Result<String, String> {
    match table.find(host, path, method) {
        Found::Route { route, .. } => Ok(route.name().to_owned()),
        Found::NotFound => Err(String::new()),
        Found::MethodNotAllowed { allow } => Err(allow.to_owned()),
    }
}

#[test]
fn the_most_specific_route_wins() {
    let table = Table::build(vec![
        route("any", None, None, &[]),
        route("wild", Some("*.example.com"), Some("/pets/{id}"), &[]),
        route("one", Some("api.example.com"), Some("/pets/{id}"), &["GET"]),
        route(
            "mine",
            Some("api.example.com"),
            Some("/pets/mine"),
            &["GET"],
        ),
        route("other", Some("api.example.com"), Some("/pets/{id}"), &[]),
        route("rest", Some("api.example.com"), Some("/pets/{rest*}"), &[]),
        route(
            "deep",
            Some("api.example.com"),
            Some("/{kind}/mine/toys"),
            &[],
        ),
    ])
    .unwrap();
    let get = |host, path| find(&table, host, path, &Method::GET);
    assert_eq!(get("api.example.com", "/pets/mine"), Ok("mine".into()));
    assert_eq!(get("api.example.com", "/pets/1"), Ok("one".into()));
    assert_eq!(
        find(&table, "api.example.com", "/pets/1", &Method::PUT),
        Ok("other".into())
    );
    assert_eq!(get("api.example.com", "/pets/"), Ok("rest".into()));
    assert_eq!(get("api.example.com", "/pets"), Ok("any".into()));
    assert_eq!(
        get("api.example.com", "/pets/mine/toys"),
        Ok("rest".into()),
        "the first segment outweighs all later ones"
    );
    assert_eq!(get("api.example.com", "/cats/mine/toys"), Ok("deep".into()));
    assert_eq!(get("www.example.com", "/pets/1"), Ok("wild".into()));
    assert_eq!(
        get("a.b.example.com", "/pets/1"),
        Ok("any".into()),
        "a wildcard is one label"
    );
    assert_eq!(get(".example.com", "/pets/1"), Ok("any".into()));
    assert_eq!(get("", "/"), Ok("any".into()));
    assert_eq!(get("api.example.com", "*"), Err(String::new()));
}

#[test]
fn a_method_that_the_winner_lacks_is_not_allowed() {
    let table = Table::build(vec![
        route("read", None, Some("/pets/{id}"), &["GET"]),
        route("write", None, Some("/pets/{pet}"), &["PUT", "DELETE"]),
        route("rest", None, Some("/{rest*}"), &[]),
    ])
    .unwrap();
    assert_eq!(
        find(&table, "h", "/pets/1", &Method::POST),
        Err("DELETE, GET, PUT".into())
    );
    assert_eq!(
        find(&table, "h", "/pets/1", &Method::HEAD),
        Err("DELETE, GET, PUT".into()),
        "HEAD is its own method"
    );
    assert_eq!(
        find(&table, "h", "/pets/", &Method::POST),
        Ok("rest".into()),
        "a parameter is never empty"
    );
    let Found::Route { params, .. } = table.find("h", "/pets/a%20b", &Method::PUT) else {
        panic!("no route")
    };
    assert_eq!(params.collect::<Vec<_>>(), [("pet", "a%20b")]);
}

#[test]
fn templates_that_decode_to_the_same_tie() {
    for (one, other) in [
        ("/open/@me/{rest*}", "/open/%40me/{rest*}"),
        ("/a%3ab", "/a:b"),
    ] {
        let problems = Table::build(vec![
            route("one", None, Some(one), &[]),
            route("other", None, Some(other), &[]),
        ])
        .unwrap_err();
        assert_eq!(problems[0].place, Place::Match, "{problems:#?}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let problems = Table::build(vec![
        route("a", None, Some("/pets/{id}"), &["GET"]),
        route("a", None, Some("/pets/{other}"), &["PUT", "GET"]),
        route(
            "b",
            Some("x:80"),
            Some("pets"),
            &["get", "G T", "PUT", "PUT"],
        ),
        route("c", Some("h"), None, &[]),
        route("d", Some("H"), Some("/{rest*}"), &[]),
        route("e", None, Some("/x/{rest*}"), &[]),
        route("f", None, Some("/x/"), &[]),
        route("g", None, Some("/x//{rest*}"), &[]),
        route("h", None, Some("/x/{a}"), &[]),
        route("i", None, Some("/x/{a}/{rest*}"), &[]),
    ])
    .unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|problem| (problem.index, problem.place))
        .collect();
    let methods = (2, Place::Methods);
    let expected = [
        (1, Place::Name),
        (1, Place::Match),
        (2, Place::Host),
        (2, Place::Path),
        methods,
        methods,
        methods,
    ];
    assert_eq!(
        places,
        [&expected[..], &[(4, Place::Match), (5, Place::Path)]].concat(),
        "{problems:#?}"
    );
    assert_eq!(
        problems[0].to_string(),
        "route `a`: name: another route has this name"
    );
}

/// The rule as the crate's documentation states it, by brute force: every route that takes host and path, best score first.
fn reference(
    routes: &[(String, Match, ())],
    host: &str,
    path: &str,
    method: &Method,
) -> Result<String, String> {
    let scored = routes.iter().filter_map(|(name, matches, ())| {
        let host = host_score(matches.host.as_deref(), host)?;
        let path = path_score(matches.path.as_deref().unwrap_or("/{path*}"), path)?;
        Some(((host, path), name, &matches.methods))
    });
    let mut scored: Vec<_> = scored.collect();
    scored.sort();
    let Some((best, ..)) = scored.last().cloned() else {
        return Err(String::new());
    };
    let winners: Vec<_> = scored
        .into_iter()
        .filter(|(score, ..)| *score == best)
        .collect();
    let listed = winners
        .iter()
        .find(|(.., methods)| methods.iter().any(|listed| listed == method.as_str()));
    let every = winners.iter().find(|(.., methods)| methods.is_empty());
    let mut allow: Vec<_> = winners
        .iter()
        .flat_map(|(.., methods)| methods.iter().cloned())
        .collect();
    allow.sort();
    listed
        .or(every)
        .map(|(_, name, _)| (*name).clone())
        .ok_or(allow.join(", "))
}

fn host_score(pattern: Option<&str>, host: &str) -> Option<u8> {
    match pattern {
        None => Some(0),
        Some(exact) if exact == host => Some(2),
        Some(pattern) => (pattern.strip_prefix('*')? == host.get(host.find('.')?..)?).then_some(1),
    }
}

fn path_score(template: &str, path: &str) -> Option<Vec<u8>> {
    let (parts, segments): (Vec<_>, Vec<_>) = (
        template[1..].split('/').collect(),
        path[1..].split('/').collect(),
    );
    let tail = template.ends_with("*}");
    if (!tail && parts.len() != segments.len()) || (tail && parts.len() > segments.len()) {
        return None;
    }
    parts
        .iter()
        .zip(&segments)
        .map(|(part, segment)| match *part {
            part if part == *segment => Some(3),
            part if part.ends_with("*}") => Some(1),
            part if part.starts_with('{') && !segment.is_empty() => Some(2),
            _ => None,
        })
        .collect()
}

fn some_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("")], 1..4)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

fn some_template() -> impl Strategy<Value = String> {
    let part = prop_oneof![Just("a"), Just("b"), Just(""), Just("{}")];
    (prop::collection::vec(part, 0..4), any::<bool>()).prop_map(|(mut parts, tail)| {
        if tail || parts.is_empty() {
            parts.push("{t*}");
        }
        let named = parts
            .iter()
            .enumerate()
            .map(|(at, part)| part.replace("{}", &format!("{{p{at}}}")));
        format!("/{}", named.collect::<Vec<_>>().join("/"))
    })
}

fn some_route() -> impl Strategy<Value = Match> {
    let host = prop::option::of(
        prop_oneof![Just("a.x"), Just("b.x"), Just("*.x")].prop_map(str::to_owned),
    );
    let methods = prop::sample::subsequence(vec!["GET".to_owned(), "PUT".to_owned()], 0..=2);
    (host, prop::option::of(some_template()), methods).prop_map(|(host, path, methods)| Match {
        host,
        path,
        methods,
    })
}

proptest! {
    #[test]
    fn lookups_agree_with_a_linear_scan(
        matches in prop::collection::vec(some_route(), 0..9),
        host in prop_oneof![Just("a.x"), Just("c.x"), Just("x"), Just("c.c.x")],
        path in some_path(),
        method in prop_oneof![Just(Method::GET), Just(Method::PUT), Just(Method::POST)],
    ) {
        let mut routes: Vec<_> = matches.into_iter().enumerate().map(|(at, m)| (format!("r{at}"), m, ())).collect();
        // What is reported as wrong is left out, last first, until a table stands.
        let table = loop {
            match Table::build(routes.clone()) {
                Ok(table) => break table,
                Err(problems) => { routes.remove(problems.last().unwrap().index); }
            }
        };
        prop_assert_eq!(find(&table, host, &path, &method), reference(&routes, host, &path, &method));
    }
}
