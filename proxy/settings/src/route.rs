//! Routes, checked: every name refers to something.

mod contradiction;
mod forward;
mod guard;
mod handling;
mod place;
mod redirect;
mod respond;
mod rewrite;
mod target;

use http::{HeaderName, HeaderValue};
use route::Match;
use token::Requirements;

use crate::{
    Cors, Issuer, Place, RateLimit, RouteLimit, Template, check::Check, cors, rate_limit, written,
};

pub use redirect::Redirect;
pub use respond::{Answer, Respond};
pub use written::TokenPlace;

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in logs, metrics and records; no two alike.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// When it applies.
    pub matches: Match,
    /// How many requests are taken, no two of one name.
    pub rate_limits: Vec<RouteLimit>,
    /// Which pages of other origins may use it; `None` where nothing is said of them.
    pub cors: Option<Cors>,
    /// What is done then.
    pub handling: Handling,
}

/// What is done with a route's requests.
#[derive(Debug, Clone)]
pub enum Handling {
    /// The embedded engine serves them.
    Pools,
    /// They go to an upstream, if the caller may.
    Upstream(Box<Guarded>),
    /// They are answered by the gate, if the caller may.
    Respond(Box<Respond>),
    /// Whoever calls is sent elsewhere.
    Redirect(Box<Redirect>),
}

impl Handling {
    /// Who may use the route; `None` where the route itself does not say.
    pub fn access(&self) -> Option<&Access> {
        match self {
            Self::Upstream(guarded) => Some(&guarded.access),
            Self::Respond(respond) => Some(&respond.access),
            Self::Pools | Self::Redirect(_) => None,
        }
    }
}

/// Who may use a route.
#[derive(Debug, Clone)]
pub struct Access {
    /// Which tokens prove who calls; `None` where nobody is asked.
    pub authenticate: Option<Bearer>,
    /// What decides.
    pub authorize: Authorize,
}

/// A route to an upstream.
#[derive(Debug, Clone)]
pub struct Guarded {
    /// Who may use it.
    pub access: Access,
    /// Which of [`crate::Settings::upstreams`].
    pub upstream: usize,
    /// Headers that tell who calls.
    pub headers: Vec<(HeaderName, Template)>,
    /// What goes there otherwise than it came, and what comes back so.
    pub rewrite: Rewrite,
    /// How long it may take.
    pub timeouts: written::Timeouts,
    /// Whether requests may go on as WebSocket.
    pub websocket: bool,
    /// Rules of admission that do not hold here; none twice.
    pub allow: Vec<written::Allow>,
    /// The longest body, in bytes, where it is not the usual one.
    pub body_bytes: Option<u64>,
}

/// What is changed of requests once they are permitted, and of their answers.
#[derive(Debug, Clone, Default)]
pub struct Rewrite {
    /// In the place of the path. INVARIANT: its parameters are the route's.
    pub path: Option<::route::Template>,
    /// In the place of the host the caller asked for.
    pub host: Option<HeaderValue>,
    /// Header fields of the request that do not go upstream.
    pub remove: Vec<HeaderName>,
    /// Header fields that answers get.
    pub answer_headers: Vec<(HeaderName, HeaderValue)>,
    /// Header fields that are taken out of answers.
    pub answer_remove: Vec<HeaderName>,
}

/// Which tokens a route takes.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// Which of [`crate::Settings::issuers`]; at least one.
    pub issuers: Vec<usize>,
    /// What else is asked of a token.
    pub requirements: Requirements,
    /// Where it may stand; at least one, no two alike.
    pub places: Vec<TokenPlace>,
}

/// What decides.
#[derive(Debug, Clone)]
pub enum Authorize {
    /// Everybody may.
    None,
    /// Everybody may who proved who they are.
    Authenticated,
    /// Cedar.
    Policies(Policies),
}

/// Cedar decides.
#[derive(Debug, Clone)]
pub struct Policies {
    /// Which of [`crate::Settings::policies`].
    pub policies: usize,
    /// The action's id, where it is not the default.
    pub action: Option<String>,
    /// `Type::"id"`, where it is not the application.
    pub resource: Option<String>,
    /// Request headers that policies may read.
    pub headers: Vec<HeaderName>,
}

/// What routes may refer to.
pub(crate) struct Names<'n> {
    pub(crate) issuers: &'n [Issuer],
    pub(crate) rate_limits: &'n [RateLimit],
    pub(crate) policies: Vec<&'n str>,
    pub(crate) upstreams: Vec<&'n str>,
    /// Of each of those, what its servers speak.
    pub(crate) protocols: Vec<Option<written::Protocol>>,
    /// Whether requests come to routes over TLS, or can only come so.
    pub(crate) serves_https: bool,
    /// Whether any listener asks for certificates.
    pub(crate) certificates: bool,
}

