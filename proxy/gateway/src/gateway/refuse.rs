//! Refusals: the one table from why a request goes no further to the answer its caller gets.
//!
//! Bodies are RFC 9457 problem documents with a stable `code`; gRPC gets a status in trailers. They say what to do, never what the store, a key or
//! another user is.

pub(crate) mod grpc;
mod malformed;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::{http::ResponseHeader, proxy::Session};
use serde::Serialize;

use super::{
    Ctx,
    request_id::{REQUEST_ID, RequestId},
    respond,
};
use crate::listen;
pub(crate) use malformed::Malformed;

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The head has no reading, or two.
    Malformed(Malformed),
    /// The request target is over its limit.
    TargetTooLong,
    /// The head is over its limits.
    HeadTooLarge,
    /// The body is over its limit.
    BodyTooLarge,
    /// The body came too slowly.
    BodyTimeout,
    /// No route takes the host and path.
    RouteNotFound,
    /// The route that takes the path does not take the method.
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: String,
    },
    /// No route takes such a method.
    MethodRefused,
    /// The route would send its caller where he comes from.
    RedirectLoop,
    /// More is under way than may be, for all callers or for this one.
    Overloaded,
    /// The token is absent or bad, or cannot be judged now.
    Token {
        why: token::Refusal,
        /// The scopes the route asks for.
        scopes: Vec<String>,
    },
    /// What the caller's connection showed at its handshake would not be taken any more.
    CertificateOutdated,
    /// The policies do not permit it; the code is the decision's.
    Denied { code: &'static str },
    /// A preflight, or a WebSocket with a cookie for its token, of a page of an origin that the route does not allow.
    OriginRefused,
    /// A rate limit has none left.
    RateLimited {
        /// Its name.
        limit: String,
        /// After which there is one.
        seconds: u64,
    },
    /// No server of the upstream can be reached.
    UpstreamUnreachable,
    /// All servers of the upstream have as many requests as they take.
    UpstreamOverloaded,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// A call was not done when its caller no longer waited (`grpc-timeout`).
    DeadlineExceeded,
    /// The upstream's answer is not HTTP.
    UpstreamInvalid,
    /// The embedded engine is not there.
    EngineUnavailable,
    /// The process ends, and the request could not be done before.
    GoingAway,
    /// A defect of ours.
    Internal,
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) status: StatusCode,
    /// Never changes once released.
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
    /// Whether the same request may succeed later.
    pub(crate) retry: bool,
}

impl Refusal {
    /// The table.
    pub(crate) fn line(&self) -> Line {
        use StatusCode as S;
        let line = |status, code, detail: &str, retry| Line {
            status,
            code,
            title: title(status),
            detail: detail.to_owned(),
            retry,
        };
        match self {
            Self::Malformed(malformed) => malformed.line(),
            Self::TargetTooLong => line(
                S::URI_TOO_LONG,
                "target_too_long",
                "shorten the request target",
                false,
            ),
            Self::HeadTooLarge => line(
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head_too_large",
                "send fewer and shorter header fields",
                false,
            ),
            Self::BodyTooLarge => line(
                S::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "send a smaller body",
                false,
            ),
            Self::BodyTimeout => line(
                S::REQUEST_TIMEOUT,
                "body_timeout",
                "send the body faster",
                true,
            ),
            Self::RouteNotFound => line(
                S::NOT_FOUND,
                "route_not_found",
                "no route takes this host and path",
                false,
            ),
            Self::MethodNotAllowed { .. } => line(
                S::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "use one of the methods in `Allow`",
                false,
            ),
            Self::MethodRefused => line(
                S::METHOD_NOT_ALLOWED,
                "method_refused",
                "use another method, in capitals; this one is taken nowhere",
                false,
            ),
            Self::RedirectLoop => loop_line(),
            Self::Overloaded => overloaded_line(),
            Self::Token { why, .. } => token_line(*why),
            Self::CertificateOutdated => line(
                S::MISDIRECTED_REQUEST,
                "certificate_outdated",
                "the certificate of this connection is not taken any more; begin a new connection, with a good one",
                true,
            ),
            Self::Denied { code } => line(
                S::FORBIDDEN,
                code,
                "the policies do not permit this request",
                false,
            ),
            Self::OriginRefused => origin_line(),
            Self::RateLimited { .. } => rate_line(),
            Self::UpstreamUnreachable => unreachable_line(),
            Self::UpstreamOverloaded => full_line(),
            Self::UpstreamTimeout => timeout_line(),
            Self::UpstreamInvalid => invalid_line(),
            Self::EngineUnavailable => line(
                S::SERVICE_UNAVAILABLE,
                "engine_unavailable",
                "the identity engine cannot answer at the moment",
                true,
            ),
            Self::DeadlineExceeded => deadline_line(),
            Self::GoingAway => going_away_line(),
            Self::Internal => line(
                S::INTERNAL_SERVER_ERROR,
                "internal_error",
                "the gate failed; give the request id to its operator",
                false,
            ),
        }
    }

