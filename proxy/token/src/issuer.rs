//! An issuer: whose tokens these are, which rules they follow, who holds the keys.

use std::sync::Arc;

use crate::{Keys, Kind, Revocations};

/// Who signs a kind of tokens, as far as the gate needs to know.
pub struct Issuer {
    rules: Arc<Rules>,
    keys: Arc<dyn Keys>,
    revocations: Option<Arc<dyn Revocations>>,
}

impl Issuer {
    /// An issuer called `rules.name` in the settings.
    ///
    /// Without `revocations` a token is good until it expires.
    pub fn new(
        rules: Rules,
        keys: Arc<dyn Keys>,
        revocations: Option<Arc<dyn Revocations>>,
    ) -> Self {
        Self {
            rules: Arc::new(rules),
            keys,
            revocations,
        }
    }

    /// What its tokens are held to.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Its keys.
    pub fn keys(&self) -> &Arc<dyn Keys> {
        &self.keys
    }

    /// What it has taken back.
    pub(crate) fn revocations(&self) -> Option<&dyn Revocations> {
        self.revocations.as_deref()
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What an issuer's tokens are held to, whatever the route.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Its name in the settings, logs and metrics.
    pub name: Arc<str>,
    /// The exact `iss`.
    pub iss: String,
    /// Which claims its tokens carry.
    pub kind: Kind,
    /// Whom its tokens may be meant for.
    pub audience: Audience,
    /// How its callers are named in policies.
    pub naming: Naming,
}

/// Whom an issuer's tokens may be meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// One of these client ids (kind `cognito`: `client_id` of access tokens, `aud` of ID tokens) or values of `aud`
    /// (kind `oidc`). Nobody when empty.
    AnyOf(Vec<String>),
    /// Every client the embedded engine has: its [`Revocations`] answers [`crate::Standing::Revoked`] for clients that
    /// do not exist. An issuer without revocations accepts nobody by this.
    Embedded,
}

/// How an issuer's callers are named in policies: `"<prefix>|<claim>"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// What stands before the bar; no bar when absent.
    pub prefix: Option<String>,
    /// The claim behind the bar.
    pub claim: String,
    /// The claim with the groups.
    pub group_claim: String,
}

impl Naming {
    /// Amazon Verified Permissions' naming for a Cognito pool: `"<poolId>|<sub>"`, groups in `cognito:groups`.
    pub fn cognito(pool_id: impl Into<String>) -> Self {
        Self {
            prefix: Some(pool_id.into()),
            claim: "sub".into(),
            group_claim: "cognito:groups".into(),
        }
    }

    /// The naming for other issuers: `sub`, groups in `groups`.
    pub fn oidc() -> Self {
        Self {
            prefix: None,
            claim: "sub".into(),
            group_claim: "groups".into(),
        }
    }
}
