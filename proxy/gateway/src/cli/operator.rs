//! An operator's calls to a running engine, signed with the keys in the environment.

use std::time::Duration;

use anyhow::{Context as _, bail};
use engine::Clock as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::SecretString;
use serde_json::Value;
use sigv4::{Credentials, Payload, Request};
use url::Url;

/// Where the engine is, as the command line or the environment says.
pub(super) fn endpoint(given: Option<&str>) -> anyhow::Result<Url> {
    let text = given
        .map(str::to_owned)
        .or_else(|| variable("AWS_ENDPOINT_URL"))
        .context("say where the engine is: `--endpoint URL` or AWS_ENDPOINT_URL")?;
    // A `host:port` without a scheme reads as a URL whose scheme is the host.
    let url = Url::parse(&text).with_context(|| {
        format!("`{text}` is not a URL: the endpoint is one as `http://localhost:8080`")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!(
            "`{text}` is not a URL of http or https: the endpoint is one as `http://localhost:8080`"
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        bail!("the endpoint has a user or password in it: calls are signed, so leave that away");
    }
    Ok(url)
}

/// One signed call of an operator's operation, and its answer.
pub(super) fn call(
    endpoint: &Url,
    region: &str,
    operation: &str,
    input: &Value,
) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(send(endpoint, region, operation, input))
}

async fn send(
    endpoint: &Url,
    region: &str,
    operation: &str,
    input: &Value,
) -> anyhow::Result<Value> {
    let body = serde_json::to_vec(input)?;
    let headers = signed(endpoint, region, operation, &body)?;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()?;
    let request = client.post(endpoint.clone()).headers(headers).body(body);
    let response = request
        .send()
        .await
        .with_context(|| format!("no engine answers at `{endpoint}`"))?;
    let status = response.status();
    let output: Value = response
        .json()
        .await
        .with_context(|| not_an_engine(endpoint, status))?;
    if status.is_success() {
        return Ok(output);
    }
    match output.get("__type").and_then(Value::as_str) {
        Some(kind) => {
            let message = output.get("message").and_then(Value::as_str);
            bail!(
                "{}",
                plain(&format!("{kind}: {}", message.unwrap_or_default()))
            )
        }
        None => bail!(not_an_engine(endpoint, status)),
    }
}

/// Without what a terminal would take for orders.
pub(super) fn plain(text: &str) -> String {
    let is_plain = |c: &char| *c == '\n' || !c.is_control();
    text.chars().filter(is_plain).collect()
}

/// A refusal of the gate in front of it, or somebody else altogether.
fn not_an_engine(endpoint: &Url, status: StatusCode) -> String {
    format!(
        "`{endpoint}` answered {status}, and not as an engine does; the endpoint is `public_url` of the settings"
    )
}

fn signed(endpoint: &Url, region: &str, operation: &str, body: &[u8]) -> anyhow::Result<HeaderMap> {
    let host = endpoint.host_str().context("the endpoint names no host")?;
    let host = match endpoint.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::try_from(host)?);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.1"),
    );
    let target = format!("PortcullisOperator.{operation}");
    headers.insert("x-amz-target", HeaderValue::try_from(target)?);
    let request = Request {
        method: &Method::POST,
        path: endpoint.path(),
        query: "",
        headers: &headers,
        payload: Payload::Bytes(body),
    };
    let now = engine::SystemClock.now();
    let added = sigv4::sign(&request, &credentials()?, region, "cognito-idp", now)?;
    headers.extend(added);
    Ok(headers)
}

fn credentials() -> anyhow::Result<Credentials> {
    let need = |name: &str| {
        variable(name).with_context(|| {
            format!(
                "{name} is not set: an operator of the settings (`pools.operators`) signs this call; \
                 `portcullis dev` writes its operator's keys to `dev.env` for you to source"
            )
        })
    };
    Ok(Credentials {
        access_key_id: need("AWS_ACCESS_KEY_ID")?,
        secret: SecretString::from(need("AWS_SECRET_ACCESS_KEY")?),
        session_token: variable("AWS_SESSION_TOKEN").map(SecretString::from),
    })
}

/// A variable of the environment that says something.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

const TIMEOUT: Duration = Duration::from_secs(30);
