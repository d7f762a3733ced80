//! Parts of a request's way by themselves, for what stands outside: admission, for tests that feed it anything, and
//! [`Stages`], for benches that count what each part costs.

mod stages;

use std::{
    io::Cursor,
    net::{IpAddr, SocketAddr},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use ipnet::IpNet;
use pingora::proxy::Session;

use crate::{
    gateway::{
        Frames,
        admit::{Allowances, Raw, Rules, admit, identity_key},
        grpc,
        head::Head,
        judge,
        refuse::{Malformed, Refusal},
        trace::context::{self, Parent, TRACEPARENT, TRACESTATE},
    },
    listen, traces,
};

pub use stages::Stages;

/// What admission knows besides requests.
#[derive(Debug, Default)]
pub struct Admission(Rules);

/// What became of a request.
#[derive(Debug)]
pub enum Reading {
    /// The parser below admission did not take it for one.
    Unread,
    /// Admission refused it.
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// The answer's `code`.
        code: &'static str,
    },
    /// It was admitted.
    Admitted {
        /// Its one reading.
        head: Box<Admitted>,
        /// The body that would go upstream; `None` where it cannot be read to its end.
        body: Option<Vec<u8>>,
    },
}

/// The canonical head of an admitted request: what routes, policies and the upstream get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Its method.
    pub method: Method,
    /// Host and port.
    pub authority: String,
    /// The host alone.
    pub host: String,
    /// Path and query, as they go upstream.
    pub target: String,
    /// The path alone.
    pub path: String,
    /// The header fields that go upstream.
    pub headers: HeaderMap,
    /// Who sent it.
    pub client: IpAddr,
}

/// Whom a header of the PROXY protocol at the beginning of a connection names, if anybody, and how long it is; `None` where
/// more must come first.
pub fn proxy_header(bytes: &[u8]) -> Result<Option<(Option<SocketAddr>, usize)>, &'static str> {
    listen::check_proxy_header(bytes)
}

/// What policies and upstreams get of a certificate that a caller shows; `None` where no connection comes of it.
pub fn certificate(octets: &[u8]) -> Option<decision::Certificate> {
    listen::check_certificate(octets)
}

/// A chunked body, followed as its octets come: `None` where it is out of form, else whether it is over.
pub fn chunks<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Option<bool> {
    listen::check_chunks(pieces).ok()
}

/// Of how many spans a collector's answer says that they were not taken; nothing where it cannot be read.
pub fn rejected_spans(answer: &[u8]) -> Option<u64> {
    traces::rejected(answer)
}

/// Where each frame of these octets of a WebSocket server ends, and whether one of them closes.
pub fn frames<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<u64>, bool) {
    let mut frames = Frames::default();
    let (mut ends, mut at) = (Vec::new(), 0_u64);
    for mut piece in pieces {
        while let Some(end) = frames.finish(piece) {
            at += u64::try_from(end).unwrap_or(u64::MAX);
            ends.push(at);
            piece = piece.get(end..).unwrap_or_default();
        }
        at += u64::try_from(piece.len()).unwrap_or(u64::MAX);
    }
    (ends, frames.is_closed())
}

/// How long the caller of a gRPC call waits for its end, by its `grpc-timeout`; nothing where that is out of form.
pub fn call_timeout(value: &[u8]) -> Option<Duration> {
    let value = HeaderValue::from_bytes(value).ok()?;
    grpc::timeout(&HeaderMap::from_iter([(grpc::TIMEOUT, value)]))
}

/// The trace and the span that these `traceparent` fields name, and whether they say that it is recorded.
pub fn trace_parent(fields: &[HeaderValue]) -> Option<([u8; 16], [u8; 8], bool)> {
    let parent = Parent::read(&headers(TRACEPARENT, fields))?;
    Some((parent.trace, parent.span, parent.is_sampled()))
}

/// What goes on of these `tracestate` fields.
pub fn trace_state(fields: &[HeaderValue]) -> Option<HeaderValue> {
    context::state(&headers(TRACESTATE, fields))
}

fn headers(name: &'static str, fields: &[HeaderValue]) -> HeaderMap {
    let name = HeaderName::from_static(name);
    fields
        .iter()
        .map(|field| (name.clone(), field.clone()))
        .collect()
}

/// A request of HTTP/2, taken apart as the protocol does it.
#[derive(Debug)]
pub struct Fields<'f> {
    /// `:method`
    pub method: &'f Method,
    /// `:path`
    pub path: &'f [u8],
    /// `:authority`
    pub authority: Option<&'f str>,
    /// All other fields.
    pub headers: &'f HeaderMap,
}

