//! Pages of other origins: preflights answered, and answers marked for them, as the Fetch standard has it
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! The route that the requested method would take says who may. A preflight comes without credentials, so it is answered
//! without any, and tells nothing but what the route's settings say.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
        ORIGIN, VARY,
    },
};
use pingora::{http::ResponseHeader, proxy::Session};
use settings::{Allowed, CorsRules, Origins};

use super::{
    Ctx,
    head::Head,
    identify::Caller,
    refuse::{Malformed, Refusal},
    request_id::REQUEST_ID,
};
use crate::snapshot::Plan;

/// What a route does about pages of other origins.
pub(crate) enum Cors {
    /// Its upstream answers them.
    Pass,
    /// The gate does.
    Answer(Box<Rules>),
}

/// What the gate answers, put together once.
pub(crate) struct Rules {
    origins: Origins,
    headers: Allowed,
    credentials: bool,
    /// `None` where the route takes every method.
    allow_methods: Option<HeaderValue>,
    /// `None` where there are none, or any.
    allow_headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

impl Cors {
    pub(crate) fn of(cors: &settings::Cors) -> Self {
        match cors {
            settings::Cors::Pass => Self::Pass,
            settings::Cors::Answer(rules) => Self::Answer(Box::new(Rules::of(rules))),
        }
    }
}

impl Rules {
    fn of(rules: &CorsRules) -> Self {
        let methods = rules.methods.iter().map(Method::as_str);
        Self {
            origins: rules.origins.clone(),
            headers: rules.headers.clone(),
            credentials: rules.credentials,
            allow_methods: list(methods),
            allow_headers: names(&rules.headers),
            expose: match &rules.expose {
                Allowed::Any => Some(EVERY),
                listed @ Allowed::Listed(_) => names(listed),
            },
            max_age: rules.max_age_seconds.map(HeaderValue::from),
        }
    }

    /// What `Access-Control-Allow-Origin` says to this caller; `None` where his origin is none of those that may.
    fn allowed(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next();
        if origins.next().is_some() {
            return Err(Malformed::OriginRepeated.into());
        }
        Ok(match &self.origins {
            Origins::Any => Some(EVERY),
            listed @ Origins::Listed { .. } => origin
                .filter(|origin| listed.allow(origin.as_bytes()))
                .cloned(),
        })
    }

    /// Marks an answer for pages of this origin. What somebody else said of other origins is taken out.
    fn mark(&self, origin: Option<&HeaderValue>, head: &mut ResponseHeader) -> pingora::Result<()> {
        let theirs = head.headers.keys();
        let theirs = theirs.filter(|name| name.as_str().starts_with("access-control-"));
        for name in theirs.cloned().collect::<Vec<_>>() {
            head.remove_header(&name);
        }
        // Where every origin gets the same answer, caches may keep one for all.
        if matches!(self.origins, Origins::Listed { .. }) {
            head.append_header(VARY, HeaderValue::from_static("Origin"))?;
        }
        let Some(origin) = origin else {
            return Ok(());
        };
        head.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
        if self.credentials {
            head.insert_header(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            )?;
        }
        if let Some(names) = &self.expose {
            head.insert_header(ACCESS_CONTROL_EXPOSE_HEADERS, names.clone())?;
        }
        Ok(())
    }

    /// Says what the route takes; whether that is enough, browsers judge and tell their users better than a refusal would.
    fn tell(&self, asked: &HeaderMap, head: &mut ResponseHeader) -> pingora::Result<()> {
        head.remove_header(&ACCESS_CONTROL_EXPOSE_HEADERS);
        head.append_header(VARY, HeaderValue::from_static(ASKED))?;
        let method = asked.get(ACCESS_CONTROL_REQUEST_METHOD);
        let headers = match self.headers {
            Allowed::Any => echo(asked),
            Allowed::Listed(_) => self.allow_headers.clone(),
        };
        let fields = [
            (
                ACCESS_CONTROL_ALLOW_METHODS,
                self.allow_methods.as_ref().or(method).cloned(),
            ),
            (ACCESS_CONTROL_ALLOW_HEADERS, headers),
            (ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                head.insert_header(name, value)?;
            }
        }
        Ok(())
    }
}

/// The method that a preflight asks for, where the request is one: `OPTIONS` of an origin, and without a body.
///
/// What is asked twice is refused by [`allow`], once it is known whose route it is.
pub(super) fn asked(head: &Head, session: &mut Session) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(ORIGIN) {
        return None;
    }
    let asked = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let method = Method::from_bytes(asked.as_bytes()).ok()?;
    session.is_body_empty().then_some(method)
}

