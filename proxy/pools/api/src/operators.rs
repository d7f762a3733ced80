//! Operators: who may sign admin calls, and on which pools.

use std::collections::HashMap;
use std::fmt;
use std::time::SystemTime;

use secrecy::SecretString;
use sigv4::{Authorization, Request};

use crate::{Error, Result};

/// A pair of keys and what its holder may touch.
pub struct Operator {
    access_key_id: String,
    secret: SecretString,
    scope: Scope,
}

/// The pools an operator may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All, and what belongs to no pool.
    All,
    /// These.
    Pools(Vec<String>),
}

/// Every operator, by access key id.
#[derive(Default)]
pub struct Operators(HashMap<String, Operator>);

impl Operator {
    /// An operator; `*` among `pools` stands for all of them.
    pub fn new(access_key_id: String, secret: SecretString, pools: Vec<String>) -> Self {
        let scope = if pools.iter().any(|pool| pool == "*") {
            Scope::All
        } else {
            Scope::Pools(pools)
        };
        Self {
            access_key_id,
            secret,
            scope,
        }
    }

    /// As in `AWS_ACCESS_KEY_ID`.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// What they may touch.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

impl Scope {
    /// Whether it reaches this pool.
    pub fn allows(&self, pool_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Pools(pools) => pools.iter().any(|pool| pool == pool_id),
        }
    }

    /// Whether it has no limit.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }
}

impl Operators {
    /// The operator who signed `request` for `service`, proved.
    pub(crate) fn verify(
        &self,
        request: &Request<'_>,
        service: &str,
        now: SystemTime,
    ) -> Result<&Operator> {
        let authorization = Authorization::parse(request.headers)?;
        let operator = self
            .0
            .get(authorization.access_key_id())
            .ok_or_else(unrecognized)?;
        sigv4::verify(&authorization, request, &operator.secret, service, now)?;
        Ok(operator)
    }
}

impl FromIterator<Operator> for Operators {
    fn from_iter<I: IntoIterator<Item = Operator>>(operators: I) -> Self {
        Self(
            operators
                .into_iter()
                .map(|operator| (operator.access_key_id.clone(), operator))
                .collect(),
        )
    }
}

/// Shows who, never their secret.
impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Operator");
        shown
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

fn unrecognized() -> Error {
    Error::new(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
}
