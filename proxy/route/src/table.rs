//! The table of all routes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use http::Method;

use crate::{Match, Params, Place, Problem, Template, host::Host, tree::Node};

/// All routes, ready for lookups.
#[derive(Debug)]
pub struct Table<T> {
    routes: Vec<Arc<Route<T>>>,
    hosts: Hosts<T>,
}

/// One route of a table.
#[derive(Debug)]
pub struct Route<T> {
    name: String,
    template: Template,
    value: T,
}

/// What a lookup says.
#[derive(Debug)]
pub enum Found<'t, 'p, T> {
    /// This route takes the request.
    Route {
        /// The route.
        route: &'t Route<T>,
        /// The path's parameters under the route's template.
        params: Params<'t, 'p>,
    },
    /// No route takes this host and path.
    NotFound,
    /// The most specific routes of this host and path do not take the method.
    MethodNotAllowed {
        /// The methods they do take, as the `Allow` header has them (RFC 9110 section 10.2.1).
        allow: &'t str,
    },
}

impl<T> Route<T> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its path template; `/{path*}` where the settings have none.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// What was given for it.
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl<T> Table<T> {
    /// Makes a table of named routes, or reports everything that is wrong with them.
    pub fn build(routes: Vec<(String, Match, T)>) -> Result<Self, Vec<Problem>> {
        let mut building = Building {
            table: Self::empty(),
            seen: HashMap::new(),
            problems: Vec::new(),
        };
        for (index, (name, matches, value)) in routes.into_iter().enumerate() {
            building.add(index, name, &matches, value);
        }
        building.finish()
    }

    /// The route of a request, whose parts are canonical: the host lower case and without port, the path as
    /// [`crate::push_octet`] spells it and without dot segments.
    ///
    /// A path that does not start with `/` (as of `OPTIONS *`) is not found.
    pub fn find<'p>(&self, host: &str, path: &'p str, method: &Method) -> Found<'_, 'p, T> {
        let Some(leaf) = path
            .strip_prefix('/')
            .and_then(|rest| self.hosts.find(host, rest))
        else {
            return Found::NotFound;
        };
        match leaf.route(method) {
            Some(route) => Found::Route {
                route,
                params: Params::new(&route.template, path),
            },
            None => Found::MethodNotAllowed { allow: &leaf.allow },
        }
    }

    /// Every route, in the order given.
    pub fn routes(&self) -> impl Iterator<Item = &Route<T>> {
        self.routes.iter().map(|route| &**route)
    }

    fn empty() -> Self {
        Self {
            routes: Vec::new(),
            hosts: Hosts {
                exact: HashMap::new(),
                wildcard: HashMap::new(),
                any: Node::default(),
            },
        }
    }
}

/// One tree for each host pattern.
#[derive(Debug)]
struct Hosts<T> {
    exact: HashMap<String, Node<Leaf<T>>>,
    /// By suffix, which starts with a dot.
    wildcard: HashMap<String, Node<Leaf<T>>>,
    any: Node<Leaf<T>>,
}

impl<T> Hosts<T> {
    fn find(&self, host: &str, rest: &str) -> Option<&Leaf<T>> {
        let exact = || self.exact.get(host)?.find(Some(rest));
        let wildcard = || {
            let (label, _) = host
                .split_once('.')
                .filter(|(label, _)| !label.is_empty())?;
            self.wildcard
                .get(host.get(label.len()..)?)?
                .find(Some(rest))
        };
        exact()
            .or_else(wildcard)
            .or_else(|| self.any.find(Some(rest)))
    }

    fn tree(&mut self, host: &Host) -> &mut Node<Leaf<T>> {
        match host {
            Host::Exact(name) => self.exact.entry(name.clone()).or_default(),
            Host::Wildcard(suffix) => self.wildcard.entry(suffix.clone()).or_default(),
            Host::Any => &mut self.any,
        }
    }

    fn trees(&self) -> impl Iterator<Item = &Node<Leaf<T>>> {
        self.exact
            .values()
            .chain(self.wildcard.values())
            .chain([&self.any])
    }
}

/// The routes that share a host pattern and the shape of a template; the method chooses among them.
#[derive(Debug)]
struct Leaf<T> {
    listed: Vec<(Method, usize, Arc<Route<T>>)>,
    every: Option<(usize, Arc<Route<T>>)>,
    allow: String,
}

impl<T> Default for Leaf<T> {
    fn default() -> Self {
        Self {
            listed: Vec::new(),
            every: None,
            allow: String::new(),
        }
    }
}

