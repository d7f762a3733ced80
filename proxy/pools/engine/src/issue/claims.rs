//! What the tokens say, in AWS's words and nearly in its order.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::IssueInput;
use crate::client::Client;
use crate::group::Group;
use crate::user::User;
use crate::{Engine, rng};

/// Everything the claims are made of.
pub(super) struct Grant<'a> {
    pub(super) engine: &'a Engine,
    pub(super) client: &'a Client,
    pub(super) user: &'a User,
    pub(super) groups: &'a [Group],
    pub(super) input: IssueInput<'a>,
    pub(super) now_ms: i64,
}

impl Grant<'_> {
    /// The ID token's claims.
    pub(super) fn id(&self) -> Map<String, Value> {
        let mut claims = self.common("id", self.client.lifetimes().id);
        claims.insert("aud".into(), self.client.id().into());
        claims.insert(
            "cognito:username".into(),
            self.user.username.as_str().into(),
        );
        self.add_roles(&mut claims);
        if let Some(nonce) = self.input.nonce {
            claims.insert("nonce".into(), nonce.into());
        }
        for (name, value) in &self.user.attributes {
            if self.client.may_read(name) && !claims.contains_key(name) {
                claims.insert(name.clone(), attribute(name, value));
            }
        }
        claims
    }

    /// The access token's claims.
    pub(super) fn access(&self) -> Map<String, Value> {
        let mut claims = self.common("access", self.client.lifetimes().access);
        claims.insert("client_id".into(), self.client.id().into());
        claims.insert("scope".into(), self.input.scope.into());
        claims.insert("username".into(), self.user.username.as_str().into());
        claims
    }

    fn common(&self, token_use: &str, life: Duration) -> Map<String, Value> {
        let issued = self.now_ms.div_euclid(1000);
        let mut claims = Map::new();
        claims.insert("sub".into(), self.user.sub.as_str().into());
        if !self.groups.is_empty() {
            let names: Vec<_> = self
                .groups
                .iter()
                .map(|group| group.name.as_str())
                .collect();
            claims.insert("cognito:groups".into(), names.into());
        }
        claims.insert(
            "iss".into(),
            self.engine.issuer(self.client.pool_id()).into(),
        );
        if self.client.has_origin() {
            claims.insert("origin_jti".into(), self.input.origin_jti.into());
        }
        claims.insert("event_id".into(), self.input.event_id.into());
        claims.insert("token_use".into(), token_use.into());
        claims.insert(
            "auth_time".into(),
            self.input.auth_time_ms.div_euclid(1000).into(),
        );
        claims.insert("exp".into(), (issued + seconds(life)).into());
        claims.insert("iat".into(), issued.into());
        claims.insert("jti".into(), self.jti().into());
        claims
    }

    /// The roles of all groups; the preferred one is that of the group of lowest precedence, and none on a tie.
    fn add_roles(&self, claims: &mut Map<String, Value>) {
        let mut roles: Vec<&str> = Vec::new();
        for role in self
            .groups
            .iter()
            .filter_map(|group| group.role_arn.as_deref())
        {
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        if roles.is_empty() {
            return;
        }
        claims.insert("cognito:roles".into(), roles.into());
        if let Some(role) = preferred_role(self.groups) {
            claims.insert("cognito:preferred_role".into(), role.into());
        }
    }

    /// A UUID of version 7 (RFC 9562 section 5.7): it holds the millisecond that revocation compares.
    fn jti(&self) -> String {
        let millis = u64::try_from(self.input.known_ms).unwrap_or(0);
        let random = rng::bytes::<10>(self.engine.rng());
        uuid::Builder::from_unix_timestamp_millis(millis, &random)
            .into_uuid()
            .to_string()
    }
}

/// AWS: of the groups with a role, the one of lowest precedence; no precedence is the highest of all.
fn preferred_role(groups: &[Group]) -> Option<&str> {
    let place = |group: &Group| group.precedence.unwrap_or(i64::MAX);
    let with_role = || groups.iter().filter(|group| group.role_arn.is_some());
    let lowest = with_role().map(place).min()?;
    let mut first = with_role()
        .filter(|group| place(group) == lowest)
        .filter_map(|group| group.role_arn.as_deref());
    let role = first.next()?;
    first.all(|other| other == role).then_some(role)
}

/// An attribute as a claim (OpenID Connect Core 1.0 section 5.1); custom ones stay text.
fn attribute(name: &str, value: &str) -> Value {
    match name {
        "email_verified" | "phone_number_verified" => Value::Bool(value == "true"),
        "address" => json!({ "formatted": value }),
        "updated_at" => value
            .parse::<i64>()
            .map_or_else(|_| value.into(), Value::from),
        _ => value.into(),
    }
}

pub(super) fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}
