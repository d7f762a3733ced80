mod access;
mod claims;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::harness::{Harness, document};
use crate::user::Status;
use crate::{client, pool, revocation};

struct World {
    harness: Harness,
    pool: Arc<Pool>,
    client: Arc<Client>,
    user: User,
}

impl World {
    async fn new(settings: Value) -> Self {
        let harness = Harness::new().await;
        let schema = json!({"Schema": [{"Name": "team", "AttributeDataType": "String"}]});
        let pool = pool::create(&harness.engine, "staff", document(schema))
            .await
            .unwrap();
        let client = client::create(&harness.engine, &pool, "web", document(settings))
            .await
            .unwrap();
        let attributes = [
            ("email", "ada@example.com"),
            ("email_verified", "true"),
            ("custom:team", "7"),
            ("address", "1 Main St"),
            ("updated_at", "1700000000"),
        ];
        let user = User {
            pool_id: pool.id().into(),
            sub: "0f8fad5b-d9cb-469f-a165-70867728950e".into(),
            username: "ada".into(),
            status: Status::Confirmed,
            enabled: true,
            attributes: attributes
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            created_ms: 0,
            modified_ms: 0,
            password: None,
        };
        Self {
            harness,
            pool,
            client,
            user,
        }
    }

    /// What a sign-in of now finds.
    async fn known_ms(&self) -> i64 {
        let of = [self.pool.id(), &self.user.sub, self.client.id()].map(str::to_owned);
        let floor = revocation::Floor::now(&self.harness.engine);
        let latest = self
            .harness
            .engine
            .db()
            .read_with(of, |tx, [pool, sub, client]| {
                Box::pin(revocation::latest(tx, pool, sub, client))
            });
        floor.known_ms(latest.await.unwrap())
    }

    async fn issue(&self, groups: &[Group]) -> Tokens {
        let input = IssueInput {
            origin_jti: "origin",
            event_id: "event",
            auth_time_ms: self.harness.engine.now_ms() - 90_000,
            scope: USER_ADMIN_SCOPE,
            issued_ms: self.harness.engine.now_ms(),
            known_ms: self.known_ms().await,
            nonce: None,
        };
        tokens(
            &self.harness.engine,
            &self.pool,
            &self.client,
            &self.user,
            groups,
            input,
        )
        .await
        .unwrap()
    }

    async fn store_user(&self) {
        let user = self.user.clone();
        let sql = "INSERT INTO users (pool_id, sub, username, username_key, status, enabled, created_ms, modified_ms,
            attributes) VALUES ($1, $2, $3, $3, 'CONFIRMED', 1, 0, 0, '{}')";
        self.harness
            .engine
            .db()
            .write_with(user, move |tx, user| {
                Box::pin(async move {
                    tx.execute(sql, store::args![user.pool_id, user.sub, user.username])
                        .await
                        .map_err(crate::Error::from)
                })
            })
            .await
            .unwrap();
    }

    async fn refusal(&self, token: &str) -> String {
        verify_access(&self.harness.engine, token)
            .await
            .unwrap_err()
            .to_string()
    }
}

fn group(name: &str, role: Option<&str>, precedence: Option<i64>) -> Group {
    Group {
        pool_id: "p".into(),
        name: name.into(),
        description: None,
        role_arn: role.map(str::to_owned),
        precedence,
        created_ms: 0,
        modified_ms: 0,
    }
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(
        &URL_SAFE_NO_PAD
            .decode(token.split('.').nth(index).unwrap())
            .unwrap(),
    )
    .unwrap()
}

#[tokio::test]
async fn the_gate_verifies_what_is_signed_through_rotation() {
    let world = World::new(json!({})).await;
    let engine = &world.harness.engine;
    let keys = engine.pool_keys(world.pool.id());
    let before = world.issue(&[]).await;
    crate::signing_key::rotate(engine, world.pool.id(), engine.now_ms())
        .await
        .unwrap();
    let after = world.issue(&[]).await;
    assert_ne!(
        part(&before.id_token, 0)["kid"],
        part(&after.id_token, 0)["kid"]
    );
    let rules = Arc::new(token::Rules {
        name: "embedded".into(),
        iss: engine.issuer(world.pool.id()),
        kind: token::Kind::Cognito,
        audience: token::Audience::Embedded,
        naming: token::Naming::cognito(world.pool.id()),
    });
    for raw in [
        &before.id_token,
        &before.access_token,
        &after.id_token,
        &after.access_token,
    ] {
        let claims = token::verify(
            raw,
            &keys.current(),
            &rules,
            Duration::ZERO,
            engine.clock().now(),
        )
        .unwrap();
        assert_eq!(
            engine.revocations().standing(&claims),
            token::Standing::Live
        );
    }
}

#[test]
fn tokens_do_not_reach_debug() {
    let tokens = Tokens {
        id_token: "secret".into(),
        access_token: "secret".into(),
        expires_in: 1,
    };
    assert!(!format!("{tokens:?}").contains("secret"));
}