impl<T> Leaf<T> {
    fn route(&self, method: &Method) -> Option<&Route<T>> {
        let listed = self
            .listed
            .iter()
            .find_map(|(listed, _, route)| (listed == method).then_some(route));
        listed
            .or(self.every.as_ref().map(|(_, route)| route))
            .map(|route| &**route)
    }

    /// Adds a route; gives the name of another one that ties with it, if there is one.
    fn add(&mut self, methods: Vec<Method>, index: usize, route: &Arc<Route<T>>) -> Option<String> {
        if methods.is_empty() {
            let other = self.every.get_or_insert_with(|| (index, Arc::clone(route)));
            return (other.0 != index).then(|| other.1.name.clone());
        }
        let tie = self
            .listed
            .iter()
            .find(|(listed, ..)| methods.contains(listed))
            .map(|(.., other)| other.name.clone());
        self.listed.extend(
            methods
                .into_iter()
                .map(|method| (method, index, Arc::clone(route))),
        );
        self.listed
            .sort_by(|(a, ..), (b, ..)| a.as_str().cmp(b.as_str()));
        self.allow = self
            .listed
            .iter()
            .map(|(method, ..)| method.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        tie
    }

    fn indexes(&self) -> HashSet<(usize, &str)> {
        let listed = self
            .listed
            .iter()
            .map(|(_, index, route)| (*index, &*route.name));
        listed
            .chain(
                self.every
                    .iter()
                    .map(|(index, route)| (*index, &*route.name)),
            )
            .collect()
    }
}

/// A table on the way, with what was found wrong so far.
struct Building<T> {
    table: Table<T>,
    seen: HashMap<String, usize>,
    problems: Vec<Problem>,
}

impl<T> Building<T> {
    fn add(&mut self, index: usize, name: String, matches: &Match, value: T) {
        if self.seen.insert(name.clone(), index).is_some() {
            self.problem(
                index,
                &name,
                Place::Name,
                "another route has this name".to_owned(),
            );
        }
        let host = Host::parse(matches.host.as_deref());
        let template = Template::parse(matches.path.as_deref().unwrap_or("/{path*}"));
        let methods = methods(&matches.methods);
        let (host, template, methods) = match (host, template, methods) {
            (Ok(host), Ok(template), Ok(methods)) => (host, template, methods),
            (host, template, methods) => {
                host.err()
                    .into_iter()
                    .for_each(|message| self.problem(index, &name, Place::Host, message));
                let messages = template.err().into_iter().flatten();
                messages.for_each(|message| self.problem(index, &name, Place::Path, message));
                let messages = methods.err().into_iter().flatten();
                messages.for_each(|message| self.problem(index, &name, Place::Methods, message));
                return;
            }
        };
        let route = Arc::new(Route {
            name,
            template,
            value,
        });
        let tie = self
            .table
            .hosts
            .tree(&host)
            .leaf(route.template.segments())
            .add(methods, index, &route);
        if let Some(other) = tie {
            let message = format!("takes requests that route `{other}` takes just as specifically");
            self.problem(index, &route.name, Place::Match, message);
        }
        self.table.routes.push(route);
    }

    fn finish(mut self) -> Result<Table<T>, Vec<Problem>> {
        let mut unreachable = HashSet::new();
        let mut report = |leaf: &Leaf<T>| {
            unreachable.extend(
                leaf.indexes()
                    .iter()
                    .map(|(at, name)| (*at, String::from(*name))),
            );
        };
        self.table
            .hosts
            .trees()
            .for_each(|tree| tree.unreachable_tails(&mut report));
        for (index, name) in unreachable {
            self.problem(
                index,
                &name,
                Place::Path,
                "never matches: more specific routes take all of its paths".to_owned(),
            );
        }
        self.problems.sort_by_key(|problem| problem.index);
        if self.problems.is_empty() {
            Ok(self.table)
        } else {
            Err(self.problems)
        }
    }

    fn problem(&mut self, index: usize, name: &str, place: Place, message: String) {
        self.problems.push(Problem {
            index,
            name: name.to_owned(),
            place,
            message,
        });
    }
}

/// Reads a route's methods, which are case-sensitive (RFC 9110 section 9.1).
fn methods(texts: &[String]) -> Result<Vec<Method>, Vec<String>> {
    let mut methods = Vec::with_capacity(texts.len());
    let mut problems = Vec::new();
    for text in texts {
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if methods.contains(&method) => {
                problems.push(format!("`{text}` stands twice"));
            }
            Ok(method) if !text.bytes().any(|b| b.is_ascii_lowercase()) => methods.push(method),
            Ok(_) => problems.push(format!("`{text}` is not in upper case")),
            Err(_) => problems.push(format!("`{text}` is not a method")),
        }
    }
    if problems.is_empty() {
        Ok(methods)
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests;