    /// Whether it is the upstream's failure.
    pub(crate) fn is_of_upstream(&self) -> bool {
        matches!(
            self,
            Self::UpstreamUnreachable | Self::UpstreamTimeout | Self::UpstreamInvalid
        )
    }

    /// The rate limit that refused.
    pub(crate) fn limit(&self) -> Option<&str> {
        match self {
            Self::RateLimited { limit, .. } => Some(limit),
            _ => None,
        }
    }

    /// The header field that goes with the status, besides those every problem has.
    fn header(&self) -> Option<(HeaderName, String)> {
        match self {
            Self::MethodNotAllowed { allow } => Some((header::ALLOW, allow.clone())),
            // What is allowed depends on the route, which is not looked for.
            Self::MethodRefused => Some((header::ALLOW, String::new())),
            Self::Token { why, scopes } => match why.challenge(scopes) {
                Some(challenge) => Some((header::WWW_AUTHENTICATE, challenge)),
                None => Some((header::RETRY_AFTER, RETRY_AFTER.to_owned())),
            },
            Self::Malformed(Malformed::AuthorizationRepeated) => {
                let challenge = token::Refusal::Ambiguous.challenge(&[])?;
                Some((header::WWW_AUTHENTICATE, challenge))
            }
            Self::EngineUnavailable
            | Self::Overloaded
            | Self::UpstreamOverloaded
            | Self::GoingAway => Some((header::RETRY_AFTER, RETRY_AFTER.to_owned())),
            Self::RateLimited { seconds, .. } => Some((header::RETRY_AFTER, seconds.to_string())),
            _ => None,
        }
    }
}

