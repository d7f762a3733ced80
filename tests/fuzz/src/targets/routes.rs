//! A table of routes and requests, a line each, against a search that looks at every route.
//!
//! `METHODS HOST PATH` is a route, with `-` for what it leaves out; `? METHOD HOST PATH` a request.

use http::Method;
use route::{Found, Match, Table};

use crate::naive;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (asked, written): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("? "));
    let written: Vec<Match> = written.into_iter().filter_map(read).collect();
    let named = written.iter().enumerate();
    let named = named.map(|(at, written)| (format!("r{at}"), written.clone(), at));
    let table = match Table::build(named.collect()) {
        Ok(table) => table,
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert_eq!(problem.name, format!("r{}", problem.index));
                assert!(problem.index < written.len() && !problem.message.is_empty());
            }
            return;
        }
    };
    let routes: Vec<Naive> = written.iter().map(Naive::of).collect();
    for (at, route) in routes.iter().enumerate() {
        for other in &routes[..at] {
            assert!(!route.ties(other), "two routes tie");
        }
    }
    for (route, naive) in table.routes().zip(&routes) {
        let path = route.template().example("x");
        assert!(route.template().takes(&path), "{path}");
        for method in naive.methods.iter().map(String::as_str).chain(["GET"]) {
            look(&table, &routes, &naive.host(), &path, method);
        }
    }
    for line in asked {
        if let [_, method, host, path] = line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            let path = canonical(path);
            look(&table, &routes, &host.to_ascii_lowercase(), &path, method);
        }
    }
}

fn read(line: &str) -> Option<Match> {
    let [methods, host, path] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let given = |text: &str| (text != "-").then(|| text.to_owned());
    Some(Match {
        host: given(host),
        path: given(path),
        methods: given(methods).map_or_else(Vec::new, |list| {
            list.split(',').map(str::to_owned).collect()
        }),
    })
}

/// A request's path in the spelling that admission gives it.
fn canonical(path: &str) -> String {
    let mut out = String::new();
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            out.push('/');
        }
        for octet in naive::decoded(segment.as_bytes()) {
            route::push_octet(&mut out, octet);
        }
    }
    out
}

fn look(table: &Table<usize>, routes: &[Naive], host: &str, path: &str, method: &str) {
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return;
    };
    let taking = routes
        .iter()
        .enumerate()
        .filter_map(|(at, route)| Some((route.rank(host, path)?, at)));
    let best = taking.min_by(|a, b| a.0.cmp(&b.0)).map(|(_, at)| at);
    let found = table.find(host, path, &method);
    let Some(best) = best else {
        assert!(matches!(found, Found::NotFound), "{host} {path}: {found:?}");
        return;
    };
    let alike = |at: &usize| routes[*at].shape() == routes[best].shape();
    let alike: Vec<usize> = (0..routes.len()).filter(alike).collect();
    let listing = |at: &&usize| routes[**at].methods.iter().any(|m| m == method.as_str());
    let every = |at: &&usize| routes[**at].methods.is_empty();
    let expected = alike
        .iter()
        .find(listing)
        .or_else(|| alike.iter().find(every));
    match (found, expected) {
        (Found::Route { route, params }, Some(at)) => {
            assert_eq!(route.value(), at, "{method} {host} {path}");
            let params: Vec<_> = params.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            assert_eq!(params, routes[*at].parameters(path));
        }
        (Found::MethodNotAllowed { allow }, None) => {
            let mut methods: Vec<&str> = alike
                .iter()
                .flat_map(|at| routes[*at].methods.iter().map(String::as_str))
                .collect();
            methods.sort_unstable();
            assert_eq!(allow, methods.join(", "));
        }
        (found, expected) => panic!("{method} {host} {path}: {found:?}, not {expected:?}"),
    }
}

/// A route, kept as plainly as it can be.
struct Naive {
    host: Option<String>,
    segments: Vec<Part>,
    methods: Vec<String>,
}

/// In the order of what wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Literal(Vec<u8>),
    Param(String),
    Tail(String),
}

impl Naive {
    fn of(written: &Match) -> Self {
        let path = written.path.as_deref().unwrap_or("/{path*}");
        let segments = path.split('/').skip(1).map(|text| {
            let name = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
            match name.map(|name| (name, name.strip_suffix('*'))) {
                None => Part::Literal(naive::decoded(text.as_bytes())),
                Some((_, Some(name))) => Part::Tail(name.to_owned()),
                Some((name, None)) => Part::Param(name.to_owned()),
            }
        });
        Self {
            host: written.host.as_deref().map(plain_host),
            segments: segments.collect(),
            methods: written.methods.clone(),
        }
    }

    /// A host that it takes.
    fn host(&self) -> String {
        match self.host.as_deref() {
            None => "h".to_owned(),
            Some(host) => host.replace("*.", "x."),
        }
    }

    /// How specifically it takes a request; the least is the most.
    fn rank(&self, host: &str, path: &str) -> Option<(u8, Vec<u8>)> {
        let by_host = match self.host.as_deref() {
            None => 2,
            Some(pattern) if pattern == host => 0,
            Some(pattern) => {
                let (label, rest) = host.split_once('.')?;
                (!label.is_empty() && pattern.strip_prefix("*.") == Some(rest)).then_some(1)?
            }
        };
        let given: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let mut ranks = Vec::new();
        for (at, part) in self.segments.iter().enumerate() {
            let segment = given.get(at)?;
            match part {
                Part::Tail(_) => {
                    ranks.push(2);
                    return Some((by_host, ranks));
                }
                Part::Literal(text) => {
                    (naive::decoded(segment.as_bytes()) == *text).then(|| ranks.push(0))?;
                }
                Part::Param(_) => (!segment.is_empty()).then(|| ranks.push(1))?,
            }
        }
        (given.len() == self.segments.len()).then_some((by_host, ranks))
    }

    /// What routes share of which only the method chooses one.
    fn shape(&self) -> (Option<&str>, Vec<Part>) {
        let unnamed = self.segments.iter().map(|part| match part {
            Part::Literal(text) => Part::Literal(text.clone()),
            Part::Param(_) => Part::Param(String::new()),
            Part::Tail(_) => Part::Tail(String::new()),
        });
        (self.host.as_deref(), unnamed.collect())
    }

    fn ties(&self, other: &Self) -> bool {
        let both = self.methods.is_empty() && other.methods.is_empty();
        let shared = self.methods.iter().any(|m| other.methods.contains(m));
        self.shape() == other.shape() && (both || shared)
    }

    fn parameters(&self, path: &str) -> Vec<(String, String)> {
        let given: Vec<&str> = path[1..].split('/').collect();
        let value = |(at, part): (usize, &Part)| match part {
            Part::Literal(_) => None,
            Part::Param(name) => Some((name.clone(), given[at].to_owned())),
            Part::Tail(name) => Some((name.clone(), given[at..].join("/"))),
        };
        self.segments.iter().enumerate().filter_map(value).collect()
    }
}

fn plain_host(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let inner = lower.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match inner.and_then(|inner| inner.parse::<std::net::Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]"),
        None => lower,
    }
}
