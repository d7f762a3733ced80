//! Revocations of pools that another process serves.

use std::sync::Arc;

use engine::Clock as _;
use http::{HeaderMap, HeaderValue, Method, header};
use settings::{Place, Problem, Revocations, Settings};
use sigv4::{Credentials, Payload, Request};
use token::{Feed, Followed, Sign, Transport};
use tokio::runtime::Handle;
use url::Url;

/// A feed that is followed, and by which settings.
#[derive(Debug, Clone)]
pub(super) struct Following {
    asked: Revocations,
    pub(super) followed: Arc<Followed>,
}

impl Following {
    /// The feed as it is followed already, where the settings left that alone; one made anew goes on with what was known.
    pub(super) fn start(
        issuer: &Arc<str>,
        asked: &Revocations,
        transport: &Transport,
        known: Option<&Self>,
        background: &Handle,
    ) -> Result<Self, token::FetchError> {
        let feed = Feed {
            issuer: issuer.clone(),
            url: asked.url.clone(),
            max_stale: asked.max_stale,
            on_stale: asked.on_stale,
            transport: transport.clone(),
        };
        let same = |known: &&Self| known.asked == *asked && *known.followed.feed() == feed;
        if let Some(known) = known.filter(same) {
            return Ok(known.clone());
        }
        let previous = known.map(|known| &*known.followed);
        let followed = Followed::start(feed, signer(asked), previous, background)?;
        Ok(Self {
            asked: asked.clone(),
            followed: Arc::new(followed),
        })
    }
}

/// A problem of starting it, at its place.
pub(super) fn problem(settings: &Settings, issuer: &str, error: &token::FetchError) -> Problem {
    let place = Place::from("issuers").key(issuer).key("revocations");
    settings.lines.problem(&place, error.to_string())
}

/// Signs as the operator of the settings.
fn signer(asked: &Revocations) -> Arc<Sign> {
    let region = asked.region.clone();
    let credentials = Credentials {
        access_key_id: asked.access_key_id.clone(),
        secret: asked.secret.clone(),
        session_token: None,
    };
    Arc::new(move |url: &Url| signed(url, &credentials, &region))
}

fn signed(url: &Url, credentials: &Credentials, region: &str) -> Option<HeaderMap> {
    let host = url.host_str()?;
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::try_from(host).ok()?);
    let request = Request {
        method: &Method::GET,
        path: url.path(),
        query: url.query().unwrap_or_default(),
        headers: &headers,
        payload: Payload::Bytes(b""),
    };
    // The host itself is written by the client, from the same URL.
    let now = engine::SystemClock.now();
    sigv4::sign(&request, credentials, region, SERVICE, now).ok()
}

/// As operators' other calls.
const SERVICE: &str = "cognito-idp";
