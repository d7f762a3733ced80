//! Streams: answers that last as long as both sides wish, of WebSocket, server-sent events and gRPC.

use http::{HeaderMap, StatusCode, header};
use pingora::{Error, ErrorSource, http::ResponseHeader};
use prometheus::{IntCounter, IntGauge, IntGaugeVec, Result};

use super::register::Register;
use crate::gateway::{Refusal, grpc};

/// Counts the streams of one route.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    open: IntGauge,
    ended: Ended,
}

/// A stream that is open; it counts as cut where nobody says how it ended.
#[derive(Debug)]
pub(crate) struct Stream {
    open: IntGauge,
    ended: IntCounter,
    causes: Ended,
}

/// By what ended them.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// The upstream's answer was complete.
    finished: IntCounter,
    /// The caller left.
    caller: IntCounter,
    /// The upstream broke off or fell silent.
    upstream: IntCounter,
    /// It was permitted no more.
    permission: IntCounter,
    /// Its caller waited no longer, or its route does not.
    deadline: IntCounter,
    /// The gate gave it up, as at the end of a drain.
    cut: IntCounter,
}

impl Ended {
    /// At zero each: a rate over what is not there yet would miss the first.
    pub(super) fn new(r: &Register<'_>) -> Result<Self> {
        let ended = r.counters(
            "streams_ended_total",
            "Streams by what ended them.",
            &["cause"],
        )?;
        let cause = |cause| ended.with_label_values(&[cause]);
        Ok(Self {
            finished: cause("finished"),
            caller: cause("caller"),
            upstream: cause("upstream"),
            permission: cause("permission"),
            deadline: cause("deadline"),
            cut: cause("cut"),
        })
    }
}

/// Streams under way, by route.
pub(super) fn open(r: &Register<'_>) -> Result<IntGaugeVec> {
    r.gauges(
        "streams_open",
        "WebSockets, and answers of server-sent events and gRPC, under way.",
        &["route"],
    )
}

impl Streams {
    pub(super) fn new(open: IntGauge, ended: Ended) -> Self {
        Self { open, ended }
    }

    /// Counts an answer as open, if its head makes it a stream.
    pub(crate) fn open(&self, head: &ResponseHeader) -> Option<Stream> {
        let is_socket = head.status == StatusCode::SWITCHING_PROTOCOLS;
        (is_socket || is_stream(&head.headers)).then(|| {
            self.open.inc();
            Stream {
                open: self.open.clone(),
                ended: self.ended.cut.clone(),
                causes: self.ended.clone(),
            }
        })
    }
}

impl Stream {
    /// Counts it as ended by the gate for this reason, or by that error, or as complete.
    pub(crate) fn end(mut self, error: Option<&Error>, why: Option<&Refusal>) {
        let cause = match (why, error.map(Error::esource)) {
            (Some(Refusal::GoingAway), _)
            | (None, Some(ErrorSource::Internal | ErrorSource::Unset)) => &self.causes.cut,
            (Some(Refusal::DeadlineExceeded | Refusal::UpstreamTimeout), _) => {
                &self.causes.deadline
            }
            (Some(_), _) => &self.causes.permission,
            (None, None) => &self.causes.finished,
            (None, Some(ErrorSource::Downstream)) => &self.causes.caller,
            (None, Some(ErrorSource::Upstream)) => &self.causes.upstream,
        };
        self.ended = cause.clone();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.open.dec();
        self.ended.inc();
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "text/event-stream" || grpc::is_kind(headers)
}

#[cfg(test)]
mod tests {
    use pingora::ErrorType;

    use super::*;
    use crate::metrics::Metrics;

    fn head(kind: &str) -> ResponseHeader {
        let mut head = ResponseHeader::build(200, None).unwrap();
        head.insert_header(header::CONTENT_TYPE, kind).unwrap();
        head
    }

    fn headers(kind: &'static str) -> HeaderMap {
        let kind = http::HeaderValue::from_static(kind);
        HeaderMap::from_iter([(header::CONTENT_TYPE, kind)])
    }

    #[test]
    fn streams_are_counted_while_open_and_by_what_ended_them() {
        let metrics = Metrics::new().unwrap();
        let streams = metrics.route("events").streams;
        let open = || streams.open(&head("text/event-stream")).unwrap();
        let all = [open(), open(), open(), open(), open()];
        let has = |line: &str| assert!(metrics.text().contains(line), "{}", metrics.text());
        has("portcullis_streams_open{route=\"events\"} 5\n");
        let [one, two, three, four, five] = all;
        one.end(None, None);
        two.end(Some(&Error::new_down(ErrorType::WriteError)), None);
        three.end(Some(&Error::new_up(ErrorType::ReadTimedout)), None);
        let over = Error::new_down(ErrorType::ReadError);
        four.end(Some(&over), Some(&Refusal::RouteNotFound));
        // Abandoned, so that nobody saw an error.
        open().end(None, Some(&Refusal::RouteNotFound));
        open().end(Some(&over), Some(&Refusal::DeadlineExceeded));
        drop(five);
        has("portcullis_streams_open{route=\"events\"} 0\n");
        for (cause, count) in [
            ("finished", 1),
            ("caller", 1),
            ("upstream", 1),
            ("permission", 2),
            ("deadline", 1),
            ("cut", 1),
        ] {
            has(&format!(
                "portcullis_streams_ended_total{{cause=\"{cause}\"}} {count}\n"
            ));
        }
    }

    #[test]
    fn an_answers_type_says_whether_it_is_a_stream() {
        for (kind, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", true),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_stream(&headers(kind)), expected, "{kind}");
        }
        assert!(!is_stream(&HeaderMap::new()));
    }
}
