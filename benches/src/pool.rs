//! A pool with a user, and the sign-in of that user through the API.

use std::{hint::black_box, sync::Arc};

use anyhow::{Context, Result, ensure};
use api::{Api, Operators, Ungated, Unobserved};
use axum::{
    Router,
    body::{Body, Bytes},
};
use engine::{
    Engine, client,
    group::{self, Group},
    issue::{self, IssueInput},
    pool,
    user::{self, Invitation, User},
};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use testkit::TestEngine;
use tower::ServiceExt;

/// What tokens are made of.
#[derive(Clone)]
struct Issuer {
    engine: Engine,
    record: Arc<pool::Pool>,
    client: Arc<client::Client>,
    user: User,
    group: Group,
    /// By the store's clock, a time after the user's last revocation.
    known_ms: i64,
}

impl Issuer {
    async fn issue(&self) -> engine::Result<issue::Tokens> {
        let input = IssueInput {
            origin_jti: "7f1c3f5e-0000-4000-8000-000000000000",
            event_id: "7f1c3f5e-0000-4000-8000-000000000001",
            auth_time_ms: self.engine.now_ms(),
            scope: issue::USER_ADMIN_SCOPE,
            issued_ms: self.engine.now_ms(),
            known_ms: self.known_ms,
            nonce: None,
        };
        let groups = std::slice::from_ref(&self.group);
        let (record, client) = (&self.record, &self.client);
        issue::tokens(&self.engine, record, client, &self.user, groups, input).await
    }
}

/// An engine on SQLite with the pool of the pet store's policies, a client, and a user who is a reader.
pub struct Pool {
    /// The engine.
    pub engine: TestEngine,
    service: Router,
    sign_in_body: Bytes,
    issuer: Issuer,
}

impl Pool {
    /// The pool's id, as in `policies/petstore`.
    pub const ID: &'static str = "us-east-1_PetStore1";
    const CLIENT: &'static str = "benches";
    const USER: &'static str = "ada";
    /// The user's password.
    pub const PASSWORD: &'static str = "Correct-Horse-7";

    /// Makes it all.
    pub async fn new() -> Result<Self> {
        let flows = ["USER_PASSWORD_AUTH", "REFRESH_TOKEN_AUTH"];
        let declare = json!([{"id": Self::ID, "clients": [{"id": Self::CLIENT, "flows": flows}], "groups": ["readers"]}]);
        let engine = TestEngine::with(json!({"declare": declare})).await?;
        let (pool, client) = client::load(&engine, Self::CLIENT).await?;
        let invitation = Invitation {
            username: Self::USER.into(),
            suppress: true,
            ..Invitation::default()
        };
        user::admin_create(&engine, &pool, invitation).await?;
        user::admin_set_password(&engine, &pool, Self::USER, Self::PASSWORD, true).await?;
        group::add_user(&engine, &pool, "readers", Self::USER).await?;
        // The change of password revoked what was issued up to now.
        engine.advance(std::time::Duration::from_secs(2));
        let user = user::load(&engine, &pool, Self::USER)
            .await?
            .context("the user is not there")?;
        let group = group::load(&engine, &pool, "readers").await?;
        let known_ms = engine.db().now_ms().await? + 1;
        let api = Api::new(
            (*engine).clone(),
            Operators::from_iter([]),
            Arc::new(Unobserved),
            Arc::new(Ungated),
        );
        let sign_in_body = json!({
            "AuthFlow": "USER_PASSWORD_AUTH",
            "ClientId": Self::CLIENT,
            "AuthParameters": {"USERNAME": Self::USER, "PASSWORD": Self::PASSWORD},
        });
        Ok(Self {
            service: api::service(api),
            sign_in_body: sign_in_body.to_string().into(),
            issuer: Issuer {
                engine: (*engine).clone(),
                record: pool,
                client,
                user,
                group,
                known_ms,
            },
            engine,
        })
    }

    /// Signs the user in with `USER_PASSWORD_AUTH`, from the request's bytes to the answer's; gives the access token.
    pub async fn sign_in(&self) -> Result<String> {
        let answer: Value = serde_json::from_slice(&self.sign_in_unread().await?)?;
        let token = answer
            .pointer("/AuthenticationResult/AccessToken")
            .and_then(Value::as_str);
        token
            .map(str::to_owned)
            .with_context(|| format!("sign-in: {answer}"))
    }

    /// Likewise; gives the answer's bytes.
    pub async fn sign_in_unread(&self) -> Result<Bytes> {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "x-amz-target",
                "AWSCognitoIdentityProviderService.InitiateAuth",
            )
            .body(Body::from(self.sign_in_body.clone()))?;
        let response = self.service.clone().oneshot(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        ensure!(status == StatusCode::OK, "sign-in: {status} {answer:?}");
        Ok(answer)
    }

    /// Issues an ID and an access token, so makes two signatures with the pool's keys.
    pub async fn issue(&self) -> Result<issue::Tokens> {
        Ok(self.issuer.issue().await?)
    }

    /// Does it so many times where a sign-in does: on a thread that hashes.
    pub async fn issue_in_place(&self, times: u32) -> Result<()> {
        let issuer = self.issuer.clone();
        let step = async move {
            for _ in 0..times {
                black_box(issuer.issue().await?);
            }
            Ok(())
        };
        self.engine.hasher().begin(step).await?
    }
}