impl Rewrite {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.path.is_none()
            && self.host.is_none()
            && self.remove.is_empty()
            && self.answer_headers.is_empty()
            && self.answer_remove.is_empty()
    }
}

pub(crate) fn check(
    raw: Vec<written::Route>,
    names: &Names<'_>,
    check: &mut Check<'_>,
) -> Vec<Route> {
    let list = Place::from("routes");
    if check.is_empty(&list) {
        check.report(&list, "name at least one route");
    }
    let places = check.items(&list);
    check_table(&raw, &places, check);
    check_actions(&raw, &places, check);
    let checked = raw.into_iter().zip(&places).map(|(raw, place)| {
        let name = name(&raw);
        let matches = raw.r#match.clone();
        let is_open = raw.serve.is_some()
            || raw.redirect.is_some()
            || matches!(raw.authenticate, Some(written::Authenticate::None));
        let limits = rate_limit::of_route(&raw.rate_limits, is_open, names, place, check);
        let cors = raw.cors.clone();
        let cors = cors.map(|cors| cors::check(cors, &matches.methods, place, check));
        Some(Route {
            name,
            place: place.clone(),
            matches,
            rate_limits: limits,
            cors,
            handling: handling::check(raw, names, place, check)?,
        })
    });
    checked.collect::<Vec<_>>().into_iter().flatten().collect()
}

/// Ties, templates, methods and names.
fn check_table(raw: &[written::Route], places: &[Place], check: &mut Check<'_>) {
    let entries = raw
        .iter()
        .map(|raw| (name(raw), raw.r#match.clone(), ()))
        .collect();
    for (raw, place) in raw.iter().zip(places) {
        let is_plain = |name: &String| !name.is_empty() && !name.contains(char::is_control);
        if !raw.name.as_ref().is_none_or(is_plain) {
            check.report(
                &place.key("name"),
                "must be some visible characters, or be left out",
            );
        }
    }
    check_methods(raw, places, check);
    for problem in route::Table::build(entries).err().unwrap_or_default() {
        let Some(place) = places.get(problem.index) else {
            continue;
        };
        let place = problem
            .place
            .to_string()
            .split('.')
            .fold(place.clone(), |place, key| place.key(key));
        check.report(&place, problem.message);
    }
}

/// Admission takes none of these, so a route for them would say nothing.
fn check_methods(raw: &[written::Route], places: &[Place], check: &mut Check<'_>) {
    for (raw, place) in raw.iter().zip(places) {
        let list = place.key("match").key("methods");
        for (method, place) in raw.r#match.methods.iter().zip(check.items(&list)) {
            if REFUSED_METHODS.contains(&method.as_str()) {
                check.report(&place, format!("`{method}` is always refused; take it out"));
            }
        }
    }
}

/// Without an action of its own, a route asks for `<method> <path>`: so it must name its methods.
fn check_actions(raw: &[written::Route], places: &[Place], check: &mut Check<'_>) {
    for (raw, place) in raw.iter().zip(places) {
        let Some(written::Authorize::Policies(policies)) = &raw.authorize else {
            continue;
        };
        let is_nameless = policies.action.is_none() && raw.r#match.methods.is_empty();
        if is_nameless && !check.is_unread(&place.key("match").key("methods")) {
            check.report(
                &place.key("authorize").key("action"),
                "is left out, and so are `match.methods`, of which it would be made; write one of them",
            );
        }
    }
}

/// `GET api.example.com/pets/{petId}`, where the settings give no name.
fn name(raw: &written::Route) -> String {
    raw.name.clone().unwrap_or_else(|| {
        let methods = if raw.r#match.methods.is_empty() {
            "*".into()
        } else {
            raw.r#match.methods.join(",")
        };
        let host = raw.r#match.host.as_deref().unwrap_or("*");
        format!(
            "{methods} {host}{}",
            raw.r#match.path.as_deref().unwrap_or(EVERY_PATH)
        )
    })
}

/// Where a name is in a section; a name that is written with problems of its own is no further problem.
pub(crate) fn position(
    name: &str,
    known: &[&str],
    section: &str,
    place: &Place,
    check: &mut Check<'_>,
) -> Option<usize> {
    let found = known.iter().position(|known| *known == name);
    if found.is_none() && !check.names(section, name) {
        check.report_unknown(place, section, name);
    }
    found
}

/// What a route without a path takes.
const EVERY_PATH: &str = "/{path*}";

/// Methods that are refused everywhere: they show a caller what the gate adds to a request, or make a tunnel.
pub const REFUSED_METHODS: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];
