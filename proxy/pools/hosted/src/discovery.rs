//! The discovery document of a pool (`OpenID` Connect Discovery 1.0 section 3).

use engine::Engine;
use serde_json::{Value, json};

/// The members that are required, and none that promises more than is built.
///
/// The authorization and token endpoints are required members; they answer 404 until they are built. All URLs come from
/// the settings, never from the request, whose Host header anybody may choose.
pub(crate) fn of(engine: &Engine, pool_id: &str) -> Value {
    let base = format!("{}/{pool_id}", engine.public_url());
    json!({
        "authorization_endpoint": format!("{base}/oauth2/authorize"),
        "id_token_signing_alg_values_supported": ["RS256"],
        "issuer": engine.issuer(pool_id),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "token_endpoint": format!("{base}/oauth2/token"),
    })
}
