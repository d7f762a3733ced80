//! What is told of a request that is over: a span of the gate's, and one of the upstream's exchange, in the words of
//! OpenTelemetry's conventions for HTTP (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).
//!
//! Nothing of a request is told but its method, host, path and address: no query, no header, nothing of its token.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Method, StatusCode, Version};

use super::{Trace, context::SpanId};
use crate::{
    gateway::{
        Ctx,
        record::{Micros, Seen},
        refuse::Refusal,
    },
    metrics::Outcome,
    traces::otlp::{Message, Value},
};

/// A request that is over.
pub(super) struct Facts<'f> {
    trace: &'f Trace,
    start: SystemTime,
    took: Duration,
    /// The route.
    name: &'f str,
    /// The template of the route's path.
    route: Option<&'f str>,
    method: &'f Method,
    scheme: &'f str,
    host: Option<&'f str>,
    port: Option<u16>,
    path: Option<&'f str>,
    version: Version,
    client: IpAddr,
    status: Option<StatusCode>,
    outcome: Outcome,
    refusal: Option<(&'static str, StatusCode)>,
    request_id: &'f str,
    generation: u64,
    micros: Micros,
    exchange: Option<Exchange<'f>>,
}

/// What was asked of an upstream.
struct Exchange<'f> {
    upstream: &'f str,
    host: &'f str,
    port: Option<u16>,
    /// From the request's start.
    began: Duration,
    ended: Duration,
    /// Why it has failed.
    error: Option<&'static str>,
}

/// One stage of the path.
struct Stage {
    name: &'static str,
    micros: u64,
    /// When it was over, from the request's start.
    over: Duration,
}

impl Ctx {
    /// What is to be told of this request.
    pub(super) fn facts<'f>(
        &'f self,
        trace: &'f Trace,
        seen: &Seen<'f>,
        took: Duration,
    ) -> Facts<'f> {
        let head = self.head();
        let plan = self.plan.as_deref();
        let refusal = self.refusal.as_ref().map(Refusal::line);
        Facts {
            trace,
            start: self.time,
            took,
            name: plan.map_or(UNROUTED, |plan| &plan.name),
            route: plan.and_then(|plan| plan.path.as_deref()),
            method: seen.method,
            scheme: head.map_or(seen.scheme, |head| head.scheme).as_str(),
            host: head.map(|head| head.authority.host()),
            port: head.and_then(|head| head.authority.port()),
            path: head.map(|head| shown(&head.path)),
            version: seen.version,
            client: seen.client,
            status: seen.answered,
            outcome: self.outcome,
            refusal: refusal.map(|line| (line.code, line.status)),
            request_id: self.request_id.as_str(),
            generation: self.snapshot.generation,
            micros: self.micros,
            exchange: self.exchange(trace, took),
        }
    }

    /// The exchange with the upstream, if there was one.
    fn exchange(&self, trace: &Trace, took: Duration) -> Option<Exchange<'_>> {
        let (host, port) = self.endpoint.as_ref()?.named();
        let ended = trace.exchanged.map(|it| it.duration_since(self.started));
        let failed = self.refusal.as_ref().filter(|why| why.is_of_upstream());
        Some(Exchange {
            upstream: self.upstream().map_or("", |upstream| upstream.name()),
            host,
            port,
            began: self.stage.duration_since(self.started),
            ended: ended.unwrap_or(took),
            error: failed.map(|why| why.line().code),
        })
    }
}