/// Finds out what the route allows the caller's origin.
pub(super) fn allow(
    plan: &Plan,
    head: &Head,
    preflight: bool,
) -> Result<Option<HeaderValue>, Refusal> {
    let headers = &head.headers;
    let mut asked = headers.get_all(ACCESS_CONTROL_REQUEST_METHOD).iter();
    match &plan.cors {
        Some(_) if preflight && asked.nth(1).is_some() => Err(Malformed::OriginRepeated.into()),
        Some(Cors::Answer(rules)) => rules.allowed(headers),
        Some(Cors::Pass) if preflight && headers.get_all(ORIGIN).iter().nth(1).is_some() => {
            Err(Malformed::OriginRepeated.into())
        }
        Some(Cors::Pass) | None => Ok(None),
    }
}

/// Refuses a WebSocket that its route does not let be one (any more), or that a page of another origin opens with a cookie
/// for its token: a browser sends that whoever asks, and no preflight asks before (RFC 6455 section 10.2).
pub(super) fn check_socket(
    plan: &Plan,
    head: &Head,
    caller: Option<&Caller>,
) -> Result<(), Refusal> {
    if !head.websocket {
        return Ok(());
    }
    if !plan.kind.takes_websocket() {
        return Err(Refusal::RouteNotFound);
    }
    let origin = head.headers.get(ORIGIN);
    let Some(origin) = origin.filter(|_| caller.is_some_and(Caller::is_ambient)) else {
        return Ok(());
    };
    let ours = [head.scheme.as_str(), "://", head.authority.as_str()].concat();
    let is_listed = match &plan.cors {
        Some(Cors::Answer(rules)) if rules.credentials => {
            rules.allowed(&head.headers)?.as_ref() == Some(origin)
        }
        _ => false,
    };
    if is_listed || ours.as_bytes().eq_ignore_ascii_case(origin.as_bytes()) {
        Ok(())
    } else {
        Err(Refusal::OriginRefused)
    }
}

/// Answers a preflight.
pub(super) async fn answer(
    rules: &Rules,
    session: &mut Session,
    ctx: &Ctx,
    asked: &HeaderMap,
) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(StatusCode::NO_CONTENT, Some(8))?;
    rules.mark(ctx.origin.as_ref(), &mut head)?;
    rules.tell(asked, &mut head)?;
    head.insert_header(REQUEST_ID, ctx.request_id.value())?;
    session.write_response_header(Box::new(head), true).await
}

impl Ctx {
    /// Marks an answer for pages of the caller's origin, where the gate answers those.
    pub(super) fn mark_origin(&self, head: &mut ResponseHeader) -> pingora::Result<()> {
        let cors = self.plan.as_ref().and_then(|plan| plan.cors.as_ref());
        match cors {
            Some(Cors::Answer(rules)) => rules.mark(self.origin.as_ref(), head),
            Some(Cors::Pass) | None => Ok(()),
        }
    }
}

/// The names that a preflight asks for; `None` where there are none, or one is no name.
fn echo(asked: &HeaderMap) -> Option<HeaderValue> {
    let mut names = Vec::new();
    for line in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        for name in line.as_bytes().split(|byte| *byte == b',') {
            names.push(HeaderName::from_bytes(name.trim_ascii()).ok()?);
        }
    }
    list(names.iter().map(HeaderName::as_str))
}

fn names(allowed: &Allowed) -> Option<HeaderValue> {
    match allowed {
        Allowed::Any => None,
        Allowed::Listed(names) => list(names.iter().map(HeaderName::as_str)),
    }
}

/// A list, unless there is nothing in it.
fn list<'i>(items: impl Iterator<Item = &'i str>) -> Option<HeaderValue> {
    let items: Vec<_> = items.collect();
    let list = (!items.is_empty()).then(|| items.join(", "))?;
    HeaderValue::try_from(list).ok()
}

const EVERY: HeaderValue = HeaderValue::from_static("*");
/// What else an answer to a preflight depends on.
const ASKED: &str = "Access-Control-Request-Method, Access-Control-Request-Headers";

#[cfg(test)]
mod tests;