impl Admission {
    /// Admission of a gate that believes these peers, sets these headers from tokens and lets policies read those.
    pub fn new(
        trusted_peers: Vec<IpNet>,
        identity_headers: &[HeaderName],
        policy_headers: &[HeaderName],
    ) -> Self {
        let keys = identity_headers.iter();
        let mut rules = Rules {
            trusted_peers,
            identity_headers: keys
                .map(|name| identity_key(name.as_str()).into_owned())
                .collect(),
            ..Rules::default()
        };
        for name in policy_headers {
            rules.read(name.clone());
        }
        Self(rules)
    }

    /// Reads the first request on a connection of HTTP/1, as Pingora does it for the listeners.
    pub fn http1(&self, bytes: &[u8], peer: IpAddr) -> Reading {
        let mut session = Session::new_h1(Box::new(Cursor::new(bytes.to_vec())));
        if !matches!(at_once(session.read_request()), Some(Ok(true))) {
            return Reading::Unread;
        }
        let admitted = admit(&judge::raw(&session, peer), &self.0).and_then(unloosened);
        let sent = session.req_header_mut();
        let is_chunked = sent.headers.contains_key(header::TRANSFER_ENCODING);
        // As the gate does before it reads a body.
        sent.remove_header(&header::UPGRADE);
        let in_form = !is_chunked || listen::check_body(bytes).is_ok();
        match admitted {
            Ok(_) if !listen::check_line(bytes) => Refusal::from(Malformed::Target).into(),
            Ok(_) if !in_form => Refusal::from(Malformed::Chunk).into(),
            Ok(head) => Reading::Admitted {
                head: Box::new(head.into()),
                body: body(&mut session),
            },
            Err(refusal) => refusal.into(),
        }
    }

    /// Reads a request of HTTP/2, which has no body here.
    pub fn http2(&self, fields: &Fields<'_>, peer: IpAddr) -> Reading {
        let raw = Raw {
            method: fields.method,
            version: Version::HTTP_2,
            target: fields.path,
            authority: fields.authority,
            headers: fields.headers,
            head: None,
            peer,
            tls: false,
        };
        match admit(&raw, &self.0).and_then(unloosened) {
            Ok(head) => Reading::Admitted {
                head: Box::new(head.into()),
                body: Some(Vec::new()),
            },
            Err(refusal) => refusal.into(),
        }
    }
}

impl From<Refusal> for Reading {
    fn from(refusal: Refusal) -> Self {
        let line = refusal.line();
        Self::Refused {
            status: line.status,
            code: line.code,
        }
    }
}

impl From<Head> for Admitted {
    fn from(head: Head) -> Self {
        Self {
            target: head.target(),
            authority: head.authority.as_str().to_owned(),
            host: head.authority.host().to_owned(),
            method: head.method,
            path: head.path,
            headers: head.headers,
            client: head.client,
        }
    }
}

/// As on a route that loosens nothing.
fn unloosened(head: Head) -> Result<Head, Refusal> {
    head.needs.check_within(Allowances::default())?;
    Ok(head)
}

/// All of the body, as the upstream would get it.
fn body(session: &mut Session) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = at_once(session.read_request_body())?.ok()? {
        body.extend_from_slice(&piece);
    }
    Some(body)
}

/// What a future gives that waits for nothing: all bytes are there, and behind them the connection's end.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http1(bytes: &str) -> Reading {
        Admission::default().http1(bytes.as_bytes(), IpAddr::from([192, 0, 2, 7]))
    }

    #[test]
    fn requests_are_read_admitted_and_refused() {
        let chunked = "POST /a?b HTTP/1.1\r\nHost: A\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        match http1(chunked) {
            Reading::Admitted { head, body } => {
                assert_eq!((&*head.target, &*head.authority), ("/a?b", "a"));
                assert_eq!(body.as_deref(), Some(&b"abc"[..]));
            }
            other => panic!("{other:?}"),
        }
        let cut = http1("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabc");
        assert!(matches!(cut, Reading::Admitted { body: None, .. }));
        let empty = chunked.replace("3\r\nabc", "");
        assert!(matches!(
            http1(&empty),
            Reading::Refused {
                code: "chunk_invalid",
                ..
            }
        ));
        for line in ["GET /a b HTTP/1.1", "GET /?a=\u{1} HTTP/1.1"] {
            let written_anew = http1(&format!("{line}\r\nHost: a\r\n\r\n"));
            assert!(matches!(
                written_anew,
                Reading::Refused {
                    code: "target_invalid",
                    ..
                }
            ));
        }
        let refused = http1("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n");
        let status = StatusCode::BAD_REQUEST;
        let code = "path_ambiguous";
        assert!(
            matches!(refused, Reading::Refused { status: s, code: c } if s == status && c == code)
        );
        assert!(matches!(http1("GET / HTTP/1.1\r\nHost"), Reading::Unread));
    }
}
