//! `portcullis pool`: an operator's changes, as signed calls to a running engine.

use std::time::Duration;

use anyhow::{Context as _, bail};
use engine::Clock as _;
use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::SecretString;
use serde_json::{Value, json};
use sigv4::{Credentials, Payload, Request};
use url::Url;

use super::RotateKeys;

/// Makes new signing keys for a pool, and prints their ids.
pub(super) fn rotate_keys(ask: &RotateKeys) -> anyhow::Result<()> {
    let endpoint: Url = ask
        .endpoint
        .clone()
        .or_else(|| variable("AWS_ENDPOINT_URL"))
        .context("say where the engine is: `--endpoint URL` or AWS_ENDPOINT_URL")?
        .parse()
        .context("the endpoint is not a URL")?;
    let region = ask
        .region
        .clone()
        .or_else(|| variable("AWS_REGION"))
        .or_else(|| {
            ask.pool
                .split_once('_')
                .map(|(region, _)| region.to_owned())
        })
        .context("say which region: `--region` or AWS_REGION")?;
    let input = json!({"UserPoolId": ask.pool});
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let output = runtime.block_on(call(&endpoint, &region, "RotateSigningKeys", &input))?;
    let ids = output.get("KeyIds").and_then(Value::as_array);
    for id in ids.into_iter().flatten().filter_map(Value::as_str) {
        println!("{id}");
    }
    Ok(())
}

/// One signed call of an operator's operation.
async fn call(
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
        .context("the engine cannot be reached")?;
    let status = response.status();
    let output: Value = response
        .json()
        .await
        .with_context(|| format!("the engine answered {status} without JSON"))?;
    if !status.is_success() {
        let text = |name| output.get(name).and_then(Value::as_str).unwrap_or_default();
        bail!("{}: {}", text("__type"), text("message"));
    }
    Ok(output)
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
    let need = |name: &str| variable(name).with_context(|| format!("{name} is not set"));
    Ok(Credentials {
        access_key_id: need("AWS_ACCESS_KEY_ID")?,
        secret: SecretString::from(need("AWS_SECRET_ACCESS_KEY")?),
        session_token: variable("AWS_SESSION_TOKEN").map(SecretString::from),
    })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

const TIMEOUT: Duration = Duration::from_secs(30);
