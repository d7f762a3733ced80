//! A collector: where it is, what its requests have in common, and what its answers mean.

use std::{error::Error as _, fmt, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Client, Response};
use url::Url;

use super::{
    answer::rejected,
    otlp::{Message, Value},
    queue::Batch,
};

/// Where spans go.
pub(super) struct Destination {
    client: Client,
    url: Url,
    headers: HeaderMap,
    /// A whole `Resource`.
    resource: Vec<u8>,
}

/// A batch that was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsent {
    /// For the operator; holds no secrets.
    pub(super) why: String,
    /// Whether it may be taken another time.
    pub(super) again: bool,
    /// How long the collector asks to be left alone.
    pub(super) after: Option<Duration>,
}

/// Shows no header.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl Destination {
    /// The collector of these settings; `instance` tells this process from others.
    pub(super) fn new(settings: &settings::Traces, instance: &str) -> reqwest::Result<Self> {
        let mut headers: HeaderMap = settings.headers.iter().cloned().collect();
        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        headers.entry(header::USER_AGENT).or_insert(AGENT);
        Ok(Self {
            client: settings.transport.client(TIMEOUT)?,
            url: settings.url.clone(),
            headers,
            resource: resource(&settings.service_name, instance),
        })
    }

    /// Sends one batch; gives how many spans of it were not taken.
    pub(super) async fn post(&self, batch: &Batch) -> Result<u64, Unsent> {
        let request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .body(self.request(batch));
        match request.send().await {
            Ok(answer) => judge(answer).await,
            Err(error) => Err(Unsent {
                why: reason(error),
                again: true,
                after: None,
            }),
        }
    }

    /// An `ExportTraceServiceRequest`.
    fn request(&self, batch: &Batch) -> Vec<u8> {
        let mut out = Vec::with_capacity(batch.octets.len() + self.resource.len() + FRAME);
        Message::at_end_of(&mut out).message(1, |resource_spans| {
            resource_spans.octets(1, &self.resource);
            resource_spans.message(2, |scope_spans| {
                scope_spans.message(1, |scope| {
                    scope.text(1, SCOPE);
                    scope.text(2, VERSION);
                });
                scope_spans.written(&batch.octets);
            });
        });
        out
    }
}

fn resource(service: &str, instance: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut resource = Message::at_end_of(&mut out);
    for (key, value) in [
        ("service.name", service),
        ("service.instance.id", instance),
        ("service.version", VERSION),
    ] {
        resource.attribute(1, key, Value::Text(value));
    }
    out
}

/// OTLP's specification, "OTLP/HTTP Response": which failures are for a while, and which for good.
async fn judge(mut answer: Response) -> Result<u64, Unsent> {
    let status = answer.status();
    let after = answer.headers().get(header::RETRY_AFTER).and_then(seconds);
    let is_told = answer.headers().get(header::CONTENT_TYPE) == Some(&PROTOBUF);
    // Read to its end, the connection can be used again.
    let mut body = Vec::new();
    while body.len() < LONGEST
        && let Ok(Some(piece)) = answer.chunk().await
    {
        body.extend_from_slice(&piece);
    }
    if status.is_success() {
        let rejected = rejected(&body).filter(|_| is_told);
        return Ok(rejected.unwrap_or_default());
    }
    let again = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    Err(Unsent {
        why: format!("the collector answers {status}"),
        again: again.contains(&status),
        after,
    })
}

fn seconds(value: &HeaderValue) -> Option<Duration> {
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What failed, with its causes and without the URL, which the settings say.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

const TIMEOUT: Duration = Duration::from_secs(10);
/// Octets of an answer that are read.
const LONGEST: usize = 64 * 1024;
/// What stands around spans, beside the resource, takes less.
const FRAME: usize = 64;
const SCOPE: &str = "portcullis";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));

#[cfg(test)]
mod tests {
    use super::{super::otlp::tests::fields, *};

    #[test]
    fn a_request_is_a_frame_around_the_spans() {
        let destination = Destination {
            client: reqwest::Client::builder().build().unwrap(),
            url: "http://127.0.0.1:4318/v1/traces".parse().unwrap(),
            headers: HeaderMap::new(),
            resource: resource("gate", "one"),
        };
        let mut octets = Vec::new();
        Message::at_end_of(&mut octets).text(2, "a span");
        let request = destination.request(&Batch { octets, spans: 1 });
        let outer = fields(&request);
        let [(1, resource_spans)] = &outer[..] else {
            panic!("{outer:?}")
        };
        let inner = fields(resource_spans);
        let [(1, resource), (2, scope_spans)] = &inner[..] else {
            panic!("{inner:?}")
        };
        assert_eq!(fields(resource).len(), 3);
        let spans = fields(scope_spans);
        assert_eq!(spans[1..], [(2, b"a span".to_vec())]);
        assert!(!format!("{destination:?}").contains("headers"));
    }
}
