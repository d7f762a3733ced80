//! Who calls: an operator by signature, a user by access token, or anybody.

use std::sync::Arc;

use engine::Engine;
use engine::client::Client;
use engine::issue::AccessToken;
use engine::pool::Pool;
use serde_json::Value;
use wire::Spec;

use crate::operators::Operator;
use crate::{Api, Error, Gate, Result};

/// One call, before its caller is known to the operation.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub(crate) api: &'a Api,
    pub(crate) service: &'static wire::Service,
    pub(crate) spec: &'static Spec,
    pub(crate) request_id: &'a str,
    /// INVARIANT: set by the verification of a signature alone.
    pub(crate) operator: Option<&'a Operator>,
}

/// An operator, proved by a signature; their rights may be limited to some pools.
#[derive(Clone, Copy)]
pub struct Admin<'a> {
    call: Call<'a>,
    operator: &'a Operator,
}

/// A user, proved by an access token of theirs that is neither expired nor revoked.
pub struct Bearer<'a> {
    call: Call<'a>,
    token: AccessToken,
}

/// Anybody.
#[derive(Clone, Copy)]
pub struct Public<'a> {
    call: Call<'a>,
}

/// How a call becomes one of the callers; nothing else makes them.
impl<'a> Call<'a> {
    pub(crate) fn admin(self) -> Result<Admin<'a>> {
        // An operation whose model asks for no signature never has one verified: its row may not say `Admin`.
        let operator = self
            .operator
            .ok_or_else(|| Error::from(sigv4::Refusal::Missing))?;
        Ok(Admin {
            call: self,
            operator,
        })
    }

    pub(crate) async fn bearer(self, input: &Value) -> Result<Bearer<'a>> {
        let token = input
            .get("AccessToken")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.public().bearer(token).await
    }

    pub(crate) fn public(self) -> Public<'a> {
        Public { call: self }
    }
}

impl<'a> Admin<'a> {
    /// The engine.
    pub fn engine(&self) -> &'a Engine {
        &self.call.api.engine
    }

    /// The gate that the service is answered from.
    pub(crate) fn gate(&self) -> &'a dyn Gate {
        &*self.call.api.gate
    }

    /// The call's id, as the caller sees it.
    pub fn request_id(&self) -> &'a str {
        self.call.request_id
    }

    /// The pool of that id, if the operator may touch it and it is there.
    pub async fn pool(&self, id: &str) -> Result<Arc<Pool>> {
        self.allow(id)?;
        Ok(engine::pool::load(self.engine(), id).await?)
    }

    /// The pool and its app client, if the operator may touch the pool and both are there.
    pub async fn client(&self, pool_id: &str, client_id: &str) -> Result<(Arc<Pool>, Arc<Client>)> {
        let pool = self.pool(pool_id).await?;
        let client = engine::client::load_of(self.engine(), pool_id, client_id).await?;
        Ok((pool, client))
    }

    /// Refuses an operator whose rights do not reach this pool, whether it is there or not.
    pub fn allow(&self, pool_id: &str) -> Result<()> {
        if self.operator.scope().allows(pool_id) {
            Ok(())
        } else {
            Err(self.denied(&self.engine().pool_arn(pool_id)))
        }
    }

    /// Refuses an operator whose rights are limited to some pools: for what belongs to none.
    pub fn allow_all(&self) -> Result<()> {
        if self.operator.scope().is_all() {
            Ok(())
        } else {
            Err(self.denied("*"))
        }
    }

    /// Whether the operator may know of this pool.
    pub fn sees(&self, pool_id: &str) -> bool {
        self.operator.scope().allows(pool_id)
    }

    fn denied(&self, resource: &str) -> Error {
        let account = &self.engine().config().account;
        let (user, service) = (
            self.operator.access_key_id(),
            self.call.service.signing_name,
        );
        Error::access_denied(format!(
            "User: arn:aws:iam::{account}:user/{user} is not authorized to perform: {service}:{} on resource: {resource}",
            self.call.spec.name
        ))
    }
}

impl<'a> Bearer<'a> {
    /// The engine.
    pub fn engine(&self) -> &'a Engine {
        &self.call.api.engine
    }

    /// The call's id, as the caller sees it.
    pub fn request_id(&self) -> &'a str {
        self.call.request_id
    }

    /// What the access token proved: pool, client, user and origin.
    pub fn token(&self) -> &AccessToken {
        &self.token
    }
}

impl<'a> Public<'a> {
    /// The engine.
    pub fn engine(&self) -> &'a Engine {
        &self.call.api.engine
    }

    /// The call's id, as the caller sees it.
    pub fn request_id(&self) -> &'a str {
        self.call.request_id
    }

    /// The app client of that id and its pool.
    pub async fn client(&self, id: &str) -> Result<(Arc<Pool>, Arc<Client>)> {
        Ok(engine::client::load(self.engine(), id).await?)
    }

    /// The user of an access token, for operations that take a session or a token.
    pub async fn bearer(&self, access_token: &str) -> Result<Bearer<'a>> {
        let token = engine::issue::verify_access(self.engine(), access_token).await?;
        Ok(Bearer {
            call: self.call,
            token,
        })
    }
}
