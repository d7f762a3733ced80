//! Whose request it is: nobody's, or the one a bearer token names.

use std::time::SystemTime;

use http::header;
use serde_json::{Map, Value};
use token::{TokenUse, Verified, Verifier};

use super::{head::Head, refuse::Refusal};
use crate::snapshot::Authenticate;

/// A caller whose token verified.
pub(crate) struct Caller {
    verified: Verified,
}

/// Finds out who calls; `None` where the route asks nobody.
pub(super) async fn identify(
    authenticate: &Authenticate,
    tokens: &Verifier,
    head: &Head,
    now: SystemTime,
) -> Result<Option<Caller>, Refusal> {
    let (issuers, requirements) = match authenticate {
        Authenticate::None => return Ok(None),
        Authenticate::Bearer {
            issuers,
            requirements,
        } => (issuers, requirements),
    };
    let refused = |why| Refusal::Token {
        why,
        scopes: requirements.scopes.clone(),
    };
    let values = head.headers.get_all(header::AUTHORIZATION);
    let token = token::bearer(values.iter().map(http::HeaderValue::as_bytes)).map_err(refused)?;
    let result = tokens.verify(token, issuers, requirements, now).await;
    let verified = result.map_err(refused)?;
    Ok(Some(Caller { verified }))
}

impl Caller {
    /// What the token says.
    pub(super) fn claims(&self) -> &Map<String, Value> {
        self.verified.raw()
    }

    /// Its id in policies and records.
    pub(super) fn principal(&self) -> Option<&str> {
        self.verified.principal()
    }

    /// Whether the token was only looked up.
    pub(super) fn is_remembered(&self) -> bool {
        self.verified.remembered
    }
}

impl decision::Caller for Caller {
    // INVARIANT: `decide` asks policies only about callers that have a principal.
    fn id(&self) -> &str {
        self.principal().unwrap_or_default()
    }

    fn group_prefix(&self) -> Option<&str> {
        self.verified.prefix()
    }

    fn groups(&self) -> Vec<&str> {
        self.verified.groups().collect()
    }

    fn id_claims(&self) -> Option<&Map<String, Value>> {
        (self.verified.token_use() == Some(TokenUse::Id)).then(|| self.claims())
    }

    fn access_claims(&self) -> Option<&Map<String, Value>> {
        (self.verified.token_use() != Some(TokenUse::Id)).then(|| self.claims())
    }

    fn digest(&self) -> Option<[u8; 32]> {
        Some(self.verified.digest)
    }
}
