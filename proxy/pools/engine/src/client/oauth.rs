//! The OAuth settings of a client.

use serde_json::Value;
use url::{Host, Url};

use crate::pool::{Document, Pool};
use crate::{Error, Refusal, Result};

/// Refuses OAuth settings that contradict themselves.
pub(super) fn check(pool: &Pool, document: &Document, has_secret: bool) -> Result<()> {
    let callbacks = texts(document, "CallbackURLs");
    for uri in callbacks.iter().chain(&texts(document, "LogoutURLs")) {
        check_redirect(uri)?;
    }
    let default = document.get("DefaultRedirectURI").and_then(Value::as_str);
    if default.is_some_and(|default| !callbacks.contains(&default)) {
        return Err(Error::invalid_parameter(
            "DefaultRedirectURI must be in the list of CallbackURLs.",
        ));
    }
    if let Some(other) = texts(document, "SupportedIdentityProviders")
        .iter()
        .find(|name| **name != "COGNITO")
    {
        let message = format!(
            "The provider {other} does not exist for User Pool {}.",
            pool.id()
        );
        return Err(Error::invalid_parameter(message));
    }
    check_flows(document, &callbacks, has_secret)?;
    check_scopes(document)
}

fn check_flows(document: &Document, callbacks: &[&str], has_secret: bool) -> Result<()> {
    let flows = texts(document, "AllowedOAuthFlows");
    let enabled = document.get("AllowedOAuthFlowsUserPoolClient") == Some(&Value::Bool(true));
    if enabled && (flows.is_empty() || texts(document, "AllowedOAuthScopes").is_empty()) {
        return Err(Error::invalid_parameter(
            "AllowedOAuthFlows and AllowedOAuthScopes are required if user pool client is allowed to use OAuth flows.",
        ));
    }
    let by_redirect = flows
        .iter()
        .any(|flow| matches!(*flow, "code" | "implicit"));
    if flows.contains(&"client_credentials") {
        if by_redirect {
            return Err(invalid_flow(
                "client_credentials flow can not be selected along with code flow or implicit flow.",
            ));
        }
        if !has_secret {
            return Err(invalid_flow(
                "client_credentials flow can not be selected if client does not have a client secret.",
            ));
        }
    }
    if enabled && by_redirect && callbacks.is_empty() {
        return Err(invalid_flow(
            "code flow and implicit flow require at least one CallbackURL.",
        ));
    }
    Ok(())
}

/// Resource servers, whose scopes a client may also have, are not built yet: their scopes do not exist.
fn check_scopes(document: &Document) -> Result<()> {
    match texts(document, "AllowedOAuthScopes")
        .iter()
        .find(|scope| !STANDARD_SCOPES.contains(scope))
    {
        Some(scope) => Err(Error::refused(
            Refusal::ScopeDoesNotExist,
            format!("Invalid scope requested: {scope}"),
        )),
        None => Ok(()),
    }
}

/// RFC 6749 section 3.1.2: absolute and without a fragment. HTTP only towards the machine itself (RFC 8252 section
/// 7.3); other schemes are those of installed apps.
fn check_redirect(uri: &str) -> Result<()> {
    let invalid = || Error::invalid_parameter(format!("{uri} is not a valid redirect URI."));
    let parsed = Url::parse(uri).map_err(|_| invalid())?;
    let local = match parsed.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let fits = match parsed.scheme() {
        "https" => parsed.has_host(),
        "http" => local,
        // Schemes that a browser runs or reads instead of handing over.
        "javascript" | "data" | "file" | "vbscript" | "about" | "blob" => false,
        _ => true,
    };
    let plain = parsed.username().is_empty()
        && parsed.password().is_none()
        && !uri.contains(char::is_whitespace);
    if fits && plain && parsed.fragment().is_none() {
        Ok(())
    } else {
        Err(invalid())
    }
}

fn texts<'d>(document: &'d Document, key: &str) -> Vec<&'d str> {
    document
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn invalid_flow(message: &'static str) -> Error {
    Error::refused(Refusal::InvalidOAuthFlow, message)
}

const STANDARD_SCOPES: &[&str] = &[
    "phone",
    "email",
    "openid",
    "profile",
    "aws.cognito.signin.user.admin",
];

#[cfg(test)]
mod tests {
    use super::check_redirect;

    #[test]
    fn redirects_are_absolute_and_safe() {
        for good in [
            "https://app.test/cb",
            "https://app.test/cb?a=1",
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:8080/cb",
            "myapp://signed-in",
        ] {
            check_redirect(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in [
            "/cb",
            "http://app.test/cb",
            "https://app.test/cb#x",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://user@app.test/cb",
            "http://localhost.evil.test/cb",
            "https://app.test/c b",
            "",
        ] {
            assert!(check_redirect(bad).is_err(), "{bad}");
        }
    }
}