impl Facts<'_> {
    /// Writes its spans, and says how many there are.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> u64 {
        let mut scope = Message::at_end_of(out);
        scope.message(SPANS, |span| self.server(span));
        match &self.exchange {
            Some(exchange) => {
                scope.message(SPANS, |span| self.client(exchange, span));
                2
            }
            None => 1,
        }
    }

    /// The gate's span.
    fn server(&self, span: &mut Message<'_>) {
        let trace = self.trace;
        self.begin(span, trace.server, trace.parent, self.name, SERVER);
        self.time(span, Duration::ZERO, self.took);
        self.describe(span);
        for stage in self.stages() {
            span.message(11, |event| {
                event.fixed64(1, nanos(self.start + stage.over));
                event.text(2, stage.name);
                event.attribute(3, "portcullis.micros", Value::Number(stage.micros));
            });
        }
        if let Some(link) = &trace.link {
            span.message(13, |to| {
                to.octets(1, &link.trace);
                to.octets(2, &link.span);
                to.fixed32(6, u32::from(link.flags) | HAS_REMOTE | REMOTE);
            });
        }
        let error = self.refusal.map(|(code, _)| code);
        let refused = self.refusal.map(|(_, status)| status);
        // What is wrong with a request is no failure of who refuses it.
        let failed = [self.status, refused].into_iter().flatten();
        end(
            span,
            error,
            self.status,
            failed.into_iter().any(|it| it.is_server_error()),
        );
    }

    /// The span of the upstream's exchange.
    fn client(&self, exchange: &Exchange<'_>, span: &mut Message<'_>) {
        let trace = self.trace;
        let parent = Some(trace.server);
        self.begin(span, trace.client, parent, exchange.upstream, CLIENT);
        self.time(span, exchange.began, exchange.ended.max(exchange.began));
        let mut text = |key, value: &str| span.attribute(ATTRIBUTES, key, Value::Text(value));
        text("http.request.method", known(self.method));
        text("server.address", exchange.host);
        text("portcullis.upstream", exchange.upstream);
        let mut number = |key, value| span.attribute(ATTRIBUTES, key, Value::Number(value));
        if let Some(port) = exchange.port {
            number("server.port", port.into());
        }
        if let Some(status) = trace.answered {
            number("http.response.status_code", status.as_u16().into());
        }
        let failed = trace
            .answered
            .is_some_and(|it| it.is_client_error() || it.is_server_error());
        end(
            span,
            exchange.error,
            trace.answered,
            failed || exchange.error.is_some(),
        );
    }

    fn begin(
        &self,
        span: &mut Message<'_>,
        id: SpanId,
        parent: Option<SpanId>,
        name: &str,
        kind: u64,
    ) {
        let trace = self.trace;
        span.octets(1, &trace.id);
        span.octets(2, &id);
        if let Some(state) = trace.state.as_ref().and_then(|state| state.to_str().ok()) {
            span.text(3, state);
        }
        if let Some(parent) = parent {
            span.octets(4, &parent);
        }
        span.text(5, name);
        span.number(6, kind);
        let remote = if kind == SERVER && parent.is_some() {
            REMOTE
        } else {
            0
        };
        span.fixed32(16, u32::from(trace.flags) | HAS_REMOTE | remote);
    }

    fn time(&self, span: &mut Message<'_>, from: Duration, to: Duration) {
        span.fixed64(7, nanos(self.start + from));
        span.fixed64(8, nanos(self.start + to));
    }

    fn describe(&self, span: &mut Message<'_>) {
        let client = self.client.to_string();
        let texts = [
            ("http.request.method", Some(known(self.method))),
            ("url.scheme", Some(self.scheme)),
            ("url.path", self.path),
            ("http.route", self.route),
            ("server.address", self.host),
            ("client.address", Some(&*client)),
            ("network.protocol.version", version(self.version)),
            ("portcullis.outcome", Some(self.outcome.as_str())),
            ("portcullis.code", self.refusal.map(|(code, _)| code)),
            ("portcullis.request_id", Some(self.request_id)),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                span.attribute(ATTRIBUTES, key, Value::Text(value));
            }
        }
        let status = self.status.map(|status| u64::from(status.as_u16()));
        let numbers = [
            ("http.response.status_code", status),
            ("server.port", self.port.map(u64::from)),
            ("portcullis.generation", Some(self.generation)),
        ];
        for (key, value) in numbers {
            if let Some(value) = value {
                span.attribute(ATTRIBUTES, key, Value::Number(value));
            }
        }
    }

    /// The stages that took any time.
    fn stages(&self) -> impl Iterator<Item = Stage> {
        let Micros {
            admit,
            identify,
            decide,
            ..
        } = self.micros;
        let mut over = Duration::ZERO;
        let stages = [("admit", admit), ("identify", identify), ("decide", decide)];
        let stages = stages.into_iter().map(move |(name, micros)| {
            over += Duration::from_micros(micros);
            Stage { name, micros, over }
        });
        stages.filter(|stage| stage.micros > 0)
    }
}

/// What kind of error it was, if any, and whether the span has failed by it.
fn end(span: &mut Message<'_>, code: Option<&str>, status: Option<StatusCode>, failed: bool) {
    let status = status.filter(|_| failed);
    let kind = code.or(status.as_ref().map(StatusCode::as_str));
    if let Some(kind) = kind {
        span.attribute(ATTRIBUTES, "error.type", Value::Text(kind));
    }
    if failed {
        span.message(15, |status| status.number(3, ERROR));
    }
}

/// A path may be as long as `limits` let it be, and every span is kept in memory.
fn shown(path: &str) -> &str {
    path.get(..path.floor_char_boundary(LONGEST_PATH))
        .unwrap_or(path)
}

/// A method that has a name in the conventions: what callers make up would be as many values.
fn known(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
        Method::CONNECT,
        Method::TRACE,
    ];
    if known.contains(method) {
        method.as_str()
    } else {
        "_OTHER"
    }
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// As in metrics.
const UNROUTED: &str = "(none)";
const LONGEST_PATH: usize = 1024;
/// Fields of `ScopeSpans` and of `Span`.
const SPANS: u8 = 2;
const ATTRIBUTES: u8 = 9;
/// Kinds of spans.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `STATUS_CODE_ERROR`
const ERROR: u64 = 2;
/// Bits of `flags`: it is known where the parent is, and it is elsewhere.
const HAS_REMOTE: u32 = 0x100;
const REMOTE: u32 = 0x200;

#[cfg(test)]
mod tests;