/// The name of a status (RFC 9110 section 15).
fn title(status: StatusCode) -> &'static str {
    match status {
        // Renamed since.
        StatusCode::PAYLOAD_TOO_LARGE => "Content Too Large",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

fn token_line(why: token::Refusal) -> Line {
    let status = StatusCode::from_u16(why.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    Line {
        status,
        code: why.code(),
        title: status.canonical_reason().unwrap_or("Unauthorized"),
        detail: why.to_string(),
        retry: status == StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn overloaded_line() -> Line {
    Line {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "overloaded",
        title: "Service Unavailable",
        detail: "too many requests are under way; try again later, and with fewer at once"
            .to_owned(),
        retry: true,
    }
}

fn loop_line() -> Line {
    Line {
        status: StatusCode::NOT_FOUND,
        code: "redirect_loop",
        title: "Not Found",
        detail: "the route would send this request back to where it comes from".to_owned(),
        retry: false,
    }
}

fn origin_line() -> Line {
    Line {
        status: StatusCode::FORBIDDEN,
        code: "origin_refused",
        title: "Forbidden",
        detail: "pages of this origin may not use this route".to_owned(),
        retry: false,
    }
}

fn rate_line() -> Line {
    Line {
        status: StatusCode::TOO_MANY_REQUESTS,
        code: "rate_limited",
        title: "Too Many Requests",
        detail: "send fewer requests; there is room for one after the seconds in `Retry-After`"
            .to_owned(),
        retry: true,
    }
}

fn deadline_line() -> Line {
    Line {
        status: StatusCode::GATEWAY_TIMEOUT,
        code: "deadline_exceeded",
        title: "Gateway Timeout",
        detail: "the call was not done within its own `grpc-timeout`".to_owned(),
        retry: true,
    }
}

fn unreachable_line() -> Line {
    Line {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_unreachable",
        title: title(StatusCode::BAD_GATEWAY),
        detail: "the service behind the gate cannot be reached".to_owned(),
        retry: true,
    }
}

fn full_line() -> Line {
    Line {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "upstream_overloaded",
        title: title(StatusCode::SERVICE_UNAVAILABLE),
        detail: "the service behind the gate takes no more requests at the moment".to_owned(),
        retry: true,
    }
}

fn timeout_line() -> Line {
    Line {
        status: StatusCode::GATEWAY_TIMEOUT,
        code: "upstream_timeout",
        title: title(StatusCode::GATEWAY_TIMEOUT),
        detail: "the service behind the gate did not answer in time".to_owned(),
        retry: true,
    }
}

fn invalid_line() -> Line {
    Line {
        status: StatusCode::BAD_GATEWAY,
        code: "upstream_invalid",
        title: title(StatusCode::BAD_GATEWAY),
        detail: "the service behind the gate gave no valid answer".to_owned(),
        retry: true,
    }
}

fn going_away_line() -> Line {
    Line {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "going_away",
        title: "Service Unavailable",
        detail: "the gate is being stopped; begin again".to_owned(),
        retry: true,
    }
}

/// An RFC 9457 document.
#[derive(Serialize)]
struct Problem<'p> {
    r#type: String,
    title: &'p str,
    status: u16,
    detail: &'p str,
    code: &'p str,
    retryable: bool,
    request_id: &'p str,
}

/// Header and body of the answer to a refusal, in the form of the request: a problem document, or a status of gRPC.
pub(crate) fn answer(
    refusal: &Refusal,
    request_id: &RequestId,
    asked: &HeaderMap,
) -> pingora::Result<(ResponseHeader, Bytes)> {
    let (mut head, body) = if super::grpc::is_kind(asked) {
        (grpc::answer(refusal, asked)?, Bytes::new())
    } else {
        problem(refusal, request_id)?
    };
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(REQUEST_ID, request_id.value())?;
    if let Some((name, value)) = refusal.header()
        && let Ok(value) = HeaderValue::try_from(value)
    {
        head.insert_header(name, value)?;
    }
    Ok((head, body))
}

fn problem(refusal: &Refusal, request_id: &RequestId) -> pingora::Result<(ResponseHeader, Bytes)> {
    let line = refusal.line();
    let problem = Problem {
        r#type: format!("urn:portcullis:problem:{}", line.code),
        title: line.title,
        status: line.status.as_u16(),
        detail: &line.detail,
        code: line.code,
        retryable: line.retry,
        request_id: request_id.as_str(),
    };
    let body = Bytes::from(serde_json::to_vec(&problem).unwrap_or_default());
    let mut head = ResponseHeader::build(line.status, Some(6))?;
    head.insert_header(header::CONTENT_TYPE, "application/problem+json")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    Ok((head, body))
}

/// Answers a request with its refusal.
pub(crate) async fn respond(
    session: &mut Session,
    refusal: &Refusal,
    ctx: &Ctx,
) -> pingora::Result<()> {
    // After what is out of form, nobody knows where the next request begins.
    let is_last = matches!(
        refusal,
        Refusal::Malformed(_) | Refusal::CertificateOutdated
    );
    if is_last {
        session.set_keepalive(None);
    }
    if let (Refusal::CertificateOutdated, Some(line)) =
        (refusal, listen::Line::of(session.digest()))
    {
        line.retire();
    }
    let asked = session.req_header();
    let (mut head, body) = answer(refusal, &ctx.request_id, &asked.headers)?;
    if body.is_empty() && asked.version != Version::HTTP_2 {
        head.insert_header(header::CONTENT_LENGTH, 0)?;
    }
    respond::send(session, ctx, head, body).await
}

/// Seconds after which what is unavailable may be back.
const RETRY_AFTER: &str = "2";

#[cfg(test)]
mod tests;
